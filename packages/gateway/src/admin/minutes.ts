import { setImmediate as nextTurn } from "node:timers/promises";
import { bookedAmounts, type Entry, type EntryKind, PurserError, type ReportAmounts, reportValue, type Store } from "@purser/core";
import { suggestion } from "../config/nearest-name.ts";
import { instantJson } from "./balances.ts";
import type { AmountsJson, PointJson } from "./overview.ts";
import { briefly } from "./patience.ts";

/** What the last hour can be taken apart by. Others have too many values for that, as sessions, or say the same. */
export const MINUTES_BY = ["team", "user", "feature", "model", "endpoint", "key"] as const;
export type MinutesBy = (typeof MINUTES_BY)[number];

/** The last hour by minute, the one that runs among them. */
export interface MinutesJson {
  readonly at: string;
  /** Where the first of the minutes begins. */
  readonly since: string;
  readonly by: MinutesBy;
  /** Whether all of the hour is in it: after a start it is read back when somebody looks. */
  readonly is_complete: boolean;
  /** The values of which most was used, the dearest first. */
  readonly data: readonly MinutesRowJson[];
  /** What all other values used together; null where there are none. */
  readonly others: MinutesAmountsJson | null;
}

export interface MinutesAmountsJson extends AmountsJson {
  /** Those in which something was. */
  readonly minutes: readonly PointJson[];
}

export interface MinutesRowJson extends MinutesAmountsJson {
  /** Null for calls that have none. */
  readonly value: string | null;
}

type MinutesLedger = Pick<Store, "entries" | "follow">;

export interface MinutesOptions {
  readonly ledger: MinutesLedger;
  /** Epoch milliseconds; `Date.now` where it is left out. */
  readonly now?: (() => number) | undefined;
  readonly onError: (error: unknown) => void;
}

const MINUTE_MS = 60_000;
const MINUTES = 60;
/** So many values of an attribute are kept apart in the minute that runs, those that come first; the others together. */
const VALUES_MOST = 500;
/** So many are kept of a minute that is over. */
const VALUES_KEPT = 24;
const VALUES_SHOWN = 12;
const PAGE = 500;
/** The entries that book something. */
const BOOKED: readonly EntryKind[] = ["settled", "expired", "corrected", "denied", "answered"];

/**
 * What was used in the last hour, minute by minute, in memory only. Where the ledger tells what it gets, that is added up as it comes; what
 * was there before, and what a ledger does not tell, is read when somebody looks. So a restart loses nothing of it.
 */
export class Minutes {
  readonly #ledger: MinutesLedger;
  readonly #now: () => number;
  readonly #onError: (error: unknown) => void;
  readonly #unfollow: (() => void) | undefined;
  readonly #minutes = new Map<number, Minute>();
  /** The newest that something was booked in. */
  #newest = Number.NEGATIVE_INFINITY;
  /** The first entry that was told, and the last that was read. */
  #toldFrom = Number.POSITIVE_INFINITY;
  #readTo = 0;
  #isComplete = false;
  #isClosed = false;
  #reading: Promise<void> | undefined;

  constructor({ ledger, now = Date.now, onError }: MinutesOptions) {
    this.#ledger = ledger;
    this.#now = now;
    this.#onError = onError;
    this.#unfollow = ledger.follow?.((entries) => this.#take(entries));
  }

  /** The last hour by an attribute, at once or nearly so. Many who ask at the same time wait for the same reading. */
  async read(by: MinutesBy): Promise<MinutesJson> {
    if (!this.#unfollow || !this.#isComplete) {
      this.#reading ??= this.#read().finally(() => {
        this.#reading = undefined;
      });
      await briefly(this.#reading.catch(this.#onError));
    }
    return this.#hour(by);
  }

  /** How many sums are kept. */
  get size(): number {
    return [...this.#minutes.values()].reduce((all, minute) => all + minute.size, 0);
  }

  close(): void {
    this.#isClosed = true;
    this.#unfollow?.();
  }

  #take(entries: readonly Entry[]): void {
    for (const entry of entries) {
      if (entry.seq <= this.#readTo) continue;
      this.#toldFrom = Math.min(this.#toldFrom, entry.seq);
      this.#add(entry);
    }
  }

  /** Pages are short, so that calls do not wait for one. */
  async #read(): Promise<void> {
    while (!this.#isClosed) {
      const since = (this.#last() - MINUTES + 1) * MINUTE_MS;
      const page = await this.#ledger.entries({ kinds: BOOKED, since, after: this.#readTo, most: PAGE });
      for (const entry of page) if (entry.seq > this.#readTo && entry.seq < this.#toldFrom) this.#add(entry);
      this.#readTo = Math.max(this.#readTo, Math.min(page.at(-1)?.seq ?? 0, this.#toldFrom - 1));
      this.#isComplete = page.length < PAGE || this.#readTo === this.#toldFrom - 1;
      if (this.#isComplete) return;
      await nextTurn();
    }
  }

  #add(entry: Entry): void {
    const booked = bookedAmounts(entry);
    if (!booked || !("detail" in entry)) return;
    const minute = this.#minuteAt(entry.at);
    if (!minute) return;
    for (const [i, by] of MINUTES_BY.entries()) minute.add(i, reportValue(entry.detail, by) ?? "", booked);
  }

  /** The minute of an instant; nothing where that is over for an hour. */
  #minuteAt(at: number): Minute | undefined {
    const number = Math.floor(at / MINUTE_MS);
    const known = this.#minutes.get(number);
    if (known) return known;
    if (number <= this.#newest - MINUTES) return undefined;
    this.#newest = Math.max(this.#newest, number);
    for (const [other, minute] of this.#minutes) {
      if (other <= this.#newest - MINUTES) this.#minutes.delete(other);
      else if (other < this.#newest) minute.end();
    }
    const minute = new Minute();
    this.#minutes.set(number, minute);
    return minute;
  }

  /** The minute that runs: by the clock of the store, where that is ahead of ours. */
  #last(): number {
    return Math.max(this.#newest, Math.floor(this.#now() / MINUTE_MS));
  }

  #hour(by: MinutesBy): MinutesJson {
    const last = this.#last();
    const first = last - MINUTES + 1;
    const values = new Map<string, Points>();
    const others: Points = new Map();
    for (let number = first; number <= last; number++) {
      const sums = this.#minutes.get(number)?.sumsOf(MINUTES_BY.indexOf(by));
      for (const [value, sum] of sums?.values ?? []) {
        const points = values.get(value) ?? new Map();
        values.set(value, points.set(number, sum));
      }
      if (sums?.others) others.set(number, sums.others);
    }
    const rows = [...values].map(([value, points]) => ({ value, points, total: sumOf(points.values()) }));
    const shown = largest(rows, VALUES_SHOWN);
    for (const row of rows)
      if (!shown.has(row)) for (const [number, sum] of row.points) others.set(number, sumOf([sum, others.get(number) ?? NOTHING]));
    return {
      at: instantJson(this.#now()),
      since: instantJson(first * MINUTE_MS),
      by,
      is_complete: this.#isComplete,
      data: [...shown].sort(dearerFirst).map(({ value, points }) => ({ value: value === "" ? null : value, ...pointsJson(points) })),
      others: others.size === 0 ? null : pointsJson(others),
    };
  }
}

type Sum = Pick<ReportAmounts, "calls" | "refusals" | "inputTokens" | "outputTokens" | "cost">;
type MutableSum = { -readonly [Name in keyof Sum]: Sum[Name] };
/** What was used, by the number of the minute. */
type Points = Map<number, Sum>;

const NOTHING: Sum = { calls: 0, refusals: 0, inputTokens: 0, outputTokens: 0, cost: 0 };

interface ValueSums {
  /** By value; an empty text for calls without one. */
  readonly values: Map<string, MutableSum>;
  others: MutableSum | undefined;
}

/** What was used in one minute, by each attribute. */
class Minute {
  readonly #sums: readonly ValueSums[] = MINUTES_BY.map(() => ({ values: new Map(), others: undefined }));
  #most = VALUES_MOST;

  get size(): number {
    return this.#sums.reduce((all, { values }) => all + values.size, 0);
  }

  sumsOf(by: number): ValueSums | undefined {
    return this.#sums[by];
  }

  add(by: number, value: string, amounts: Sum): void {
    const sums = this.#sums[by] as ValueSums;
    const known = sums.values.get(value);
    if (known) addTo(known, amounts);
    else if (sums.values.size < this.#most) sums.values.set(value, copyOf(amounts));
    else {
      sums.others ??= copyOf(NOTHING);
      addTo(sums.others, amounts);
    }
  }

  /** Keeps few of its values apart from now on. */
  end(): void {
    if (this.#most === VALUES_KEPT) return;
    this.#most = VALUES_KEPT;
    for (const sums of this.#sums) {
      if (sums.values.size <= VALUES_KEPT) continue;
      const rows = [...sums.values].map(([value, total]) => ({ value, total }));
      const kept = largest(rows, VALUES_KEPT);
      for (const row of rows) {
        if (kept.has(row)) continue;
        sums.others ??= copyOf(NOTHING);
        addTo(sums.others, row.total);
        sums.values.delete(row.value);
      }
    }
  }
}

function copyOf({ calls, refusals, inputTokens, outputTokens, cost }: Sum): MutableSum {
  return { calls, refusals, inputTokens, outputTokens, cost };
}

function addTo(sum: MutableSum, more: Sum): void {
  sum.calls += more.calls;
  sum.refusals += more.refusals;
  sum.inputTokens += more.inputTokens;
  sum.outputTokens += more.outputTokens;
  sum.cost += more.cost;
}

function sumOf(sums: Iterable<Sum>): Sum {
  const total = copyOf(NOTHING);
  for (const sum of sums) addTo(total, sum);
  return total;
}

interface Ranked {
  readonly value: string;
  readonly total: Sum;
}

/** So many rows of which most was used, each way of looking at that in turn: what is called most may cost little. */
function largest<Row extends Ranked>(rows: readonly Row[], most: number): ReadonlySet<Row> {
  if (rows.length <= most) return new Set(rows);
  const rankings = MEASURES.map((of) => rows.toSorted((a, b) => of(b.total) - of(a.total)));
  const found = new Set<Row>();
  for (let place = 0; found.size < most; place++) for (const ranked of rankings) if (found.size < most) found.add(ranked[place] as Row);
  return found;
}

const MEASURES: readonly ((sum: Sum) => number)[] = [
  ({ cost }) => cost,
  ({ calls, refusals }) => calls + refusals,
  ({ inputTokens, outputTokens }) => inputTokens + outputTokens,
];

function dearerFirst(a: Ranked, b: Ranked): number {
  return (
    b.total.cost - a.total.cost || b.total.calls - a.total.calls || b.total.refusals - a.total.refusals || (a.value < b.value ? -1 : 1)
  );
}

function pointsJson(points: Points): MinutesAmountsJson {
  const minutes = [...points]
    .sort(([a], [b]) => a - b)
    .map(([number, sum]) => ({ from: instantJson(number * MINUTE_MS), ...sumJson(sum) }));
  return { ...sumJson(sumOf(points.values())), minutes };
}

function sumJson({ calls, refusals, inputTokens, outputTokens, cost }: Sum): AmountsJson {
  return { calls, refusals, input_tokens: inputTokens, output_tokens: outputTokens, cost_nanodollars: cost };
}

/** Reads what the last hour is to be taken apart by. Throws `body_invalid` with what to do. */
export function readMinutesBy(text: string | null): MinutesBy {
  const known = MINUTES_BY.find((by) => by === (text ?? "team"));
  if (known) return known;
  throw new PurserError("body_invalid", `"by" is one of ${MINUTES_BY.join(", ")}.${suggestion(text ?? "", MINUTES_BY)}`);
}
