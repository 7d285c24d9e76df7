import {
  type Budget,
  type Charge,
  compileFilter,
  type Entry,
  type EntryKind,
  type Nanodollars,
  type PriceSource,
  PurserError,
  type ReportPath,
  type ReportQuery,
  reportValue,
  type Store,
} from "@purser/core";
import { instantJson } from "../balances.ts";
import { readReportQuery } from "../report.ts";
import { AnswerLengths, type AnswerLengthsJson } from "./answer-lengths.ts";
import { BatchSum, CachingSum, cardOf, ModelSum, type PricedCall, type Saving } from "./savings.ts";

/** What was sent again and again, how long answers are, and what could be saved. Money in nano-dollars. */
export interface WasteJson {
  readonly since: string;
  readonly until: string;
  readonly time_zone: string;
  readonly by: readonly string[];
  readonly total: ResentJson;
  /** Those that paid most for what they sent again. */
  readonly data: readonly (ResentJson & { readonly values: Readonly<Record<string, string | null>> })[];
  /** How many rows there are in all. */
  readonly rows: number;
  readonly answers: readonly AnswerLengthsJson[];
  readonly savings: readonly Saving[];
  /** Calls whose price has changed since, so that nothing is said of what could be saved of them. */
  readonly repriced_calls: number;
}

/** How much of the input was sent again: at least so much, as what was forgotten counts as new. */
export interface ResentJson {
  readonly calls: number;
  /** Of those of which it was looked at what was sent before: calls of sessions. */
  readonly session_calls: number;
  readonly input_tokens: number;
  readonly resent_input_tokens: number;
  readonly resent_cache_read_input_tokens: number;
  readonly resent_paid_input_tokens: number;
  readonly cost_nanodollars: Nanodollars;
  readonly resent_nanodollars: Nanodollars;
}

export interface WasteQuery {
  readonly report: ReportQuery & { readonly by: readonly ReportPath[] };
  readonly most: number;
}

const SHOWN = 10;
const SHOWN_MOST = 1_000;

/** Reads what is asked from a URL. Throws `body_invalid` with what to do. */
export function readWasteQuery(query: URLSearchParams, terms: { readonly now: number; readonly timeZone: string }): WasteQuery {
  const rest = new URLSearchParams(query);
  rest.delete("most");
  const most = query.get("most") ?? String(SHOWN);
  if (!/^\d+$/.test(most) || Number(most) < 1 || Number(most) > SHOWN_MOST)
    throw new PurserError("body_invalid", `"most" is a number from 1 to ${SHOWN_MOST.toLocaleString("en-US")}.`);
  if (rest.has("step")) throw new PurserError("body_invalid", "This report is of one time as a whole. Leave out `step`.");
  const report = readReportQuery(rest, terms);
  const by: readonly ReportPath[] = report.by && report.by.length > 0 ? report.by : ["session"];
  return { report: { ...report, by }, most: Number(most) };
}

export interface WasteSource {
  readonly store: Pick<Store, "entries">;
  readonly prices: PriceSource | undefined;
  /** Their ladders say which models will do. */
  readonly budgets: readonly Budget[];
}

const KINDS: readonly EntryKind[] = ["settled", "corrected"];
const PAGE = 1_000;
/** More calls than this are not held in memory to be compared. */
const CALLS_MOST = 500_000;
const NO_PRICES: PriceSource = { card: () => undefined };

/** Reads the calls of a time from the ledger, and looks at how they were made. Throws `body_invalid` where there are too many. */
export async function readWaste({ store, prices = NO_PRICES, budgets }: WasteSource, query: WasteQuery): Promise<WasteJson> {
  const { since, until, by, filter = {}, timeZone = "UTC" } = query.report;
  const selects = compileFilter(filter);
  const total = new ResentSum();
  const rows = new Map<string, ResentSum>();
  const answers = new AnswerLengths();
  const sums = [new CachingSum(), new BatchSum(), new ModelSum(prices, budgets)];
  let repriced = 0;
  for await (const entry of charged(store, since, until)) {
    const { detail, charge } = entry;
    if (!selects(detail)) continue;
    if (total.calls === CALLS_MOST)
      throw new PurserError("body_invalid", `These are more than ${CALLS_MOST.toLocaleString("en-US")} calls. Ask for a shorter time.`);
    const key = JSON.stringify(by.map((path) => reportValue(detail, path) ?? null));
    const row = rows.get(key) ?? new ResentSum();
    rows.set(key, row);
    for (const sum of [total, row]) sum.add(charge);
    // Of what an allowance paid for, or has no price, no money can be saved.
    if (!charge.cost) continue;
    const card = cardOf(detail, charge, entry.at, prices);
    if (!card) repriced++;
    else for (const sum of [answers, ...sums]) sum.add({ detail, charge: charge as PricedCall["charge"], card, at: entry.at });
  }
  const data = [...rows].map(([key, sum]) => {
    const values = JSON.parse(key) as (string | null)[];
    return { values: Object.fromEntries(by.map((path, i) => [path, values[i] ?? null])), ...sum.json() };
  });
  const { data: lengths, saving } = answers.result();
  const savings = [saving, ...sums.map((sum) => sum.saving())].filter((one) => one !== undefined);
  return {
    since: instantJson(since),
    until: instantJson(until),
    time_zone: timeZone,
    by,
    total: total.json(),
    data: data.sort((a, b) => b.resent_nanodollars - a.resent_nanodollars || b.input_tokens - a.input_tokens).slice(0, query.most),
    rows: data.length,
    answers: lengths,
    savings: savings.sort((a, b) => b.nanodollars - a.nanodollars),
    repriced_calls: repriced,
  };
}

type Charged = Extract<Entry, { readonly kind: "settled" | "corrected" | "expired" | "overrun" }>;

/** The calls whose end is known. A call that was charged at its estimate first is there as it ended. */
async function* charged(store: Pick<Store, "entries">, since: number, until: number): AsyncGenerator<Charged> {
  for (let after = 0; ; ) {
    const page = await store.entries({ kinds: KINDS, since, after, most: PAGE });
    for (const entry of page) if (entry.at < until) yield entry as Charged;
    const last = page.at(-1);
    if (!last || page.length < PAGE) return;
    after = last.seq;
  }
}

class ResentSum {
  calls = 0;
  #sessionCalls = 0;
  #input = 0;
  #resent = 0;
  #read = 0;
  #cost = 0;
  #resentCost = 0;

  add({ usage, cost = 0, resent }: Charge): void {
    this.calls++;
    if (resent) this.#sessionCalls++;
    this.#input += usage.inputTokens ?? 0;
    this.#resent += resent?.inputTokens ?? 0;
    this.#read += resent?.cacheReadInputTokens ?? 0;
    this.#cost += cost;
    this.#resentCost += resent?.cost ?? 0;
  }

  json(): ResentJson {
    return {
      calls: this.calls,
      session_calls: this.#sessionCalls,
      input_tokens: this.#input,
      resent_input_tokens: this.#resent,
      resent_cache_read_input_tokens: this.#read,
      resent_paid_input_tokens: this.#resent - this.#read,
      cost_nanodollars: this.#cost,
      resent_nanodollars: this.#resentCost,
    };
  }
}
