import {
  type ActiveRung,
  type Budget,
  type CallDetail,
  costOf,
  type Denial,
  type LadderPlan,
  type Nearness,
  type Rung,
  type RungEffect,
  rungText,
  stepText,
  type Usage,
} from "@purser/core";
import { boundTokens, countTokens } from "@purser/core/tokens";
import type { BudgetedCall } from "../budgeted-call.ts";
import type { Caller } from "../callers/identify.ts";
import type { Dialect, ModelCall } from "../dialects/dialect.ts";
import type { PathNames } from "../dialects/path.ts";
import type { Gateway } from "../gateway.ts";
import type { Provider } from "../providers/provider.ts";
import type { Failover, Route } from "../providers/routing.ts";
import { lastCall } from "./finish.ts";
import { type CannotCall, otherCall } from "./other-call.ts";
import { type Summariser, summarisedCall } from "./summarise.ts";
import { trimmedCall } from "./trim.ts";
import type { Shortened } from "./turns.ts";

/** A call that knows who makes it and where it goes. */
export interface RoutedCall extends BudgetedCall {
  readonly caller: Caller;
  readonly provider: Provider;
  /** What the path of the request names: in some formats, the model. */
  readonly names: PathNames;
  /** What its conversation begins with, where ladders cut it: a hash. */
  readonly beginning?: string;
  /** The call as its client made it, where it goes on in another format. */
  readonly asked?: AskedCall;
  /** Where else it can go, where the configuration says so. */
  readonly failover?: Failover | undefined;
}

/** A call in the format of its client. */
export interface AskedCall {
  readonly dialect: Dialect;
  readonly call: ModelCall;
  readonly names: PathNames;
}

/**
 * Written field by field, as all that is made for every call: an object that begins with the fields of another one, `{ ...other, more }`, gets
 * a shape of its own each time, which V8 has to learn anew, and which keeps it alive.
 */
export function routedCall(
  budgeted: BudgetedCall,
  caller: Caller,
  { provider, failover }: Pick<Route, "provider" | "failover">,
  names: PathNames,
): RoutedCall {
  const { dialect, call, model, sentAs, pricedAs, subject, outputTokensMost, unseenTokens, margin, pools } = budgeted;
  return {
    dialect,
    call,
    model,
    sentAs,
    pricedAs,
    subject,
    outputTokensMost,
    unseenTokens,
    margin,
    pools,
    caller,
    provider,
    names,
    failover,
  };
}

/** A call as the ladders of its budgets left it. */
export interface Climbed {
  readonly call: RoutedCall;
  /** How long it waits before it asks to be admitted. */
  readonly waitMs: number;
  /** The rung that ends it here: a text in the place of an answer, or a refusal. */
  readonly end: ActiveRung | undefined;
  /** Lets the call be answered from lists of the configuration. */
  readonly lookups: readonly Active<"lookup">[];
  /** Lets the call be answered as the same one was before. */
  readonly cache: CacheTerms | undefined;
  /** Lets the call wait for its budget, where its client can. */
  readonly queue: Active<"queue"> | undefined;
  /** Lets a person go on with the conversation of the call, where that can be: else it ends here. */
  readonly handover: Active<"handover"> | undefined;
}

/** A call of which no ladder says anything. */
export function asItCame(call: RoutedCall): Climbed {
  return { call, waitMs: 0, end: undefined, lookups: [], cache: undefined, queue: undefined, handover: undefined };
}

/** What the budgets of a call allow of what was kept, all of them together. */
export interface CacheTerms {
  /** The strictest of their rungs. */
  readonly active: Active<"cache">;
  readonly ageMs: number;
  readonly nearness: Nearness;
}

/** What is asked about a call on its ladders. */
export type Climber = Pick<Gateway, "config" | "budgets" | "prices" | "route" | "promptCaches"> & {
  readonly calibration: Pick<Gateway["calibration"], "marginOf">;
  /** Whether no provider is asked from here, so that none has to have a key. */
  readonly asksNobody?: boolean;
  /** Why whoever sends the call could not send this one in its place, as a part of a sentence; it can send any where this is left out. */
  readonly cannotSend?: (call: RoutedCall) => string | undefined;
};

export type Active<Kind extends Rung["kind"]> = ActiveRung & { readonly rung: Extract<Rung, { kind: Kind }> };

/** The budget of the model that one ladder leads to may have a ladder too. So many are followed. */
const MODELS_MOST = 4;

/**
 * Applies what the ladders of a call's budgets say. A rung that would make the call dearer, or break it, is left out. `ending`: budgets of whose
 * task it is the last call.
 */
export async function climb(
  gateway: Climber,
  routed: RoutedCall,
  summariser?: Summariser,
  ending: readonly string[] = [],
): Promise<Climbed> {
  if (!gateway.budgets.hasLadders) return asItCame(routed);
  let call = routed;
  let plan = await gateway.budgets.ladder(call.subject, ending);
  const leftOut = new Set<string>();
  for (let models = 0; plan && models < MODELS_MOST; models++) {
    const other = await cheaperCall(gateway, call, plan, leftOut);
    if (!other) break;
    call = other;
    plan = await gateway.budgets.ladder(call.subject, ending);
  }
  if (leftOut.size > 0) call = { ...call, rungs: [...(call.rungs ?? []), ...leftOut] };
  const { rungs = [], outputTokensLeast = 0 } = plan ?? {};
  const handover = of("handover", rungs)[0];
  const end = of("answer", rungs)[0] ?? of("block", rungs)[0] ?? handover;
  const lookups = of("lookup", rungs);
  const cache = cacheTerms(of("cache", rungs));
  const queue = most(of("queue", rungs), ({ balance }) => balance.resetsAt ?? Number.POSITIVE_INFINITY);
  if (end) return { call, waitMs: 0, end, lookups, cache, queue, handover };
  call = shortenedCall(call, of("shorten", rungs), outputTokensLeast);
  if (plan && summariser) call = await summarised(gateway, call, plan, summariser);
  call = await trimmed(gateway, call, of("trim", rungs));
  call = finished(call, of("finish", rungs));
  const slowest = most(of("slow", rungs), ({ rung }) => rung.waitMs);
  if (!slowest) return { call, waitMs: 0, end: undefined, lookups, cache, queue, handover };
  return { call: noted(call, slowest), waitMs: slowest.rung.waitMs, end: undefined, lookups, cache, queue, handover };
}

/** The same question is stricter than one that is near, and near stricter than far; then what may be less old. */
function cacheTerms(rungs: readonly Active<"cache">[]): CacheTerms | undefined {
  const [strictest] = rungs.toSorted((a, b) => (b.rung.nearness ?? SAME) - (a.rung.nearness ?? SAME) || a.rung.ageMs - b.rung.ageMs);
  if (!strictest) return undefined;
  return { active: strictest, ageMs: Math.min(...rungs.map(({ rung }) => rung.ageMs)), nearness: strictest.rung.nearness };
}

/** Nearer than any question that is not the same. */
const SAME = 2;

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

/** What the ladder of a budget that refuses a call, because it is used up, says about asking for more, about waiting, about a list of answers, or about people. */
export function rungAfter<Kind extends "ask" | "queue" | "lookup" | "handover">(
  { reason, balance }: Denial,
  budgets: readonly Budget[],
  kind: Kind,
): { readonly budget: Budget; readonly rung: Extract<Rung, { kind: Kind }> } | undefined {
  if (reason !== "budget_exhausted") return undefined;
  const budget = budgets.find(({ name }) => name === balance?.budget);
  const rungs = budget?.ladder.flatMap((step) => step.rungs) ?? [];
  const rung = rungs.findLast((one): one is Extract<Rung, { kind: Kind }> => one.kind === kind);
  return budget && rung && { budget, rung };
}

function of<Kind extends Rung["kind"]>(kind: Kind, rungs: readonly ActiveRung[]): readonly Active<Kind>[] {
  return rungs.filter((active): active is Active<Kind> => active.rung.kind === kind);
}

function most<One>(all: readonly One[], measure: (one: One) => number): One | undefined {
  return all.reduce<One | undefined>((best, one) => (best === undefined || measure(one) > measure(best) ? one : best), undefined);
}

/** The call with a rung in its books: `use gpt-4o-mini (chatbot 85%)`, and with what that did to it. */
function noted(call: RoutedCall, active: ActiveRung, more: Partial<RoutedCall> = {}, effect?: Effect): RoutedCall {
  return { ...call, ...more, rungs: [...(call.rungs ?? []), activeText(active)], ...(effect && withEffect(call, active, effect)) };
}

/** What a rung did, whoever's it is. */
type Effect = RungEffect extends infer One ? (One extends RungEffect ? Omit<One, "budget" | "rung"> : never) : never;

export function withEffect({ effects = [] }: Pick<RoutedCall, "effects">, { rung, budget }: ActiveRung, effect: Effect) {
  return { effects: [...effects, { budget: budget.name, rung: rungText(rung), ...effect }] };
}

function cutEffect(gateway: Climber, call: RoutedCall, { tokensBefore, tokens }: Shortened): Effect {
  return { kind: "cut", leftOutTokens: Math.max(0, tokensBefore - tokens), cachedShare: gateway.promptCaches.share(call, Date.now()) };
}

/** `use gpt-4o-mini (chatbot 85%)`, with something said about the rung: `shorten 40 to 256 (chatbot 60%)`. */
export function activeText({ rung, budget, step }: ActiveRung, said = ""): string {
  return `${rungText(rung)}${said} (${budget.name} ${stepText(step)})`;
}

/** Whether a rung in the books of a call is one that was not applied to it. */
export function isLeftOut(text: string): boolean {
  return text.includes(LEFT_OUT);
}

const LEFT_OUT = " left out";

/**
 * The call to the cheapest of the models that its ladders name, if that is cheaper than the one that it has. What cannot be done is written
 * down: `use claude-haiku-4-5 left out: the call has "seed" (chatbot 85%)`.
 */
async function cheaperCall(gateway: Climber, call: RoutedCall, plan: LadderPlan, leftOut: Set<string>): Promise<RoutedCall | undefined> {
  let best: RoutedCall | undefined;
  for (const active of of("use", plan.rungs)) {
    if (active.rung.model === call.model) continue;
    const other = await sameCallTo(gateway, call, active.rung.model, plan);
    if ("because" in other) {
      leftOut.add(activeText(active, `${LEFT_OUT}: ${other.because}`));
      continue;
    }
    if (!(await isCheaper(gateway, other, best ?? call))) continue;
    const insteadOf: CallDetail["insteadOf"] = call.insteadOf ?? { provider: call.provider.name, model: call.model };
    const asked = { provider: call.provider.name, pricedAs: call.pricedAs };
    const effect = { kind: "use", insteadOf: asked, cachedShare: gateway.promptCaches.share(call, Date.now()) } as const;
    const { rungs, effects } = call;
    best = noted({ ...other, ...(rungs && { rungs }), ...(effects && { effects }) }, active, { insteadOf }, effect);
  }
  return best;
}

/** The same call to another model, as if its client had asked for that; or why there is none. */
async function sameCallTo(gateway: Climber, routed: RoutedCall, name: string, plan: LadderPlan): Promise<RoutedCall | CannotCall> {
  const other = otherCall(gateway, routed, name);
  if ("because" in other) return other;
  const unsendable = gateway.cannotSend?.(other);
  if (unsendable !== undefined) return { because: unsendable };
  if (!plan.allowsModel(other.model)) return { because: "a budget of the call does not allow the model" };
  if (!gateway.prices.card(other.provider.name, other.pricedAs, Date.now())) return { because: "the model has no price" };
  const lacking = lackingIn(gateway, other);
  if (lacking !== undefined) return { because: lacking };
  return (await isTooLargeFor(gateway, other)) ? { because: "the call is larger than what the model can read" } : other;
}

/** What the call needs and its model is known not to have. */
function lackingIn({ prices }: Climber, { call, pricedAs, provider }: RoutedCall): string | undefined {
  const { lacks, maxOutputTokens = Number.POSITIVE_INFINITY } = prices.card(provider.name, pricedAs, Date.now()) ?? {};
  if (call.images.length > 0 && lacks?.includes("images")) return "the model sees no images";
  if (call.tools > 0 && lacks?.includes("tools")) return "the model calls no tools";
  return call.outputLeast > maxOutputTokens ? "the call needs a longer answer than the model can write" : undefined;
}

/** Whether the model can surely not read the call. */
export async function isTooLargeFor(
  { prices }: Climber,
  { dialect, call, model, margin, pricedAs, provider, unseenTokens }: RoutedCall,
): Promise<boolean> {
  const context = prices.card(provider.name, pricedAs, Date.now())?.contextTokens;
  if (context === undefined) return false;
  // What is held for input that nobody sees is as much as the model can read: it says nothing about the call.
  const most = context + unseenTokens;
  if (boundOf(call, model) <= most) return false;
  return (await countTokens(model, dialect.countable(call), most, margin)) > most;
}

function boundOf({ body, messages, tools, images, opaqueTokens }: ModelCall, model: string): number {
  return boundTokens(model, { textBytes: body.bytes.length, messages, tools, images }) + opaqueTokens;
}

/**
 * Whether a call costs less than another one of the same text. What the other one may read from its provider's cache, the new one has to pay
 * in full. A model without a price is never the cheaper one. In another format a text has other tokens: then both are counted.
 */
async function isCheaper(gateway: Climber, call: RoutedCall, than: RoutedCall): Promise<boolean> {
  const isSameText = call.dialect === than.dialect;
  const inputTokens = isSameText ? boundOf(than.call, than.model) : await inputTokensOf(call);
  const inputTokensBefore = isSameText ? inputTokens : await inputTokensOf(than);
  const outputTokens = Math.min(call.outputTokensMost, than.outputTokensMost);
  const cachedBefore = Math.ceil(inputTokensBefore * gateway.promptCaches.share(than, Date.now()));
  const cost = costBy(gateway, call, { inputTokens, outputTokens });
  const other = costBy(gateway, than, { inputTokens: inputTokensBefore, cacheReadInputTokens: cachedBefore, outputTokens });
  return cost !== undefined && (other === undefined || cost < other);
}

function inputTokensOf({ dialect, call, model }: RoutedCall): Promise<number> {
  return countTokens(model, dialect.countable(call));
}

function costBy({ prices }: Climber, { provider, pricedAs }: RoutedCall, usage: Usage): number | undefined {
  const card = prices.card(provider.name, pricedAs, Date.now());
  return card && costOf(card, usage);
}

/** The output cap of the lowest rung, but never below what the call needs or its budgets call an answer: `shorten 40 to 256 (chatbot 60%)`. */
function shortenedCall(call: RoutedCall, rungs: readonly Active<"shorten">[], outputTokensLeast: number): RoutedCall {
  const shortest = most(rungs, ({ rung }) => -rung.outputTokens);
  if (!shortest) return call;
  const least = Math.max(call.call.outputLeast, outputTokensLeast);
  const outputTokensMost = Math.max(shortest.rung.outputTokens, least);
  if (outputTokensMost >= call.outputTokensMost) return call;
  const said = outputTokensMost > shortest.rung.outputTokens ? ` to ${outputTokensMost}` : "";
  const noted = [...(call.rungs ?? []), activeText(shortest, said)];
  return { ...call, outputTokensMost, isShortened: true, rungs: noted, ...withEffect(call, shortest, { kind: "shorten" }) };
}

async function trimmed(gateway: Climber, call: RoutedCall, rungs: readonly Active<"trim">[]): Promise<RoutedCall> {
  const shortest = most(rungs, ({ rung }) => -rung.inputTokens);
  const shorter = shortest && (await trimmedCall(call, shortest.rung.inputTokens));
  if (!shortest || !shorter) return call;
  if (!paysOff(gateway, call, { ...shorter, cut: shorter, besides: 0 })) return leftOut(call, shortest);
  return noted(call, shortest, { call: shorter.call, beginning: shorter.beginning }, cutEffect(gateway, call, shorter));
}

/** The last call of its task, of each budget that says so. A call that cannot say it stays as it is, and gets nothing of what is kept. */
function finished(call: RoutedCall, rungs: readonly Active<"finish">[]): RoutedCall {
  const fresh = rungs.filter(({ budget }) => !call.finishes?.includes(budget.name));
  const last = fresh.length === 0 ? undefined : call.finishes ? call.call : lastCall(call);
  if (!last) return call;
  return fresh.reduce((one, active) => noted(one, active, { call: last, finishes: [...(one.finishes ?? []), active.budget.name] }), call);
}

async function summarised(gateway: Climber, call: RoutedCall, plan: LadderPlan, summariser: Summariser): Promise<RoutedCall> {
  const allowed = of("summarise", plan.rungs).filter(({ rung }) => plan.allowsModel(rung.model));
  const shortest = most(allowed, ({ rung }) => -rung.inputTokens);
  const shorter = shortest && (await summarisedCall(gateway, summariser, call, shortest));
  if (!shortest || !shorter) return call;
  if (shorter === "dearer") return leftOut(call, shortest);
  return noted(call, shortest, { call: shorter.call, beginning: shorter.beginning }, cutEffect(gateway, call, shorter));
}

/** The call as it is, with a rung in its books that would have cost more than it saves. */
function leftOut(call: RoutedCall, active: ActiveRung): RoutedCall {
  return { ...call, rungs: [...(call.rungs ?? []), activeText(active, `${LEFT_OUT} as dearer`)] };
}

export interface Saving {
  readonly tokensBefore: number;
  readonly tokens: number;
  /** The short one; none where it does not exist yet. */
  readonly cut?: Shortened;
  /** What has to be paid for it besides, in nano-dollars. */
  readonly besides: number;
}

/**
 * Whether a call with less text costs less than leaving it alone: of the long one as much is read from the provider's cache as it reads there
 * now; of the short one too, where it begins as the call before did, and else all of it may have to be written there.
 */
export function paysOff(gateway: Climber, routed: RoutedCall, { tokensBefore, tokens, cut, besides }: Saving): boolean {
  const { call, dialect, provider, pricedAs } = routed;
  const { promptCaches, prices } = gateway;
  const card = prices.card(provider.name, pricedAs, Date.now());
  if (!card) return besides === 0;
  const now = Date.now();
  const cached = Math.ceil(tokensBefore * promptCaches.share(routed, now));
  const cachedOfCut = cut ? Math.floor(tokens * promptCaches.shareOfCut(routed, cut, now)) : 0;
  const written = dialect.usesCache?.(call) ? tokens - cachedOfCut : 0;
  // Who marks a prefix to be kept for an hour pays more for writing it.
  const isForAnHour = written > 0 && call.body.bytes.includes('"1h"');
  const before = costOf(card, { inputTokens: tokensBefore, cacheReadInputTokens: cached });
  const after = costOf(card, {
    inputTokens: tokens,
    cacheReadInputTokens: cachedOfCut,
    cacheWriteInputTokens: written,
    ...(isForAnHour && { cacheWrite1hInputTokens: written }),
  });
  return after + besides < before || (before === 0 && besides === 0);
}
