import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { type Charge, defineBudget } from "@purser/core";
import { startTestRedis } from "@purser/core/testing";
import { eventually } from "../conformance/stand.ts";
import { openRedis } from "../redis-client.ts";
import { createWatch, type Guard, sawCall, sawTrip, type Trip, tripsInForce } from "./guard.ts";
import { Guards } from "./guards.ts";
import { RedisTripBook } from "./redis-trip-book.ts";
import { type GuardEvent, readGuardEvent, type TripBook } from "./trip-book.ts";

const MINUTE_MS = 60_000;
const NOW = Date.UTC(2026, 10, 26, 12);
const GUARD: Guard = {
  repeats: 3,
  sameTool: 3,
  growth: 5,
  surge: 10,
  rungs: [{ kind: "block" }],
  lastsMs: 5 * MINUTE_MS,
};
const BUDGET = defineBudget({ name: "agents", per: "user", limits: ["$100 / day"] });
const ANN = { user: "ann" };
const QUIET = { tell: () => undefined };

/** What several processes tell each other, as a stream has it. */
function startBooks(): () => TripBook & { readonly told: readonly GuardEvent[] } {
  const told: GuardEvent[] = [];
  return () => {
    let read = 0;
    return {
      told,
      tell: (event) => void told.push(structuredClone(event)),
      look: async () => {
        const events = told.slice(read).map((event) => structuredClone(event));
        read = told.length;
        return events;
      },
      counts: undefined,
      close: () => undefined,
    };
  };
}

function charge(cost: number): Charge {
  return { usage: { inputTokens: 1, outputTokens: 1 }, cost, certainty: "confirmed" };
}

/** Half an hour of minutes that cost 100, and then one that costs so much. */
function surge(guards: Guards, at: number, cost = 5_000): void {
  for (let i = 31; i > 0; i--) guards.spent(ANN, charge(100), at - i * MINUTE_MS);
  guards.spent(ANN, charge(cost), at);
}

function shown(guards: Guards, now: number) {
  return guards.standing(now).map(({ id, label, trip }) => [id, label, trip.trigger, trip.at]);
}

describe("what a guard of one process trips on", () => {
  test("stands in all of them, under one id, and is let go of in all of them, whoever is asked", async () => {
    const open = startBooks();
    const [a, b, c] = [0, 1, 2].map(() => new Guards([{ budget: BUDGET, guard: GUARD }], QUIET, { book: open() })) as [
      Guards,
      Guards,
      Guards,
    ];
    surge(a, NOW);
    for (const one of [b, c]) await one.takeOver(NOW);
    const [standing = assert.fail()] = shown(a, NOW);
    for (const one of [b, c]) assert.deepEqual(shown(one, NOW), [standing]);
    assert.ok(await b.end(String(standing[0]), NOW + 1_000));
    for (const one of [a, c]) {
      await one.takeOver(NOW + 1_000);
      assert.deepEqual(shown(one, NOW + 1_000), []);
    }
    await b.takeOver(NOW + 1_000);
    assert.deepEqual(shown(b, NOW + 1_000), []);
  });

  test("is the first one where several trip on the same in the same moment, and one release ends it everywhere", async () => {
    const open = startBooks();
    const [a, b] = [0, 1].map(() => new Guards([{ budget: BUDGET, guard: GUARD }], QUIET, { book: open() })) as [Guards, Guards];
    surge(b, NOW + 20);
    surge(a, NOW);
    for (const one of [a, b]) await one.takeOver(NOW + 30);
    assert.deepEqual(shown(b, NOW + 30), shown(a, NOW + 30));
    assert.equal(shown(a, NOW + 30)[0]?.[3], NOW);
    await a.end(String(shown(a, NOW + 30)[0]?.[0]), NOW + 40);
    await b.takeOver(NOW + 50);
    assert.deepEqual(shown(b, NOW + 50), []);
  });

  test("is told once, whatever calls come, and is not let go of by what was let go before", async () => {
    const open = startBooks();
    const book = open();
    const [a, b] = [
      new Guards([{ budget: BUDGET, guard: GUARD }], QUIET, { book }),
      new Guards([{ budget: BUDGET, guard: GUARD }], QUIET, { book: open() }),
    ];
    surge(a, NOW);
    for (let i = 0; i < 5; i++) a.spent(ANN, charge(5_000), NOW + i);
    await b.takeOver(NOW);
    b.spent(ANN, charge(1), NOW + 1);
    assert.equal(book.told.length, 1);
    await a.end(String(shown(a, NOW)[0]?.[0]), NOW + 1_000);
    surge(b, NOW + 40 * MINUTE_MS, 200_000);
    await b.takeOver(NOW + 40 * MINUTE_MS);
    assert.equal(shown(b, NOW + 40 * MINUTE_MS).length, 1);
  });

  test("concerns nobody whose configuration has no such guard, or other balances", async () => {
    const open = startBooks();
    surge(new Guards([{ budget: BUDGET, guard: GUARD }], QUIET, { book: open() }), NOW);
    const others = [defineBudget({ name: "agents", per: "team" }), defineBudget({ name: "other", per: "user" })];
    for (const budget of others) {
      const guards = new Guards([{ budget, guard: GUARD }], QUIET, { book: open() });
      await guards.takeOver(NOW);
      assert.deepEqual(shown(guards, NOW), []);
    }
  });
});

test("a call, or a loop of tools, that another process stopped is stopped here, until that is over", () => {
  const loop = { fingerprint: "loop", sign: "same", tools: ["read"], rounds: 1, times: 3 } as const;
  const until = NOW + 5 * MINUTE_MS;
  const trips: readonly Trip[] = [
    { trigger: "repeats", at: NOW, until, measured: 3, fingerprint: "call" },
    { trigger: "same_tool", at: NOW, until, measured: 3, fingerprint: "loop", loop },
  ];
  const watch = createWatch();
  for (const trip of trips) for (let i = 0; i < 2; i++) sawTrip(watch, { ...trip }, NOW);
  assert.equal(tripsInForce(watch, NOW).length, 2);
  assert.equal(sawCall(watch, GUARD, { fingerprint: "call", size: 1 }, NOW + 1)?.trigger, "repeats");
  assert.equal(sawCall(watch, GUARD, { fingerprint: "other", size: 1, loop }, NOW + 1)?.trigger, "same_tool");
  assert.equal(sawCall(watch, GUARD, { fingerprint: "another", size: 1 }, NOW + 1), undefined);
  assert.equal(sawCall(watch, GUARD, { fingerprint: "call", size: 1 }, until), undefined);
  assert.deepEqual(tripsInForce(watch, until), []);
  for (const trip of trips) sawTrip(watch, trip, until);
  assert.deepEqual(tripsInForce(watch, until), [], "what is over is not taken over");
});

test("of very many calls that others stopped, a few are remembered, as of one's own", () => {
  const watch = createWatch();
  const trip = (i: number): Trip => ({ trigger: "repeats", at: NOW + i, until: NOW + MINUTE_MS, measured: 3, fingerprint: `call-${i}` });
  for (let i = 0; i < 1_000; i++) sawTrip(watch, trip(i), NOW + i);
  assert.ok(watch.calls.length <= 8);
});

test("what another process wrote is taken for an event only where it is one", () => {
  const event = {
    kind: "tripped",
    by: "a",
    at: NOW,
    budget: "agents",
    label: "",
    trip: { trigger: "surge", at: NOW, until: NOW + 1, measured: 12 },
  };
  assert.deepEqual(readGuardEvent(JSON.stringify(event)), event);
  const { trip } = event;
  for (const wrong of [
    null,
    [],
    { ...event, kind: "else" },
    { ...event, budget: 1 },
    { ...event, at: "now" },
    { ...event, by: undefined },
    { ...event, trip: undefined },
    { ...event, trip: { ...trip, trigger: "toString" } },
    { ...event, trip: { ...trip, until: NOW + 1e12 } },
    { ...event, trip: { ...trip, measured: null } },
    { ...event, trip: { ...trip, fingerprint: "x" } },
    { ...event, trip: { ...trip, trigger: "repeats" } },
    { ...event, trip: { ...trip, trigger: "same_tool", fingerprint: "x" } },
    { ...event, trip: { ...trip, trigger: "same_tool", fingerprint: "x", loop: { tools: [1], sign: "same" } } },
  ])
    assert.equal(readGuardEvent(JSON.stringify(wrong)), undefined, JSON.stringify(wrong));
  assert.equal(readGuardEvent("{"), undefined);
});

/** Books of several gateways on one server. */
async function startRedisBooks(context: TestContext) {
  const server = await startTestRedis();
  if (typeof server === "string") return server;
  context.after(() => server.close());
  const errors: unknown[] = [];
  const open = (namespace = "acme") => {
    const book = new RedisTripBook({
      namespace,
      onError: (error) => errors.push(error),
      connect: () => openRedis([server.url], { commandTimeout: 1_000 }),
    });
    context.after(() => book.close());
    return book;
  };
  return { server, open, errors };
}

test("over Redis all of it is told, in order, also to who comes later, and to nobody of another namespace", async (context) => {
  const books = await startRedisBooks(context);
  if (typeof books === "string") return context.skip(`not run: ${books}`);
  const [a, b, other] = [books.open(), books.open(), books.open("other")];
  const event = (i: number): GuardEvent => ({
    kind: i % 2 === 0 ? "tripped" : "let go",
    by: "a",
    at: NOW,
    budget: "agents",
    label: `user=${i}`,
    trip: { trigger: "surge", at: NOW, until: NOW + 1, measured: i },
  });
  for (let i = 0; i < 2_500; i++) a.tell(event(i));
  // Of more than it keeps for a server that is away, the oldest are let go of; here some are told meanwhile.
  const told = await a.look();
  assert.deepEqual(told.at(-1), event(2_499));
  assert.deepEqual(await b.look(), told);
  assert.deepEqual(await b.look(), []);
  b.tell(event(7));
  assert.deepEqual(await a.look().then(async (seen) => [...seen, ...(await a.look())]), [event(7)]);
  assert.deepEqual((await books.open().look()).length, told.length + 1);
  assert.deepEqual(await other.look(), []);
  assert.deepEqual(books.errors, []);
});

test("what is tripped on while Redis is away is told when it is back, and says once that it could not", async (context) => {
  const books = await startRedisBooks(context);
  if (typeof books === "string") return context.skip(`not run: ${books}`);
  const { server, open, errors } = books;
  const [a, b] = [open(), open()];
  const guards = new Guards([{ budget: BUDGET, guard: GUARD }], QUIET, { book: a });
  const other = new Guards([{ budget: BUDGET, guard: GUARD }], QUIET, { book: b });
  const now = Date.now();
  await Promise.all([guards.takeOver(now), other.takeOver(now)]);
  await server.kill();
  surge(guards, now);
  assert.equal(shown(guards, now).length, 1);
  await assert.rejects(guards.takeOver(now), /Guards cannot tell other gateways what they trip on: .* It is tried again\./);
  assert.ok(errors.length >= 1);
  await server.restart();
  await eventually("the other to know it", async () => {
    await Promise.allSettled([guards.takeOver(now), other.takeOver(now)]);
    return shown(other, now).length === 1 || undefined;
  });
  assert.deepEqual(shown(other, now), shown(guards, now));
});
