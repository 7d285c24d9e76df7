import { hash } from "node:crypto";
import { setTimeout as wait } from "node:timers/promises";
import { PurserError } from "@purser/core";
import type { CountBatch, CountBook } from "./count-book.ts";
import type { GuardConnection } from "./guard-connection.ts";
import { addCounted, answerOf, type CountAnswer, type CountItem, createTally, type Tally } from "./tally.ts";
import { isTrip } from "./trip-book.ts";

const HOUR_MS = 3_600_000;
/** What is usual is known for as long after the last call, and everything else. */
const USUAL_KEPT_MS = 8 * 24 * HOUR_MS;
const KEPT_MS = HOUR_MS;
/** Others counted the same in the meantime: then it waits a little, and each time somewhat longer. */
const TRIES_MOST = 20;
const WAIT_MS = 5;

/** Reads all keys at one moment. Returns seconds, microseconds, and the values. */
const READ = `local time = redis.call('time') return { time[1], time[2], redis.call('mget', unpack(KEYS)) }`;

/**
 * Writes all values, or none where one is not what it was. KEYS: the last batch of the process, then what is counted. ARGV: how long the first is
 * kept, its number, and for each other how long it is kept, what it was, and what it is. Returns 1 where it wrote.
 */
const WRITE = `
if tonumber(redis.call('get', KEYS[1]) or '0') >= tonumber(ARGV[2]) then return 0 end
for i = 2, #KEYS do
  if (redis.call('get', KEYS[i]) or '') ~= ARGV[3 * i - 2] then return 0 end
end
redis.call('set', KEYS[1], ARGV[2], 'px', ARGV[1])
for i = 2, #KEYS do redis.call('set', KEYS[i], ARGV[3 * i - 1], 'px', ARGV[3 * i - 3]) end
return 1`;

/** Gateways on one Redis or Valkey count together: each adds to what is there, if it is still what it read. Times are those of the server. */
export class RedisCountBook implements CountBook {
  readonly #connection: GuardConnection;
  readonly #namespace: string;
  readonly #now: () => number;

  constructor(connection: GuardConnection, namespace: string, now: () => number = Date.now) {
    this.#connection = connection;
    this.#namespace = namespace;
    this.#now = now;
  }

  async count(batch: CountBatch): Promise<readonly CountAnswer[]> {
    const { by, number, items } = batch;
    const keys = [`{${this.#namespace}}:guards:told:${by}`, ...items.map((item) => this.#keyOf(item))];
    for (let i = 0; i < TRIES_MOST; i++) {
      if (i > 0) await wait(Math.random() * i * WAIT_MS);
      const askedAt = this.#now();
      const read = await this.#run(READ, keys, []);
      const [seconds, microseconds, [told, ...texts]] = read as [string, string, (string | null)[]];
      const now = Number(seconds) * 1_000 + Math.floor(Number(microseconds) / 1_000);
      // The server's clock was read between the question and its answer.
      const shift = { least: now - this.#now(), most: now - askedAt };
      const tallies = texts.map(readTally);
      if (Number(told ?? 0) >= number) return tallies.map((tally, at) => local(answerOf(tally, countedOf(items, at), now), shift));
      const answers = tallies.map((tally, at) => addCounted(tally, shifted(items[at] as CountItem, shift), by, now));
      const values = tallies.flatMap((tally, at) => [String(keptMs(items[at] as CountItem)), texts[at] ?? "", JSON.stringify(tally)]);
      if ((await this.#run(WRITE, keys, [String(KEPT_MS), String(number), ...values])) === 1)
        return answers.map((answer) => local(answer, shift));
    }
    throw new PurserError(
      "store_unavailable",
      "Guards cannot count together with other gateways: too many count the same. It is tried again.",
    );
  }

  #run(script: string, keys: readonly string[], args: readonly string[]): Promise<unknown> {
    return this.#connection.send("count together with other gateways", "eval", script, String(keys.length), ...keys, ...args);
  }

  #keyOf({ budget, label }: CountItem): string {
    return `{${this.#namespace}}:guards:counted:${hash("sha256", JSON.stringify([budget, label]), "base64url").slice(0, 22)}`;
  }
}

function countedOf(items: readonly CountItem[], at: number): CountItem["counted"] {
  return (items[at] as CountItem).counted;
}

function keptMs({ limits }: CountItem): number {
  return limits.surge === undefined ? KEPT_MS : USUAL_KEPT_MS;
}

interface Shift {
  readonly least: number;
  readonly most: number;
}

/** The same by the clock of the server: no call earlier than it can have been, and none later. */
function shifted({ counted, ...item }: CountItem, { least, most }: Shift): CountItem {
  const { calls, row, spends, ended } = counted;
  return {
    ...item,
    counted: {
      calls: calls.map((call) => ({ ...call, since: call.since + least })),
      row: row && { ...row, firstAt: row.firstAt + least, lastAt: row.lastAt + most },
      spends: spends.map(({ at, amount }) => ({ at: at + most, amount })),
      ended: ended.map(({ trip, at }) => ({ trip, at: at + most })),
    },
  };
}

function local(answer: CountAnswer, { least }: Shift): CountAnswer {
  return { ...answer, calls: answer.calls.map((call) => ({ ...call, since: call.since - least })) };
}

/** Reads what another process wrote, which may be of another version: nothing was counted where it is none. */
function readTally(text: string | null): Tally {
  const empty = createTally();
  let value: Tally | null;
  try {
    value = JSON.parse(text ?? "null") as Tally | null;
  } catch {
    return empty;
  }
  if (!isTally(value)) return empty;
  const { watch, reachedAt } = value;
  // JSON has no infinite size, and nothing that is not there.
  return { ...value, reachedAt: reachedAt ?? undefined, watch: { ...empty.watch, ...watch, size: watch.size ?? empty.watch.size } };
}

function isTally(value: unknown): value is Tally {
  const { watch, rowEnd, rowBy, reachedAt } = (value ?? {}) as Partial<Tally>;
  if (!watch || !isNumber(rowEnd) || typeof rowBy !== "string" || !(reachedAt === undefined || isNumber(reachedAt))) return false;
  const { size, firstSize, grew, minute, spent, spentBefore, usual, calls, trip } = watch;
  const isCounted = [size ?? 0, firstSize, grew, minute, spent, spentBefore, usual?.dearest, usual?.spans].every(isNumber);
  const isCall = (call: Partial<Tally["watch"]["calls"][number]> | null) =>
    typeof call?.fingerprint === "string" && isNumber(call.since) && isNumber(call.count) && (call.trip === undefined || isTrip(call.trip));
  return isCounted && Array.isArray(calls) && calls.every(isCall) && (trip === undefined || isTrip(trip));
}

function isNumber(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value);
}
