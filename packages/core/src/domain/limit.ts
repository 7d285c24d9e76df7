import { PurserError } from "../errors.ts";
import { formatDuration, parseDuration } from "./duration.ts";
import { grouped } from "./grouped.ts";
import { formatDollars } from "./money.ts";
import { type Weights, weighedWindow } from "./weights.ts";
import { BUCKET_PERIODS, type BucketPeriod, CALENDAR_PERIODS, startingOn, type Window, windowName, windowText } from "./window.ts";
import type { WindowStart } from "./window-start.ts";

export const UNITS = ["nanodollars", "tokens", "input_tokens", "output_tokens", "requests", "concurrent"] as const;

/** What a limit counts. `concurrent` counts calls in flight; it is held and never spent. */
export type Unit = (typeof UNITS)[number];

/** At most `amount` of `unit` in each `window`. 0 means that nothing is allowed. */
export interface Limit {
  readonly unit: Unit;
  /** An integer; money in nano-dollars. What a bucket lets go in each of its periods. */
  readonly amount: number;
  readonly window: Window;
  /** Of a bucket: how much it takes at once, where that is not its amount. */
  readonly burst?: number;
  /** Of a leaky bucket: how long a call waits in it at most. `LEAKY_WAIT_MS` where it is left out. */
  readonly waitMs?: number;
  /** Of a calendar window: how much of what the one before left unused is added to it at most. */
  readonly rollover?: number;
  /** By how much tokens of each kind count, where not every one is one. */
  readonly weights?: Weights;
}

/** How long a call waits in a leaky bucket that does not say it. */
export const LEAKY_WAIT_MS = 30_000;
/** A client that waits for longer has given up. */
const WAIT_MOST_MS = 600_000;
const ROLLING_LEAST_MS = 10_000;
const ROLLING_MOST_MS = 366 * 86_400_000;

/** The most that a limit has room for at once. */
export function capacityOf({ amount, burst = amount }: Limit): number {
  return burst;
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
  const amount = parseAmount(text, digits, multiplier, unit);
  return { unit, amount, ...parseWindow({ text, timeZone, unit, amount }, period) };
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
  if (!Number.isSafeInteger(amount)) throw tooLarge(text, unit);
  return amount;
}

function tooLarge(text: string, unit: Unit): PurserError {
  const most = unit === "nanodollars" ? "$9,007,199" : "9,007,199,254,740,991";
  return new PurserError(
    "amount_too_large",
    `The limit "${text}" is too large: one limit holds at most ${most}. Split the budget, by team for example.`,
  );
}

/** The limit whose window is read. */
interface Reading {
  readonly text: string;
  readonly timeZone: string;
  readonly unit: Unit;
  readonly amount: number;
}

type WindowPart = Pick<Limit, "window" | "burst" | "waitMs" | "rollover">;

const WINDOWS = [
  `Windows are ${CALENDAR_PERIODS.join(", ")}, with \`rollover AMOUNT\` behind them or not;`,
  `\`rolling 24h\`; \`minute bucket\` or \`minute leaky\` (or ${BUCKET_PERIODS.slice(1).join(", ")}), with \`burst AMOUNT\` or not.`,
  "Without a window, a limit holds for a lifetime.",
].join(" ");

function parseWindow(reading: Reading, name: string | undefined): WindowPart {
  if (name === undefined) return { window: { kind: "lifetime" } };
  const words = name.trim().toLowerCase().split(/\s+/);
  const [first = "", second] = words;
  if (first === "rolling") return parseRolling(reading, words.slice(1));
  if (second === "bucket" || second === "leaky") return parseBucket(reading, first, second, words.slice(2));
  const period = CALENDAR_PERIODS.find((one) => one === first);
  if (!period || (second !== undefined && second !== "rollover")) throw invalid(reading.text, `"${name}" is not a window. ${WINDOWS}`);
  const window: Window = { kind: "calendar", period, timeZone: reading.timeZone };
  const { rollover } = parseOptions(reading, words.slice(1), ["rollover"]);
  return rollover === undefined ? { window } : { window, rollover: parsePart(reading, rollover) };
}

function parseRolling({ text }: Reading, words: readonly string[]): WindowPart {
  const lengthMs = parseDuration(words.join(" "));
  if (lengthMs !== undefined && lengthMs >= ROLLING_LEAST_MS && lengthMs <= ROLLING_MOST_MS)
    return { window: { kind: "rolling", lengthMs } };
  throw invalid(text, "write how long a rolling window is, from 10s to 366d: `rolling 15m`, `rolling 24h`, `rolling 7d`.");
}

function parseBucket(reading: Reading, first: string, kind: "bucket" | "leaky", words: readonly string[]): WindowPart {
  const { text, amount } = reading;
  const period = BUCKET_PERIODS.find((one): one is BucketPeriod => one === first);
  if (!period) throw invalid(text, `a bucket drains by the ${BUCKET_PERIODS.join(", ")}, not by the "${first}".`);
  const isLeaky = kind === "leaky";
  const options = parseOptions(reading, words, isLeaky ? ["burst", "wait"] : ["burst"]);
  const burst = options.burst === undefined ? amount : parsePart(reading, options.burst);
  if (burst > 0 && amount === 0) throw invalid(text, "a bucket that never drains is a limit for a lifetime. Write the amount alone.");
  if (burst === 0 && amount > 0) throw invalid(text, "a bucket that takes nothing at once lets nothing pass. Leave out the burst.");
  const window: Window = { kind: "bucket", period, excess: isLeaky ? "waits" : "refused" };
  return {
    window,
    ...(burst !== amount && { burst }),
    ...(options.wait !== undefined && { waitMs: parseWait(reading, options.wait) }),
  };
}

/** Words that stand behind a window in pairs: `burst 120k wait 30s`. */
function parseOptions<Name extends string>(
  { text }: Reading,
  words: readonly string[],
  names: readonly Name[],
): { [name in Name]?: string } {
  const options: { [name in Name]?: string } = {};
  for (let i = 0; i < words.length; i += 2) {
    const name = names.find((one) => one === words[i]);
    if (!name)
      throw invalid(text, `"${words[i]}" cannot stand there. What may follow is ${names.map((one) => `\`${one}\``).join(" and ")}.`);
    const value = words[i + 1];
    if (value === undefined || options[name] !== undefined) throw invalid(text, `write ${name} once, with its value behind it.`);
    options[name] = value;
  }
  return options;
}

/** An amount that stands behind the window, in the unit of the limit. */
function parsePart({ text, unit, amount }: Reading, part: string): number {
  const [, dollar, digits = "", multiplier = ""] = PART.exec(part) ?? [];
  if (digits === "" || (dollar === "$") !== (unit === "nanodollars"))
    throw invalid(text, `"${part}" is not an amount of ${unit === "nanodollars" ? "money, such as $20" : "the same unit, such as 120k"}.`);
  const value = parseAmount(text, digits, multiplier, unit);
  if (!Number.isSafeInteger(amount + value)) throw tooLarge(text, unit);
  return value;
}

const PART = /^(\$?)([\d.,_]+)([kmb]?)$/i;

function parseWait({ text }: Reading, wait: string): number {
  const waitMs = parseDuration(wait);
  if (waitMs !== undefined && waitMs > 0 && waitMs <= WAIT_MOST_MS) return waitMs;
  throw invalid(text, `"${wait}" is not how long a call may wait. Write a time from 1s to 10m, such as \`wait 30s\`.`);
}

function invalid(text: string, what: string): PurserError {
  return new PurserError("limit_invalid", `The limit "${text}" cannot be read: ${what}`);
}

/**
 * Identifies a limit within its budget. Not by its amounts: raising a limit keeps what was used. But by its weights: counted in another way, it
 * is another limit, which takes over from the ledger.
 */
export function limitId(limit: Limit): string {
  return `${limit.unit}/${limitWindow(limit)}`;
}

const ROLLOVER = " rollover";

/** The window of a limit as its counters name it. Those that count by weights say so, and those that the next window still asks for. */
export function limitWindow({ window, rollover, weights }: Limit): string {
  return weighedWindow(weights, rollover === undefined ? windowText(window) : `${windowText(window)}${ROLLOVER}`);
}

/** Whether the window after this one still asks what it left unused. */
export function rollsOver(window: string): boolean {
  return window.endsWith(ROLLOVER);
}

/** The limit of a budget that an amount is written for: of its unit, and of its window where one is written. */
export function limitOf(budget: { readonly name: string; readonly limits: readonly Limit[] }, given: Limit, text: string): Limit {
  const ofUnit = budget.limits.filter(({ unit }) => unit === given.unit);
  const named = given.window.kind === "lifetime" ? [] : ofUnit.filter(({ window }) => windowName(window) === windowName(given.window));
  const lifetime = ofUnit.find(({ window }) => window.kind === "lifetime");
  const [limit] = given.window.kind === "lifetime" ? (lifetime ? [lifetime] : ofUnit.length === 1 ? ofUnit : []) : named;
  if (limit) return limit;
  const limits = budget.limits.map(formatLimit).join(", ");
  const what = ofUnit.length > 1 ? "could be for several of its limits" : "is for none of its limits";
  throw new PurserError("limit_invalid", `Budget "${budget.name}": "${text}" ${what}. Write the unit and window of one of: ${limits}.`);
}

/** A limit whose windows start on another day; nothing where the day does not concern them. */
export function limitStartingOn(limit: Limit, start: WindowStart): Limit | undefined {
  const window = startingOn(limit.window, start);
  return window && { ...limit, window };
}

/** An amount of a unit for people: `$12.50`, `60,000 tokens`, `10 requests`; `60,000 weighted tokens` where kinds of them count by weights. */
export function formatAmount(amount: number, unit: Unit, weights?: object): string {
  if (unit === "nanodollars") return formatDollars(amount);
  const number = grouped(amount);
  if (unit === "concurrent") return `${number} at once`;
  const name = `${weights === undefined ? "" : "weighted "}${unit.replace("_", " ")}`;
  return `${number} ${amount === 1 ? name.slice(0, -1) : name}`;
}

/** A limit for people, as it is written: `$50.00 / month`, `2 at once`, `100,000 tokens / minute bucket burst 120,000 tokens`. */
export function formatLimit({ amount, unit, window, burst, waitMs, rollover }: Limit): string {
  const text = formatAmount(amount, unit);
  if (window.kind === "lifetime") return text;
  const parts = [
    `${text} / ${windowName(window)}`,
    burst === undefined ? "" : `burst ${formatAmount(burst, unit)}`,
    waitMs === undefined ? "" : `wait ${formatDuration(waitMs)}`,
    rollover === undefined ? "" : `rollover ${formatAmount(rollover, unit)}`,
  ];
  return parts.filter((part) => part !== "").join(" ");
}
