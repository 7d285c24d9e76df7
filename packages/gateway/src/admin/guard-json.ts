import { modeAt, rungText } from "@purser/core";
import type { Trigger } from "../guards/guard.ts";
import type { StandingGuard } from "../guards/guards.ts";
import { instantJson } from "./balances.ts";

/** A guard that stands against calls, as programs read it. */
export interface GuardJson {
  /** `trip_7f3a…` */
  readonly id: string;
  readonly budget: string;
  /** Whose calls: `session=42`. Empty where the budget has one balance for all. */
  readonly subject: string;
  readonly guard: Trigger;
  /** How often, how many in a row, or how many times as much. */
  readonly measured: number;
  readonly at: string;
  readonly until: string;
  /** What happens to calls: `block`. Of a budget that only observes, nothing. */
  readonly does: readonly string[];
  readonly message: string;
}

export function guardJson({ id, budget, guard, label, trip, message }: StandingGuard): GuardJson {
  const does = modeAt(budget, Date.now()) === "enforce" ? guard.rungs : guard.rungs.filter(({ kind }) => kind === "tell");
  return {
    id,
    budget: budget.name,
    subject: label,
    guard: trip.trigger,
    measured: trip.measured,
    at: instantJson(trip.at),
    until: instantJson(trip.until),
    does: does.map(rungText),
    message,
  };
}
