import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { Budgets, createMemoryStore, defineBudget, type RateCard, type Store } from "@purser/core";
import { openSqliteStore } from "@purser/core/stores/sqlite";
import { MINUTES_BY, Minutes, type MinutesBy, type MinutesJson } from "./minutes.ts";

const MINUTE_MS = 60_000;
const NOW = Date.UTC(2026, 10, 20, 12, 0, 30);
/** A thousand nano-dollars a token of either kind. */
const CARD: RateCard = {
  provider: "p",
  model: "m",
  source: "test card",
  tiers: [{ aboveInputTokens: 0, rates: { input: 1_000_000, output: 1_000_000 } }],
};

interface Scene {
  readonly clock: { now: number };
  readonly store: Store;
  call(subject: Record<string, string>, inputTokens?: number): Promise<void>;
  minutes(): Minutes;
}

async function startScene(context: TestContext, kind: "told" | "read"): Promise<Scene> {
  const directory = mkdtempSync(join(tmpdir(), "purser-minutes-"));
  context.after(() => rmSync(directory, { recursive: true, force: true }));
  const clock = { now: NOW };
  const now = () => clock.now;
  const store = kind === "told" ? await openSqliteStore({ directory, now }) : createMemoryStore({ now });
  context.after(() => store.close());
  const limits = [defineBudget({ name: "small", for: { user: "eve" }, limits: ["5 tokens / day"] })];
  const budgets = new Budgets({ store, prices: { card: () => CARD }, now, budgets: limits });
  let id = 0;
  return {
    clock,
    store,
    async call(subject, inputTokens = 1_000) {
      const asked = { provider: "p", model: "m", endpoint: "openai-chat", ...subject };
      const decision = await budgets.reserve({ id: `req_${id++}`, subject: asked, input: { most: inputTokens }, output: { most: 10 } });
      if (decision.outcome === "allowed") await budgets.settle(decision.reservation, { inputTokens, outputTokens: 10 });
      // What was denied is written down while its caller has the answer already.
      else await store.entries({ newest: true, most: 1 });
    },
    minutes() {
      const minutes = new Minutes({ ledger: store, now, onError: (error) => assert.fail(String(error)) });
      context.after(() => minutes.close());
      return minutes;
    },
  };
}

/** Until all of the hour was read: each look waits for a moment only. */
async function whole(minutes: Minutes, by: MinutesBy): Promise<MinutesJson> {
  for (;;) {
    const read = await minutes.read(by);
    if (read.is_complete) return read;
  }
}

const texts = ({ data }: MinutesJson) =>
  data.map(({ value, calls, refusals, cost_nanodollars, minutes }) => [
    value,
    calls,
    refusals,
    cost_nanodollars,
    minutes.map(({ from }) => from.slice(11, 16)).join(" "),
  ]);

for (const kind of ["told", "read"] as const)
  test(`the last hour is told by minute and attribute, and what is older is not, from a ledger that is ${kind}`, async (context) => {
    const scene = await startScene(context, kind);
    const minutes = scene.minutes();
    await scene.call({ team: "search", user: "ann" });
    await scene.call({ team: "search", user: "bob" }, 3_000);
    scene.clock.now += MINUTE_MS;
    await scene.call({ team: "search", user: "ann" });
    await scene.call({ user: "eve" });
    const read = await whole(minutes, "user");
    assert.deepEqual(texts(read), [
      ["bob", 1, 0, 3_010_000, "12:00"],
      ["ann", 2, 0, 2_020_000, "12:00 12:01"],
      ["eve", 0, 1, 0, "12:01"],
    ]);
    assert.deepEqual([read.since, read.others], ["2026-11-20T11:02:00.000Z", null]);
    assert.deepEqual(read.data[1]?.minutes[0], {
      from: "2026-11-20T12:00:00.000Z",
      calls: 1,
      refusals: 0,
      input_tokens: 1_000,
      output_tokens: 10,
      cost_nanodollars: 1_010_000,
    });
    assert.deepEqual(texts(await whole(minutes, "team")), [
      ["search", 3, 0, 5_030_000, "12:00 12:01"],
      [null, 0, 1, 0, "12:01"],
    ]);
    scene.clock.now = NOW + 60 * MINUTE_MS;
    await scene.call({ user: "cleo" });
    assert.deepEqual(
      texts(await whole(scene.minutes(), "user")),
      texts(await whole(minutes, "user")),
      "who begins to add up now finds the same",
    );
    assert.deepEqual(
      (await whole(minutes, "user")).data.map(({ value }) => value),
      ["ann", "cleo", "eve"],
    );
    scene.clock.now = NOW + 200 * MINUTE_MS;
    assert.deepEqual((await whole(minutes, "user")).data, [], "an hour without calls");
  });

for (const kind of ["told", "read"] as const)
  test(`what was there before a start, and what comes while that is read, is counted once, from a ledger that is ${kind}`, async (context) => {
    const scene = await startScene(context, kind);
    await Promise.all(Array.from({ length: 1_200 }, (_, i) => scene.call({ user: `user ${i % 7}` })));
    scene.clock.now += MINUTE_MS;
    let meanwhile = 0;
    const { store } = scene;
    const ledger: Pick<Store, "entries" | "follow"> = {
      ...(store.follow && { follow: (follower) => store.follow?.(follower) ?? (() => undefined) }),
      async entries(query) {
        const page = await store.entries(query);
        if (meanwhile < 30) await Promise.all(Array.from({ length: 10 }, () => scene.call({ user: "user 1" }, 10 + meanwhile++)));
        return page;
      },
    };
    const minutes = new Minutes({ ledger, now: () => scene.clock.now, onError: (error) => assert.fail(String(error)) });
    context.after(() => minutes.close());
    await scene.call({ user: "user 0" });
    const looks = await Promise.all(Array.from({ length: 20 }, () => minutes.read("user")));
    assert.ok(looks.length === 20);
    await whole(minutes, "user");
    const { data } = await whole(minutes, "user");
    const calls = Object.fromEntries(data.map(({ value, calls: count }) => [value, count]));
    assert.equal(
      data.reduce((sum, { calls: count }) => sum + count, 0),
      1_200 + 1 + meanwhile,
    );
    assert.deepEqual([meanwhile, calls["user 0"], calls["user 1"]], [30, 172 + 1, 172 + 30]);
  });

test("what was read before it was told is counted once", async (context) => {
  const { store, clock, call } = await startScene(context, "read");
  let tell: (entries: Awaited<ReturnType<Store["entries"]>>) => void = () => undefined;
  const follow: Store["follow"] = (follower) => {
    tell = follower;
    return () => undefined;
  };
  const ledger = { entries: (query: Parameters<Store["entries"]>[0]) => store.entries(query), follow };
  const minutes = new Minutes({ ledger, now: () => clock.now, onError: (error) => assert.fail(String(error)) });
  await call({ user: "ann" });
  await call({ user: "ann" });
  assert.equal((await whole(minutes, "user")).data[0]?.calls, 2);
  await call({ user: "ann" });
  tell(await store.entries({}));
  assert.equal((await minutes.read("user")).data[0]?.calls, 3);
});

test("however many values there are, the dearest are named, the sum is whole, and what is kept is bounded", async (context) => {
  const scene = await startScene(context, "told");
  const minutes = scene.minutes();
  const USERS = 700;
  for (let minute = 0; minute < 2; minute++) {
    const tokens = (i: number) => 100 + (i === 42 ? 5_000 : i % 50);
    await Promise.all(Array.from({ length: USERS }, (_, i) => scene.call({ user: `user ${i}`, team: "search" }, tokens(i))));
    scene.clock.now += MINUTE_MS;
  }
  await scene.call({ user: "user 42" }, 1);
  await Promise.all(Array.from({ length: 9 }, () => scene.call({ user: "often", team: "search" }, 1)));
  const { data, others } = await whole(minutes, "user");
  const [team] = (await whole(minutes, "team")).data;
  assert.deepEqual([data[0]?.value, data[0]?.calls, data.length], ["user 42", 3, 12]);
  assert.equal(
    data.reduce((sum, { cost_nanodollars }) => sum + cost_nanodollars, others?.cost_nanodollars ?? 0),
    (team?.cost_nanodollars ?? 0) + 11_000,
    "the call without a team is the one that is missing there",
  );
  assert.equal(
    data.reduce((sum, { calls }) => sum + calls, others?.calls ?? 0),
    2 * USERS + 1 + 9,
  );
  assert.equal(data.find(({ value }) => value === "often")?.calls, 9, "who calls most is named, however little that costs");
  const LEAST = MINUTES_BY.length;
  assert.ok(minutes.size <= 2 * (24 + LEAST) + 3 * LEAST, `${minutes.size} sums are kept`);
  for (let hour = 0; hour < 3; hour++) {
    scene.clock.now += 61 * MINUTE_MS;
    await scene.call({ user: "late" });
  }
  assert.ok(minutes.size <= LEAST, "what is older than an hour is let go of");
  assert.ok(JSON.stringify(await minutes.read("user")).length < 20_000);
});
