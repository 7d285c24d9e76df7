import { PurserError } from "../errors.ts";
import { formatDollars } from "./money.ts";
import { CALENDAR_PERIODS, type Window, windowName, windowText } from "./window.ts";

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

const UNIT_NAMES: ReadonlyMap<string, Unit> = new Map([
  ["", "tokens"],
  ["token", "tokens"],
  ["tokens", "tokens"],
  ["input token", "input_tokens"],
  ["input tokens", "input_tokens"],
  ["output token", "output_tokens"],
  ["output tokens", "output_tokens"],
  ["request", "requests"],
  ["requests", "requests"],
  ["concurrent", "concurrent"],
  ["concurrent request", "concurrent"],
  ["concurrent requests", "concurrent"],
]);

/** By how many places each letter moves the decimal point. */
const PLACES: ReadonlyMap<string, number> = new Map([
  ["", 0],
  ["k", 3],
  ["m", 6],
  ["b", 9],
]);
const DOLLAR_PLACES = 9;

const FORM = /^(\$?)\s*([\d.,_]+)\s*([kmb](?![a-z]))?\s*([a-z ]*?)\s*(?:\/\s*(.*))?$/i;
/** `2,50` is refused rather than read as two hundred and fifty. */
const NUMBER = /^(\d+(?:_\d+)*|\d{1,3}(?:,\d{3})+)(?:\.(\d+))?$/;
const GRAMMAR = "Write `amount [unit] [/ window]`: `$50 / day`, `100k tokens / month`, `10 requests / hour`, `2 concurrent`, `$2`.";

/** Reads a limit as people write it: `$12.50 / day`, `60k`, `10 requests / hour`, `2 concurrent`. Throws `limit_invalid`. */
export function parseLimit(text: string, timeZone: string): Limit {
  const match = FORM.exec(text.trim());
  if (!match) throw invalid(text, GRAMMAR);
  const [, dollar, digits = "", multiplier = "", unitText = "", period] = match;
  if (dollar && unitText) throw invalid(text, `money has no further unit; leave out "${unitText}".`);
  const unit = dollar ? "nanodollars" : UNIT_NAMES.get(unitText.toLowerCase());
  if (!unit)
    throw invalid(text, `"${unitText}" is not a unit. Units are tokens, input tokens, output tokens, requests, concurrent. ${GRAMMAR}`);
  if (unit === "concurrent" && period !== undefined)
    throw invalid(text, "calls at the same time have no window; leave out what follows the slash.");
  return { unit, amount: parseAmount(text, digits, multiplier, unit), window: parseWindow(text, period, timeZone) };
}

function parseAmount(text: string, digits: string, multiplier: string, unit: Unit): number {
  const number = NUMBER.exec(digits);
  if (!number) throw invalid(text, `"${digits}" is not a number. Write thousands as 1,000 or 1k, and a fraction as 0.5.`);
  const [, whole = "", fraction = ""] = number;
  const places = (PLACES.get(multiplier.toLowerCase()) ?? 0) + (unit === "nanodollars" ? DOLLAR_PLACES : 0);
  const significant = fraction.replace(/0+$/, "");
  if (places === 0 && fraction) throw invalid(text, `${digits} is not a whole number. Write a thousand as 1,000 or 1k.`);
  if (significant.length > places) throw invalid(text, `${digits}${multiplier} has more decimal places than can be counted.`);
  // The point is moved in the text: a product of floating-point numbers would not be exact.
  const amount = Number(whole.replace(/[,_]/g, "") + significant.padEnd(places, "0"));
  if (!Number.isSafeInteger(amount)) {
    const most = unit === "nanodollars" ? "$9,007,199" : "9,007,199,254,740,991";
    throw new PurserError(
      "amount_too_large",
      `The limit "${text}" is too large: one limit holds at most ${most}. Split the budget, by team for example.`,
    );
  }
  return amount;
}

function parseWindow(text: string, name: string | undefined, timeZone: string): Window {
  if (name === undefined) return { kind: "lifetime" };
  const period = CALENDAR_PERIODS.find((one) => one === name.toLowerCase());
  if (period) return { kind: "calendar", period, timeZone };
  throw invalid(
    text,
    `"${name}" is not a window. Windows are ${CALENDAR_PERIODS.join(", ")}; without a window, a limit holds for a lifetime.`,
  );
}

function invalid(text: string, what: string): PurserError {
  return new PurserError("limit_invalid", `The limit "${text}" cannot be read: ${what}`);
}

/** Identifies a limit within its budget. Not by its amount: raising a limit keeps what was used. */
export function limitId(limit: Limit): string {
  return `${limit.unit}/${windowText(limit.window)}`;
}

/** Made once: asked for by every refusal. */
const NUMBERS = new Intl.NumberFormat("en-US");

/** An amount of a unit for people: `$12.50`, `60,000 tokens`, `10 requests`. */
export function formatAmount(amount: number, unit: Unit): string {
  if (unit === "nanodollars") return formatDollars(amount);
  const number = NUMBERS.format(amount);
  if (unit === "concurrent") return `${number} at once`;
  const name = unit.replace("_", " ");
  return `${number} ${amount === 1 ? name.slice(0, -1) : name}`;
}

/** A limit for people: `$50.00 / month`, `2 at once`. */
export function formatLimit({ amount, unit, window }: Limit): string {
  const text = formatAmount(amount, unit);
  return window.kind === "lifetime" ? text : `${text} / ${windowName(window)}`;
}
