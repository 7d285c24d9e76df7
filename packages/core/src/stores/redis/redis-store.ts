import { setTimeout as sleep } from "node:timers/promises";
import type {
  BoundLimit,
  ExpireResult,
  ExtendResult,
  Recordable,
  RecordResult,
  ReleaseResult,
  ReserveCommand,
  ReserveResult,
  SettleResult,
  Standing,
} from "../../domain/command.ts";
import { checkAmounts, NOTHING_USED } from "../../domain/ending.ts";
import type { LeaseResult } from "../../domain/lease.ts";
import type { CounterRef, Entry } from "../../domain/ledger.ts";
import { UNITS } from "../../domain/limit.ts";
import { standings } from "../../domain/standing.ts";
import type { Counter } from "../../domain/state.ts";
import { PurserError } from "../../errors.ts";
import { type CounterFilter, LEDGER_PAGE, type LeasingStore, type LedgerQuery, type Mismatch, type Store } from "../store.ts";
import { messageOf, type RedisClient } from "./client.ts";
import { Connection } from "./connection.ts";
import { closed, isDoubtful, isUnavailable } from "./failure.ts";
import { type Keys, keysOf } from "./keys.ts";
import { leaseArgs, leaseResult } from "./lease.ts";
import { limitsText, pictured } from "./limits.ts";
import { raiseArgs, raiseResult } from "./raise.ts";
import { reserveArgs, reserveResult } from "./reservation.ts";
import { type LedgerSource, Restoration } from "./restoration.ts";
import { LOCK } from "./scripts/lock.lua.ts";
import { Stream } from "./stream.ts";
import { bodyText, grantText, postingsText, readAllotted, readCounter, readSlices } from "./text.ts";

export interface RedisStoreOptions {
  /** An instance of ioredis' `Redis` or `Cluster`. It stays yours: `close` does not end it. */
  readonly redis: RedisClient;
  /** Whose balances these are. Gateways with the same namespace on the same Redis share them. */
  readonly namespace: string;
  /** How long a verb may take before it is refused with `store_unavailable`. 2 seconds where it is left out. */
  readonly timeoutMs?: number;
  /** Told what an operator should know: that the append-only file is missing, or that Redis can be used again, for example. */
  readonly onNotice?: (notice: string) => void;
  /** Where entries are that were trimmed from the stream. */
  readonly archive?: LedgerSource;
  /** Told when the store has let go of the client. */
  readonly onClosed?: () => void;
  /** Epoch milliseconds, for tests. The clock of the Redis server where it is left out, so that the clocks of gateways do not matter. */
  readonly now?: () => number;
}

/** What a Redis had left of its ledger, and how many entries were there at least. */
export interface Loss {
  readonly left: number;
  readonly seen: number;
}

const TIMEOUT_MS = 2_000;
/** Holds charged by one run of the script, so that others are not kept waiting. */
const EXPIRE_MOST = 100;
/** Counters read by one run of the script. */
const COUNTERS_PAGE = 1_000;
/** Settlements and releases that wait for Redis. Beyond that, holds are charged at their estimate when the lease runs out. */
const OWED_MOST = 100_000;
const AT_ONCE = 100;
const LOCK_MS = 30_000;
const LOCK_TRY_MS = 100;
/** Stands in the place of a reservation where it is written down that a loss was accepted. */
const LOSS = "purser:loss";
const UNDONE = "the reservation was not acknowledged";

/** Balances in a Redis or Valkey that several gateways share: each verb is one script, decided and written down on the server. */
export class RedisStore implements LeasingStore {
  readonly #connection: Connection;
  readonly #keys: Keys;
  readonly #stream: Stream;
  readonly #archive: LedgerSource | undefined;
  readonly #restoration: Restoration | undefined;
  readonly #onNotice: (notice: string) => void;
  readonly #onClosed: () => void;
  /** What could not be written yet: settlements, releases, and reservations to undo. */
  readonly #owed = new Map<string, () => Promise<unknown>>();
  #closed: Promise<void> | undefined;

  constructor(options: RedisStoreOptions) {
    const { redis, namespace, timeoutMs = TIMEOUT_MS, now, onNotice = () => undefined, onClosed = () => undefined } = options;
    this.#keys = keysOf(checkNamespace(namespace));
    this.#connection = new Connection({ redis, keys: this.#keys, timeoutMs, onNotice, now });
    this.#stream = new Stream(this.#connection, this.#keys);
    this.#archive = options.archive;
    const { archive } = options;
    if (archive)
      this.#restoration = new Restoration({ connection: this.#connection, stream: this.#stream, keys: this.#keys, archive, onNotice });
    this.#onNotice = onNotice;
    this.#onClosed = onClosed;
  }

  /** Resolves when Redis can be reached and is fit to keep balances. Every verb waits for it; whoever starts a server awaits it alone. */
  async ready(): Promise<void> {
    if (this.#closed) throw closed();
    await this.#connection.ready();
    await this.#restoration?.begin();
  }

  async reserve(command: Omit<ReserveCommand, "kind">): Promise<ReserveResult> {
    await this.ready();
    const whole: ReserveCommand = { kind: "reserve", ...command };
    const attempt = this.#connection.nextCommand();
    try {
      return reserveResult(
        whole,
        await this.#connection.run("reserve", this.#keysOf(command.id), reserveArgs(whole, { attempt, prefix: this.#keys.prefix })),
      );
    } catch (error) {
      // The call is told that it may not go ahead, so what it may hold is returned, whenever Redis can be told.
      if (isDoubtful(error)) this.#owe(`undo ${attempt}`, () => this.#release(command.id, UNDONE, attempt));
      throw error;
    }
  }

  async extend({ id, leaseMs, more }: Parameters<Store["extend"]>[0]): Promise<ExtendResult> {
    await this.ready();
    if (more) return raiseResult(await this.#connection.run("raise", this.#keysOf(id), raiseArgs(id, leaseMs, more, this.#keys.prefix)));
    const { outcome, rest } = await this.#connection.run("extend", this.#keysOf(id), [id, String(leaseMs)]);
    return outcome === "extended" ? { outcome, expiresAt: Number(rest[0]) } : { outcome: "unknown" };
  }

  settle(command: Parameters<Store["settle"]>[0]): Promise<SettleResult> {
    return this.#written(`settle ${command.id}`, () => this.#settle(command));
  }

  release({ id, why }: Parameters<Store["release"]>[0]): Promise<ReleaseResult> {
    return this.#written(`release ${id}`, () => this.#release(id, why, ""));
  }

  /** Also writes what could not be written before, and restores what the archive has and Redis has lost. */
  async expire(): Promise<ExpireResult> {
    await this.ready();
    if (this.#connection.isRegressed) await this.#restoration?.run();
    await this.#payOwed();
    for (const expired: string[] = []; ; ) {
      const args = [String(EXPIRE_MOST), this.#keys.prefix];
      const { rest } = await this.#connection.run("expire", [], args);
      expired.push(...rest);
      if (rest.length < EXPIRE_MOST) {
        this.#connection.calm();
        return { expired };
      }
    }
  }

  async record(entry: Recordable): Promise<RecordResult> {
    await this.ready();
    const { kind, reservation, postings } = entry;
    const detail = "detail" in entry ? JSON.stringify(entry.detail) : "";
    const keys = [...this.#keysOf(reservation), `${this.#keys.command}${this.#connection.nextCommand()}`];
    const isReset = entry.kind === "adjusted" && entry.reset !== undefined;
    const grant = "grant" in entry ? grantText(entry.grant) : ["", ""];
    const adopted = entry.kind === "adjusted" ? entry.adopted : undefined;
    const follows = adopted === undefined ? "" : String(adopted.follows ?? "any");
    const outputCap = entry.kind === "adjusted" && entry.outputCap !== undefined ? String(entry.outputCap) : "";
    const args = [kind, reservation, postingsText(postings), detail, bodyText(entry), isReset ? "1" : "", ...grant, follows, outputCap];
    const { outcome } = await this.#connection.run("record", keys, args);
    return { outcome: outcome === "ignored" ? "ignored" : "recorded" };
  }

  async lease(command: Parameters<LeasingStore["lease"]>[0]): Promise<LeaseResult> {
    await this.ready();
    return leaseResult(command, await this.#connection.run("lease", [], leaseArgs(command, this.#keys.prefix)));
  }

  async counters({ budget }: CounterFilter = {}): Promise<readonly Readonly<Counter>[]> {
    await this.ready();
    const found = new Map<string, Counter>();
    const allotted = readAllotted(await this.#connection.send("hgetall", this.#keys.allotted));
    for await (const { counters } of this.#counterPages()) {
      for (const counter of counters) {
        const { key, budget: name } = counter.ref;
        const amount = allotted.get(key);
        if (budget === undefined || name === budget) found.set(key, amount === undefined ? counter : { ...counter, allotted: amount });
      }
    }
    return [...found.values()];
  }

  async standings(limits: readonly BoundLimit[]): Promise<readonly Standing[]> {
    await this.ready();
    const { rest, now } = await this.#connection.run("standings", [], [limitsText(limits), this.#keys.prefix]);
    return standings(pictured(limits, rest), limits, now);
  }

  async entries(query: LedgerQuery): Promise<readonly Entry[]> {
    await this.ready();
    if (!this.#archive) return this.#stream.entries(query);
    for (;;) {
      const before = await this.#stream.first();
      const found = await this.#entriesAround(query, { archive: this.#archive, before });
      // What left Redis meanwhile was looked for in the archive only up to where Redis began then.
      if ((await this.#stream.first()) === before) return found;
    }
  }

  /** The entries that stand in Redis itself, without the archive: for whoever moves them there. */
  readonly journal: Pick<Store, "entries"> = {
    entries: async (query) => {
      await this.ready();
      return this.#stream.entries(query);
    },
  };

  async time(): Promise<number> {
    await this.ready();
    return (await this.#connection.run("standings", [], [limitsText([]), this.#keys.prefix])).now;
  }

  /**
   * Takes entries before `keepFrom` off the stream: to be called when they are in the archive. Balances stay. Returns how many there were.
   */
  async trim(keepFrom: number): Promise<number> {
    await this.ready();
    return this.#stream.trim(keepFrom);
  }

  /** Puts back what the archive has and Redis has lost, if something is: to be called before the archive goes on with another history. */
  async restore(): Promise<void> {
    await this.ready();
    await this.#restoration?.run();
  }

  /**
   * Goes on with what a Redis has left that lost acknowledged entries, because whoever owns the budgets says so. What was lost stays
   * uncounted. Returns what was lost, or nothing where nothing was.
   */
  async acceptLoss(): Promise<Loss | undefined> {
    await this.ready();
    const { outcome, rest } = await this.#connection.run("accept", this.#keysOf(LOSS), [LOSS]);
    return outcome === "accepted" ? { left: Number(rest[0]), seen: Number(rest[1]) } : undefined;
  }

  /**
   * Runs work that no other gateway may do at the same time, such as putting changed limits in force. The others wait; if this process dies,
   * for half a minute.
   */
  async alone<Result>(work: () => Promise<Result>): Promise<Result> {
    await this.ready();
    const { lock } = this.#keys;
    const holder = this.#connection.nextCommand();
    while ((await this.#connection.send("set", lock, holder, "NX", "PX", String(LOCK_MS))) === null) await sleep(LOCK_TRY_MS);
    const keep = (milliseconds: number) => this.#connection.send("eval", LOCK, "1", lock, holder, String(milliseconds));
    const renewing = setInterval(() => {
      keep(LOCK_MS).catch((error) => this.#onNotice(messageOf(error)));
    }, LOCK_MS / 3);
    try {
      return await work();
    } finally {
      clearInterval(renewing);
      await keep(0);
    }
  }

  /** Compares every balance with the sum of its entries in the ledger. Always empty, or there is a fault to report. */
  async audit(): Promise<readonly Mismatch[]> {
    await this.ready();
    const balances = new Map<string, Counter & { readonly asOf: number }>();
    let last = 0;
    for await (const { counters, seq } of this.#counterPages()) {
      for (const counter of counters) balances.set(counter.ref.key, { ...counter, asOf: seq });
      last = seq;
    }
    const sums = new Map<string, { spent: number; held: number; readonly ref: CounterRef }>();
    for await (const { seq, postings } of this.#entriesUpTo(last)) {
      for (const { counter: ref, spent, held } of postings) {
        if (seq > (balances.get(ref.key)?.asOf ?? last)) continue;
        const sum = sums.get(ref.key) ?? { spent: 0, held: 0, ref };
        sum.spent += spent;
        sum.held += held;
        sums.set(ref.key, sum);
      }
    }
    return [...new Set([...balances.keys(), ...sums.keys()])].flatMap((key) => {
      const sum = sums.get(key);
      // The balance of a window that closed long ago is forgotten, so there is nothing to compare.
      if (sum?.ref.resetsAt !== undefined && !balances.has(key)) return [];
      const { spent = 0, held = 0 } = balances.get(key) ?? {};
      const ledger = { spent: sum?.spent ?? 0, held: sum?.held ?? 0 };
      return ledger.spent === spent && ledger.held === held ? [] : [{ key, balance: { spent, held }, ledger }];
    });
  }

  /** Why nothing can be written at the moment; nothing when all is well. */
  failure(): PurserError | undefined {
    return this.#connection.failure;
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    await this.#connection.idle();
    try {
      await this.#payOwed();
      await this.#connection.send("hdel", this.#keys.meta, this.#connection.ownField);
    } catch (error) {
      // Their holds are charged at the estimate when the lease runs out.
      if (this.#owed.size > 0) this.#onNotice(`${this.#owed.size} settlements could not be written: ${messageOf(error)}`);
    } finally {
      this.#onClosed();
    }
  }

  async #settle({ id, amounts, charge }: Parameters<Store["settle"]>[0]): Promise<SettleResult> {
    const invalid = problemOf(() => checkAmounts(amounts));
    const args = [id, JSON.stringify(charge), invalid ? "" : "1", UNITS.map((unit) => `${unit}=${amounts[unit]};`).join("")];
    const { outcome } = await this.#connection.run("settle", this.#keysOf(id), args);
    if (outcome === "invalid") throw invalid;
    return { outcome: outcome as SettleResult["outcome"] };
  }

  async #release(id: string, why: string, attempt: string): Promise<ReleaseResult> {
    const args = [id, JSON.stringify(why), attempt, JSON.stringify(NOTHING_USED.charge)];
    const { outcome } = await this.#connection.run("release", this.#keysOf(id), args);
    return { outcome: outcome as ReleaseResult["outcome"] };
  }

  /** What was used was used: where Redis cannot be told now, it is told later. */
  async #written<Result>(name: string, write: () => Promise<Result>): Promise<Result> {
    if (this.#closed) throw closed();
    try {
      await this.ready();
      const result = await write();
      this.#owed.delete(name);
      return result;
    } catch (error) {
      if (isUnavailable(error)) this.#owe(name, write);
      throw error;
    }
  }

  #owe(name: string, write: () => Promise<unknown>): void {
    if (this.#owed.size < OWED_MOST) this.#owed.set(name, write);
  }

  async #payOwed(): Promise<void> {
    const owed = [...this.#owed];
    for (let first = 0; first < owed.length; first += AT_ONCE) {
      await Promise.all(owed.slice(first, first + AT_ONCE).map(([name, write]) => this.#pay(name, write)));
    }
  }

  async #pay(name: string, write: () => Promise<unknown>): Promise<void> {
    try {
      await write();
    } catch (error) {
      if (isUnavailable(error)) throw error;
      this.#onNotice(`What a call used cannot be written: ${messageOf(error)}`);
    }
    this.#owed.delete(name);
  }

  /** What stands on one page stood so at the same time. */
  async *#counterPages() {
    for (const kind of ["counters", "series"] as const) {
      let cursor = "0";
      do {
        const page = await this.#counterPage(kind, cursor);
        yield page;
        cursor = page.cursor;
      } while (cursor !== "0");
    }
  }

  async #entriesAround(query: LedgerQuery, { archive, before }: { readonly archive: LedgerSource; readonly before: number }) {
    const { most = LEDGER_PAGE, after = 0 } = query;
    if (query.newest) {
      const newer = await this.#stream.entries(query);
      const rest = most - newer.length;
      return rest > 0 ? [...(await archive.entries({ ...query, before, most: rest })), ...newer] : newer;
    }
    const older = after + 1 < before ? await archive.entries({ ...query, before }) : [];
    const rest = most - older.length;
    return rest > 0 ? [...older, ...(await this.#stream.entries({ ...query, most: rest }))] : older;
  }

  async *#entriesUpTo(last: number): AsyncGenerator<Entry> {
    for (let after = 0; after < last; ) {
      const page = await this.entries({ after });
      for (const entry of page) if (entry.seq <= last) yield entry;
      after = page.at(-1)?.seq ?? last;
    }
  }

  async #counterPage(kind: "counters" | "series", from: string) {
    const { rest, seq } = await this.#connection.run("counters", [], [kind, from, String(COUNTERS_PAGE)]);
    const [cursor = "0", ...pairs] = rest;
    const counters: Counter[] = [];
    for (let i = 0; i < pairs.length; i += 2) {
      const [key = "", value = ""] = pairs.slice(i, i + 2);
      if (kind === "series") counters.push(...readSlices(key, value));
      else counters.push(readCounter(key, value));
    }
    return { cursor, counters, seq };
  }

  #keysOf(id: string): readonly string[] {
    return [`${this.#keys.reservation}${id}`, `${this.#keys.hold}${id}`];
  }
}

function problemOf(check: () => void): unknown {
  try {
    check();
    return undefined;
  } catch (error) {
    return error;
  }
}

/** Between braces, so that it decides the slot. */
function checkNamespace(namespace: string): string {
  if (/^[A-Za-z0-9._-]{1,64}$/.test(namespace)) return namespace;
  throw new PurserError(
    "config_invalid",
    `"${namespace}" cannot be a namespace in Redis. Use letters, digits, dots and dashes, at most 64.`,
  );
}
