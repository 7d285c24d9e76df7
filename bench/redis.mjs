// What Redis can do, as rows of JSON: `node bench/redis.mjs`. About 40 seconds; ratios hold within one run only.
import { createRedisStore } from "@purser/core/stores/redis";
import { startTestRedis } from "@purser/core/testing";
import { Redis } from "ioredis";

const SLICE_MS = Number(process.env.PURSER_BENCH_SLICE_MS ?? 1_000);
const ROUNDS = 3;
const CLIENTS = 64;
const USERS = 1_000;
const NOTHING = { base: 0, perOutputToken: 0, scale: 1 };
const STARTS_AT = Date.UTC(2026, 0, 1);
const RESETS_AT = Date.UTC(2200, 0, 1);
const UNITS = ["nanodollars", "tokens", "requests", "output_tokens"];

/** The first limits are the company's, which all calls share; the last one is the user's. */
function limitsOf(count, user) {
  return Array.from({ length: count }, (_, i) => {
    const isOwn = i === count - 1 && count > 1;
    return limit(`budget ${Math.floor(i / UNITS.length)}`, isOwn ? `user=${user}` : "", UNITS[i % UNITS.length]);
  });
}

function limit(budget, subject, unit) {
  const key = `${budget}|${unit}/year@UTC|${subject}|${STARTS_AT}`;
  const counter = { key, budget, subject, unit, window: "year@UTC", startsAt: STARTS_AT, resetsAt: RESETS_AT };
  return { counter, amount: Math.floor(Number.MAX_SAFE_INTEGER / 2), enforced: true };
}

const SUBJECT = { team: "platform", feature: "chat", user: "user-1", key: "key-1", provider: "openai", model: "gpt-4o-mini" };
const DETAIL = { subject: SUBJECT, inputTokens: 1_000, outputTokens: 500, cost: undefined, counted: false, price: "bench" };
const ASKS = {
  nanodollars: { base: 150_000_000, perOutputToken: 600_000, scale: 1_000 },
  tokens: { base: 1_000, perOutputToken: 1, scale: 1 },
  input_tokens: { ...NOTHING, base: 1_000 },
  output_tokens: { ...NOTHING, perOutputToken: 1 },
  requests: { ...NOTHING, base: 1 },
  concurrent: { ...NOTHING, base: 1 },
};
const AMOUNTS = { nanodollars: 300_123, tokens: 1_100, input_tokens: 900, output_tokens: 200, requests: 1, concurrent: 0 };
const CHARGE = { usage: { inputTokens: 900, outputTokens: 200 }, cost: 300_123, certainty: "confirmed" };

let calls = 0;
const limitsByCount = new Map([1, 4, 8].map((count) => [count, Array.from({ length: USERS }, (_, user) => limitsOf(count, user))]));

/** A call that is decided, and settled. */
async function decide(store, count) {
  const id = `${Date.now().toString(36)}-${++calls}`;
  const limits = limitsByCount.get(count)[calls % USERS];
  await store.reserve({ id, limits, asks: ASKS, output: { least: 16, most: 500 }, leaseMs: 600_000, detail: DETAIL });
  await store.settle({ id, amounts: AMOUNTS, charge: CHARGE });
}

const AMOUNT = 500;
const ROW = JSON.stringify({ ...DETAIL, charge: CHARGE });

/** What is done without scripts: read all counters, look, add to all of them; and add what was used, with a row for the ledger. */
async function naive(redis, count) {
  calls++;
  const keys = limitsByCount.get(count)[calls % USERS].map(({ counter }) => `naive:${counter.key}`);
  const reading = redis.pipeline();
  for (const key of keys) reading.get(key);
  for (const [, value] of await reading.exec()) if (Number(value) + AMOUNT > Number.MAX_SAFE_INTEGER / 2) return;
  const holding = redis.pipeline();
  for (const key of keys) holding.incrby(key, AMOUNT);
  await holding.exec();
  const settling = redis.pipeline();
  for (const key of keys) settling.incrby(key, -100);
  settling.xadd("naive:ledger", "*", "row", ROW);
  await settling.exec();
}

async function measure(work) {
  const times = [];
  const start = performance.now();
  const client = async () => {
    while (performance.now() - start < SLICE_MS) {
      const asked = performance.now();
      await work();
      times.push(performance.now() - asked);
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, client));
  times.sort((a, b) => a - b);
  return { perSecond: (times.length / (performance.now() - start)) * 1_000, p50Ms: times[Math.floor(times.length / 2)] };
}

function median(values) {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
}

function round(value) {
  return value >= 100 ? Math.round(value) : Math.round(value * 100) / 100;
}

for (const [what, settings] of [
  ["no file", []],
  ["appendfsync always", ["--appendonly", "yes", "--appendfsync", "always"]],
]) {
  const server = await startTestRedis("redis-server", settings);
  if (typeof server === "string") {
    console.log(JSON.stringify({ bench: "redis", name: "not run", why: server }));
    continue;
  }
  const redis = new Redis(server.url);
  const store = createRedisStore({ redis, namespace: "bench" });
  try {
    await measure(() => decide(store, 8));
    for (const count of [1, 4, 8]) {
      const rounds = [];
      for (let i = 0; i < ROUNDS; i++)
        rounds.push({ scripts: await measure(() => decide(store, count)), naive: await measure(() => naive(redis, count)) });
      console.log(
        JSON.stringify({
          bench: "redis",
          name: `${count} limit${count > 1 ? "s" : ""}, ${CLIENTS} clients, ${what}`,
          callsPerSecond: round(median(rounds.map(({ scripts }) => scripts.perSecond))),
          p50Ms: round(median(rounds.map(({ scripts }) => scripts.p50Ms))),
          naiveCallsPerSecond: round(median(rounds.map((one) => one.naive.perSecond))),
          ratio: round(median(rounds.map((one) => one.scripts.perSecond / one.naive.perSecond))),
        }),
      );
    }
    const [memory, entries] = [await redis.info("memory"), Number(await redis.hget("{bench}:meta", "seq"))];
    const used = Number(await redis.memory("USAGE", "{bench}:ledger", "SAMPLES", "0"));
    const peak = /used_memory_human:(\S+)/.exec(memory)?.[1];
    console.log(JSON.stringify({ bench: "redis", name: `ledger, ${what}`, entries, bytesPerEntry: round(used / entries), memory: peak }));
  } finally {
    await store.close();
    redis.disconnect();
    await server.close();
  }
}
