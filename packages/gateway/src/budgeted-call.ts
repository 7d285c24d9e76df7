import {
  type Budgets,
  type Call,
  type CallDetail,
  type Certainty,
  type Charge,
  type Decision,
  type Denial,
  type DenialReason,
  type Pool,
  type PriceSource,
  PurserError,
  type RateCard,
  type Reservation,
  type RungEffect,
  type Sent,
  type ServiceTier,
  type Subject,
  type Usage,
} from "@purser/core";
import { boundTokens, countTokens, type Margin } from "@purser/core/tokens";
import { turnFor } from "./body.ts";
import type { Calibration } from "./calibration/calibration.ts";
import { type Caller, type Places, refine } from "./callers/identify.ts";
import type { Key } from "./callers/key.ts";
import type { Config } from "./config/config.ts";
import type { Dialect, ModelCall } from "./dialects/dialect.ts";
import { longTextBeginning } from "./dialects/json-body.ts";
import { UNMEASURED_AUDIO } from "./dialects/openai-transcriptions/read-call.ts";
import type { Outcome } from "./outcome.ts";
import type { Provider } from "./providers/provider.ts";
import type { Route } from "./providers/routing.ts";

/** What admits calls and charges them: budgets that are at hand, or those of a gateway that is asked. */
export type CallBudgets = Pick<Budgets, "reserve" | "settle" | "release" | "extend" | "background" | "card">;

/** A call as budgets see it, wherever it is made: in the gateway, or in a program's own client. */
export interface BudgetedCall {
  readonly dialect: Dialect;
  readonly call: ModelCall;
  /** The model, as budgets, prices and counting know it. */
  readonly model: string;
  /** The model as the provider is told. */
  readonly sentAs: string;
  /** The model's name in the price list. */
  readonly pricedAs: string;
  readonly subject: Subject;
  /** The largest answer that the call allows by itself: its own cap, or what the model can write; less where a ladder says so. */
  readonly outputTokensMost: number;
  /** Whether a ladder says so: then it goes along to whoever gets the call. */
  readonly isShortened?: boolean;
  /** What ladders did to it. */
  readonly rungs?: CallDetail["rungs"];
  /** The same, as far as it saves money. */
  readonly effects?: readonly RungEffect[];
  /** The model that was asked for, where a ladder chose another. */
  readonly insteadOf?: CallDetail["insteadOf"];
  /** What came before it at other providers. */
  readonly tried?: CallDetail["tried"];
  /** Whose guards stand against it. */
  readonly guardedBy?: CallDetail["guardedBy"];
  /** How much of its input is held for what it names and does not carry. */
  readonly unseenTokens: number;
  /** What is added to counts of its text, where that was learned; else what is known of the model. */
  readonly margin: Margin | undefined;
  /** The budgets that were handed on to the caller. */
  readonly pools: readonly Pool[] | undefined;
  /** The budgets of whose task it is the last call. */
  readonly finishes?: readonly string[];
  /** How much of its answer is held at first, where more is held while it streams. */
  readonly firstOutputTokens?: number;
}

export type Admitted = Exclude<Decision, { readonly outcome: "denied" }>;

export interface CallTerms {
  readonly dialect: Dialect;
  /** The format that the client speaks, where it is another one. */
  readonly endpoint?: string;
  readonly call: ModelCall;
  readonly provider: Pick<Provider, "name" | "refusesToBeAskedForUsage">;
  readonly model: string;
  readonly sentAs: string;
  /** What the provider calls it in its prices, where that is another name than the model's. */
  readonly pricedAs?: string | undefined;
  /** Who calls, and the key that says what the body may add to that: none for an owner. */
  readonly subject: Subject;
  readonly places?: Places | undefined;
  readonly key: Key | undefined;
  /** The budgets that were handed on to the caller. */
  readonly pools: readonly Pool[] | undefined;
  readonly prices: PriceSource;
  /** How far counts are trusted; as far as is known of the model where it is left out. */
  readonly calibration?: Pick<Calibration, "marginOf">;
  /** The output cap of a call that names none, to a model whose maximum is unknown. */
  readonly defaultMaxOutput: number;
  /** What is held for input that a call names and does not carry; what the model can read where it is left out. */
  readonly unseenInput: number | undefined;
}

/** What a gateway knows of every call. */
export interface KnownTerms {
  readonly config: Pick<Config, "defaultMaxOutput" | "unseenInput">;
  readonly prices: PriceSource;
  readonly calibration: Pick<Calibration, "marginOf">;
}

/** The terms of a caller's call where it is routed. */
export function callTerms(
  { config, prices, calibration }: KnownTerms,
  { subject, places, key, pools }: Pick<Caller, "subject" | "places" | "key" | "pools">,
  { provider, model, sentAs, pricedAs }: Pick<Route, "provider" | "model" | "sentAs" | "pricedAs">,
  { dialect, call }: Pick<CallTerms, "dialect" | "call">,
): CallTerms {
  const { defaultMaxOutput, unseenInput } = config;
  const where = { provider, model, sentAs, pricedAs };
  return { dialect, call, ...where, subject, places, key, pools, prices, calibration, defaultMaxOutput, unseenInput };
}

/** What a model can read of which nobody says: the largest context that is sold widely. */
const CONTEXT_TOKENS = 1_050_000;

/** Says to whom a call is charged, as what, and how long its answer can be. */
export function budgetedCall(terms: CallTerms): BudgetedCall {
  const { dialect, model, sentAs, subject, key, prices, defaultMaxOutput } = terms;
  let { call } = terms;
  const { name: provider, refusesToBeAskedForUsage = false } = terms.provider;
  const refined = refine(subject, key, { user: call.user, tags: call.tags });
  // A mode with a price of its own is charged as a model of its own. Budgets for the model are for all its modes.
  const priced = terms.pricedAs !== undefined && prices.card(provider, terms.pricedAs, Date.now()) ? terms.pricedAs : model;
  const pricedAs = call.priceVariant === undefined ? priced : `${priced}-${call.priceVariant}`;
  const card = prices.card(provider, pricedAs, Date.now());
  if (card && dialect.inTokens && !isMeasured(dialect, card)) call = dialect.inTokens(call, card);
  const modelMost = card?.maxOutputTokens ?? defaultMaxOutput;
  const asked = refusesToBeAskedForUsage ? { ...call, wantsUsage: true } : call;
  const unseen = call.hidesInput ? (terms.unseenInput ?? card?.contextTokens ?? CONTEXT_TOKENS) : 0;
  return {
    dialect,
    call: unseen > 0 ? { ...asked, opaqueTokens: call.opaqueTokens + unseen } : asked,
    model,
    sentAs,
    pricedAs,
    subject: subjectAt(refined, refined === subject ? terms.places : undefined, provider, model, terms.endpoint ?? dialect.name),
    outputTokensMost: call.outputCap ?? modelMost,
    unseenTokens: unseen,
    margin: terms.calibration?.marginOf(provider, model),
    pools: terms.pools,
  };
}

/** Whether the calls of a model are charged by seconds, or characters, and not by tokens. */
function isMeasured({ measure }: Dialect, { toolFees }: RateCard): boolean {
  return measure !== undefined && toolFees !== undefined && Object.hasOwn(toolFees, measure);
}

/** Names of models come from callers, so only so many are kept. */
const PLACES_MOST = 64;

/** A caller's subject with where the call goes. `places` has those that were made for the same subject before. */
function subjectAt(subject: Subject, places: Places | undefined, provider: string, model: string, endpoint: string): Subject {
  const place = `${endpoint}\n${provider}\n${model}`;
  const known = places?.get(place);
  if (known) return known;
  const made: Subject = Object.assign({}, subject, { provider, model, endpoint });
  // Frozen, so that budgets can remember which of them are for it.
  if (places && places.size < PLACES_MOST) places.set(place, Object.freeze(made));
  return made;
}

/** Why a call is refused, for whoever reads its answer. Input that is somewhere else is not seen there, so it is said. */
export function denialMessage({ call, unseenTokens }: Pick<BudgetedCall, "call" | "unseenTokens">, { reason, message }: Denial): string {
  if (reason === "model_unpriced" && call.toolCalls[UNMEASURED_AUDIO] !== undefined) return `${message} ${MEASURABLE}`;
  if (unseenTokens === 0 || !ABOUT_SIZE.has(reason)) return message;
  return (
    `${message} ${unseenTokens.toLocaleString("en-US")} of its tokens are held for input that the call names and does not carry, such as an ` +
    "earlier answer. Send that in the call itself, or set unseen_input to what it has at most."
  );
}

const MEASURABLE =
  "How long a file plays can be read from WAV (PCM) and MP3 alone: send one of those, or use a model that is charged by tokens.";

const ABOUT_SIZE: ReadonlySet<DenialReason> = new Set<DenialReason>(["request_too_large", "budget_exhausted", "budget_busy"]);

/**
 * Holds the most that the call can use. The bound by size is free; the count is made only if it could matter. Only a call that has to wait
 * asks for the signal that ends when its caller goes away.
 */
export function reserveCall(
  budgets: Pick<CallBudgets, "reserve">,
  id: string,
  budgeted: BudgetedCall,
  signal: () => AbortSignal | undefined,
  { readyText, mayFinish }: Pick<Call, "readyText" | "mayFinish"> = {},
): Promise<Decision> {
  return budgets.reserve(callOf(id, budgeted, signal, readyText, mayFinish));
}

/** What a call asks of its budgets. */
export function callOf(
  id: string,
  budgeted: BudgetedCall,
  signal?: Call["signal"],
  readyText?: Call["readyText"],
  mayFinish?: Call["mayFinish"],
): Call {
  const {
    dialect,
    call,
    model,
    pricedAs,
    subject,
    outputTokensMost,
    rungs,
    insteadOf,
    tried,
    guardedBy,
    pools,
    finishes,
    firstOutputTokens: first,
  } = budgeted;
  const { body, copies, outputLeast, toolCalls, service, opaqueTokens } = call;
  const beyond = beyondCap(budgeted);
  const isCapped = dialect.hasOutput ? call.outputCap !== undefined : undefined;
  const bound = boundTokens(model, { textBytes: body.bytes.length, messages: call.messages, tools: call.tools, images: call.images });
  return {
    id,
    subject,
    pricedAs,
    input: { most: bound + opaqueTokens, count: (limit) => countInput(budgeted, limit) },
    output: { most: outputTokensMost + beyond, least: outputLeast + beyond, copies, first, isCapped },
    toolCalls,
    service,
    pools,
    rungs,
    insteadOf,
    tried,
    guardedBy,
    finishes,
    signal,
    readyText,
    mayFinish,
  };
}

/** Tokens of output that are held for what the cap does not count. */
function beyondCap({ call, model }: BudgetedCall): number {
  const { beyondCapBytes = 0 } = call;
  return beyondCapBytes === 0 ? 0 : boundTokens(model, { textBytes: beyondCapBytes, messages: 0 });
}

/**
 * The bytes to send for an admitted call, or one that is free. Where nothing is limited there is nothing to protect, and a call that names
 * no cap keeps none.
 */
export function admittedBody(budgeted: BudgetedCall, decision: Admitted | undefined): Buffer {
  const { dialect, call, sentAs, outputTokensMost, isShortened = false } = budgeted;
  if (!decision) return dialect.writeCall(call, { model: sentAs, outputTokens: undefined });
  const cap = outputTokensMostOf(decision) - beyondCap(budgeted);
  const isLimited = isShortened || (decision.outcome === "allowed" && decision.isLimited) || cap < outputTokensMost;
  return dialect.writeCall(call, { model: sentAs, outputTokens: isLimited ? cap : undefined });
}

/** The longest answer that an admitted call may get. */
export function outputTokensMostOf(decision: Admitted): number {
  if (decision.outcome !== "allowed") return decision.outputTokens;
  const { outputTokens, outputTokensMost = outputTokens } = decision.reservation;
  return outputTokensMost;
}

/** How a call ends: charged for what it used, or returned. */
export type Ending =
  | { readonly kind: "settled"; readonly usage: Usage; readonly certainty: Certainty; readonly service?: ServiceTier | undefined }
  | { readonly kind: "released"; readonly why: string };

/** What becomes of the hold of a call. When in doubt, the budget is protected. */
export async function endingOf(budgeted: BudgetedCall, reservation: Reservation, outcome: Outcome): Promise<Ending> {
  const { call, dialect } = budgeted;
  if (outcome.kind === "unknown" || (outcome.kind === "refused" && mayHaveBeenMade(outcome.status)))
    return { kind: "settled", usage: worstUsage(reservation, call), certainty: "unconfirmed" };
  if (outcome.kind === "refused") return { kind: "released", why: refusedWhy(outcome.status) };
  if (outcome.kind === "not-sent") return { kind: "released", why: `not sent: ${outcome.error.cause.message}` };
  const { usage, service } = outcome;
  // Who cannot count reports zeros: no call has no input, and an answer that says it has no output may still have text.
  if (usage && isComplete(dialect, call, usage))
    return { kind: "settled", usage: withTools(dialect, call, usage), certainty: "confirmed", service };
  // What is charged by what was sent is known, whatever came back.
  if (measuredBy(dialect, call))
    return { kind: "settled", usage: { inputTokens: 0, outputTokens: 0, toolCalls: call.toolCalls }, certainty: "estimated" };
  // Of a model that thinks unseen the visible part may be the smallest.
  if (call.hidesReasoning && !(outcome.isWhole && usage?.outputTokens))
    return { kind: "settled", usage: { ...usage, ...worstUsage(reservation, call) }, certainty: "unconfirmed" };
  return { kind: "settled", usage: await estimatedUsage(budgeted, reservation, outcome), certainty: "estimated", service };
}

/**
 * Charges what a call used, or returns its hold. Where it fails the hold stays and is charged at its estimate when its lease runs out: late
 * truth corrects, nothing is lost. `sent`: how much of the call its session had sent before. Returns what was charged.
 */
export async function settleCall(
  budgets: Pick<CallBudgets, "settle" | "release">,
  budgeted: BudgetedCall,
  reservation: Reservation,
  outcome: Outcome,
  sent?: Sent,
): Promise<Charge | undefined> {
  const { effects } = budgeted;
  try {
    const ending = await endingOf(budgeted, reservation, outcome);
    if (ending.kind === "settled")
      return (await budgets.settle(reservation, ending.usage, ending.certainty, ending.service, sent, effects)).charge;
    await budgets.release(reservation, ending.why);
    return undefined;
  } catch (error) {
    // Usage that cannot be charged says nothing.
    if (error instanceof PurserError && error.code === "amount_too_large")
      await budgets.settle(reservation, worstUsage(reservation, budgeted.call), "unconfirmed", undefined, undefined, effects);
    throw error;
  }
}

/** Whether usage says all that is charged. */
export function isComplete(dialect: Dialect, { outputCap }: Pick<ModelCall, "outputCap">, usage: Usage): boolean {
  if (measuredBy(dialect, usage)) return true;
  // What may write nothing says nothing of what it wrote.
  return Boolean(usage.inputTokens) && (Boolean(usage.outputTokens) || !dialect.hasOutput || outputCap === 0);
}

function measuredBy({ measure }: Dialect, { toolCalls }: Pick<Usage, "toolCalls">): boolean {
  return measure !== undefined && toolCalls?.[measure] !== undefined;
}

/** What proxies in front of a provider answer when they lost patience or the connection: the call may well have been made. */
const PERHAPS_MADE: ReadonlySet<number> = new Set([408, 499, 504, 520, 521, 522, 523, 524, 525, 526, 527]);

/** Whether an answer of this status leaves open if the provider did the work. */
export function mayHaveBeenMade(status: number): boolean {
  return PERHAPS_MADE.has(status);
}

export function refusedWhy(status: number): string {
  return `the provider answered ${status}`;
}

/** What has to be known of a call to charge it where its text is not at hand. */
type Charged = Pick<ModelCall, "copies" | "toolCalls">;

/** The most that a call can have used. */
export function worstUsage({ inputTokens, outputTokens }: Reservation, call: Charged): Usage {
  return { inputTokens, outputTokens: outputTokens * call.copies, ...toolsMost(call) };
}

/** Usage with the tools that were used: where nobody says how often, all that the call allows. */
export function withTools({ hidesToolCalls }: Dialect, call: Charged, usage: Usage): Usage {
  const used = usage.toolCalls ?? (hidesToolCalls ? call.toolCalls : {});
  if (Object.keys(used).length > 0) return { ...usage, toolCalls: used };
  const { toolCalls: none, ...rest } = usage;
  return none ? rest : usage;
}

/** The tools of a call of which nobody says how often they were used. */
function toolsMost({ toolCalls }: Charged): Usage {
  return Object.keys(toolCalls).length > 0 ? { toolCalls } : {};
}

async function estimatedUsage(
  budgeted: BudgetedCall,
  reservation: Reservation,
  { usage, outputTokens }: Outcome & { kind: "answered" },
): Promise<Usage> {
  const inputTokens = usage?.inputTokens || ((await countedInput(budgeted)) ?? reservation.inputTokens);
  return { ...toolsMost(budgeted.call), ...usage, inputTokens, outputTokens: usage?.outputTokens || outputTokens() };
}

/** No text has more bytes in a token than this, but for blanks and lines that are drawn with dashes. */
const BYTES_PER_TOKEN_MOST = 16;
/** Where a text was cut the count may differ by a token. */
const CUT_TOKENS = 8;

/**
 * Counts a call's input; anything above the limit means more than that. The beginning of a novel is enough to know that it does not
 * fit: to decode all of it would keep every other call waiting.
 */
async function countInput({ dialect, call, model, margin }: BudgetedCall, limit: number): Promise<number> {
  const bytes = call.body.bytes.length;
  await turnFor(bytes);
  const beginning = longTextBeginning(call.body, dialect.textFields, limit * BYTES_PER_TOKEN_MOST);
  if (beginning !== undefined) {
    await turnFor(bytes);
    const tokens = await countTokens(model, { texts: [beginning], messages: 0 }, limit + CUT_TOKENS, margin);
    if (tokens > limit + CUT_TOKENS) return tokens;
  }
  return countTokens(model, dialect.countable(call), limit, margin);
}

/** The exact size of a call's input. Nothing where the body is one that a provider may read and we cannot. */
export async function countedInput({
  dialect,
  call,
  model,
  margin,
}: Pick<BudgetedCall, "dialect" | "call" | "model" | "margin">): Promise<number | undefined> {
  try {
    return await countTokens(model, dialect.countable(call), Number.POSITIVE_INFINITY, margin);
  } catch (error) {
    if (error instanceof PurserError && error.code === "body_invalid") return undefined;
    throw error;
  }
}
