import { type Nanodollars, PurserError } from "@purser/core";

/** What a provider says that it billed, in lines, and the days that it speaks of. */
export interface Bill {
  readonly lines: readonly BilledLine[];
  /** The days of which it speaks, whether or not anything was billed on them. */
  readonly spans: readonly BilledSpan[];
  /** What stands in it and is no use of a model, so that it is not compared. */
  readonly leftOut: readonly LeftOut[];
  /** What whoever reads the figures should know. */
  readonly notes: readonly string[];
}

/** Whole days by UTC, in epoch milliseconds; `to` is exclusive. */
export interface Days {
  readonly from: number;
  readonly to: number;
}

export interface BilledSpan extends Days {
  readonly provider: string;
}

/** Money, tokens, or both, for some days. */
export interface BilledLine extends BilledSpan {
  /** None where the bill does not say. */
  readonly model: string | undefined;
  /** What it is for, where that is no model: `web search tool calls`. */
  readonly item?: string | undefined;
  readonly cost: Nanodollars | undefined;
  /** The one kind of tokens that the cost is of, where the bill has a line for each. */
  readonly kind?: TokenKind | undefined;
  readonly tokens?: BilledTokens | undefined;
  /** A batch, a faster tier, a long context, sounds, images: of another price than the plain one. */
  readonly isSpecial?: boolean;
}

/** Kinds of tokens of which none is a part of another: `input` are those that no cache was read for, or written. */
export const TOKEN_KINDS = ["input", "cacheRead", "cacheWrite", "cacheWrite1h", "output"] as const;
export type TokenKind = (typeof TOKEN_KINDS)[number];
export type BilledTokens = Readonly<Record<TokenKind, number>>;

export const NO_TOKENS: BilledTokens = { input: 0, cacheRead: 0, cacheWrite: 0, cacheWrite1h: 0, output: 0 };

/** None is known only where neither is. */
export function addedTokens(a: BilledTokens | undefined, b: BilledTokens | undefined): BilledTokens | undefined {
  if (!a || !b) return a ?? b;
  return Object.fromEntries(TOKEN_KINDS.map((kind) => [kind, a[kind] + b[kind]])) as BilledTokens;
}

export function allTokens(tokens: BilledTokens): number {
  return TOKEN_KINDS.reduce((sum, kind) => sum + tokens[kind], 0);
}

export interface LeftOut {
  readonly what: string;
  readonly cost: Nanodollars;
}

export function joinedBills(bills: readonly Bill[]): Bill {
  return {
    lines: bills.flatMap(({ lines }) => lines),
    spans: bills.flatMap(({ spans }) => spans),
    leftOut: bills.flatMap(({ leftOut }) => leftOut),
    notes: bills.flatMap(({ notes }) => notes),
  };
}

export const DAY_MS = 86_400_000;

/** The whole days that a time touches; at least one. */
export function daysOf(from: number, to: number): Days {
  const start = Math.floor(from / DAY_MS) * DAY_MS;
  return { from: start, to: Math.max(start + DAY_MS, Math.ceil(to / DAY_MS) * DAY_MS) };
}

/** `2026-11-20` */
export function dayText(instant: number): string {
  return new Date(instant).toISOString().slice(0, 10);
}

/** Makes an error of what is wrong with a bill. */
export type Fail = (what: string) => PurserError;

/** Begins with the place: a file, a line of it, an address. */
export function failAt(place: string): Fail {
  return (what) => new PurserError("bill_invalid", `${place}: ${what}`);
}

/** The ledger is in dollars, and no rate of exchange is that of the provider. */
export function checkCurrency(currency: string, fail: Fail): void {
  if (currency.toUpperCase() === "USD") return;
  throw fail(`An amount is in ${currency.toUpperCase()}, and the ledger in US dollars. Give amounts in USD, as the provider's prices are.`);
}
