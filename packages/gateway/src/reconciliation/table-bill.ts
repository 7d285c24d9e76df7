import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import { type Nanodollars, PurserError } from "@purser/core";
import { canonicalProvider, createPriceBook } from "@purser/core/prices";
import { csvCells, csvRow, headingOf, type Row, readColumns, value } from "../delimited.ts";
import { PRESETS } from "../providers/presets/index.ts";
import {
  addedTokens,
  type Bill,
  type BilledLine,
  type BilledTokens,
  checkCurrency,
  DAY_MS,
  type Days,
  daysOf,
  type Fail,
  failAt,
} from "./bill.ts";
import { decimalIn } from "./decimal.ts";
import { lineItemOf } from "./openai-bill.ts";

export interface TableOptions {
  readonly file: string;
  /** How the file was named, for errors. */
  readonly place: string;
  /** What a column of the file is here: `{ Amount: "cost" }`. */
  readonly columns: ReadonlyMap<string, string>;
  /** Whose bill it is, where the file does not say, or says it otherwise. */
  readonly provider: string | undefined;
}

const TOKENS = ["input_tokens", "cache_read_input_tokens", "cache_write_input_tokens", "output_tokens"] as const;
const COLUMNS = ["day", "until", "provider", "model", "cost", "currency", ...TOKENS] as const;

export function readBillColumns(text: string): ReadonlyMap<string, string> {
  return readColumns(text, { columns: COLUMNS, of: "a bill", fail: (what) => new PurserError("bill_invalid", what) });
}

/** Reads a bill as CSV with a heading: columns of ours, or those of FOCUS. Throws `bill_invalid` with the line and what to do. */
export async function readTable(options: TableOptions): Promise<Bill> {
  const { file, place, columns } = options;
  const sums = new BillSums();
  let read: ((row: Row, fail: Fail) => void) | undefined;
  let heading: readonly string[] = [];
  let number = 0;
  for await (const line of createInterface({ input: createReadStream(file), crlfDelay: Number.POSITIVE_INFINITY })) {
    number++;
    const text = number === 1 ? line.replace(/^\uFEFF/, "") : line;
    if (text.trim() === "") continue;
    const fail = failAt(`${place}, line ${number}`);
    if (read) read(csvRow(text, heading, fail), fail);
    else {
      heading = headingOf(csvCells(text, fail), columns, fail);
      read = readerOf(heading, sums, options, fail);
    }
  }
  if (sums.isEmpty) throw failAt(place)("It has no lines. Each line after the heading is an amount of one day.");
  return sums.bill();
}

function readerOf(heading: readonly string[], sums: BillSums, options: TableOptions, fail: Fail): (row: Row, fail: Fail) => void {
  const has = (name: string) => heading.includes(name);
  if (has("BilledCost") && has("ChargePeriodStart")) return (row, failRow) => readFocusRow(row, sums, options, failRow);
  if (!has("day")) throw fail(`No column says of which day an amount is. Name it: --columns day=${heading[0] || "COLUMN"}.`);
  if (!has("cost") && !(has("input_tokens") && has("output_tokens")))
    throw fail(`No column says what was billed. Name it: --columns cost=COLUMN. Here are ${heading.join(", ")}.`);
  if (!has("provider") && options.provider === undefined) throw fail("Nothing says whose bill it is. Give --provider NAME.");
  return (row, failRow) => sums.add(readRow(row, options, failRow));
}

function readRow(row: Row, { provider }: TableOptions, fail: Fail): BilledLine {
  const whose = provider ?? value(row, "provider");
  if (whose === undefined) throw fail("It does not say whose bill it is. Give --provider NAME for all lines.");
  const currency = value(row, "currency");
  if (currency !== undefined) checkCurrency(currency, fail);
  const text = value(row, "model");
  // OpenAI's own CSV has the items of its invoice, where others have a model.
  const item = lineItemOf(text);
  return {
    ...periodOf(value(row, "day"), value(row, "until"), fail),
    provider: whose,
    ...(item.model === undefined || item.kind === undefined ? { model: text } : item),
    cost: amountOf(row, "cost", fail),
    tokens: tokensOf(row, fail),
  };
}

/**
 * A row of FOCUS, the form in which clouds tell what they billed (focus.finops.org, 1.0 to 1.2; `ServiceProviderName` is that of 1.3): usage of a
 * service of models is compared, and the rest is left out. FOCUS has no column for a model, so it is looked for where resources and SKUs are named.
 */
function readFocusRow(row: Row, sums: BillSums, { provider }: TableOptions, fail: Fail): void {
  const cost = amountOf(row, "BilledCost", fail) ?? 0;
  checkCurrency(value(row, "BillingCurrency") ?? "USD", fail);
  const service = serviceOf(row);
  const category = value(row, "ChargeCategory") ?? "Usage";
  const isCommitted = category === "Purchase" && value(row, "CommitmentDiscountId") !== undefined;
  if (service === undefined || (category !== "Usage" && !isCommitted)) {
    sums.leaveOut(service === undefined ? "other services" : `${category.toLowerCase()} of ${service}`, cost);
    return;
  }
  const days = periodOf(value(row, "ChargePeriodStart"), value(row, "ChargePeriodEnd"), fail);
  const committed = committedRow(row, { days, cost, fail });
  if (committed?.leftOut !== undefined) {
    sums.leaveOut(committed.leftOut, cost);
    return;
  }
  if (committed?.item !== undefined) {
    const { item, cost: charge, ...its } = committed;
    sums.add({ ...its, provider: provider ?? service, model: undefined, item, cost: charge });
    return;
  }
  const model = MODEL_COLUMNS.flatMap((name) => nameIn(value(row, name))).find(
    (name) => CATALOGUE.card(service, name, days.from) !== undefined,
  );
  sums.add({ ...days, provider: provider ?? service, model, cost: committed?.cost ?? cost });
}

interface CommittedRow {
  readonly leftOut?: string;
  readonly item?: string;
  readonly cost: Nanodollars;
  readonly from: number;
  readonly to: number;
}

/**
 * What a row of a commitment is on an invoice. Money is billed where it is used, and what of it is not used on the day on which it lapses; capacity
 * where it is bought. The other rows of each tell the same once more.
 */
function committedRow(row: Row, { days, cost, fail }: { days: Days; cost: Nanodollars; fail: Fail }): CommittedRow | undefined {
  const name = value(row, "CommitmentDiscountName") ?? value(row, "CommitmentDiscountId");
  if (name === undefined || value(row, "CommitmentDiscountId") === undefined) return undefined;
  const isSpend = value(row, "CommitmentDiscountCategory") === "Spend";
  const isUnused = value(row, "CommitmentDiscountStatus") === "Unused";
  const isPurchase = value(row, "ChargeCategory") === "Purchase";
  const effective = amountOf(row, "EffectiveCost", fail) ?? cost;
  if (isPurchase) {
    if (isSpend) return { ...days, cost, leftOut: `${name} as it was promised: it is compared where it was used` };
    return { ...daysOf(days.from, days.from + 1), cost, item: name };
  }
  if (isUnused)
    return isSpend
      ? { ...daysOf(days.to - 1, days.to), cost: effective, item: `${name}, unused` }
      : { ...days, cost, leftOut: `${name}, unused` };
  return { ...days, cost: isSpend ? effective : cost };
}

/** Names of models are told from others by whether somebody knows their price. */
const CATALOGUE = createPriceBook();
const MODEL_COLUMNS = ["ResourceId", "ResourceName", "SkuId", "SkuMeter", "ChargeDescription"] as const;

/** A name as it stands there, and what follows a path: `arn:aws:bedrock:…:foundation-model/anthropic.claude-haiku-4-5-20251001-v1:0`. */
function nameIn(text: string | undefined): readonly string[] {
  return text === undefined ? [] : [text, ...(text.includes("/") ? [text.slice(text.lastIndexOf("/") + 1)] : [])];
}

/** Which of our providers a row is of: clouds sell much else. */
function serviceOf(row: Row): string | undefined {
  const name = value(row, "ServiceName") ?? "";
  const seller = value(row, "ServiceProviderName") ?? value(row, "ProviderName") ?? "";
  if (/bedrock/i.test(name)) return "bedrock";
  if (/vertex/i.test(name)) return "vertex";
  if (/gemini/i.test(name)) return "google";
  if (/microsoft|azure/i.test(seller) && /openai|cognitive services|foundry|azure ai/i.test(name)) return "azure";
  // A cloud's own name says nothing of what it sold.
  if (/amazon|aws|microsoft|azure|google/i.test(seller)) return undefined;
  return [name, seller].map(canonicalProvider).find((one) => PRESETS.has(one));
}

/** A day, a month, or an instant of one; up to `until`, which is exclusive, where it says so. */
function periodOf(start: string | undefined, until: string | undefined, fail: Fail): Days {
  const from = instantOf(start ?? "", fail);
  if (until !== undefined) return daysOf(from, instantOf(until, fail));
  const isMonth = /^\d{4}-\d\d$/.test(start ?? "");
  return daysOf(from, isMonth ? new Date(from).setUTCMonth(new Date(from).getUTCMonth() + 1) : from);
}

/** An instant; one without a zone is taken as UTC. */
function instantOf(text: string, fail: Fail): number {
  const [, day, time = "00:00", zone = "Z"] =
    /^(\d{4}-\d\d(?:-\d\d)?)(?:[T ](\d\d:\d\d(?::\d\d)?)(?:\.\d+)?\s*(Z|UTC|[+-]\d\d:?\d\d)?)?$/i.exec(text) ?? [];
  const instant = Date.parse(`${day?.length === 7 ? `${day}-01` : day}T${time}${zone.toUpperCase() === "UTC" ? "Z" : zone}`);
  if (!Number.isNaN(instant)) return instant;
  throw fail(`"${text}" is no day. Write 2026-11-20, or 2026-11 for a month.`);
}

function amountOf(row: Row, name: string, fail: Fail): Nanodollars | undefined {
  const text = value(row, name);
  if (text === undefined) return undefined;
  const amount = decimalIn(text, 9);
  if (amount === undefined) throw fail(`"${text}" is no amount of dollars. Write it like 12.50.`);
  return amount;
}

/** `input_tokens` are all of them, those of caches included. */
function tokensOf(row: Row, fail: Fail): BilledTokens | undefined {
  const [input, cacheRead, cacheWrite, output] = TOKENS.map((name) => countOf(row, name, fail));
  if (input === undefined && output === undefined) return undefined;
  const plain = Math.max(0, (input ?? 0) - (cacheRead ?? 0) - (cacheWrite ?? 0));
  return { input: plain, cacheRead: cacheRead ?? 0, cacheWrite: cacheWrite ?? 0, cacheWrite1h: 0, output: output ?? 0 };
}

function countOf(row: Row, name: string, fail: Fail): number | undefined {
  const text = value(row, name);
  const count = text === undefined ? undefined : decimalIn(text, 0);
  if (text !== undefined && (count === undefined || count < 0))
    throw fail(`"${text}" is no number for ${name}: it is a whole one from 0 on.`);
  return count;
}

/** The lines of a table, those of the same days and model added up: a cloud has millions of them. */
class BillSums {
  readonly #lines = new Map<string, BilledLine>();
  readonly #leftOut = new Map<string, Nanodollars>();

  get isEmpty(): boolean {
    return this.#lines.size === 0 && this.#leftOut.size === 0;
  }

  add(line: BilledLine): void {
    const { from, to, provider, model, item, kind, isSpecial = false } = line;
    const key = JSON.stringify([from, to, provider, model, item, kind, isSpecial]);
    const before = this.#lines.get(key);
    this.#lines.set(key, before ? { ...line, cost: sumOf(before.cost, line.cost), tokens: addedTokens(before.tokens, line.tokens) } : line);
  }

  leaveOut(what: string, cost: Nanodollars): void {
    this.#leftOut.set(what, (this.#leftOut.get(what) ?? 0) + cost);
  }

  bill(): Bill {
    const lines = [...this.#lines.values()];
    const leftOut = [...this.#leftOut].map(([what, cost]) => ({ what, cost }));
    return { lines, spans: spansOf(lines), leftOut, notes: [] };
  }
}

/** A table says nothing of days without amounts, so it speaks of all from its first to its last. */
function spansOf(lines: readonly BilledLine[]): Bill["spans"] {
  return [...new Set(lines.map(({ provider }) => provider))].flatMap((provider) => {
    const its = lines.filter((line) => line.provider === provider);
    const first = its.reduce((least, { from }) => Math.min(least, from), Number.POSITIVE_INFINITY);
    const last = its.reduce((most, { to }) => Math.max(most, to), 0);
    const days = Math.round((last - first) / DAY_MS);
    const each = Array.from({ length: days }, (_, i) => ({ provider, from: first + i * DAY_MS, to: first + (i + 1) * DAY_MS }));
    return [...each, ...its.map(({ from, to }) => ({ provider, from, to }))];
  });
}

function sumOf(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined && b === undefined ? undefined : (a ?? 0) + (b ?? 0);
}
