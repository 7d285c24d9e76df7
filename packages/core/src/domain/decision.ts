import { durationPhrase, parseDuration } from "./duration.ts";
import { formatAmount, type Unit } from "./limit.ts";
import type { Reservation } from "./reservation.ts";
import { type WeightsInput, weightsPhrase } from "./weights.ts";
import { isMovingText } from "./window.ts";

/** Why a call is refused. Each is an error code with a page of its own. */
export type DenialReason =
  /** The budget has nothing left for the call until it resets. */
  | "budget_exhausted"
  /** There is room, but calls in flight hold it. */
  | "budget_busy"
  /** A rate or concurrency limit that frees itself within a minute. */
  | "rate_limited"
  /** No call of this size fits the budget, even an empty one. */
  | "request_too_large"
  | "model_not_allowed"
  | "model_unpriced"
  /** Whoever runs this took what the call is for out of service. */
  | "switched_off"
  /** The call looks like one of a loop. */
  | "guard_tripped"
  /** A person goes on with the conversation, and the call cannot carry a text. */
  | "handed_over"
  | "store_unavailable";

/** One limit as it stands for one subject. Amounts are integers; money is in nano-dollars. */
export interface Balance {
  readonly budget: string;
  /** `user=ann`; empty for a budget with a single balance. */
  readonly subject: string;
  readonly unit: Unit;
  /** By how much kinds of tokens count in its amounts, where not every token is one. */
  readonly weights?: WeightsInput;
  /** `month`, `day`, `rolling 1d`, `minute bucket`, `lifetime`. */
  readonly window: string;
  /** The amount in force, with what is granted and carried over; of a bucket, what it takes at once. */
  readonly limit: number;
  readonly spent: number;
  readonly held: number;
  /** What is left for new calls. Never below 0. */
  readonly left: number;
  /**
   * Epoch milliseconds; none for a lifetime limit. A window that moves does not reset: then it is when all that is used has come back, if
   * nothing else is used, and in a refusal when the call fits.
   */
  readonly resetsAt: number | undefined;
  readonly timezone: string;
  /** Up to when its budget only observes and refuses nothing; epoch milliseconds, `Infinity` for ever. Left out where it refuses calls. */
  readonly observedUntil?: number;
}

/** A refusal that can be explained: which budget, which limit, spent, held, asked, reset, and what to do. */
export interface Denial {
  readonly reason: DenialReason;
  /** The limit that refuses; none where the call is refused for what it is. */
  readonly balance: Balance | undefined;
  /** What the call asks of that limit at the least; unknown where any call would be refused, so that it was not counted. */
  readonly asked: number | undefined;
  /** When trying again makes sense, for reasons that pass by themselves within a minute. */
  readonly retryAfterMs: number | undefined;
  /** Says what happened, when it resets and what to do, in sentences for people and agents. */
  readonly message: string;
  /** The budget that has room for the call only as the last one of its task. */
  readonly lastOf?: string;
}

/** The answer to a call: allowed with a reservation, or denied. A value, never an exception. */
export type Decision =
  | {
      readonly outcome: "allowed";
      readonly reservation: Reservation;
      /** Whether any limit applies. */
      readonly isLimited: boolean;
      /** Every limit that applies, the tightest first. */
      readonly balances: readonly Balance[];
      /** The tightest of those that are used up. One on calls at once, in which the call itself counts, only where there is no other. */
      readonly tightest: Balance | undefined;
      /** Budgets in `observe` mode that would have refused the call. */
      readonly wouldRefuse: readonly string[];
    }
  /** The store is down and no budget of the call says `on_store_failure: closed`: the call goes on uncounted, with this output cap. */
  | { readonly outcome: "uncounted"; readonly outputTokens: number; readonly message: string }
  | { readonly outcome: "denied"; readonly denial: Denial; readonly balances: readonly Balance[] };

/** The refusal of a call by one limit. */
export interface Refusal {
  readonly reason: DenialReason;
  readonly balance: Balance;
  readonly asked: number | undefined;
  readonly retryAfterMs: number | undefined;
  /** Who can give more: a name, or "the owner of the budget". */
  readonly giver: string;
  /** How many calls wait for the limit before this one, which has waited in vain. */
  readonly waiting?: number;
  /** What asks, where it is not a call by itself. */
  readonly asker?: string;
}

/** A refusal in words: which budget, what is left of what, what the call asks, when it resets, and what to do. */
export function describeRefusal({ reason, balance, asked, retryAfterMs, giver, waiting, asker = "call" }: Refusal): string {
  const { limit, spent, held, left, unit, weights } = balance;
  const amount = (value: number) => formatAmount(value, unit, weights);
  const name = balance.subject === "" ? `Budget "${balance.budget}"` : `Budget "${balance.budget}" (${balance.subject})`;
  const whole = `${amount(limit)}${windowPhrase(balance.window)}`;
  const used = held > 0 ? `(${amount(spent)} spent, ${amount(held)} held by calls in flight)` : `(${amount(spent)} spent)`;
  const counting = weights === undefined ? "" : `, counting ${weightsPhrase(weights)}`;
  const asks = asked === undefined ? "" : ` This ${asker} asks for at least ${amount(asked)}${counting}.`;

  if (limit === 0) return `${name} allows nothing: its limit is ${whole}. Ask ${giver} for more.`;
  if (unit === "concurrent") {
    return `${name} allows ${limit} ${limit === 1 ? "call" : "calls"} at once, and ${held} ${held === 1 ? "is" : "are"} in flight. Try again in a moment.`;
  }
  if (reason === "request_too_large") {
    return `${name} allows ${whole} in all, too little for this ${asker} even when nothing is spent.${asks} Send less input or a smaller output cap.`;
  }
  if (reason === "budget_busy") {
    return `${name} has ${amount(left)} left of ${whole} ${used}.${asks} Calls in flight return what they do not use: try again in a moment.`;
  }
  if (waiting !== undefined) {
    const calls = waiting === 1 ? "1 call waits" : `${waiting} calls wait`;
    return `${name} lets calls through in order as ${whole} has room, and ${calls} before this one. Try again in ${secondsPhrase(retryAfterMs ?? 0)}.`;
  }
  if (reason === "rate_limited") {
    return `${name} has ${amount(left)} left of ${whole} ${used}.${asks} Try again in ${secondsPhrase(retryAfterMs ?? 0)}.`;
  }
  const resets = resetsSentence(balance);
  if (left === 0 || asked === undefined) return `${name} has nothing left of ${whole} ${used}. ${resets} Ask ${giver} for more.`;
  return `${name} has ${amount(left)} left of ${whole} ${used}.${asks} ${resets} Send a smaller call, or ask ${giver} for more.`;
}

function resetsSentence({ resetsAt, window, timezone }: Balance): string {
  if (resetsAt === undefined) return "It does not reset.";
  const at = formatInstant(resetsAt, timezone);
  return isMovingText(window) ? `It has room for it again ${at}.` : `It resets ${at}.`;
}

/** `this month`, `today`: a window in a sentence, with the space before it. */
export function windowPhrase(window: string): string {
  if (window === "lifetime") return " for its whole life";
  const [first = "", second = ""] = window.split(" ");
  if (first === "rolling") return ` in any ${durationPhrase(parseDuration(second) ?? 0)}`;
  if (second !== "") return ` in its bucket, which drains by the ${first}`;
  return window === "day" ? " today" : ` this ${window}`;
}

function secondsPhrase(ms: number): string {
  const seconds = Math.max(1, Math.ceil(ms / 1000));
  return seconds === 1 ? "1 second" : `${seconds} seconds`;
}

/** `2026-12-01 00:00 Europe/Berlin`. */
export function formatInstant(instant: number, timeZone: string): string {
  return `${formatOf(timeZone).format(instant)} ${timeZone}`;
}

const formats = new Map<string, Intl.DateTimeFormat>();

/** Kept, because making one takes longer than deciding a call. */
function formatOf(timeZone: string): Intl.DateTimeFormat {
  let format = formats.get(timeZone);
  if (!format) {
    format = new Intl.DateTimeFormat("sv-SE", { timeZone, dateStyle: "short", timeStyle: "short" });
    formats.set(timeZone, format);
  }
  return format;
}
