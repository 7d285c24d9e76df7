import { PurserError } from "../errors.ts";
import { grouped } from "./grouped.ts";

/** Money is an integer of nano-dollars (1e-9 US dollars). One counter holds at most 2^53 - 1 of them: 9.007 million dollars. */
export type Nanodollars = number;

/** Rates are integers of pico-dollars (1e-12 US dollars) a token: $1 per million tokens is 1,000,000. */
export type Picodollars = number;

const NANODOLLARS_PER_DOLLAR = 1_000_000_000;
const PICODOLLARS_PER_NANODOLLAR = 1_000;

/** A decimal number of dollars as text or number, exactly, in nano-dollars: `12.5` is 12,500,000,000. */
export function parseDollars(text: string | number): Nanodollars {
  return parseDecimal(text, 9);
}

/** A price in dollars per million tokens, exactly, in pico-dollars a token: `0.05` is 50,000. */
export function parseDollarsPerMillion(text: string | number): Picodollars {
  return parseDecimal(text, 6);
}

/** Rounds up: a fraction of a nano-dollar is charged as a whole one. */
export function nanodollars(picodollars: number): Nanodollars {
  if (!Number.isSafeInteger(picodollars)) {
    if (Number.isFinite(picodollars) && !Number.isInteger(picodollars)) {
      throw new PurserError("amount_invalid", `${picodollars} pico-dollars is not a whole number. Count tokens in whole numbers.`);
    }
    throw new PurserError("amount_too_large", `An amount of ${picodollars} pico-dollars is too large to be exact.`);
  }
  // A plain division would round in floating point before it is rounded up; the remainder is exact.
  const fraction = picodollars % PICODOLLARS_PER_NANODOLLAR;
  return (picodollars - fraction) / PICODOLLARS_PER_NANODOLLAR + (fraction > 0 ? 1 : 0);
}

/** `$12.50` for people: cents where they say everything, up to nine places where they do not. */
export function formatDollars(amount: Nanodollars): string {
  const sign = amount < 0 ? "-" : "";
  const whole = Math.floor(Math.abs(amount) / NANODOLLARS_PER_DOLLAR);
  const fraction = String(Math.abs(amount) % NANODOLLARS_PER_DOLLAR).padStart(9, "0");
  const shown = fraction.replace(/0+$/, "").padEnd(2, "0");
  return `${sign}$${grouped(whole)}.${shown}`;
}

/** `12.500000000` for programs: dollars with nine places, exactly. */
export function decimalDollars(amount: Nanodollars): string {
  const digits = String(Math.abs(amount)).padStart(10, "0");
  return `${amount < 0 ? "-" : ""}${digits.slice(0, -9)}.${digits.slice(-9)}`;
}

/** Digits with `_` or thousands commas between them: `2,50` is refused rather than read as two hundred and fifty. */
const DECIMAL = /^\$?(\d+(?:_\d+)*|\d{1,3}(?:,\d{3})+)(?:\.(\d+))?$/;

function parseDecimal(text: string | number, places: number): number {
  const match = DECIMAL.exec(typeof text === "number" ? decimalText(text) : text.trim());
  if (!match) throw new PurserError("amount_invalid", `"${text}" is not an amount of money. Write it like 12.50.`);
  const [, whole = "0", fraction = ""] = match;
  const significant = fraction.replace(/0+$/, "");
  if (significant.length > places) {
    throw new PurserError("amount_invalid", `"${text}" has more than ${places} decimal places, which cannot be kept exactly.`);
  }
  const amount = Number(whole.replace(/[_,]/g, "") + significant.padEnd(places, "0"));
  if (!Number.isSafeInteger(amount)) {
    throw new PurserError("amount_too_large", `"${text}" is too large: one limit holds at most 9,007,199 dollars. Split the budget.`);
  }
  return amount;
}

/** A number as plain decimals, digit for digit as it prints: `1.5e-7` is 0.00000015, never rounded to a neighbour. */
function decimalText(value: number): string {
  const text = String(value);
  const match = /^(\d)(?:\.(\d+))?e-(\d+)$/.exec(text);
  if (!match) return text;
  const [, first = "", rest = "", exponent = ""] = match;
  return `0.${"0".repeat(Number(exponent) - 1)}${first}${rest}`;
}
