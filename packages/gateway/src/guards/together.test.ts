import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { type Charge, defineBudget, type PurserError } from "@purser/core";
import { startTestRedis } from "@purser/core/testing";
import { urlsOf } from "../conformance/several-gateways.ts";
import { eventually } from "../conformance/stand.ts";
import { openRedis } from "../redis-client.ts";
import { type CountBatch, type CountBook, OwnCounts } from "./count-book.ts";
import type { Guard } from "./guard.ts";
import { Guards } from "./guards.ts";
import { RedisTripBook } from "./redis-trip-book.ts";
import type { GuardEvent, TripBook } from "./trip-book.ts";

const MINUTE_MS = 60_000;
const NOW = Date.UTC(2026, 10, 27, 12);
const NONE: Guard = {
  repeats: undefined,
  sameTool: undefined,
  growth: undefined,
  surge: undefined,
  rungs: [{ kind: "block" }],
  lastsMs: 5 * MINUTE_MS,
};
const BUDGET = defineBudget({ name: "agents", per: "session", limits: ["$100 / day"] });
const QUIET = { tell: () => undefined };

/** Several processes that count together in the memory of one, at a time that the test sets. */
class Fleet {
  now = NOW;
  isCut = false;
  readonly batches: CountBatch[] = [];
  readonly errors: unknown[] = [];
  /** What was told to others, in its order. */
  readonly log: string[] = [];
  readonly guards: readonly Guards[];
  readonly #own = new OwnCounts(() => this.now);

  constructor(guard: Partial<Guard>, count: number) {
    const told: GuardEvent[] = [];
    const counts: CountBook = { count: (batch) => this.count(batch) };
    const open = (): TripBook => {
      let read = 0;
      const look = async () => {
        const events = told.slice(read).map((event) => structuredClone(event));
        read = told.length;
        return events;
      };
      const tell = (event: GuardEvent) => {
        this.log.push(event.kind);
        told.push(structuredClone(event));
      };
      return { tell, look, counts, close: () => undefined };
    };
    const onError = (error: unknown) => void this.errors.push(error);
    const make = () => new Guards([{ budget: BUDGET, guard: { ...NONE, ...guard } }], QUIET, { book: open(), onError });
    this.guards = Array.from({ length: count }, make);
  }

  async count(batch: CountBatch) {
    if (this.isCut) throw new Error("cut");
    this.batches.push(structuredClone(batch));
    if (batch.items.some(({ counted }) => counted.ended.length > 0)) this.log.push("counted anew");
    return structuredClone(await this.#own.count(structuredClone(batch)));
  }

  /** Makes a call at one of the processes. Returns which guard refused it. */
  call(process: number, text: string, session = "s", length = 0) {
    return callTo(this.guards[process] as Guards, text, session, this.now, length);
  }

  spend(process: number, cost: number, session = "s"): void {
    const charge: Charge = { usage: { inputTokens: 1, outputTokens: 1 }, cost, certainty: "confirmed" };
    this.guards[process]?.spent({ session }, charge, this.now);
  }

  /** All tell what they counted. */
  async told(): Promise<void> {
    for (const one of this.guards) await one.countTogether();
  }

  /** All hear what others tripped on. */
  async heard(): Promise<void> {
    for (const one of this.guards) await one.takeOver(this.now);
  }

  standing() {
    return this.guards.map((one) => one.standing(this.now).map(({ id, trip }) => `${id} ${trip.trigger}`));
  }
}

/** Of two processes one has nearly all calls, for as long as it takes to know what is usual. */
async function usualMinutes(fleet: Fleet): Promise<void> {
  for (let minute = 0; minute < 40; minute++) {
    fleet.spend(0, 1_000);
    fleet.spend(1, 10);
    await fleet.told();
    fleet.now += MINUTE_MS;
  }
}

function callTo(guards: Guards, text: string, session: string, now: number, length = 0): string | undefined {
  const bytes = Buffer.from(text.padEnd(length));
  const call = { subject: { session }, dialect: {}, call: { body: { bytes, members: new Map() } } };
  return guards.look(call as unknown as Parameters<Guards["look"]>[0], now)[0]?.trip.trigger;
}

/** The same dice for the same seed. */
function dice(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
    return state / 2 ** 31;
  };
}

describe("processes that count together", () => {
  test("stop a call that repeats at all of them, at most one call at each after the one that was too many", async () => {
    const fleet = new Fleet({ repeats: 10 }, 3);
    const passed: number[] = [];
    for (let i = 1; i <= 20; i++) {
      if (fleet.call(i % 3, "loop") === undefined) passed.push(i);
      await fleet.told();
      fleet.now += 100;
    }
    assert.ok(passed.length >= 9 && passed.length <= 12, `${passed}`);
    assert.deepEqual(
      passed,
      passed.map((_, i) => i + 1),
      "those that are refused are the last",
    );
    await fleet.heard();
    const [first = [], ...others] = fleet.standing();
    assert.equal(first.length, 1, "one trip, whoever found it");
    for (const other of others) assert.deepEqual(other, first);
  });

  test("never stop what stays under the limit, wherever its calls go and whenever they are told, and never count a call twice", async () => {
    for (let seed = 1; seed <= 200; seed++) {
      const roll = dice(seed);
      const fleet = new Fleet({ repeats: 10 }, 3);
      for (let i = 0; i < 9; i++) {
        fleet.isCut = roll() < 0.2;
        assert.equal(fleet.call(Math.floor(roll() * 3), "loop"), undefined, `seed ${seed}, call ${i}`);
        if (roll() < 0.6) await fleet.guards[Math.floor(roll() * 3)]?.countTogether().catch(() => undefined);
        fleet.now += Math.floor(roll() * MINUTE_MS);
      }
      fleet.isCut = false;
      await fleet.told();
      assert.deepEqual(fleet.standing(), [[], [], []], `seed ${seed}`);
      fleet.call(0, "loop");
      await fleet.told();
      await fleet.heard();
      const isWithin = fleet.now - NOW < 10 * MINUTE_MS;
      assert.deepEqual(
        fleet.standing().map((one) => one.length),
        isWithin ? [1, 1, 1] : [0, 0, 0],
        `seed ${seed}: the tenth is one too many`,
      );
    }
  });

  test("stop a call that always comes to one of them as exactly as if it were alone, and tell it once", async () => {
    const fleet = new Fleet({ repeats: 5 }, 2);
    for (let i = 1; i <= 8; i++) {
      assert.equal(fleet.call(0, "loop"), i < 5 ? undefined : "repeats");
      await fleet.told();
      await fleet.heard();
    }
    assert.deepEqual(fleet.log, ["tripped"]);
  });

  test("count what was told twice once, whether it had arrived or not", async () => {
    await checkToldTwice(new OwnCounts(() => NOW), NOW);
  });

  test("guard each by itself on top of what was known while they cannot tell each other, and together again afterwards", async () => {
    const fleet = new Fleet({ repeats: 6 }, 2);
    for (const process of [0, 1]) fleet.call(process, "loop");
    await fleet.told();
    fleet.call(0, "loop");
    await fleet.told();
    fleet.isCut = true;
    for (let i = 0; i < 2; i++) {
      assert.equal(fleet.call(0, "loop"), undefined);
      await assert.rejects(fleet.guards[0]?.countTogether() ?? assert.fail(), /cut/);
    }
    assert.equal(fleet.call(0, "loop"), "repeats", "three of all were known, and three more are its own");
    assert.equal(fleet.call(1, "loop"), undefined);
    fleet.isCut = false;
    await fleet.told();
    await fleet.heard();
    assert.deepEqual(
      fleet.standing().map((one) => one.length),
      [1, 1],
    );
    assert.equal(fleet.call(1, "loop"), "repeats");
  });

  test("let go together, after which it has to come as often again at all of them", async () => {
    const fleet = new Fleet({ repeats: 4 }, 2);
    for (let i = 0; i < 5; i++) {
      fleet.call(i % 2, "loop");
      await fleet.told();
      await fleet.heard();
    }
    const [[standing = assert.fail()] = []] = fleet.standing();
    for (let i = 0; i < 5; i++) assert.equal(fleet.call(1, "loop"), "repeats");
    fleet.now += 1_000;
    assert.ok(await fleet.guards[0]?.end(standing.split(" ")[0] as string, fleet.now));
    assert.deepEqual(fleet.log, ["tripped", "counted anew", "let go"], "or it would come back");
    await fleet.told();
    await fleet.heard();
    for (let i = 0; i < 3; i++) {
      assert.equal(fleet.call(i % 2, "loop"), undefined);
      await fleet.told();
      await fleet.heard();
    }
    assert.deepEqual(fleet.standing(), [[], []]);
    fleet.call(1, "loop");
    await fleet.told();
    assert.equal(fleet.standing().flat().length > 0, true);
  });

  test("see a context that grows over all of them, with two calls more", async () => {
    const fleet = new Fleet({ growth: 5 }, 3);
    let passed = 0;
    for (; passed < 20 && fleet.call(passed % 3, "", "s", 100 * (passed + 1)) === undefined; passed++) {
      await fleet.told();
      await fleet.heard();
      fleet.now += 300;
    }
    assert.equal(passed, 7);
  });

  test("take no calls for a row that grows of which the smaller ones came to another process", async () => {
    const fleet = new Fleet({ growth: 4 }, 2);
    for (let i = 0; i < 40; i++) {
      assert.equal(fleet.call(i % 2, "", "s", i % 2 === 0 ? 1_000 + 100 * i : 100), undefined);
      await fleet.told();
      await fleet.heard();
      fleet.now += 300;
    }
  });

  test("take no calls for a row whose order they cannot know", async () => {
    for (let seed = 1; seed <= 100; seed++) {
      const roll = dice(seed);
      const fleet = new Fleet({ growth: 4 }, 2);
      for (let i = 0; i < 60; i++) {
        // Each second call carries less than the one before. Told the other way round, all of them would grow.
        fleet.call(0, "", "s", 1_000 + 200 * i);
        fleet.now += 1 + Math.floor(roll() * 20);
        fleet.call(1, "", "s", 950 + 200 * i);
        fleet.now += Math.floor(roll() * 20);
        for (const process of roll() < 0.8 ? [1, 0] : [0, 1]) {
          await fleet.guards[process]?.countTogether();
          fleet.now += Math.floor(roll() * 100);
        }
        fleet.now += 300;
      }
      assert.deepEqual(fleet.standing(), [[], []], `seed ${seed}`);
    }
  });

  test("take no calls for a row that are told when the connection is back, before others told what came between", async () => {
    const fleet = new Fleet({ growth: 4 }, 2);
    fleet.isCut = true;
    for (let i = 0; i < 10; i++) {
      fleet.call(i % 2, "", "s", i % 2 === 0 ? 1_000 + 200 * i : 500);
      fleet.now += 100;
    }
    fleet.isCut = false;
    for (let i = 0; i < 3; i++) {
      await fleet.guards[0]?.countTogether();
      fleet.now += 300;
      assert.equal(fleet.call(0, "", "s", 5_000 + i), undefined);
    }
  });

  test("take a minute for dear only where it is for all of them: not where calls moved from one to another", async () => {
    const fleet = new Fleet({ surge: 10 }, 2);
    await usualMinutes(fleet);
    fleet.spend(1, 1_000);
    await fleet.told();
    assert.deepEqual(fleet.standing(), [[], []]);
    fleet.now += MINUTE_MS;
    for (let i = 0; i < 2; i++) fleet.spend(i, 6_000);
    await fleet.told();
    await fleet.heard();
    assert.deepEqual(
      fleet.standing().map((one) => one.map((text) => text.split(" ")[1])),
      [["surge"], ["surge"]],
    );
  });

  test("know what a minute cost also where one of them tells it after the minute", async () => {
    const fleet = new Fleet({ surge: 10 }, 2);
    for (let minute = 0; minute < 40; minute++) {
      const now = NOW + minute * MINUTE_MS;
      fleet.now = now + 59_900;
      for (const process of [0, 1]) fleet.spend(process, minute === 39 ? 1_000 : 100);
      await fleet.guards[0]?.countTogether();
      fleet.now = now + MINUTE_MS + 10;
      fleet.spend(0, 1);
      await fleet.guards[0]?.countTogether();
      await fleet.guards[1]?.countTogether();
    }
    fleet.spend(0, 15_000);
    await fleet.told();
    assert.deepEqual(fleet.standing().flat(), [], "the minute before cost 2,000");
  });

  test("do not count what was told more than ten minutes after it came, nor longer than ten minutes together", async () => {
    const fleet = new Fleet({ repeats: 4 }, 2);
    for (let i = 0; i < 3; i++) fleet.call(0, "loop");
    fleet.now += 8 * MINUTE_MS;
    for (let i = 0; i < 2; i++) {
      assert.equal(fleet.call(1, "loop"), undefined);
      await fleet.guards[1]?.countTogether();
      fleet.now += 2 * MINUTE_MS + 1;
    }
    await fleet.told();
    assert.deepEqual(fleet.standing(), [[], []]);
  });

  test("do not count calls for one loop that came further apart than ten minutes, whenever they are told", async () => {
    const fleet = new Fleet({ repeats: 4 }, 2);
    for (let i = 0; i < 2; i++) fleet.call(0, "loop");
    fleet.now += 6 * MINUTE_MS;
    fleet.call(1, "loop");
    await fleet.guards[1]?.countTogether();
    fleet.now += 3 * MINUTE_MS;
    await fleet.guards[0]?.countTogether();
    fleet.now += 3 * MINUTE_MS;
    fleet.call(1, "loop");
    await fleet.told();
    assert.deepEqual(fleet.standing(), [[], []]);
  });

  test("count their own calls that came while they told others on top of what they learn", async () => {
    const fleet = new Fleet({ repeats: 6 }, 2);
    for (let i = 0; i < 3; i++) fleet.call(1, "loop");
    await fleet.guards[1]?.countTogether();
    fleet.call(0, "loop");
    const telling = fleet.guards[0]?.countTogether();
    fleet.call(0, "loop");
    await telling;
    assert.equal(fleet.call(0, "loop"), "repeats", "three, two and this one");
  });

  test("guard against a minute that is dear also while they cannot tell each other, by what was usual for all", async () => {
    const fleet = new Fleet({ surge: 10 }, 2);
    await usualMinutes(fleet);
    fleet.isCut = true;
    fleet.spend(1, 1);
    await assert.rejects(fleet.told(), /cut/);
    fleet.now += MINUTE_MS;
    fleet.spend(1, 1_000);
    assert.deepEqual(fleet.standing().flat(), [], "so much was usual for the other");
    fleet.spend(1, 10_000);
    assert.equal(fleet.standing()[1]?.length, 1);
  });

  test("are not told of calls one by one, nor of subjects that are not theirs, however many there are", async () => {
    const fleet = new Fleet({ repeats: 1_000_000, growth: 1_000, surge: 10 }, 2);
    for (let i = 0; i < 20_000; i++) {
      fleet.call(0, `call ${i % 50}`);
      fleet.spend(0, 1);
    }
    await fleet.told();
    assert.equal(fleet.batches.length, 1);
    assert.ok(JSON.stringify(fleet.batches).length < 3_000, JSON.stringify(fleet.batches));
    for (let i = 0; i < 1_200; i++) fleet.call(1, "loop", `session ${i}`);
    await fleet.told();
    assert.deepEqual(
      fleet.batches.slice(1).map(({ items }) => items.length),
      [500, 500, 200],
    );
    assert.ok(!JSON.stringify(fleet.batches).includes("loop"), "only fingerprints leave a process");
  });
});

async function checkToldTwice(book: CountBook, at: number): Promise<void> {
  const batch = (number: number): CountBatch => {
    const call = { fingerprint: "loop", since: at, times: 2, trip: undefined };
    const counted = { calls: [call], row: undefined, spends: [{ at, amount: 5 }], ended: [] };
    return { by: "a", number, items: [{ budget: "agents", label: "", limits: { ...NONE, repeats: 100 }, counted }] };
  };
  const counts: (number | undefined)[] = [];
  for (const number of [1, 1, 2, 2, 1]) counts.push((await book.count(batch(number)))[0]?.calls[0]?.count);
  assert.deepEqual(counts, [2, 2, 4, 4, 4]);
}

/** Several gateways with guards on one server. */
async function startOnRedis(context: TestContext, guard: Partial<Guard>, clocks: readonly (() => number)[]) {
  const server = await startTestRedis();
  if (typeof server === "string") return server;
  context.after(() => server.close());
  const errors: unknown[] = [];
  const onError = (error: unknown) => void errors.push(error);
  const guards = clocks.map((now) => {
    const book = new RedisTripBook({ namespace: "acme", onError, now, connect: () => openRedis([server.url], { commandTimeout: 1_000 }) });
    const one = new Guards([{ budget: BUDGET, guard: { ...NONE, ...guard } }], QUIET, { book, onError });
    context.after(() => one.close());
    return one;
  });
  return { server, guards, errors };
}

test("over Redis calls of several gateways at the same moment are all counted, each once, and it keeps what was usual", async (context) => {
  const started = await startOnRedis(context, { repeats: 1_000, surge: 10 }, Array(4).fill(Date.now));
  if (typeof started === "string") return context.skip(`not run: ${started}`);
  const { server, guards, errors } = started;
  const now = Date.now();
  const one = async (gateway: Guards, calls: number) => {
    for (let i = 0; i < calls; i++) {
      assert.equal(callTo(gateway, "loop", "s", now), undefined);
      await gateway.countTogether();
    }
  };
  await Promise.all(guards.map((gateway, i) => one(gateway, i === 0 ? 249 : 250)));
  assert.deepEqual(
    guards.flatMap((gateway) => gateway.standing(now)),
    [],
  );
  const [first = assert.fail()] = guards;
  callTo(first, "loop", "s", now);
  await first.countTogether();
  assert.equal(first.standing(now).length, 1, "the thousandth is one too many");
  assert.deepEqual(errors, []);
  const redis = await openRedis([server.url]);
  const keys = (await redis.call("keys", "*")) as string[];
  assert.ok(
    keys.every((key) => key.startsWith("{acme}:guards")),
    `${keys}`,
  );
  for (const key of keys) assert.ok(Number(await redis.call("pttl", key)) > 0, `${key} is forgotten some day`);
  redis.disconnect();
});

for (const kind of ["one server", "a cluster"] as const)
  test(`over Redis, ${kind}, what was told twice is counted once`, async (context) => {
    const urls = await urlsOf(context, kind);
    if (typeof urls === "string") return context.skip(`not run: ${urls}`);
    const book = new RedisTripBook({ namespace: "acme", onError: (error) => assert.fail(String(error)), connect: () => openRedis(urls) });
    context.after(() => book.close());
    await checkToldTwice(book.counts, Date.now());
  });

test("clocks of gateways that differ count nothing too often, and forget nothing", async (context) => {
  let behind = 20 * MINUTE_MS;
  const [early, late] = [() => Date.now() - behind, () => Date.now() + 20 * MINUTE_MS];
  const started = await startOnRedis(context, { repeats: 6, lastsMs: 60 * MINUTE_MS }, [early, late]);
  if (typeof started === "string") return context.skip(`not run: ${started}`);
  const [a, b] = started.guards as [Guards, Guards];
  const tripped = () => [...a.standing(early()), ...b.standing(late())].map(({ trip }) => trip.trigger);
  for (let i = 0; i < 5; i++) {
    const [gateway, now] = i % 2 === 0 ? ([a, early] as const) : ([b, late] as const);
    callTo(gateway, "loop", "s", now());
    await gateway.countTogether();
  }
  assert.deepEqual(tripped(), []);
  behind -= 11 * MINUTE_MS;
  assert.equal(callTo(a, "loop", "s", early()), undefined, "by its own clock, those five came more than ten minutes ago");
  behind += 11 * MINUTE_MS;
  callTo(b, "loop", "s", late());
  await b.countTogether();
  assert.deepEqual(tripped(), ["repeats"]);
});

test("what was being told when the connection was cut is counted once, and no call waits or fails meanwhile", async (context) => {
  const started = await startOnRedis(context, { repeats: 60 }, [Date.now, Date.now]);
  if (typeof started === "string") return context.skip(`not run: ${started}`);
  const { server, guards, errors } = started;
  const [a, b] = guards as [Guards, Guards];
  const now = Date.now();
  for (let i = 0; i < 25; i++) {
    callTo(a, "loop", "s", now);
    const telling = a.countTogether().catch(() => undefined);
    if (i % 8 === 7) {
      await server.kill();
      assert.equal(callTo(b, "loop", "s", now), undefined);
      await server.restart();
    }
    await telling;
  }
  await eventually("both to be told of", () =>
    Promise.all([a.countTogether(), b.countTogether()]).then(
      () => true,
      () => undefined,
    ),
  );
  assert.deepEqual([...a.standing(now), ...b.standing(now)], [], "28 calls");
  for (let made = 28; made < 59; made++) assert.equal(callTo(a, "loop", "s", now), undefined, `${made}`);
  for (let i = 0; i < 60; i++) callTo(a, "loop", "s", now);
  assert.equal(a.standing(now).length, 1);
  assert.deepEqual(
    errors.filter((error) => (error as PurserError).code !== "store_unavailable"),
    [],
  );
});

test("what is no count, or one of another version, is counted anew", async (context) => {
  const started = await startOnRedis(context, { repeats: 3 }, [Date.now, Date.now]);
  if (typeof started === "string") return context.skip(`not run: ${started}`);
  const { server, guards, errors } = started;
  const [a, b] = guards as [Guards, Guards];
  const now = Date.now();
  callTo(a, "loop", "s", now);
  await a.countTogether();
  const redis = await openRedis([server.url]);
  const [key = ""] = (await redis.call("keys", "{acme}:guards:counted:*")) as string[];
  for (const wrong of ["", "{", "null", "[]", '{"watch":{}}', '{"watch":{"calls":[null]},"rowEnd":1,"rowBy":"x"}', "12"]) {
    await redis.call("set", key, wrong);
    callTo(b, `${wrong}?`, "s", now);
    await b.countTogether();
    assert.deepEqual(b.standing(now), []);
  }
  for (let i = 0; i < 3; i++) {
    callTo(b, "other", "s", now);
    await b.countTogether();
  }
  assert.equal(b.standing(now).length, 1);
  assert.deepEqual(errors, []);
  redis.disconnect();
});
