import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { after, describe, type TestContext, test } from "node:test";
import { type Balance, defineBudget } from "@purser/core";
import { startTestRedis, type TestRedis } from "@purser/core/testing";
import { startReceiver } from "../conformance/receivers.ts";
import { eventually } from "../conformance/stand.ts";
import { Figures } from "../metrics/figures.ts";
import { openRedis } from "../redis-client.ts";
import { Alerts } from "./alerts.ts";
import type { Channel } from "./channel.ts";
import { Failing } from "./failing.ts";
import { openFileBook } from "./file-book.ts";
import type { Notice } from "./notice.ts";
import { Pace } from "./pace.ts";
import { RedisBook } from "./redis-book.ts";
import type { Watch } from "./watch.ts";

/** A Wednesday, so far ahead that Redis, which forgets by its own clock, forgets nothing. */
const NOW = Date.UTC(2126, 10, 20, 12);
const RESETS = Date.UTC(2126, 11, 1);
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const BERLIN = "Europe/Berlin";
const NO_DAYS = { dearBalances: () => [], balanceDays: () => [] };
const BUDGET = defineBudget({ name: "a", limits: ["$100 / month"], timezone: BERLIN, ladder: { "80%": "tell hook", "95%": "tell hook" } });

function balance(spent: number, more: Partial<Balance> = {}): Balance {
  const base = { budget: "a", subject: "", unit: "nanodollars", window: "month", limit: 100, spent, held: 0, timezone: BERLIN } as const;
  return { ...base, left: 100 - spent, resetsAt: RESETS, ...more };
}

interface Scene {
  now: number;
  /** What came to a channel, by its titles. */
  told(channel: string): readonly string[];
  /** The same, whole. */
  bodies(channel: string): readonly { readonly type: string; readonly data: Record<string, unknown> }[];
  /** Lets an hour, or whatever it is, go by, and everybody look. */
  pass(ms: number): Promise<void>;
  /** Another gateway, or the same after a restart. */
  open(): Promise<Alerts>;
  close(alerts: Alerts): Promise<void>;
}

type Hours = Omit<Partial<Channel>, "name" | "kind">;

async function startScene(
  context: TestContext,
  redis: TestRedis | undefined,
  channels: Readonly<Record<string, Hours>>,
  watches: readonly Watch[] = [],
): Promise<Scene> {
  const receiver = await startReceiver(context);
  const directory = mkdtempSync(join(tmpdir(), "purser-answers-"));
  context.after(() => rmSync(directory, { recursive: true }));
  const open = new Set<Alerts>();
  const bodies = (channel: string) => receiver.posted.filter(({ path }) => path === `/${channel}`).map(({ body }) => body);
  const scene: Scene = {
    now: NOW,
    told: (channel) => bodies(channel).map(({ data }) => String(data.title)),
    bodies,
    async pass(ms) {
      // What is being delivered is written down before the time of whoever took it is over.
      if (ms > 0) for (const alerts of open) await alerts.tick();
      scene.now += ms;
      for (const alerts of open) await alerts.tick();
    },
    async open() {
      const now = () => scene.now;
      const connect = () => openRedis([redis?.url ?? ""]);
      const book = redis ? new RedisBook({ connect, namespace: basename(directory), now }) : await openFileBook(directory, { now });
      const all = Object.entries(channels).map(
        ([name, hours]): Channel => ({ name, kind: "webhook", url: `${receiver.url}/${name}`, secret: undefined, ...hours }),
      );
      const linkTo = ({ id }: Pick<Notice, "id">, channel: string) => `https://purser.example.com/${channel}/${id}`;
      const alerts = new Alerts({ book, channels: all, budgets: [BUDGET], watched: [{ budget: BUDGET, watches }], now, linkTo });
      open.add(alerts);
      context.after(() => alerts.close());
      return alerts;
    },
    close(alerts) {
      open.delete(alerts);
      return alerts.close();
    },
  };
  return scene;
}

async function comes(scene: Scene, channel: string, ...titles: readonly RegExp[]): Promise<void> {
  await eventually(`${titles.length} notices to ${channel}`, () => scene.told(channel).length >= titles.length || undefined);
  const told = scene.told(channel);
  assert.equal(told.length, titles.length, `${channel} was told: ${told.join("; ")}`);
  for (const [i, title] of titles.entries()) assert.match(told[i] ?? "", title);
}

const server = await startTestRedis();
after(() => (typeof server === "string" ? undefined : server.close()));

for (const [where, redis] of [
  ["a file", undefined],
  ["Redis", server],
] as const) {
  describe(`with the book in ${where}`, { skip: typeof redis === "string" && `not run: ${redis}` }, () => {
    if (typeof redis === "string") return;
    const CHAIN = {
      hook: { escalate: { to: "oncall", afterMs: 15 * MINUTE } },
      oncall: { escalate: { to: "boss", afterMs: HOUR } },
      boss: {},
    };

    test("what nobody acknowledges is told to the next channel, and then to the one after it, each once", async (context) => {
      const scene = await startScene(context, redis, CHAIN);
      // Two gateways, where two can share a book.
      const gateways = [await scene.open(), ...(redis ? [await scene.open()] : [])];
      for (const alerts of gateways) alerts.observe([balance(80)]);
      await comes(scene, "hook", /is 80% used/);
      await scene.pass(15 * MINUTE - 1);
      assert.deepEqual(scene.told("oncall"), []);
      await scene.pass(1);
      await comes(scene, "oncall", /^Nobody acknowledged: Budget "a" is 80% used/);
      assert.match(String(scene.bodies("oncall")[0]?.data.text), /^hook was told 15 minutes ago\./);
      await scene.pass(HOUR);
      await comes(scene, "boss", /^Nobody acknowledged/);
      await scene.pass(DAY);
      assert.deepEqual([scene.told("hook").length, scene.told("oncall").length, scene.told("boss").length], [1, 1, 1]);
    });

    test("what somebody acknowledges is told to nobody else, over a restart too, and it is known who did", async (context) => {
      const scene = await startScene(context, redis, CHAIN);
      const first = await scene.open();
      first.observe([balance(80)]);
      await comes(scene, "hook", /is 80% used/);
      const [alert] = await first.alerts(10);
      assert.deepEqual([alert?.channels, alert?.until, alert?.answer], [["hook"], RESETS + HOUR, undefined]);
      const id = alert?.notice.id ?? "";
      assert.equal(scene.bodies("hook")[0]?.data.link, `https://purser.example.com/hook/${id}`);
      scene.now += MINUTE;
      await first.acknowledge(id, "kim");
      await scene.close(first);
      const second = await scene.open();
      await scene.pass(2 * HOUR);
      assert.deepEqual([scene.told("oncall"), scene.told("boss")], [[], []]);
      assert.deepEqual((await second.alerts(10))[0]?.answer, { kind: "acknowledged", at: NOW + MINUTE, by: "kim" });
      await assert.rejects(second.acknowledge("alert_none", "kim"), { code: "alert_unknown" });
      second.observe([balance(96)]);
      await comes(scene, "hook", /80%/, /96%/);
    });

    test("what is put off is told of no more until then, its higher thresholds neither; and then again, until it is acknowledged", async (context) => {
      const scene = await startScene(context, redis, CHAIN);
      const alerts = await scene.open();
      alerts.observe([balance(80)]);
      await comes(scene, "hook", /80%/);
      const id = (await alerts.alerts(1))[0]?.notice.id ?? "";
      scene.now += MINUTE;
      await alerts.snooze(id, "kim", scene.now + 2 * HOUR);
      alerts.observe([balance(96)]);
      await scene.pass(2 * HOUR - 1);
      assert.deepEqual([scene.told("hook").length, scene.told("oncall").length], [1, 0], "no escalation of what was put off either");
      await scene.pass(1);
      await eventually("three notices", () => scene.told("hook").length === 3 || undefined);
      const [again, higher] = scene.told("hook").slice(1).sort();
      assert.deepEqual([/^Again: .* 80%/.test(again ?? ""), /^Budget .* 96%/.test(higher ?? "")], [true, true]);
      await alerts.acknowledge(id, "kim");
      const other = (await alerts.alerts(1))[0]?.notice.id ?? "";
      assert.notEqual(other, id);
      await alerts.acknowledge(other, "kim");
      await scene.pass(DAY);
      assert.deepEqual(scene.told("oncall"), []);
    });

    test("at night nothing is told; what came meanwhile comes in one message in the morning of the budget's time zone", async (context) => {
      const scene = await startScene(context, redis, { hook: { quiet: { from: 22 * 60, to: 7 * 60 } } });
      const alerts = await scene.open();
      // 21:30 in Berlin, an hour ahead of UTC in November.
      scene.now = Date.UTC(2126, 10, 20, 20, 30);
      alerts.observe([balance(80)]);
      await comes(scene, "hook", /80%/);
      scene.now = Date.UTC(2126, 10, 20, 21);
      alerts.observe([balance(96)]);
      scene.now += HOUR;
      alerts.tell(
        { ...(await alerts.alerts(1))[0]?.notice, id: "x", about: "x", kind: "guard.tripped", title: "A loop", at: scene.now } as Notice,
        ["hook"],
        RESETS,
      );
      await scene.pass(0);
      scene.now = Date.UTC(2126, 10, 21, 6) - 1;
      await scene.pass(0);
      assert.equal(scene.told("hook").length, 1);
      assert.equal(await alerts.waiting("hook"), 2);
      await scene.pass(1);
      await comes(scene, "hook", /80%/, /^2 notices since 2126-11-20 22:00 Europe\/Berlin$/);
      const { type, data } = scene.bodies("hook")[1] ?? { type: "", data: {} };
      assert.equal(type, "digest");
      assert.match(String(data.text), /22:00 Europe\/Berlin: Budget "a" is 96% used\..*\n2126-11-20 23:00 Europe\/Berlin: A loop\./s);
      assert.deepEqual(
        (data.notices as { type: string }[]).map((one) => one.type),
        ["budget.threshold", "guard.tripped"],
      );
      assert.equal(await alerts.waiting("hook"), 0);
      assert.equal((await alerts.deliveries()).length, 3, "each of them is written down as told");
    });

    test("a digest tells of a day in one message, asks and tests at once, and lets escalations begin then", async (context) => {
      const scene = await startScene(context, redis, { hook: { digest: 9 * 60, escalate: { to: "oncall", afterMs: HOUR } }, oncall: {} });
      const alerts = await scene.open();
      alerts.observe([balance(80)]);
      const asked = {
        id: "ask",
        kind: "budget.asked",
        about: "ask",
        at: NOW,
        severity: "warning",
        title: "More?",
        text: "",
        facts: [],
        data: {},
        owner: undefined,
      } as const;
      alerts.tell(asked, ["hook"], RESETS);
      await alerts.test("hook");
      await eventually("what does not wait", () => scene.told("hook").length === 2 || undefined);
      assert.deepEqual(scene.told("hook").toSorted(), ["A test of Purser", "More?"]);
      // 9:00 in Berlin is 8:00 UTC.
      await scene.pass(20 * HOUR - 1);
      assert.equal(scene.told("hook").length, 2);
      await scene.pass(1);
      await eventually("the digest of a single one", () => scene.told("hook").length === 3 || undefined);
      await scene.pass(HOUR - 1);
      assert.deepEqual(scene.told("oncall"), []);
      await scene.pass(1);
      await comes(scene, "oncall", /^Nobody acknowledged/);
    });

    test("a budget that was used up is told to be open again, once, when it resets or when more is given", async (context) => {
      const scene = await startScene(context, redis, { hook: {} }, [{ kind: "reset", channels: ["hook"] }]);
      const gateways = [await scene.open(), ...(redis ? [await scene.open()] : [])];
      const openings = () => scene.told("hook").filter((title) => /open again/.test(title));
      for (const alerts of gateways) alerts.observe([balance(100)]);
      await comes(scene, "hook", /is 100% used/);
      // What others opened is looked at a moment later.
      await scene.pass(10_000);
      gateways.at(-1)?.observe([balance(100, { limit: 200, left: 100 })]);
      await eventually("that it is open", () => openings().length === 1 || undefined);
      for (const alerts of gateways) alerts.observe([balance(200, { limit: 200, left: 0 })]);
      await scene.pass(RESETS - scene.now);
      await scene.pass(DAY);
      await eventually("that it is open in December", () => openings().length === 2 || undefined);
      await scene.pass(DAY);
      assert.equal(openings().length, 2);
      assert.equal(scene.bodies("hook").at(-1)?.type, "budget.reset");
    });

    test("whatever several gateways see at the same moment is told once by each channel, and once in each of its windows", async (context) => {
      const scene = await startScene(context, redis, { hook: {}, chat: {} });
      // A file has one gateway, which looks as often.
      const first = await scene.open();
      const gateways = redis ? [first, await scene.open(), await scene.open()] : [first, first, first];
      const now = () => scene.now;
      const hour = Math.floor(NOW / HOUR);
      const spent = () =>
        Array.from({ length: 200 }, (_, i) => ({ from: (hour - 199 + i) * HOUR, spent: i === 199 ? 9 : 1 })).filter(
          ({ from }) => from <= now(),
        );
      const watches: Watch[] = [
        { kind: "hourly", amount: 5, unit: "nanodollars", channels: undefined },
        { kind: "anomaly", times: 3, channels: undefined },
        { kind: "forecast", channels: undefined },
      ];
      const eyes = gateways.map((alerts) => {
        const since = (_budget: string, _limit: string, at: number) => spent().filter(({ from }) => from >= at);
        const trial = () => assert.fail("No budget is on trial.");
        const pace = new Pace({
          alerts,
          spent: since,
          balances: async () => [balance(60)],
          days: () => NO_DAYS,
          trial,
          timeZone: () => "UTC",
          now,
        });
        pace.configure([{ budget: BUDGET, watches }]);
        const figures = new Figures();
        const failing = new Failing({ alerts, counted: () => figures.counted(), now });
        failing.configure([{ share: 5_000, channels: undefined }]);
        const fail = () => {
          failing.look();
          for (let i = 0; i < 30; i++)
            figures.answered("req", { id: "req", provider: "openai", outcome: { kind: "refused", status: 500 }, seconds: 1 });
        };
        fail();
        return { pace, failing, fail };
      });
      const look = () =>
        Promise.all(
          eyes.map(async ({ pace, failing }) => {
            failing.look();
            await pace.look();
          }),
        );
      const kinds = (channel: string) =>
        scene
          .bodies(channel)
          .map(({ type }) => type)
          .sort();
      const all = ["budget.anomaly", "budget.forecast", "budget.hourly", "provider.failing"];
      await look();
      await look();
      for (const channel of ["hook", "chat"]) await eventually("four notices", () => kinds(channel).length >= all.length || undefined);
      await scene.pass(0);
      for (const channel of ["hook", "chat"]) assert.deepEqual(kinds(channel), all);
      const alerts = await first.alerts(10);
      assert.deepEqual(
        alerts.map(({ channels }) => channels.toSorted()),
        Array.from({ length: 4 }, () => ["chat", "hook"]),
        "what two channels are told is one alert",
      );
      // Providers go on failing, and a quiet hour has begun.
      scene.now += HOUR;
      for (const { fail } of eyes) fail();
      await look();
      await eventually("that it still fails", () => kinds("hook").length === 5 || undefined);
      await scene.pass(0);
      assert.deepEqual(kinds("hook"), [...all, "provider.failing"]);
    });

    test("a balance of one subject that will not last is told of once in its window", async (context) => {
      const each = defineBudget({ name: "each", per: "user", limits: ["100 requests / month"] });
      const scene = await startScene(context, redis, { hook: {} });
      const alerts = await scene.open();
      const watches = [{ kind: "forecast", channels: undefined }] as const;
      alerts.configure({ channels: alerts.channels, budgets: [each], watched: [{ budget: each, watches }] });
      const of = (user: string, spent: number) =>
        balance(spent, { budget: "each", subject: `user=${user}`, unit: "requests", timezone: "UTC", left: 100 - spent });
      for (let i = 0; i < 3; i++) alerts.observe([of("ann", 80), of("bob", 40), of("cyd", 100)]);
      await comes(scene, "hook", /^Budget "each" \(user=ann\) will be gone by 2126-11-25 \d\d:\d\d UTC at this pace$/);
      assert.equal(scene.bodies("hook")[0]?.type, "budget.forecast");
      const whole = defineBudget({ name: "whole", limits: ["$5 / month"] });
      const bySums: Watch[] = [
        { kind: "forecast", channels: undefined },
        { kind: "anomaly", times: 3, channels: undefined },
      ];
      alerts.configure({ channels: alerts.channels, budgets: [whole], watched: [{ budget: whole, watches: bySums }] });
      assert.equal(alerts.watches({ user: "ann" }), false, "no call waits for a look at balances that sums are looked at for");
    });
  });
}
