import { PurserError } from "../errors.ts";
import { type Budget, subjectLabel } from "./budget.ts";
import { parseDuration } from "./duration.ts";
import type { Grant } from "./ledger.ts";
import { limitId, limitOf, parseLimit } from "./limit.ts";
import { type Subject, subjectValue } from "./subject.ts";
import { endOfDay } from "./window.ts";

/** More of a budget, as one writes it. */
export interface GrantInput {
  /** Unique; repeating it gives nothing more. */
  readonly id: string;
  readonly budget: string;
  /** What it adds, written like a limit: `$20`, `50k tokens / day`. The window may be left out where the unit has one limit only. */
  readonly amount: string;
  /** Whom it is for: a value for each of the budget's `per`. */
  readonly for?: Subject;
  /** A time (ISO 8601) or a duration from now, such as `2h`; now where it is left out. */
  readonly from?: string;
  /** Its end: a day, which it includes (`2026-12-31`), a time, or a duration from its beginning (`7d`). */
  readonly until: string;
  readonly giver: string;
  readonly why: string;
}

/** Checks and completes a grant. Throws `body_invalid` or `limit_invalid` with what to do. */
export function defineGrant(input: GrantInput, budget: Budget, now: number): Grant {
  const { id, giver, why } = input;
  const given = parseLimit(input.amount, budget.timezone);
  const limit = limitOf(budget, given, input.amount);
  if (given.amount === 0) throw new PurserError("limit_invalid", `"${input.amount}" adds nothing. Write how much more there is to be.`);
  if (given.burst !== undefined || given.rollover !== undefined || given.waitMs !== undefined)
    throw new PurserError("limit_invalid", `"${input.amount}": a grant is an amount only. Leave out what follows the window.`);
  const from = input.from === undefined ? now : instantOf(input.from, now, budget);
  const until = instantOf(input.until, from, budget);
  if (until <= Math.max(from, now))
    throw new PurserError("body_invalid", `The grant would end at "${input.until}", before it begins. Give it a later end.`);
  const subject = subjectOf(budget, input.for ?? {});
  return { id, budget: budget.name, limit: limitId(limit), subject, amount: given.amount, from, until, giver, why };
}

/** The balance that is meant: a value for each of what the budget has balances for, and for nothing else. */
export function subjectOf(budget: Budget, subject: Subject): string {
  const { name, per } = budget;
  const { tags = {}, ...attributes } = subject;
  const given = [...Object.keys(attributes), ...Object.keys(tags).map((tag) => `tag.${tag}`)];
  const missing = per.find((path) => subjectValue(subject, path) === undefined);
  const other = given.find((path) => !per.some((one) => one === path));
  if (missing === undefined && other === undefined) return subjectLabel(budget, subject);
  const wanted =
    per.length === 0
      ? `Budget "${name}" has one balance: name nobody.`
      : `Budget "${name}" has a balance for each ${per.join(" and ")}: name one.`;
  throw new PurserError("body_invalid", missing === undefined ? `${wanted} "${other}" says nothing about it.` : wanted);
}

function instantOf(text: string, from: number, { timezone }: Budget): number {
  const duration = parseDuration(text);
  const instant = duration === undefined ? (endOfDay(text, timezone) ?? Date.parse(text)) : from + duration;
  if (Number.isSafeInteger(instant)) return instant;
  throw new PurserError(
    "body_invalid",
    `"${text}" is not a time. Write a day (2026-12-31), a time (2026-12-31T18:00:00Z) or a duration (7d, 12h).`,
  );
}
