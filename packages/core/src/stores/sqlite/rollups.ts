import { existsSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import type { Entry, EntryKind } from "../../domain/ledger.ts";
import {
  bookedAmounts,
  orderedRows,
  REPORT_AMOUNTS,
  type ReportAmounts,
  type ReportQuery,
  type ReportRow,
  type ReportSpan,
  reportSteps,
} from "../../domain/report.ts";
import { ATTRIBUTES, compileSelector, type SubjectPath } from "../../domain/subject.ts";
import { type CalendarPeriod, type WindowSpan, windowSpan } from "../../domain/window.ts";
import type { Store } from "../store.ts";
import { type Database, loadSqlite, type SqlValue } from "./driver.ts";

export interface RollupsOptions {
  /** Where `rollups.db` lies; nowhere but in memory where it is left out. */
  readonly directory?: string;
  readonly ledger: Pick<Store, "entries">;
  /** Whose calendar hours and days follow. Another one than before, and all is added up anew. */
  readonly timeZone: string;
}

/** What one limit of a budget was charged in an hour, over all its subjects. */
export interface SpentHour {
  /** Epoch milliseconds: where the hour begins. */
  readonly from: number;
  readonly spent: number;
}

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

const AMOUNT_COLUMNS = REPORT_AMOUNTS.map((name) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`));
const VERSION = 2;

/** `path` is an attribute, or empty for all calls; `value` is empty for calls without one. */
const TABLES = `
  CREATE TABLE IF NOT EXISTS usage (
    step TEXT NOT NULL, path TEXT NOT NULL, starts_at INTEGER NOT NULL, value TEXT NOT NULL,
    ${AMOUNT_COLUMNS.map((column) => `${column} INTEGER NOT NULL`).join(", ")},
    PRIMARY KEY (step, path, starts_at, value)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS spent (
    budget TEXT NOT NULL, bound TEXT NOT NULL, starts_at INTEGER NOT NULL, spent INTEGER NOT NULL, PRIMARY KEY (budget, bound, starts_at)
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

/** The entries that book something, or change what is spent of a limit. */
const READ: readonly EntryKind[] = ["settled", "overrun", "expired", "corrected", "denied"];
/** A page is short, so that calls do not wait for it. */
const PAGE = 200;

export class Rollups {
  readonly #database: Database;
  readonly #ledger: Pick<Store, "entries">;
  readonly #timeZone: string;
  readonly #spans = new Map<CalendarPeriod, WindowSpan>();
  readonly #statements = new Map<string, ReturnType<Database["prepare"]>>();
  #seq = 0;
  #at = 0;
  #isComplete = false;
  #isClosed = false;
  #running: Promise<void> | undefined;

  constructor(database: Database, ledger: Pick<Store, "entries">, timeZone: string) {
    this.#database = database;
    this.#ledger = ledger;
    this.#timeZone = timeZone;
    const state = this.#state();
    if (state?.time_zone === timeZone) this.#goOnFrom(state);
    else this.#clear();
  }

  get progress(): RollupsProgress {
    return { lastSeq: this.#seq, isComplete: this.#isComplete };
  }

  /** Reads what the ledger has got since. Several who ask at once wait for the same reading. */
  catchUp(): Promise<void> {
    this.#running ??= this.#catchUp().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  /** Each page begins with the last entry that was read: where another one stands there, the ledger is another, and all is read again. */
  async #catchUp(): Promise<void> {
    while (!this.#isClosed) {
      // Another process with the same folder may have got further, or begun again.
      if (!this.#isInStep()) return;
      const page = await this.#ledger.entries({ kinds: READ, after: Math.max(0, this.#seq - 1), most: PAGE });
      if (this.#isClosed) return;
      const [last] = page;
      if (this.#seq > 0 && (last?.seq !== this.#seq || last.at !== this.#at)) {
        this.#clear();
        continue;
      }
      const added = this.#seq > 0 ? page.slice(1) : page;
      if (added.length > 0) this.#add(added);
      if (page.length < PAGE) {
        this.#isComplete = true;
        return;
      }
      await setImmediate();
    }
  }

  /** Rows as a report of the ledger has them; nothing where only the ledger itself knows, or not all of it was read, unless a part will do. */
  report(query: ReportQuery, { isPartEnough = false } = {}): readonly ReportRow[] | undefined {
    const { by = [], filter = {}, step, timeZone = "UTC" } = query;
    const paths = new Set<SubjectPath>([...by, ...(Object.keys(filter) as SubjectPath[])]);
    const [path = ""] = paths;
    if (paths.size > 1 || path.startsWith("tag.") || !(this.#isComplete || isPartEnough)) return undefined;
    if (timeZone !== this.#timeZone) return undefined;
    const table = step === "hour" || !this.#isStart("day", query.since) ? "hour" : "day";
    if ((table === "hour" && path !== "") || !this.#isStart(table, query.since) || !this.#reachesEnd(table, query.until)) return undefined;
    const isSelected = compileSelector(filter);
    const isFiltered = Object.keys(filter).length > 0;
    const rows = this.#sums(table, path, query).flatMap(({ span, value, amounts }): ReportRow[] => {
      if (isFiltered && (value === "" || !isSelected({ [path]: value }))) return [];
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

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#running?.catch(() => undefined);
    this.#database.close();
  }

  #clear(): void {
    this.#seq = 0;
    this.#at = 0;
    this.#isComplete = false;
    this.#database.exec("BEGIN; DELETE FROM usage; DELETE FROM spent; DELETE FROM state; COMMIT;");
  }

  /** Adds a page up in memory first: many entries of one hour are few rows. */
  #add(page: readonly Entry[]): void {
    const usage = new Map<string, UsageSum>();
    const spent = new Map<string, SpentSum>();
    for (const entry of page) {
      this.#addUsage(usage, entry);
      this.#addSpent(spent, entry);
    }
    const last = page.at(-1) as Entry;
    this.#database.exec("BEGIN IMMEDIATE");
    try {
      const before = this.#seq;
      if (!this.#isInStep() || this.#seq !== before) {
        this.#database.exec("ROLLBACK");
        return;
      }
      const addUsage = this.#statement(ADD_USAGE);
      for (const { step, path, at, value, amounts } of usage.values()) addUsage.run(step, path, at, value, ...amounts);
      const addSpent = this.#statement(ADD_SPENT);
      for (const { budget, bound, at, spent: amount } of spent.values()) addSpent.run(budget, bound, at, amount);
      this.#statement(SET_STATE).run(this.#timeZone, last.seq, last.at);
      this.#database.exec("COMMIT");
    } catch (error) {
      this.#database.exec("ROLLBACK");
      throw error;
    }
    this.#goOnFrom(last);
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

  #goOnFrom({ seq, at }: Pick<Entry, "seq" | "at">): void {
    this.#seq = seq;
    this.#at = at;
  }

  #addUsage(sums: Map<string, UsageSum>, entry: Entry): void {
    const booked = bookedAmounts(entry);
    if (!booked || !("detail" in entry)) return;
    const amounts = REPORT_AMOUNTS.map((name) => booked[name]);
    const day = this.#startOf("day", entry.at);
    addTo(sums, "hour", "", this.#startOf("hour", entry.at), "", amounts);
    addTo(sums, "day", "", day, "", amounts);
    for (const path of ATTRIBUTES) addTo(sums, "day", path, day, entry.detail.subject[path] ?? "", amounts);
  }

  #addSpent(sums: Map<string, SpentSum>, entry: Entry): void {
    for (const { counter, spent } of entry.postings) {
      if (spent === 0) continue;
      const at = this.#startOf("hour", entry.at);
      const bound = `${counter.unit}/${counter.window}`;
      const key = `${at}\0${bound}\0${counter.budget}`;
      const known = sums.get(key);
      if (known) known.spent += spent;
      else sums.set(key, { budget: counter.budget, bound, at, spent });
    }
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
    return this.#startOf(period, at) === at;
  }

  /** Whether a report up to `until` is of whole hours or days, as far as there are entries. */
  #reachesEnd(period: "hour" | "day", until: number): boolean {
    return until > this.#at || this.#isStart(period, until);
  }

  #startOf(period: "hour" | "day", at: number): number {
    const known = this.#spans.get(period);
    if (known && at >= known.startsAt && at < (known.resetsAt ?? 0)) return known.startsAt;
    const span = windowSpan({ kind: "calendar", period, timeZone: this.#timeZone }, at);
    this.#spans.set(period, span);
    return span.startsAt;
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

interface UsageSum {
  readonly step: "hour" | "day";
  readonly path: string;
  readonly at: number;
  readonly value: string;
  /** In the order of `REPORT_AMOUNTS`. */
  readonly amounts: number[];
}

interface SpentSum {
  readonly budget: string;
  readonly bound: string;
  readonly at: number;
  spent: number;
}

const ADD_USAGE = `INSERT INTO usage VALUES (?, ?, ?, ?, ${AMOUNT_COLUMNS.map(() => "?").join(", ")})
  ON CONFLICT (step, path, starts_at, value) DO UPDATE SET ${AMOUNT_COLUMNS.map((column) => `${column} = ${column} + excluded.${column}`).join(", ")}`;
const ADD_SPENT =
  "INSERT INTO spent VALUES (?, ?, ?, ?) ON CONFLICT (budget, bound, starts_at) DO UPDATE SET spent = spent + excluded.spent";
const SET_STATE = "INSERT INTO state VALUES (1, ?, ?, ?) ON CONFLICT (one) DO UPDATE SET seq = excluded.seq, at = excluded.at";
const STEPS = "SELECT * FROM usage WHERE step = ? AND path = ? AND starts_at >= ? AND starts_at < ?";
const SUMS = `SELECT value, ${AMOUNT_COLUMNS.map((column) => `sum(${column}) AS ${column}`).join(", ")} FROM usage
  WHERE step = ? AND path = ? AND starts_at >= ? AND starts_at < ? GROUP BY value`;

type UsageRow = Readonly<Record<string, SqlValue>>;

interface Sum {
  readonly span: ReportSpan;
  readonly value: string;
  readonly amounts: ReportAmounts;
}

function sumOf(row: UsageRow, span: ReportSpan): Sum {
  const amounts = Object.fromEntries(REPORT_AMOUNTS.map((name, i) => [name, row[AMOUNT_COLUMNS[i] as string]]));
  return { span, value: row.value as string, amounts: amounts as unknown as ReportAmounts };
}

function addTo(
  sums: Map<string, UsageSum>,
  step: UsageSum["step"],
  path: string,
  at: number,
  value: string,
  amounts: readonly number[],
): void {
  const key = `${step}${path}\0${at}\0${value}`;
  const known = sums.get(key);
  if (!known) sums.set(key, { step, path, at, value, amounts: [...amounts] });
  else for (let i = 0; i < amounts.length; i++) known.amounts[i] = (known.amounts[i] as number) + (amounts[i] as number);
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
