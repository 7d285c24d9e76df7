import type { Entry, EntryKind } from "../../domain/ledger.ts";
import { bookedAmounts, REPORT_AMOUNTS } from "../../domain/report.ts";
import { ATTRIBUTES } from "../../domain/subject.ts";
import { type CalendarPeriod, type WindowSpan, windowSpan } from "../../domain/window.ts";

/** The entries that book something, or change what is spent of a limit. */
export const SUMMED: readonly EntryKind[] = ["settled", "overrun", "expired", "corrected", "denied"];
const IS_SUMMED: ReadonlySet<EntryKind> = new Set(SUMMED);

export interface UsageSum {
  readonly step: "hour" | "day";
  /** An attribute, or empty for all calls. */
  readonly path: string;
  /** Epoch milliseconds: where the hour or day begins. */
  readonly at: number;
  /** Empty for calls without the attribute. */
  readonly value: string;
  /** In the order of `REPORT_AMOUNTS`. */
  readonly amounts: number[];
}

export interface SpentSum {
  readonly budget: string;
  /** As counters name a limit: `tokens/day@UTC`. */
  readonly bound: string;
  readonly at: number;
  spent: number;
}

/** Which entry was added last. */
export type Place = Pick<Entry, "seq" | "at">;

/** Whose calendar hours and days are added up. */
export class Calendar {
  readonly #timeZone: string;
  readonly #spans = new Map<CalendarPeriod, WindowSpan>();

  constructor(timeZone: string) {
    this.#timeZone = timeZone;
  }

  startOf(period: UsageSum["step"], at: number): number {
    const known = this.#spans.get(period);
    if (known && at >= known.startsAt && at < (known.resetsAt ?? 0)) return known.startsAt;
    const span = windowSpan({ kind: "calendar", period, timeZone: this.#timeZone }, at);
    this.#spans.set(period, span);
    return span.startsAt;
  }
}

/** Entries added up in memory: many of one hour are few rows. */
export class RollupSums {
  readonly #calendar: Calendar;
  readonly #usage = new Map<string, UsageSum>();
  readonly #spent = new Map<string, SpentSum>();
  #last: Place | undefined;

  constructor(calendar: Calendar) {
    this.#calendar = calendar;
  }

  /** The last entry that was added; nothing where none was. */
  get last(): Place | undefined {
    return this.#last;
  }

  /** How many rows they are. */
  get size(): number {
    return this.#usage.size + this.#spent.size;
  }

  get usage(): Iterable<UsageSum> {
    return this.#usage.values();
  }

  get spent(): Iterable<SpentSum> {
    return this.#spent.values();
  }

  /** Entries that sums are not made of are passed over. */
  add(entry: Entry): void {
    if (!IS_SUMMED.has(entry.kind)) return;
    this.#addUsage(entry);
    this.#addSpent(entry);
    this.#last = { seq: entry.seq, at: entry.at };
  }

  #addUsage(entry: Entry): void {
    const booked = bookedAmounts(entry);
    if (!booked || !("detail" in entry)) return;
    const amounts = REPORT_AMOUNTS.map((name) => booked[name]);
    const day = this.#calendar.startOf("day", entry.at);
    this.#addTo("hour", "", this.#calendar.startOf("hour", entry.at), "", amounts);
    this.#addTo("day", "", day, "", amounts);
    for (const path of ATTRIBUTES) this.#addTo("day", path, day, entry.detail.subject[path] ?? "", amounts);
  }

  #addTo(step: UsageSum["step"], path: string, at: number, value: string, amounts: readonly number[]): void {
    const key = `${step}${path}\0${at}\0${value}`;
    const known = this.#usage.get(key);
    if (!known) this.#usage.set(key, { step, path, at, value, amounts: [...amounts] });
    else for (let i = 0; i < amounts.length; i++) known.amounts[i] = (known.amounts[i] as number) + (amounts[i] as number);
  }

  #addSpent({ at: time, postings }: Entry): void {
    for (const { counter, spent } of postings) {
      if (spent === 0) continue;
      const at = this.#calendar.startOf("hour", time);
      const bound = `${counter.unit}/${counter.window}`;
      const key = `${at}\0${bound}\0${counter.budget}`;
      const known = this.#spent.get(key);
      if (known) known.spent += spent;
      else this.#spent.set(key, { budget: counter.budget, bound, at, spent });
    }
  }
}
