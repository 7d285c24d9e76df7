import assert from "node:assert/strict";
import { appendFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { after, describe, type TestContext, test } from "node:test";
import { type Balance, type Budget, defineBudget } from "@purser/core";
import { startTestRedis, type TestRedis } from "@purser/core/testing";
import { type Receiver, startReceiver } from "../conformance/receivers.ts";
import { eventually } from "../conformance/stand.ts";
import { openRedis } from "../redis-client.ts";
import { Alerts } from "./alerts.ts";
import type { Channel } from "./channel.ts";
import { openFileBook } from "./file-book.ts";
import { RedisBook } from "./redis-book.ts";

/** So far ahead that Redis, which forgets by its own clock, forgets nothing. */
const NOW = Date.UTC(2126, 10, 20, 12);
const RESETS = Date.UTC(2126, 11, 1);
const SECOND = 1_000;
const DAY = 86_400_000;

const BUDGET = defineBudget({ name: "a", limits: ["$100 / month", "1M tokens / minute"], ladder: { "80%": "tell", "95%": "tell" } });

function balance(spent: number, more: Partial<Balance> = {}): Balance {
  const limit = more.limit ?? 100;
  const base = { budget: "a", subject: "", unit: "nanodollars", window: "month", limit, spent, held: 0, timezone: "UTC" } as const;
  return { ...base, left: limit - spent, resetsAt: RESETS, ...more };
}

interface Scene {
  readonly receiver: Receiver;
  readonly directory: string;
  now: number;
  /** Another gateway, or the same after a restart. */
  open(budget?: Budget): Promise<Alerts>;
}

async function startScene(context: TestContext, redis?: TestRedis, kind: "webhook" | "pagerduty" = "webhook"): Promise<Scene> {
  const receiver = await startReceiver(context);
  const directory = mkdtempSync(join(tmpdir(), "purser-alerts-"));
  context.after(() => rmSync(directory, { recursive: true }));
  const { url } = receiver;
  const channel: Channel =
    kind === "webhook" ? { name: "hook", kind, url, secret: undefined } : { name: "duty", kind, url, routingKey: "k" };
  const scene: Scene = {
    receiver,
    directory,
    now: NOW,
    async open(budget = BUDGET) {
      const now = () => scene.now;
      const connect = () => openRedis([redis?.url ?? ""]);
      const book = redis ? new RedisBook({ connect, namespace: basename(directory), now }) : await openFileBook(directory, { now });
      const alerts = new Alerts({ book, channels: [channel], budgets: [budget], now });
      context.after(() => alerts.close());
      return alerts;
    },
  };
  return scene;
}

function posts(scene: Scene, count: number): Promise<true> {
  return eventually(`${count} posts`, () => scene.receiver.posted.length === count || undefined);
}

const server = await startTestRedis();
after(() => (typeof server === "string" ? undefined : server.close()));

for (const [where, redis] of [
  ["a file", undefined],
  ["Redis", server],
] as const) {
  describe(`with the book in ${where}`, { skip: typeof redis === "string" && `not run: ${redis}` }, () => {
    if (typeof redis === "string") return;

    test("what fails is tried again after ever longer pauses, under the same id, until it is delivered", async (context) => {
      const scene = await startScene(context, redis);
      const alerts = await scene.open();
      scene.receiver.status = 503;
      alerts.observe([balance(80)]);
      await posts(scene, 1);
      await alerts.tick();
      for (const [pause, count] of [
        [4 * SECOND, 1],
        [SECOND, 2],
        [29 * SECOND, 2],
        [SECOND, 3],
      ] as const) {
        scene.now += pause;
        await alerts.tick();
        assert.equal(scene.receiver.posted.length, count);
      }
      scene.receiver.status = 200;
      scene.now += 120 * SECOND;
      await alerts.tick();
      scene.now += DAY;
      await alerts.tick();
      assert.equal(scene.receiver.posted.length, 4);
      assert.equal(new Set(scene.receiver.posted.map(({ headers }) => headers["webhook-id"])).size, 1);
      assert.deepEqual(
        (await alerts.deliveries()).map(({ attempt, error, isLast }) => [attempt, error, isLast]),
        [
          [1, "it answered 503", false],
          [2, "it answered 503", false],
          [3, "it answered 503", false],
          [4, undefined, true],
        ],
      );
    });

    test("a channel that says that it is gone is not tried again", async (context) => {
      const scene = await startScene(context, redis);
      const alerts = await scene.open();
      scene.receiver.status = 410;
      alerts.observe([balance(80)]);
      await posts(scene, 1);
      await alerts.tick();
      scene.now += DAY;
      await alerts.tick();
      assert.equal(scene.receiver.posted.length, 1);
    });

    test("a window that begins anew is told of anew; one shorter than a day once a day", async (context) => {
      const scene = await startScene(context, redis);
      const alerts = await scene.open();
      for (let minute = 0; minute < 5; minute++) {
        const resetsAt = NOW + (minute + 1) * 60 * SECOND;
        alerts.observe([balance(85), balance(900_000, { unit: "tokens", window: "minute", limit: 1_000_000, resetsAt })]);
      }
      await posts(scene, 2);
      scene.now += DAY;
      alerts.observe([
        balance(85),
        balance(900_000, { unit: "tokens", window: "minute", limit: 1_000_000, resetsAt: scene.now + 60 * SECOND }),
      ]);
      await posts(scene, 3);
      scene.now = RESETS;
      alerts.observe([balance(81, { resetsAt: Date.UTC(2127, 0, 1) })]);
      await posts(scene, 4);
      await alerts.close();
      assert.equal(scene.receiver.posted.length, 4);
    });

    test("a step that names a limit is told of that one alone", async (context) => {
      const scene = await startScene(context, redis);
      const alerts = await scene.open(
        defineBudget({ name: "a", limits: ["$100 / month", "1M tokens / minute"], ladder: { "80% of $": "tell" } }),
      );
      alerts.observe([balance(900_000, { unit: "tokens", window: "minute", limit: 1_000_000 })]);
      alerts.observe([balance(85)]);
      await posts(scene, 1);
      await alerts.close();
      assert.equal(scene.receiver.posted[0]?.body.data.unit, "nanodollars");
    });

    test("a limit that was raised is told of again when its share of the new amount is spent", async (context) => {
      const scene = await startScene(context, redis);
      const alerts = await scene.open();
      alerts.observe([balance(85)]);
      alerts.observe([balance(85, { limit: 200 })]);
      await posts(scene, 1);
      alerts.observe([balance(165, { limit: 200 })]);
      await posts(scene, 2);
      await alerts.close();
    });

    test("what calls in flight hold, and may return, wakes nobody", async (context) => {
      const scene = await startScene(context, redis);
      const alerts = await scene.open();
      alerts.observe([balance(10, { held: 90, left: 0 })]);
      await alerts.close();
      assert.equal(scene.receiver.posted.length, 0);
    });

    test("an incident gets its higher thresholds, and ends when there is room again or the window is over, over a restart too", async (context) => {
      const scene = await startScene(context, redis, "pagerduty");
      let alerts = await scene.open();
      const actions = () => scene.receiver.posted.map(({ body }) => body.event_action);
      alerts.observe([balance(85)]);
      await posts(scene, 1);
      alerts.observe([balance(96)]);
      await posts(scene, 2);
      alerts.observe([balance(96, { limit: 200 })]);
      await posts(scene, 3);
      assert.deepEqual(actions(), ["trigger", "trigger", "resolve"]);
      alerts.observe([balance(190, { limit: 200 })]);
      await posts(scene, 4);
      await alerts.close();
      alerts = await scene.open();
      scene.now = RESETS;
      await alerts.tick();
      await posts(scene, 5);
      await alerts.close();
      assert.deepEqual(actions().slice(3), ["trigger", "resolve"]);
      assert.equal(new Set(scene.receiver.posted.map(({ body }) => body.dedup_key)).size, 1);
    });

    test("says by when the rest is gone, where it does not last", async (context) => {
      const scene = await startScene(context, redis);
      const alerts = await scene.open();
      // 85 of 100 in 19.5 days: the rest is gone after 3.44 days, before December.
      alerts.observe([balance(85)]);
      await posts(scene, 1);
      assert.equal(scene.receiver.posted[0]?.body.data.gone_at.slice(0, 13), "2126-11-23T22");
      assert.match(
        scene.receiver.posted[0]?.body.data.text,
        /At this pace it is gone 2126-11-23 22:\d\d UTC\. It resets 2126-12-01 00:00 UTC\./,
      );
      await alerts.close();
    });
  });
}

test("an amount is told once in a window, whatever the limit becomes; what is left is told again where more was given", async (context) => {
  const dollars = (amount: number, limit: number) => balance(amount * 1e9, { limit: limit * 1e9 });
  const scene = await startScene(context);
  const alerts = await scene.open(
    defineBudget({ name: "a", limits: ["$100 / month"], ladder: { $60: "tell", "$20 left": "tell", "90%": "tell" } }),
  );
  const told = async (...titles: readonly string[]) => {
    await posts(scene, titles.length);
    assert.deepEqual(
      scene.receiver.posted.map(({ body }) => body.data.title),
      titles,
    );
  };
  alerts.observe([dollars(59.99, 100)]);
  alerts.observe([dollars(60, 100)]);
  await told('Budget "a" has used $60.00');
  const { data } = scene.receiver.posted[0]?.body ?? {};
  assert.deepEqual([data.threshold, data.step, data.severity], [0.6, "$60", "info"]);
  assert.match(data.text, /^\$60\.00 of \$100\.00 this month is used \(60%\)/);
  alerts.observe([dollars(61, 200)]);
  alerts.observe([dollars(79, 100)]);
  alerts.observe([dollars(80, 100)]);
  await told('Budget "a" has used $60.00', 'Budget "a" has $20.00 left');
  alerts.observe([dollars(80, 140)]);
  alerts.observe([dollars(121, 140)]);
  const more = ['Budget "a" has used $60.00', 'Budget "a" has $20.00 left', 'Budget "a" has $19.00 left'];
  await told(...more);
  // Of what is left, nothing is said that is not so: calls that do not fit say nothing about amounts.
  alerts.observe([dollars(96, 100)]);
  await told(...more, 'Budget "a" is 96% used');
  await alerts.close();
});

test("a line that a crash cut off is passed over, and what is over is forgotten", async (context) => {
  const scene = await startScene(context);
  const file = join(scene.directory, "alerts.jsonl");
  let alerts = await scene.open();
  alerts.observe([balance(85)]);
  await posts(scene, 1);
  await alerts.close();
  appendFileSync(file, '{"event":"cla');
  alerts = await scene.open();
  alerts.observe([balance(86)]);
  await alerts.close();
  assert.equal(scene.receiver.posted.length, 1);
  // An hour later: a gateway that was away when a window ended may still have something to claim in it.
  scene.now = RESETS + 60 * 60 * SECOND;
  await (await scene.open()).close();
  assert.doesNotMatch(readFileSync(file, "utf8"), /claimed/);
});
