import assert from "node:assert/strict";
import { appendFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { type Balance, defineBudget } from "@purser/core";
import { type Receiver, startReceiver } from "../conformance/receivers.ts";
import { eventually } from "../conformance/stand.ts";
import { type Alerts, openAlerts } from "./alerts.ts";
import type { Channel } from "./channel.ts";
import type { Claims } from "./claims.ts";

const NOW = Date.UTC(2026, 10, 20, 12);
const RESETS = Date.UTC(2026, 11, 1);
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
  open(claims?: Claims): Promise<Alerts>;
}

async function startScene(context: TestContext, kind: "webhook" | "pagerduty" = "webhook"): Promise<Scene> {
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
    open: (claims) => openAlerts({ directory, channels: [channel], budgets: [BUDGET], now: () => scene.now, ...(claims && { claims }) }),
  };
  return scene;
}

function posts(scene: Scene, count: number): Promise<true> {
  return eventually(`${count} posts`, () => scene.receiver.posted.length === count || undefined);
}

test("what fails is tried again after ever longer pauses, under the same id, until it is delivered", async (context) => {
  const scene = await startScene(context);
  const alerts = await scene.open();
  scene.receiver.status = 503;
  alerts.observe([balance(80)]);
  await posts(scene, 1);
  await alerts.close();
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
    alerts.deliveries.map(({ attempt, error, isLast }) => [attempt, error, isLast]),
    [
      [1, "it answered 503", false],
      [2, "it answered 503", false],
      [3, "it answered 503", false],
      [4, undefined, true],
    ],
  );
});

test("a channel that says that it is gone is not tried again", async (context) => {
  const scene = await startScene(context);
  const alerts = await scene.open();
  scene.receiver.status = 410;
  alerts.observe([balance(80)]);
  await posts(scene, 1);
  await alerts.close();
  scene.now += DAY;
  await alerts.tick();
  assert.equal(scene.receiver.posted.length, 1);
});

test("a window that begins anew is told of anew; one shorter than a day once a day", async (context) => {
  const scene = await startScene(context);
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
  alerts.observe([balance(81, { resetsAt: Date.UTC(2027, 0, 1) })]);
  await posts(scene, 4);
  await alerts.close();
  assert.equal(scene.receiver.posted.length, 4);
});

test("a limit that was raised is told of again when its share of the new amount is spent", async (context) => {
  const scene = await startScene(context);
  const alerts = await scene.open();
  alerts.observe([balance(85)]);
  alerts.observe([balance(85, { limit: 200 })]);
  await posts(scene, 1);
  alerts.observe([balance(165, { limit: 200 })]);
  await posts(scene, 2);
  await alerts.close();
});

test("what calls in flight hold, and may return, wakes nobody", async (context) => {
  const scene = await startScene(context);
  const alerts = await scene.open();
  alerts.observe([balance(10, { held: 90, left: 0 })]);
  await alerts.close();
  assert.equal(scene.receiver.posted.length, 0);
});

test("an incident gets its higher thresholds, and ends when there is room again or the window is over, over a restart too", async (context) => {
  const scene = await startScene(context, "pagerduty");
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

test("two gateways that share their claims tell once", async (context) => {
  const scene = await startScene(context);
  const shared = new Map<string, number>();
  const claims: Claims = { claim: async (key, until) => !shared.has(key) && shared.set(key, until) && true };
  const other = await startScene(context);
  const [one, two] = [await scene.open(claims), await other.open(claims)];
  one.observe([balance(85)]);
  two.observe([balance(86)]);
  await eventually("a post", () => scene.receiver.posted.length + other.receiver.posted.length > 0 || undefined);
  await Promise.all([one.close(), two.close()]);
  assert.equal(scene.receiver.posted.length + other.receiver.posted.length, 1);
});

test("says by when the rest is gone, where it does not last", async (context) => {
  const scene = await startScene(context);
  const alerts = await scene.open();
  // 85 of 100 in 19.5 days: the rest is gone after 3.44 days, before December.
  alerts.observe([balance(85)]);
  await posts(scene, 1);
  assert.equal(scene.receiver.posted[0]?.body.data.gone_at.slice(0, 13), "2026-11-23T22");
  assert.match(
    scene.receiver.posted[0]?.body.data.text,
    /At this pace it is gone 2026-11-23 22:\d\d UTC\. It resets 2026-12-01 00:00 UTC\./,
  );
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
  scene.now = RESETS;
  await (await scene.open()).close();
  assert.doesNotMatch(readFileSync(file, "utf8"), /claimed/);
});
