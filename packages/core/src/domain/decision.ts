import { formatAmount, type Unit } from "./limit.ts";
import type { Reservation } from "./reservation.ts";

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
  | "store_unavailable";

/** One limit as it stands for one subject. Amounts are integers; money is in nano-dollars. */
export interface Balance {
  readonly budget: string;
  /** `user=ann`; empty for a budget with a single balance. */
  readonly subject: string;
  readonly unit: Unit;
  /** `month`, `day`, `lifetime`. */
  readonly window: string;
  readonly limit: number;
  readonly spent: number;
  readonly held: number;
  /** What is left for new calls. Never below 0. */
  readonly left: number;
  /** Epoch milliseconds; none for a lifetime limit. */
  readonly resetsAt: number | undefined;
  readonly timezone: string;
}

/** A refusal that can be explained: which budget, which limit, spent, held, asked, reset, and what to do. */
export interface Denial {
  readonly reason: DenialReason;
  /** The limit that refuses; none where the call is refused for what it is. */
  readonly balance: Balance | undefined;
  /** What the call asks of that limit at the least. */
  readonly asked: number | undefined;
  /** When trying again makes sense, for reasons that pass by themselves within a minute. */
  readonly retryAfterMs: number | undefined;
  /** Says what happened, when it resets and what to do, in sentences for people and agents. */
  readonly message: string;
}

/** The answer to a call: allowed with a reservation, or denied. A value, never an exception. */
export type Decision =
  | {
      readonly outcome: "allowed";
      readonly reservation: Reservation;
      /** Every limit that applies, the tightest first. */
      readonly balances: readonly Balance[];
      /** Budgets in `observe` mode that would have refused the call. */
      readonly wouldRefuse: readonly string[];
    }
  /** The store is down and every budget of the call says `on_store_failure: open`: the call goes on uncounted. */
  | { readonly outcome: "uncounted"; readonly message: string }
  | { readonly outcome: "denied"; readonly denial: Denial; readonly balances: readonly Balance[] };

/** The refusal of a limit in words: `Budget "team" is used up: $49.90 of $50.00 this month, …`. */
export function describeRefusal(reason: DenialReason, balance: Balance, asked: number): string {
  const name = balance.subject === "" ? `Budget "${balance.budget}"` : `Budget "${balance.budget}" (${balance.subject})`;
  const amount = (value: number) => formatAmount(value, balance.unit);
  const limit = `${amount(balance.limit)}${windowPhrase(balance.window)}`;
  const held = balance.held > 0 ? `, ${amount(balance.held)} held by calls in flight` : "";
  if (reason === "request_too_large") {
    return `${name} allows ${limit} in all, and this call asks for ${amount(asked)}. Send less input or a smaller output cap.`;
  }
  if (reason === "rate_limited" && balance.unit === "concurrent") {
    return `${name} allows ${balance.limit} calls at once and ${balance.held} are in flight. Try again in a moment.`;
  }
  if (reason === "rate_limited") {
    return `${name} allows ${limit} and has ${amount(balance.left)} left; this call asks for ${amount(asked)}. Try again in a moment.`;
  }
  if (reason === "budget_busy") {
    return `${name} has ${amount(balance.left)} free of ${limit}${held}; this call asks for ${amount(asked)}. Try again in a moment.`;
  }
  const resets = balance.resetsAt === undefined ? "It does not reset." : `It resets ${formatInstant(balance.resetsAt, balance.timezone)}.`;
  return `${name} is used up: ${amount(balance.spent)} of ${limit} spent${held}; this call asks for ${amount(asked)}. ${resets} Ask its owner for more, or send a smaller call.`;
}

function windowPhrase(window: string): string {
  if (window === "lifetime") return " for its whole life";
  return window === "day" ? " today" : ` this ${window}`;
}

/** `2026-12-01 00:00 Europe/Berlin`. */
export function formatInstant(instant: number, timeZone: string): string {
  const text = new Intl.DateTimeFormat("sv-SE", { timeZone, dateStyle: "short", timeStyle: "short" }).format(instant);
  return `${text} ${timeZone}`;
}
