import {
  type ActiveRung,
  type Budget,
  type CallDetail,
  costOf,
  type Denial,
  type LadderPlan,
  type Rung,
  rungText,
  shareText,
} from "@purser/core";
import { boundTokens, countTokens } from "@purser/core/tokens";
import type { AskRung } from "../asks/asks.ts";
import { type BudgetedCall, budgetedCall } from "../budgeted-call.ts";
import type { Caller } from "../callers/identify.ts";
import type { ModelCall } from "../dialects/dialect.ts";
import { editBody, readJsonBody } from "../dialects/json-body.ts";
import type { PathNames } from "../dialects/path.ts";
import type { Gateway } from "../pipeline.ts";
import type { Provider } from "../providers/provider.ts";
import { missingKey } from "../providers/routing.ts";
import { trimmedCall } from "./trim.ts";

/** A call that knows who makes it and where it goes. */
export interface RoutedCall extends BudgetedCall {
  readonly caller: Caller;
  readonly provider: Provider;
  /** What the path of the request names: in some formats, the model. */
  readonly names: PathNames;
}

/** A call as the ladders of its budgets left it. */
export interface Climbed {
  readonly call: RoutedCall;
  /** How long it waits before it asks to be admitted. */
  readonly waitMs: number;
  /** The rung that ends it here: a text in the place of an answer, or a refusal. */
  readonly end: ActiveRung | undefined;
  /** Lets the call be answered as the same one was before. */
  readonly cache: Active<"cache"> | undefined;
}

type Active<Kind extends Rung["kind"]> = ActiveRung & { readonly rung: Extract<Rung, { kind: Kind }> };

/** The budget of the model that one ladder leads to may have a ladder too. So many are followed. */
const MODELS_MOST = 4;

/** Applies what the ladders of a call's budgets say. A rung that would make the call dearer, or break it, is left out. */
export async function climb(gateway: Gateway, routed: RoutedCall): Promise<Climbed> {
  let call = routed;
  let plan = await gateway.budgets.ladder(call.subject);
  for (let models = 0; plan && models < MODELS_MOST; models++) {
    const other = await cheaperCall(gateway, call, plan);
    if (!other) break;
    call = other;
    plan = await gateway.budgets.ladder(call.subject);
  }
  const { rungs = [], outputTokensLeast = 0 } = plan ?? {};
  const end = of("answer", rungs)[0] ?? of("block", rungs)[0];
  const cache = most(of("cache", rungs), ({ rung }) => -rung.ageMs);
  if (end) return { call, waitMs: 0, end, cache };
  call = shortenedCall(call, of("shorten", rungs), outputTokensLeast);
  call = await trimmed(gateway, call, of("trim", rungs));
  const slowest = most(of("slow", rungs), ({ rung }) => rung.waitMs);
  if (!slowest) return { call, waitMs: 0, end: undefined, cache };
  return { call: noted(call, slowest), waitMs: slowest.rung.waitMs, end: undefined, cache };
}

/** The text that a rung has in the place of an answer. */
export function textOf(rung: Rung): string | undefined {
  return rung.kind === "answer" ? rung.text : undefined;
}

/** The text for a call that a budget refuses because it is used up, where its ladder has one. */
export function answerAfter({ reason, balance }: Denial, budgets: readonly Budget[]): string | undefined {
  if (reason !== "budget_exhausted") return undefined;
  const ladder = budgets.find(({ name }) => name === balance?.budget)?.ladder ?? [];
  const answers = ladder.flatMap(({ rungs }) => rungs).filter((rung) => rung.kind === "answer");
  return answers.at(-1)?.text;
}

/** What the ladder of a budget that refuses a call, because it is used up, says about asking for more. */
export function askAfter(
  { reason, balance }: Denial,
  budgets: readonly Budget[],
): { readonly budget: Budget; readonly rung: AskRung } | undefined {
  if (reason !== "budget_exhausted") return undefined;
  const budget = budgets.find(({ name }) => name === balance?.budget);
  const rung = budget?.ladder.flatMap(({ rungs }) => rungs).findLast((one) => one.kind === "ask");
  return budget && rung && { budget, rung };
}

function of<Kind extends Rung["kind"]>(kind: Kind, rungs: readonly ActiveRung[]): readonly Active<Kind>[] {
  return rungs.filter((active): active is Active<Kind> => active.rung.kind === kind);
}

function most<One>(all: readonly One[], measure: (one: One) => number): One | undefined {
  return all.reduce<One | undefined>((best, one) => (best === undefined || measure(one) > measure(best) ? one : best), undefined);
}

/** The call with a rung in its books: `use gpt-4o-mini (chatbot 85%)`. */
function noted(call: RoutedCall, active: ActiveRung, more: Partial<RoutedCall> = {}): RoutedCall {
  return { ...call, ...more, rungs: [...(call.rungs ?? []), activeText(active)] };
}

/** `use gpt-4o-mini (chatbot 85%)` */
export function activeText({ rung, budget, from }: ActiveRung): string {
  return `${rungText(rung)} (${budget.name} ${shareText(from)})`;
}

/** The call to the cheapest of the models that its ladders name, if that is cheaper than the one that it has. */
async function cheaperCall(gateway: Gateway, call: RoutedCall, plan: LadderPlan): Promise<RoutedCall | undefined> {
  let best: RoutedCall | undefined;
  for (const active of of("use", plan.rungs)) {
    const other = callTo(gateway, call, active.rung.model);
    if (!other || !plan.allowsModel(other.model) || (await isTooLargeFor(gateway, other))) continue;
    if (!isCheaper(gateway, other, best ?? call)) continue;
    const insteadOf: CallDetail["insteadOf"] = call.insteadOf ?? { provider: call.provider.name, model: call.model };
    best = noted({ ...other, ...(call.rungs && { rungs: call.rungs }) }, active, { insteadOf });
  }
  return best;
}

/** What formats call the model that their path names. */
const MODEL_IN_PATH = ["model", "deployment"];

/** The same call to another model, as if its client had asked for that. Nothing where nobody serves it in this format, or it is switched off. */
function callTo(gateway: Gateway, { dialect, call, caller, names }: RoutedCall, name: string): RoutedCall | undefined {
  const route = gateway.route(name, dialect.name);
  if ("unknown" in route) return undefined;
  const { provider, model, sentAs } = route;
  if (caller.providerKey === undefined && missingKey(provider) !== undefined) return undefined;
  const inPath = MODEL_IN_PATH.find((one) => one in names);
  const body = inPath ? call.body : readJsonBody(editBody(call.body, new Map([["model", JSON.stringify(name)]])));
  const otherNames = inPath ? { ...names, [inPath]: name } : names;
  const { prices, config } = gateway;
  const { defaultMaxOutput, unseenInput } = config;
  const { subject, key } = caller;
  const other = dialect.readCall(body, otherNames);
  const { refusesToBeAskedForUsage = false } = provider;
  const terms = {
    dialect,
    call: other,
    provider: provider.name,
    refusesToBeAskedForUsage,
    model,
    sentAs,
    subject,
    key,
    prices,
    defaultMaxOutput,
    unseenInput,
  };
  const routed = { ...budgetedCall(terms), caller, provider, names: otherNames };
  return gateway.budgets.switchedOff(routed.subject) === undefined ? routed : undefined;
}

/** Whether the model can surely not read the call. */
async function isTooLargeFor({ prices }: Gateway, { dialect, call, model, pricedAs, provider }: RoutedCall): Promise<boolean> {
  const context = prices.card(provider.name, pricedAs, Date.now())?.contextTokens;
  if (context === undefined || boundOf(call, model) <= context) return false;
  return (await countTokens(model, dialect.countable(call), context)) > context;
}

function boundOf({ body, messages, tools, images }: ModelCall, model: string): number {
  return boundTokens(model, { textBytes: body.bytes.length, messages, tools, images });
}

/**
 * Whether a call costs less than another one of the same text. What the other one may read from its provider's cache, the new one has to pay
 * in full. A model without a price is never the cheaper one.
 */
function isCheaper(gateway: Gateway, call: RoutedCall, than: RoutedCall): boolean {
  const cost = costOfSame(gateway, call, than, 0);
  const other = costOfSame(gateway, than, than, than.dialect.usesCache?.(than.call) ? 1 : 0);
  return cost !== undefined && (other === undefined || cost < other);
}

function costOfSame({ prices }: Gateway, call: RoutedCall, size: RoutedCall, cachedShare: number): number | undefined {
  const card = prices.card(call.provider.name, call.pricedAs, Date.now());
  if (!card) return undefined;
  const inputTokens = boundOf(size.call, size.model);
  const outputTokens = Math.min(call.outputTokensMost, size.outputTokensMost);
  return costOf(card, { inputTokens, cacheReadInputTokens: inputTokens * cachedShare, outputTokens });
}

/** The output cap of the lowest rung, but never below what the call needs or its budgets call an answer. */
function shortenedCall(call: RoutedCall, rungs: readonly Active<"shorten">[], outputTokensLeast: number): RoutedCall {
  const shortest = most(rungs, ({ rung }) => -rung.outputTokens);
  if (!shortest) return call;
  const least = Math.max(call.call.outputLeast, outputTokensLeast);
  const outputTokensMost = Math.max(shortest.rung.outputTokens, least);
  return outputTokensMost < call.outputTokensMost ? noted(call, shortest, { outputTokensMost }) : call;
}

async function trimmed(gateway: Gateway, call: RoutedCall, rungs: readonly Active<"trim">[]): Promise<RoutedCall> {
  const shortest = most(rungs, ({ rung }) => -rung.inputTokens);
  const shorter = shortest && (await trimmedCall(call, shortest.rung.inputTokens));
  if (!shortest || !shorter) return call;
  const changed = { ...call, call: shorter };
  // A prefix that is read from the cache can cost less than a short text that is not.
  if (call.dialect.usesCache?.(call.call) && !costsLess(gateway, changed, call)) return call;
  return noted(changed, shortest);
}

function costsLess(gateway: Gateway, call: RoutedCall, than: RoutedCall): boolean {
  const cost = costOfSame(gateway, call, call, 0);
  const cached = costOfSame(gateway, than, than, 1);
  return cost === undefined || cached === undefined || cost < cached;
}
