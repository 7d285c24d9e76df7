import { CHARGED_PATHS, type Reported, type ReportPath, reportValue } from "../../domain/charged-to.ts";
import type { Charge, CounterRef, Entry, EntryKind, Posting } from "../../domain/ledger.ts";
import type { Unit } from "../../domain/limit.ts";
import { bookedAmounts, REPORT_AMOUNTS } from "../../domain/report.ts";
import { bookedSavings, SAVING_AMOUNTS, type SavingRow } from "../../domain/saving.ts";
import { ATTRIBUTES, type Subject } from "../../domain/subject.ts";
import { type CalendarPeriod, type WindowSpan, windowSpan } from "../../domain/window.ts";

/** The entries that book something, or change what is spent of a limit. */
export const SUMMED: readonly EntryKind[] = ["settled", "overrun", "expired", "corrected", "denied", "answered"];
const IS_SUMMED: ReadonlySet<EntryKind> = new Set(SUMMED);

/** Each of these is added up by itself. */
const PATHS: readonly ReportPath[] = [...ATTRIBUTES, ...CHARGED_PATHS];

/** Stands in the place of an attribute for provider and model together. Its values are both, as `placeText` writes them. */
export const PLACE = "provider,model";

function placeText({ subject: { provider = "", model = "" } }: Reported): string {
  return JSON.stringify([provider, model]);
}

/** What was called at a place, and nothing else. */
export function callAt(text: string): Reported {
  const [provider = "", model = ""] = JSON.parse(text) as readonly string[];
  return { subject: { ...(provider !== "" && { provider }), ...(model !== "" && { model }) } };
}

export interface UsageSum {
  readonly step: "hour" | "day";
  /** An attribute, or whom calls are charged to; `PLACE`; empty for all calls. */
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

export interface SavingSum {
  readonly budget: string;
  readonly rung: string;
  readonly at: number;
  /** In the order of `SAVING_AMOUNTS`. */
  readonly amounts: number[];
}

/** How many calls a limit of a budget refused in an hour, or its guards stood against. */
export interface RefusedSum {
  readonly budget: string;
  /** The unit and window of a limit, `tokens/day`, or `GUARDED`. */
  readonly what: string;
  readonly at: number;
  times: number;
}

/** What a budget that only observed would have refused on a day, of one balance or caller. */
export interface ObservedSum {
  readonly budget: string;
  /** The balance, as it is labelled; of a budget with one balance the caller: `user=ann`, `key=k1`, or empty. */
  readonly whose: string;
  readonly at: number;
  /** Calls that were made, and what they were charged in nano-dollars. */
  calls: number;
  cost: number;
}

/** What single balances of a budget were charged on a day, in one of the units that it limits. */
export interface BalanceSum {
  readonly budget: string;
  readonly unit: Unit;
  /** The balance, as it is labelled: `user=ann`. */
  readonly subject: string;
  readonly at: number;
  spent: number;
}

/** Of several units that a budget limits, the days of its balances are kept in the first of these. */
const BALANCE_UNITS: readonly Unit[] = ["nanodollars", "tokens", "input_tokens", "output_tokens", "requests"];

/** Stands in the place of a limit where it is the guards of a budget that stood against calls. */
export const GUARDED = "guard";

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

/** The sums that a call of a subject is part of, in an hour. */
interface SubjectSums {
  readonly hour: number;
  readonly chargedTo: Reported["chargedTo"];
  readonly sums: readonly UsageSum[];
}

/** Entries added up in memory: many of one hour are few rows. */
export class RollupSums {
  readonly #calendar: Calendar;
  readonly #usage = new Map<string, UsageSum>();
  readonly #spent = new Map<string, SpentSum>();
  readonly #savings = new Map<string, SavingSum>();
  readonly #refused = new Map<string, RefusedSum>();
  readonly #observed = new Map<string, ObservedSum>();
  /** What was found for the same subject, or counter, before: to put names together anew for each call costs more than to add up. */
  readonly #bySubject = new Map<Subject, SubjectSums>();
  readonly #byCounter = new Map<CounterRef, SpentSum>();
  readonly #balances = new Map<string, BalanceSum>();
  readonly #byBalance = new Map<CounterRef, BalanceSum>();
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
    return this.#usage.size + this.#spent.size + this.#savings.size + this.#refused.size + this.#observed.size + this.#balances.size;
  }

  get usage(): Iterable<UsageSum> {
    return this.#usage.values();
  }

  get spent(): Iterable<SpentSum> {
    return this.#spent.values();
  }

  get savings(): Iterable<SavingSum> {
    return this.#savings.values();
  }

  get refused(): Iterable<RefusedSum> {
    return this.#refused.values();
  }

  get observed(): Iterable<ObservedSum> {
    return this.#observed.values();
  }

  get balances(): Iterable<BalanceSum> {
    return this.#balances.values();
  }

  /** Entries that sums are not made of are passed over. */
  add(entry: Entry): void {
    if (!IS_SUMMED.has(entry.kind)) return;
    const { seq, at, postings } = entry;
    const booked = bookedAmounts(entry);
    const hour = this.#calendar.startOf("hour", at);
    if (booked && "detail" in entry) {
      const added = REPORT_AMOUNTS.map((name) => booked[name]);
      for (const { amounts } of this.#sumsOf(entry.detail, hour, at)) addTo(amounts, added);
    }
    if (entry.kind === "denied" && entry.detail.refusedBy) {
      const { budget, unit, window } = entry.detail.refusedBy;
      this.#addRefused(budget, `${unit}/${window}`, hour, entry.times ?? 1);
    }
    if ("detail" in entry) for (const budget of entry.detail.guardedBy ?? []) this.#addRefused(budget, GUARDED, hour, 1);
    if (entry.kind === "settled" || entry.kind === "expired") this.#addObserved(entry);
    for (const { counter, spent } of postings) if (spent !== 0) this.#spentOf(counter, hour).spent += spent;
    this.#addBalances(postings, at);
    for (const row of bookedSavings(entry)) {
      const added = SAVING_AMOUNTS.map((name) => row[name]);
      addTo(this.#savingsOf(row, hour), added);
    }
    this.#last = { seq, at };
  }

  #addRefused(budget: string, what: string, at: number, times: number): void {
    const key = `${at}\0${what}\0${budget}`;
    const sum = this.#refused.get(key) ?? { budget, what, at, times: 0 };
    this.#refused.set(key, sum);
    sum.times += times;
  }

  #addObserved({ at: time, postings, detail, charge }: Extract<Entry, { readonly charge: Charge }>): void {
    for (const budget of detail.wouldRefuse ?? []) {
      const balance = postings.find(({ counter }) => counter.budget === budget)?.counter.subject;
      const whose = balance || callerOf(detail.subject);
      const at = this.#calendar.startOf("day", time);
      const key = `${at}\0${whose}\0${budget}`;
      const sum = this.#observed.get(key) ?? { budget, whose, at, calls: 0, cost: 0 };
      this.#observed.set(key, sum);
      sum.calls++;
      sum.cost += charge.cost ?? 0;
    }
  }

  /** A call is charged on several limits of a balance, and counts once. */
  #addBalances(postings: readonly Posting[], time: number): void {
    for (const [i, { counter, spent }] of postings.entries()) {
      if (spent === 0 || counter.subject === "" || !isBalanceUnit(counter.unit)) continue;
      const isCounted = postings.some((other, j) => j !== i && isOfSame(other, counter) && isBefore(other, j, counter, i));
      if (!isCounted) this.#balanceOf(counter, this.#calendar.startOf("day", time)).spent += spent;
    }
  }

  #balanceOf(counter: CounterRef, at: number): BalanceSum {
    const found = this.#byBalance.get(counter);
    if (found?.at === at) return found;
    const { budget, subject, unit } = counter;
    const key = `${at}\0${unit}\0${subject}\0${budget}`;
    const sum = this.#balances.get(key) ?? { budget, unit, subject, at, spent: 0 };
    this.#balances.set(key, sum);
    this.#byBalance.set(counter, sum);
    return sum;
  }

  #sumsOf(call: Reported, hour: number, at: number): readonly UsageSum[] {
    const { subject, chargedTo } = call;
    const known = this.#bySubject.get(subject);
    if (known?.hour === hour && known.chargedTo === chargedTo) return known.sums;
    const day = this.#calendar.startOf("day", at);
    const sums = [this.#sum("hour", "", hour, ""), this.#sum("day", "", day, ""), this.#sum("hour", PLACE, hour, placeText(call))];
    for (const path of PATHS) sums.push(this.#sum("day", path, day, reportValue(call, path) ?? ""));
    this.#bySubject.set(subject, { hour, chargedTo, sums });
    return sums;
  }

  #sum(step: UsageSum["step"], path: string, at: number, value: string): UsageSum {
    const key = `${step}${path}\0${at}\0${value}`;
    const known = this.#usage.get(key);
    if (known) return known;
    const sum = { step, path, at, value, amounts: REPORT_AMOUNTS.map(() => 0) };
    this.#usage.set(key, sum);
    return sum;
  }

  #spentOf(counter: CounterRef, hour: number): SpentSum {
    const found = this.#byCounter.get(counter);
    if (found?.at === hour) return found;
    const bound = `${counter.unit}/${counter.window}`;
    const key = `${hour}\0${bound}\0${counter.budget}`;
    const sum = this.#spent.get(key) ?? { budget: counter.budget, bound, at: hour, spent: 0 };
    this.#spent.set(key, sum);
    this.#byCounter.set(counter, sum);
    return sum;
  }

  #savingsOf({ budget, rung }: SavingRow, hour: number): number[] {
    const key = `${hour}\0${rung}\0${budget}`;
    const sum = this.#savings.get(key) ?? { budget, rung, at: hour, amounts: SAVING_AMOUNTS.map(() => 0) };
    this.#savings.set(key, sum);
    return sum.amounts;
  }
}

function isBalanceUnit(unit: Unit): boolean {
  return BALANCE_UNITS.includes(unit);
}

/** Whether something was charged on another limit of the same balance. */
function isOfSame({ counter, spent }: Posting, { budget, subject }: CounterRef): boolean {
  return spent !== 0 && counter.budget === budget && counter.subject === subject && isBalanceUnit(counter.unit);
}

/** Whether it is the other posting by which a balance is counted: that of the first unit, and of several in it the first. */
function isBefore({ counter: other }: Posting, at: number, counter: CounterRef, place: number): boolean {
  const [rank, own] = [BALANCE_UNITS.indexOf(other.unit), BALANCE_UNITS.indexOf(counter.unit)];
  return rank < own || (rank === own && at < place);
}

/** Who made a call that is in nobody's balance alone. */
function callerOf({ user, key }: Subject): string {
  if (user !== undefined) return `user=${user}`;
  return key === undefined ? "" : `key=${key}`;
}

function addTo(amounts: number[], added: readonly number[]): void {
  for (let i = 0; i < amounts.length; i++) amounts[i] = (amounts[i] as number) + (added[i] as number);
}
