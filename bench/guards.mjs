/**
 * `node bench/guards.mjs`: what guards cost a call: processor time of a look at it and at what it was charged, alone and counting together with
 * others, whether in the memory of this process or in a Redis (`--redis redis://127.0.0.1:6379`).
 *
 *   --calls N    calls of each row (200,000), in slices of 50 with a turn of the event loop between
 *   --pace MS    waits for as long after each slice, so that calls come as they do to a gateway (0)
 */
import { setImmediate as turn, setTimeout as wait } from "node:timers/promises";
import { parseArgs } from "node:util";
import { defineBudget } from "@purser/core";
import { OwnCounts } from "../packages/gateway/dist/guards/count-book.js";
import { Guards } from "../packages/gateway/dist/guards/guards.js";
import { RedisTripBook } from "../packages/gateway/dist/guards/redis-trip-book.js";
import { openRedis } from "../packages/gateway/dist/redis-client.js";

const { values } = parseArgs({
  options: { calls: { type: "string", default: "200000" }, pace: { type: "string", default: "0" }, redis: { type: "string" } },
});
const CALLS = Number(values.calls);
const PACE_MS = Number(values.pace);
const SLICE = 50;
const SESSIONS = 200;

const budget = defineBudget({ name: "agents", per: "session", limits: ["$100 / day"] });
const guard = { repeats: 1_000_000, sameTool: undefined, growth: 1_000_000, surge: 1_000, rungs: [{ kind: "block" }], lastsMs: 300_000 };
const QUIET = { tell: () => undefined };
const CHARGE = { usage: { inputTokens: 900, outputTokens: 33 }, cost: 1_000_000, certainty: "confirmed" };
/** Four kilobytes of a conversation. */
const BODIES = Array.from({ length: 64 }, (_, i) => Buffer.from(`${i} `.padEnd(4_096 + i)));

/** What is told to others, and how often. */
class CountedBook {
  messages = 0;
  bytes = 0;
  counts;

  constructor(counts) {
    this.counts = { count: (batch) => this.#count(counts, batch) };
  }

  tell() {}

  async look() {
    return [];
  }

  close() {}

  #count(counts, batch) {
    this.messages++;
    this.bytes += JSON.stringify(batch).length;
    return counts.count(batch);
  }
}

async function measure(name, guards, book) {
  await calls(guards, CALLS / 10);
  if (book) Object.assign(book, { messages: 0, bytes: 0 });
  const began = process.cpuUsage();
  await calls(guards, CALLS);
  await guards.countTogether();
  const { user, system } = process.cpuUsage(began);
  const told = book ? `${book.messages} messages, ${(book.bytes / CALLS).toFixed(1)} bytes a call` : "";
  console.log(`${name.padEnd(28)} ${((user + system) / CALLS).toFixed(2)} µs a call  ${told}`);
}

async function calls(guards, count) {
  for (let i = 0; i < count; i++) {
    const subject = { session: `session-${i % SESSIONS}` };
    const bytes = BODIES[i % BODIES.length];
    guards.look({ subject, dialect: {}, call: { body: { bytes, members: new Map() } } }, Date.now());
    guards.spent(subject, CHARGE, Date.now());
    if (i % SLICE === SLICE - 1) await (PACE_MS > 0 ? wait(PACE_MS) : turn());
  }
}

await measure("no guard", new Guards([], QUIET));
await measure("guards, alone", new Guards([{ budget, guard }], QUIET));
const inMemory = new CountedBook(new OwnCounts());
await measure("together, in memory", new Guards([{ budget, guard }], QUIET, { book: inMemory }), inMemory);
if (values.redis) {
  const redis = new RedisTripBook({ namespace: "bench", onError: console.error, connect: () => openRedis([values.redis]) });
  const inRedis = new CountedBook(redis.counts);
  await measure("together, in Redis", new Guards([{ budget, guard }], QUIET, { book: inRedis }), inRedis);
  redis.close();
}
