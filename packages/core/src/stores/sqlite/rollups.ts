import { existsSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { callWith, compileFilter, type ReportPath } from "../../domain/charged-to.ts";
import type { Entry } from "../../domain/ledger.ts";
import type { Unit } from "../../domain/limit.ts";
import {
  orderedRows,
  REPORT_AMOUNTS,
  type ReportAmounts,
  type ReportQuery,
  type ReportRow,
  type ReportSpan,
  reportSteps,
} from "../../domain/report.ts";
import { orderedSavings, SAVING_AMOUNTS, type SavingAmounts, type SavingRow, type SavingsQuery } from "../../domain/saving.ts";
import type { Store } from "../store.ts";
import { type Database, loadSqlite, type SqlValue } from "./driver.ts";
import { Calendar, type Place, RollupSums, SUMMED } from "./rollup-sums.ts";

export interface RollupsOptions {
  /** Where `rollups.db` lies; nowhere but in memory where it is left out. */
  readonly directory?: string;
  readonly ledger: SummedLedger;
  /** Whose calendar hours and days follow. Another one than before, and all is added up anew. */
  readonly timeZone: string;
}

/** What a ledger tells is added up as it comes; what it does not tell, or was there before, is read. */
type SummedLedger = Pick<Store, "entries" | "follow">;

/** What one limit of a budget was charged in an hour, over all its subjects. */
export interface SpentHour {
  /** Epoch milliseconds: where the hour begins. */
  readonly from: number;
  readonly spent: number;
}

/** How many calls a limit of a budget refused in an hour, or its guards stood against. */
export interface RefusedHour {
  /** Epoch milliseconds: where the hour begins. */
  readonly from: number;
  readonly times: number;
}

/** Calls that a budget which only observed would have refused, of one balance or caller. */
export interface ObservedCalls {
  /** The balance, as it is labelled; of a budget with one balance the caller: `user=ann`, `key=k1`, or empty. */
  readonly whose: string;
  readonly calls: number;
  /** What they were charged, in nano-dollars. */
  readonly cost: number;
  /** Epoch milliseconds: where the first and the last day begin on which there were any. */
  readonly first: number;
  readonly last: number;
}

/** What one balance was charged on a day. */
export interface BalanceDay {
  /** `user=ann` */
  readonly subject: string;
  readonly spent: number;
}

/** Which balances are dear on the day of a time. */
export interface DearQuery {
  readonly at: number;
  readonly least: number;
  readonly most: number;
}

export interface DaysQuery {
  readonly since: number;
  readonly until: number;
}

const DAY_AND_A_HALF_MS = 36 * 3_600_000;

/** How far rollups are behind their ledger. */
export interface RollupsProgress {
  readonly lastSeq: number;
  /** Whether everything was read that the ledger had when they were last brought up to date. */
  readonly isComplete: boolean;
}

/**
 * Opens sums of a ledger by hour and day, so that a year of it is looked at without reading it. All of it follows from the ledger: a file that
 * is lost, damaged, or of another ledger is made again.
 */
export async function openRollups({ directory, ledger, timeZone }: RollupsOptions): Promise<Rollups> {
  const open = await loadSqlite();
  if (directory === undefined) return new Rollups(prepared(open(":memory:")), ledger, timeZone);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const path = join(directory, "rollups.db");
  try {
    return new Rollups(prepared(open(path)), ledger, timeZone);
  } catch (error) {
    if (!existsSync(path)) throw error;
    // What another process is just making is no reason to make it again.
    if (/locked|busy/i.test(String(error))) return new Rollups(prepared(open(":memory:")), ledger, timeZone);
    for (const suffix of ["", "-wal", "-shm"]) rmSync(`${path}${suffix}`, { force: true });
    return new Rollups(prepared(open(path)), ledger, timeZone);
  }
}

const AMOUNT_COLUMNS = REPORT_AMOUNTS.map(columnOf);
const SAVING_COLUMNS = SAVING_AMOUNTS.map(columnOf);
const VERSION = 6;

function columnOf(amount: string): string {
  return amount.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** `path` is an attribute or whom calls are charged to, or empty for all calls; `value` is empty for calls without one. */
const TABLES = `
  CREATE TABLE IF NOT EXISTS usage (
    step TEXT NOT NULL, path TEXT NOT NULL, starts_at INTEGER NOT NULL, value TEXT NOT NULL,
    ${AMOUNT_COLUMNS.map((column) => `${column} INTEGER NOT NULL`).join(", ")},
    PRIMARY KEY (step, path, starts_at, value)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS spent (
    budget TEXT NOT NULL, bound TEXT NOT NULL, starts_at INTEGER NOT NULL, spent INTEGER NOT NULL, PRIMARY KEY (budget, bound, starts_at)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS savings (
    budget TEXT NOT NULL, rung TEXT NOT NULL, starts_at INTEGER NOT NULL,
    ${SAVING_COLUMNS.map((column) => `${column} INTEGER NOT NULL`).join(", ")},
    PRIMARY KEY (starts_at, budget, rung)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS refused (
    budget TEXT NOT NULL, what TEXT NOT NULL, starts_at INTEGER NOT NULL, times INTEGER NOT NULL, PRIMARY KEY (budget, what, starts_at)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS observed (
    budget TEXT NOT NULL, whose TEXT NOT NULL, starts_at INTEGER NOT NULL, calls INTEGER NOT NULL, cost INTEGER NOT NULL,
    PRIMARY KEY (budget, starts_at, whose)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS balances (
    budget TEXT NOT NULL, unit TEXT NOT NULL, starts_at INTEGER NOT NULL, subject TEXT NOT NULL, spent INTEGER NOT NULL,
    PRIMARY KEY (budget, unit, starts_at, subject)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS state (one INTEGER PRIMARY KEY CHECK (one = 1), time_zone TEXT NOT NULL, seq INTEGER NOT NULL, at INTEGER NOT NULL) STRICT;
  PRAGMA user_version = ${VERSION};
`;

/** What is lost in a power cut is added up again, so nothing waits for the disk. */
function prepared(database: Database): Database {
  database.exec("PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;");
  const { user_version } = database.prepare("PRAGMA user_version").get() as { user_version: number };
  if (user_version === 0) database.exec(`BEGIN IMMEDIATE; ${TABLES} COMMIT;`);
  else if (user_version !== VERSION) throw new Error(`Rollups of format ${user_version}`);
  return database;
}

/** A page is short, so that calls do not wait for it. */
const PAGE = 200;
/** So many entries are kept that come while a page is read. */
const TOLD_MOST = 10_000;
/** What was added up is written when it is so many rows: calls wait for that, where each is of another session. */
const ROWS_MOST = 500;

export class Rollups {
  readonly #database: Database;
  readonly #ledger: SummedLedger;
  readonly #timeZone: string;
  readonly #calendar: Calendar;
  readonly #unfollow: () => void;
  readonly #statements = new Map<string, ReturnType<Database["prepare"]>>();
  #seq = 0;
  #at = 0;
  #isComplete = false;
  #isClosed = false;
  #running: Promise<void> | undefined;
  /** What was told since the file was written; nothing where it may lack something that is to be read first. */
  #pending: RollupSums | undefined;
  /** What was told since the reading of a page began; nothing where none is read, or it became too much. */
  #told: Entry[] | undefined;
  /** What was told is written at the end of this turn. */
  #isDue = false;

  constructor(database: Database, ledger: SummedLedger, timeZone: string) {
    this.#database = database;
    this.#ledger = ledger;
    this.#timeZone = timeZone;
    this.#calendar = new Calendar(timeZone);
    this.#unfollow = ledger.follow?.((entries) => this.#take(entries)) ?? (() => undefined);
    const state = this.#state();
    if (state?.time_zone === timeZone) this.#goOnFrom(state);
    else this.#clear();
  }

  get progress(): RollupsProgress {
    return { lastSeq: this.#seq, isComplete: this.#isComplete };
  }

  /** Adds what the ledger has got since. Several who ask at once wait for the same reading. */
  catchUp(): Promise<void> {
    this.#running ??= this.#catchUp().finally(() => {
      this.#running = undefined;
      this.#told = undefined;
    });
    return this.#running;
  }

  #take(entries: readonly Entry[]): void {
    if (this.#pending) this.#addUp(this.#pending, entries);
    else if (this.#told && this.#told.length + entries.length <= TOLD_MOST) this.#told.push(...entries);
    else this.#told = undefined;
  }

  #addUp(pending: RollupSums, entries: readonly Entry[]): void {
    for (const entry of entries) pending.add(entry);
    if (pending.size < ROWS_MOST || this.#isDue) return;
    this.#isDue = true;
    setImmediate(() => {
      this.#isDue = false;
      // What goes wrong is read again, and told to whoever asks for it then.
      this.catchUp().catch(() => undefined);
    });
  }

  async #catchUp(): Promise<void> {
    const pending = this.#pending;
    this.#pending = undefined;
    // Where another process with the same folder has got further, or begun again, that is to be read.
    if (pending && !this.#isClosed && this.#write(pending)) this.#pending = new RollupSums(this.#calendar);
    else await this.#read();
  }

  /** Each page begins with the last entry that was read: where another one stands there, the ledger is another, and all is read again. */
  async #read(): Promise<void> {
    while (!this.#isClosed) {
      // Another process with the same folder may have got further, or begun again.
      if (!this.#isInStep()) return;
      this.#told = [];
      const page = await this.#ledger.entries({ kinds: SUMMED, after: Math.max(0, this.#seq - 1), most: PAGE });
      if (this.#isClosed) return;
      const [last] = page;
      if (this.#seq > 0 && (last?.seq !== this.#seq || last.at !== this.#at)) {
        this.#clear();
        continue;
      }
      const sums = new RollupSums(this.#calendar);
      for (const entry of this.#seq > 0 ? page.slice(1) : page) sums.add(entry);
      const isWritten = this.#write(sums);
      if (page.length < PAGE) {
        this.#isComplete = true;
        if (isWritten) this.#goOnByWhatIsTold();
        return;
      }
      await nextTurn();
    }
  }

  /** The last page has all that was there when it was asked for, and what came since was told. */
  #goOnByWhatIsTold(): void {
    if (!this.#ledger.follow || !this.#told) return;
    this.#pending = new RollupSums(this.#calendar);
    for (const entry of this.#told) if (entry.seq > this.#seq) this.#pending.add(entry);
  }

  /** Rows as a report of the ledger has them; nothing where only the ledger itself knows, or not all of it was read, unless a part will do. */
  report(query: ReportQuery, { isPartEnough = false } = {}): readonly ReportRow[] | undefined {
    const { by = [], filter = {}, step, timeZone = "UTC" } = query;
    const paths = new Set<ReportPath>([...by, ...(Object.keys(filter) as ReportPath[])]);
    const [path = ""] = paths;
    if (paths.size > 1 || path.startsWith("tag.") || !(this.#isComplete || isPartEnough)) return undefined;
    if (timeZone !== this.#timeZone) return undefined;
    const table = step === "hour" || !this.#isStart("day", query.since) ? "hour" : "day";
    if ((table === "hour" && path !== "") || !this.#isStart(table, query.since) || !this.#reachesEnd(table, query.until)) return undefined;
    const isSelected = compileFilter(filter);
    const isFiltered = Object.keys(filter).length > 0;
    const rows = this.#sums(table, path, query).flatMap(({ span, value, amounts }): ReportRow[] => {
      if (isFiltered && (value === "" || !isSelected(callWith(path as ReportPath, value)))) return [];
      return [{ ...span, values: by.length === 0 ? [] : [value === "" ? undefined : value], ...amounts }];
    });
    return orderedRows(by.length === 0 && path !== "" ? addedUp(rows) : rows);
  }

  /** What a limit of a budget was charged, hour by hour; hours without charges are left out. `limit` is as counters name it: `tokens/day@UTC`. */
  spent(budget: string, limit: string, since: number): readonly SpentHour[] {
    const rows = this.#statement(
      "SELECT starts_at, spent FROM spent WHERE budget = ? AND bound = ? AND starts_at >= ? ORDER BY starts_at",
    ).all(budget, limit, since) as { starts_at: number; spent: number }[];
    return rows.map(({ starts_at, spent }) => ({ from: starts_at, spent }));
  }

  /** What rungs of ladders saved; nothing where only the ledger itself knows, or not all of it was read. */
  savings({ since, until }: SavingsQuery): readonly SavingRow[] | undefined {
    if (!this.#isComplete || !this.#isStart("hour", since) || !this.#reachesEnd("hour", until)) return undefined;
    const rows = this.#statement(SUM_SAVINGS).all(since, until) as (SavingAmountsRow & Pick<SavingRow, "budget" | "rung">)[];
    return orderedSavings(rows.map((row) => ({ budget: row.budget, rung: row.rung, ...savingAmountsOf(row) })));
  }

  /** How many calls a limit of a budget refused, hour by hour; `what` is its unit and window, `tokens/day`, or `GUARDED`. */
  refused(budget: string, what: string, since: number): readonly RefusedHour[] {
    const rows = this.#statement(
      "SELECT starts_at, times FROM refused WHERE budget = ? AND what = ? AND starts_at >= ? ORDER BY starts_at",
    ).all(budget, what, since) as { starts_at: number; times: number }[];
    return rows.map(({ starts_at, times }) => ({ from: starts_at, times }));
  }

  /** What a budget that only observed would have refused since a day began, and of whom, those of whom most would have been first. */
  observed(budget: string, since: number): readonly ObservedCalls[] {
    return (this.#statement(SUM_OBSERVED).all(budget, since) as unknown as readonly ObservedCalls[]).map((row) => ({ ...row }));
  }

  /** The balances of a budget that were charged at least so much on a day, those of which most was first, so many at most. */
  dearBalances(budget: string, unit: Unit, { at, least, most }: DearQuery): readonly BalanceDay[] {
    const rows = this.#statement(
      "SELECT subject, spent FROM balances WHERE budget = ? AND unit = ? AND starts_at = ? AND spent >= ? ORDER BY spent DESC, subject LIMIT ?",
    ).all(budget, unit, this.#calendar.startOf("day", at), least, most) as unknown as readonly BalanceDay[];
    return rows.map((row) => ({ ...row }));
  }

  /** What one balance of a budget was charged on each of the days since a time, before the day of another; those without charges are left out. */
  balanceDays(budget: string, unit: Unit, subject: string, { since, until }: DaysQuery): readonly number[] {
    const days: number[] = [];
    const read = this.#statement("SELECT spent FROM balances WHERE budget = ? AND unit = ? AND starts_at = ? AND subject = ?");
    for (let at = this.#calendar.startOf("day", since); at < this.#calendar.startOf("day", until); at = this.#dayAfter(at)) {
      const { spent = 0 } = (read.get(budget, unit, at, subject) ?? {}) as { spent?: number };
      if (spent > 0) days.push(spent);
    }
    return days;
  }

  /** Days are of 23 to 25 hours. */
  #dayAfter(at: number): number {
    return this.#calendar.startOf("day", at + DAY_AND_A_HALF_MS);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#unfollow();
    await this.#running?.catch(() => undefined);
    this.#database.close();
  }

  #clear(): void {
    this.#seq = 0;
    this.#at = 0;
    this.#isComplete = false;
    this.#database.exec(
      "BEGIN; DELETE FROM usage; DELETE FROM spent; DELETE FROM savings; DELETE FROM refused; DELETE FROM observed; DELETE FROM balances; DELETE FROM state; COMMIT;",
    );
  }

  /** Adds sums to those of the file, up to their last entry. Whether that was done: not where the file is not as this process left it. */
  #write(sums: RollupSums): boolean {
    const { last } = sums;
    if (!last) return true;
    this.#database.exec("BEGIN IMMEDIATE");
    try {
      const before = this.#seq;
      if (!this.#isInStep() || this.#seq !== before) {
        this.#database.exec("ROLLBACK");
        return false;
      }
      const addUsage = this.#statement(ADD_USAGE);
      for (const { step, path, at, value, amounts } of sums.usage) addUsage.run(step, path, at, value, ...amounts);
      const addSpent = this.#statement(ADD_SPENT);
      for (const { budget, bound, at, spent } of sums.spent) addSpent.run(budget, bound, at, spent);
      const addSavings = this.#statement(ADD_SAVINGS);
      for (const { budget, rung, at, amounts } of sums.savings) addSavings.run(budget, rung, at, ...amounts);
      const addRefused = this.#statement(ADD_REFUSED);
      for (const { budget, what, at, times } of sums.refused) addRefused.run(budget, what, at, times);
      const addObserved = this.#statement(ADD_OBSERVED);
      for (const { budget, whose, at, calls, cost } of sums.observed) addObserved.run(budget, whose, at, calls, cost);
      const addBalance = this.#statement(ADD_BALANCE);
      for (const { budget, unit, at, subject, spent } of sums.balances) addBalance.run(budget, unit, at, subject, spent);
      this.#statement(SET_STATE).run(this.#timeZone, last.seq, last.at);
      this.#database.exec("COMMIT");
    } catch (error) {
      this.#database.exec("ROLLBACK");
      throw error;
    }
    this.#goOnFrom(last);
    return true;
  }

  /** Goes on from where the file is. Whether that is of this time zone: a process that was told of another one earlier has begun again in it. */
  #isInStep(): boolean {
    const state = this.#state();
    this.#goOnFrom(state ?? { seq: 0, at: 0 });
    return state === undefined || state.time_zone === this.#timeZone;
  }

  #state(): StateRow | undefined {
    return this.#statement("SELECT time_zone, seq, at FROM state").get() as StateRow | undefined;
  }

  #goOnFrom({ seq, at }: Place): void {
    this.#seq = seq;
    this.#at = at;
  }

  /** One statement for all steps where they are those of the table, and one for each where they are longer. */
  #sums(table: "hour" | "day", path: string, query: ReportQuery): readonly Sum[] {
    const steps = reportSteps(query);
    if (query.step !== table) return steps.flatMap((span) => this.#rows(SUMS, table, path, span).map((row) => sumOf(row, span)));
    const spans = new Map(steps.map((span) => [span.from, span]));
    return this.#rows(STEPS, table, path, { from: query.since, to: query.until }).flatMap((row) => {
      const span = spans.get(row.starts_at as number);
      return span ? [sumOf(row, span)] : [];
    });
  }

  #rows(sql: string, step: string, path: string, { from, to }: ReportSpan): readonly UsageRow[] {
    return this.#statement(sql).all(step, path, from, to) as UsageRow[];
  }

  #isStart(period: "hour" | "day", at: number): boolean {
    return this.#calendar.startOf(period, at) === at;
  }

  /** Whether a report up to `until` is of whole hours or days, as far as there are entries. */
  #reachesEnd(period: "hour" | "day", until: number): boolean {
    return until > this.#at || this.#isStart(period, until);
  }

  #statement(sql: string): ReturnType<Database["prepare"]> {
    const known = this.#statements.get(sql) ?? this.#database.prepare(sql);
    this.#statements.set(sql, known);
    return known;
  }
}

interface StateRow {
  readonly time_zone: string;
  readonly seq: number;
  readonly at: number;
}

const ADD_USAGE = `INSERT INTO usage VALUES (?, ?, ?, ?, ${AMOUNT_COLUMNS.map(() => "?").join(", ")})
  ON CONFLICT (step, path, starts_at, value) DO UPDATE SET ${AMOUNT_COLUMNS.map((column) => `${column} = ${column} + excluded.${column}`).join(", ")}`;
const ADD_SPENT =
  "INSERT INTO spent VALUES (?, ?, ?, ?) ON CONFLICT (budget, bound, starts_at) DO UPDATE SET spent = spent + excluded.spent";
const ADD_SAVINGS = `INSERT INTO savings VALUES (?, ?, ?, ${SAVING_COLUMNS.map(() => "?").join(", ")})
  ON CONFLICT (starts_at, budget, rung) DO UPDATE SET ${SAVING_COLUMNS.map((column) => `${column} = ${column} + excluded.${column}`).join(", ")}`;
const SUM_SAVINGS = `SELECT budget, rung, ${SAVING_COLUMNS.map((column) => `sum(${column}) AS ${column}`).join(", ")} FROM savings
  WHERE starts_at >= ? AND starts_at < ? GROUP BY budget, rung`;
const ADD_REFUSED =
  "INSERT INTO refused VALUES (?, ?, ?, ?) ON CONFLICT (budget, what, starts_at) DO UPDATE SET times = times + excluded.times";
const ADD_OBSERVED = `INSERT INTO observed VALUES (?, ?, ?, ?, ?)
  ON CONFLICT (budget, starts_at, whose) DO UPDATE SET calls = calls + excluded.calls, cost = cost + excluded.cost`;
const SUM_OBSERVED = `SELECT whose, sum(calls) AS calls, sum(cost) AS cost, min(starts_at) AS first, max(starts_at) AS last FROM observed
  WHERE budget = ? AND starts_at >= ? GROUP BY whose ORDER BY calls DESC, whose`;
const ADD_BALANCE = `INSERT INTO balances VALUES (?, ?, ?, ?, ?)
  ON CONFLICT (budget, unit, starts_at, subject) DO UPDATE SET spent = spent + excluded.spent`;
const SET_STATE = "INSERT INTO state VALUES (1, ?, ?, ?) ON CONFLICT (one) DO UPDATE SET seq = excluded.seq, at = excluded.at";
const STEPS = "SELECT * FROM usage WHERE step = ? AND path = ? AND starts_at >= ? AND starts_at < ?";
const SUMS = `SELECT value, ${AMOUNT_COLUMNS.map((column) => `sum(${column}) AS ${column}`).join(", ")} FROM usage
  WHERE step = ? AND path = ? AND starts_at >= ? AND starts_at < ? GROUP BY value`;

type UsageRow = Readonly<Record<string, SqlValue>>;
type SavingAmountsRow = Readonly<Record<string, number>>;

function savingAmountsOf(row: SavingAmountsRow): SavingAmounts {
  return Object.fromEntries(SAVING_AMOUNTS.map((name, i) => [name, row[SAVING_COLUMNS[i] as string]])) as unknown as SavingAmounts;
}

interface Sum {
  readonly span: ReportSpan;
  readonly value: string;
  readonly amounts: ReportAmounts;
}

function sumOf(row: UsageRow, span: ReportSpan): Sum {
  const amounts = Object.fromEntries(REPORT_AMOUNTS.map((name, i) => [name, row[AMOUNT_COLUMNS[i] as string]]));
  return { span, value: row.value as string, amounts: amounts as unknown as ReportAmounts };
}

/** Rows of the same step, whatever their value. */
function addedUp(rows: readonly ReportRow[]): readonly ReportRow[] {
  const sums = new Map<number, ReportRow>();
  for (const row of rows) {
    const known = sums.get(row.from);
    sums.set(row.from, known ? { ...known, ...added(known, row) } : row);
  }
  return [...sums.values()];
}

function added(a: ReportAmounts, b: ReportAmounts): ReportAmounts {
  return Object.fromEntries(REPORT_AMOUNTS.map((name) => [name, a[name] + b[name]])) as unknown as ReportAmounts;
}
