import { PurserError } from "../errors.ts";
import type { Budget } from "./budget.ts";
import { endOfDay } from "./window.ts";

/** Whether a budget refuses calls, or only records what it would have refused. */
export type BudgetMode = "enforce" | "observe";

/** A mode as it is written; a trial has an end. */
export type ModeInput = BudgetMode | `observe until ${string}`;

const INSTANT = /^(\d{4}-\d{2}-\d{2})T\d{2}:\d{2}(:\d{2})?(Z|[+-]\d{2}:\d{2})$/;

/**
 * Up to when a budget only observes: 0 for `enforce`, `Infinity` for `observe`; for `observe until 2026-12-15` the end of that day in a time zone,
 * and for `observe until 2026-12-15T09:00+01:00` that instant. Throws `config_invalid` with what to write.
 */
export function parseMode(text: string, timeZone: string): number {
  const [, word, rest] = /^\s*(enforce|observe)(?:\s+(.*?))?\s*$/s.exec(text) ?? [];
  if (word === undefined) throw wrong(`"${text}" is no mode. Write enforce, observe, or observe until 2026-12-15.`);
  if (rest === undefined) return word === "enforce" ? 0 : Number.POSITIVE_INFINITY;
  if (word === "enforce") throw wrong(`"${text}" is no mode. Write enforce, which has no end.`);
  if (/^for\b/.test(rest))
    throw wrong(
      `"${text}" is no mode, because no file says since when. Write the last day on which it only observes: observe until 2026-12-15.`,
    );
  const [, until = ""] = /^until\s+(\S+)$/.exec(rest) ?? [];
  const end = endOfDay(until, timeZone) ?? instantOf(until, timeZone);
  if (end !== undefined) return end;
  throw wrong(
    `"${text}" is no mode. Write the last day on which it only observes, observe until 2026-12-15, or an instant: observe until 2026-12-15T09:00+01:00.`,
  );
}

/** Whether a budget refuses nothing at a time, and only records what it would have refused. */
export function observes({ observesUntil }: Pick<Budget, "observesUntil">, now: number): boolean {
  return now < observesUntil;
}

/** What a budget does with calls that do not fit, at a time. */
export function modeAt(budget: Pick<Budget, "observesUntil">, now: number): BudgetMode {
  return observes(budget, now) ? "observe" : "enforce";
}

/** When a budget that only observes begins to refuse; nothing where it does already, or never does. */
export function trialEnd({ observesUntil }: Pick<Budget, "observesUntil">, now: number): number | undefined {
  return now < observesUntil && observesUntil < Number.POSITIVE_INFINITY ? observesUntil : undefined;
}

/** Nothing for a text that is no instant, or for a day that no month has. */
function instantOf(text: string, timeZone: string): number | undefined {
  const [, day] = INSTANT.exec(text) ?? [];
  const at = Date.parse(text);
  return day !== undefined && Number.isFinite(at) && endOfDay(day, timeZone) !== undefined ? at : undefined;
}

function wrong(message: string): PurserError {
  return new PurserError("config_invalid", message);
}
