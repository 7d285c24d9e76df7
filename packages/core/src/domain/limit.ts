import { PurserError } from "../errors.ts";
import { formatDollars, parseDollars } from "./money.ts";
import { CALENDAR_PERIODS, type CalendarPeriod, type Window, windowText } from "./window.ts";

export const UNITS = ["nanodollars", "tokens", "input_tokens", "output_tokens", "requests", "concurrent"] as const;

/** What a limit counts. `concurrent` counts calls in flight; it is held and never spent. */
export type Unit = (typeof UNITS)[number];

/** At most `amount` of `unit` in each `window`. 0 means that nothing is allowed. */
export interface Limit {
  readonly unit: Unit;
  /** An integer; money in nano-dollars. */
  readonly amount: number;
  readonly window: Window;
}

const UNIT_NAMES: Readonly<Record<string, Unit>> = {
  "": "tokens",
  token: "tokens",
  tokens: "tokens",
  "input token": "input_tokens",
  "input tokens": "input_tokens",
  "output token": "output_tokens",
  "output tokens": "output_tokens",
  request: "requests",
  requests: "requests",
  concurrent: "concurrent",
  "concurrent request": "concurrent",
  "concurrent requests": "concurrent",
};

const MULTIPLIERS: Readonly<Record<string, number>> = { "": 1, k: 1e3, m: 1e6, b: 1e9 };
const GRAMMAR = "Write `amount [unit] [/ window]`: `$50 / day`, `100k tokens / month`, `10 requests / hour`, `2 concurrent`, `$2`.";

/** Reads a limit as people write it: `$12.50 / day`, `60k`, `10 requests / hour`, `2 concurrent`. Throws `limit_invalid`. */
export function parseLimit(text: string, timeZone: string): Limit {
  const match = /^\s*(\$?)\s*([\d.,_]+)\s*([kKmMbB]?)\b\s*([a-zA-Z ]*?)\s*(?:\/\s*([a-zA-Z0-9 ]+?))?\s*$/.exec(text);
  if (!match) throw invalid(text, GRAMMAR);
  const [, dollar, digits = "", multiplier = "", unitText = "", windowName] = match;
  const unit = dollar ? "nanodollars" : UNIT_NAMES[unitText.toLowerCase()];
  if (unit === undefined)
    throw invalid(text, `"${unitText}" is not a unit. Units are tokens, input tokens, output tokens, requests, concurrent.`);
  if (dollar && unitText) throw invalid(text, `money has no further unit; leave out "${unitText}".`);
  const window = parseWindow(text, windowName, timeZone);
  if (unit === "concurrent" && window.kind !== "lifetime")
    throw invalid(text, "calls at the same time have no window; leave out what follows the slash.");
  return { unit, amount: parseAmount(text, digits, multiplier, unit), window };
}

function parseAmount(text: string, digits: string, multiplier: string, unit: Unit): number {
  const factor = MULTIPLIERS[multiplier.toLowerCase()] ?? 1;
  const plain = digits.replace(/[,_]/g, "");
  if (!/^\d+(\.\d+)?$/.test(plain)) throw invalid(text, `"${digits}" is not a number.`);
  const amount = unit === "nanodollars" ? parseDollars(plain) * factor : Number(plain) * factor;
  const rounded = Math.round(amount);
  if (!Number.isSafeInteger(rounded)) {
    const most = unit === "nanodollars" ? "$9,007,199" : "9,007,199,254,740,991";
    throw new PurserError(
      "amount_too_large",
      `The limit "${text}" is too large: one limit holds at most ${most}. Split the budget, by team for example.`,
    );
  }
  if (Math.abs(amount - rounded) > 1e-6) throw invalid(text, `${digits}${multiplier} is not a whole number.`);
  return rounded;
}

function parseWindow(text: string, name: string | undefined, timeZone: string): Window {
  if (name === undefined) return { kind: "lifetime" };
  const period = name.trim().toLowerCase();
  if ((CALENDAR_PERIODS as readonly string[]).includes(period)) return { kind: "calendar", period: period as CalendarPeriod, timeZone };
  throw invalid(text, `"${name}" is not a window. Windows are ${CALENDAR_PERIODS.join(", ")}; leave it out for a lifetime.`);
}

function invalid(text: string, what: string): PurserError {
  return new PurserError("limit_invalid", `The limit "${text}" cannot be read: ${what}`);
}

/** Identifies a limit within its budget. Not by its amount: raising a limit keeps what was used. */
export function limitId(limit: Limit): string {
  return `${limit.unit}/${windowText(limit.window)}`;
}

/** An amount of a unit for people: `$12.50`, `60,000 tokens`, `10 requests`. */
export function formatAmount(amount: number, unit: Unit): string {
  if (unit === "nanodollars") return formatDollars(amount);
  const number = amount.toLocaleString("en-US");
  if (unit === "concurrent") return `${number} at once`;
  const name = unit.replace("_", " ");
  return `${number} ${amount === 1 ? name.slice(0, -1) : name}`;
}

/** A limit for people: `$50.00 / month`, `2 at once`. */
export function formatLimit(limit: Limit): string {
  const amount = formatAmount(limit.amount, limit.unit);
  return limit.window.kind === "lifetime" ? amount : `${amount} / ${limit.window.period}`;
}
