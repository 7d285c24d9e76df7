import assert from "node:assert/strict";
import { after, describe, type TestContext, test } from "node:test";
import { type Balance, defineBudget } from "@purser/core";
import { startTestRedis, startTestRedisCluster } from "@purser/core/testing";
import { startReceiver } from "../conformance/receivers.ts";
import { eventually } from "../conformance/stand.ts";
import { openRedis } from "../redis-client.ts";
import { type Claim, type Delivery, type Taken, WAITING_MOST } from "./alert-book.ts";
import { Alerts } from "./alerts.ts";
import type { Notice } from "./notice.ts";
import { RedisBook } from "./redis-book.ts";
import { overNotice } from "./thresholds.ts";

/** So far ahead that Redis, which forgets by its own clock, forgets nothing. */
const NOW = Date.UTC(2126, 10, 20, 12);
const SECOND = 1_000;
const MINUTE = 60_000;

const server = await startTestRedis();
after(() => (typeof server === "string" ? undefined : server.close()));
let namespaces = 0;

interface Scene {
  now: number;
  /** The book as another gateway has it. */
  open(): RedisBook;
  send(command: string, ...args: string[]): Promise<unknown>;
}

async function startScene(context: TestContext): Promise<Scene> {
  const urls = [typeof server === "string" ? "" : server.url];
  const namespace = `test-${++namespaces}`;
  const client = await openRedis(urls);
  context.after(() => client.disconnect());
  const scene: Scene = {
    now: NOW,
    open() {
      const book = new RedisBook({ connect: () => openRedis(urls), namespace, now: () => scene.now });
      context.after(() => book.close());
      return book;
    },
    send: (command, key = "", ...args) => client.call(command, `{${namespace}}:alerts:${key}`, ...args),
  };
  return scene;
}

function notice(id: string): Notice {
  return {
    id,
    kind: "budget.threshold",
    about: "a",
    at: NOW,
    severity: "info",
    title: id,
    text: "",
    facts: [],
    data: {},
    owner: undefined,
  };
}

function claim(id: string, more: Partial<Claim> = {}): Claim {
  return { keys: [id], until: NOW + 60 * MINUTE, channel: "hook", notice: notice(id), ...more };
}

function delivery({ notice: { id, title }, channel, attempts }: Taken, error?: string, isLast = error === undefined): Delivery {
  return { notice: id, channel, title, at: NOW, attempt: attempts + 1, error, isLast };
}

async function takeOne(book: RedisBook): Promise<Taken> {
  const taken = await book.take("hook", 10);
  assert.equal(taken.length, 1);
  return taken[0] as Taken;
}

describe("the book that gateways share", { skip: typeof server === "string" && `not run: ${server}` }, () => {
  test("of many gateways that see the same, one claims it and one delivers it", async (context) => {
    const scene = await startScene(context);
    const books = Array.from({ length: 5 }, () => scene.open());
    const outcomes = await Promise.all(books.map((book) => book.claim(claim("n"))));
    assert.deepEqual(outcomes.toSorted(), ["claimed", "known", "known", "known", "known"]);
    const taken = (await Promise.all(books.map((book) => book.take("hook", 10)))).flat();
    assert.deepEqual(
      taken.map(({ notice: { id } }) => id),
      ["n"],
    );
  });

  test("a lower threshold is told no more when a higher one that speaks for it is claimed", async (context) => {
    const book = (await startScene(context)).open();
    assert.equal(await book.claim(claim("n", { keys: ["80", "95"] })), "claimed");
    assert.equal(await book.claim(claim("m", { keys: ["80"] })), "known");
    assert.equal(await book.claim(claim("o", { keys: ["80", "95", "100"] })), "claimed");
  });

  test("what a gateway has taken is taken by another when its lease ends, and by nobody before", async (context) => {
    const scene = await startScene(context);
    const [doomed, other] = [scene.open(), scene.open()];
    await doomed.claim(claim("n"));
    await takeOne(doomed);
    scene.now += MINUTE - 1;
    assert.deepEqual(await other.take("hook", 10), []);
    scene.now += 1;
    const taken = await takeOne(other);
    assert.equal(taken.attempts, 0, "nobody knows of a try");
    await other.tried(taken, delivery(taken), 0);
    scene.now += 60 * MINUTE;
    assert.deepEqual(await doomed.take("hook", 10), []);
    assert.equal(await other.waiting("hook"), 0);
  });

  test("a slow gateway whose lease ended puts nothing back that another has, and what it delivered is gone", async (context) => {
    const scene = await startScene(context);
    const [slow, other] = [scene.open(), scene.open()];
    await slow.claim(claim("n"));
    const old = await takeOne(slow);
    scene.now += MINUTE;
    await takeOne(other);
    await slow.tried(old, delivery(old, "it answered 503"), 5 * SECOND);
    await slow.tried(old, delivery(old, "it answered 410", true), 0);
    scene.now += 5 * SECOND;
    assert.deepEqual(await slow.take("hook", 10), [], "the lease of the other goes on");
    assert.equal(await slow.waiting("hook"), 1);
    await slow.tried(old, delivery(old), 0);
    assert.equal(await other.waiting("hook"), 0);
  });

  test("what failed waits for its pause, counts its tries, and every gateway lists them", async (context) => {
    const scene = await startScene(context);
    const [one, two] = [scene.open(), scene.open()];
    await one.claim(claim("n"));
    const first = await takeOne(one);
    await one.tried(first, delivery(first, "it answered 503"), 5 * SECOND);
    scene.now += 5 * SECOND - 1;
    assert.deepEqual(await two.take("hook", 10), []);
    scene.now += 1;
    const second = await takeOne(two);
    assert.equal(second.attempts, 1);
    await two.tried(second, delivery(second), 0);
    for (const book of [one, two])
      assert.deepEqual(
        (await book.deliveries()).map(({ attempt, error }) => [attempt, error]),
        [
          [1, "it answered 503"],
          [2, undefined],
        ],
      );
  });

  test("where too many wait nothing is claimed, so that it can be told later", async (context) => {
    const scene = await startScene(context);
    const book = scene.open();
    const members = Array.from({ length: WAITING_MOST }, (_, i) => ["0", `gone-${i}`]).flat();
    await scene.send("zadd", "line:hook", ...members);
    assert.equal(await book.claim(claim("n")), "full");
    assert.deepEqual(await book.take("hook", 1), [], "what is forgotten leaves the line");
    assert.equal(await book.claim(claim("n")), "claimed");
  });

  test("another gateway ends an incident, once; its end is delivered after its beginning", async (context) => {
    const scene = await startScene(context);
    const [one, two] = [scene.open(), scene.open()];
    const incident = { notice: notice("n"), channel: "hook", from: 9_500, until: NOW + 60 * MINUTE };
    await one.claim(claim("n", { incident }));
    await one.claim(claim("m", { incident: { ...incident, notice: notice("m"), from: 8_000 } }));
    await two.look();
    assert.equal(two.incidents.size, 0, "a balance that was read before must not end it");
    scene.now += 3 * SECOND;
    await two.look();
    assert.deepEqual(
      [...two.incidents.values()].map(({ from }) => from),
      [9_500],
      "a lower threshold that comes late does not replace it",
    );
    const over = overNotice(incident.notice, scene.now);
    await one.look();
    assert.deepEqual(await Promise.all([one.end(incident, over), two.end(incident, over)]).then((ended) => ended.toSorted()), [
      false,
      true,
    ]);
    const taken = await two.take("hook", 10);
    assert.deepEqual(taken.map(({ notice: { id } }) => id).toSorted(), ["m", "n"]);
    for (const one of taken) await two.tried(one, delivery(one), 0);
    scene.now += SECOND;
    assert.equal((await takeOne(one)).notice.id, "n_over");
    await one.look();
    assert.equal(one.incidents.size, 0);
  });

  test("what a gateway that died may not have written down is looked at by one other, and again until that has been done", async (context) => {
    const scene = await startScene(context);
    const [doomed, one, two] = [scene.open(), scene.open(), scene.open()];
    for (const book of [doomed, one, two]) assert.equal(await book.look(), undefined);
    for (let i = 0; i < 11; i++) {
      scene.now += SECOND;
      for (const book of [one, two]) {
        const unseen = await book.look();
        assert.deepEqual(unseen, i === 10 && book === one ? { since: NOW - 30 * SECOND } : undefined);
      }
    }
    // It dies as well, before it has looked.
    for (let i = 0; i < 11; i++) {
      scene.now += SECOND;
      const unseen = await two.look();
      assert.deepEqual(unseen, i === 10 ? { since: NOW - 30 * SECOND } : undefined);
    }
    const unseen = await two.look();
    assert.ok(unseen);
    await two.seen(unseen);
    await two.look();
    await two.close();
    assert.equal(await scene.send("hlen", "gateways"), 0, "one that ends in peace leaves nothing to look at");
  });
});

test("a cluster keeps the book in one slot, so that each verb is one step there too", async (context) => {
  const cluster = await startTestRedisCluster();
  if (typeof cluster === "string") return context.skip(`not run: ${cluster}`);
  context.after(() => cluster.close());
  const urls = cluster.nodes.map(({ url }) => url);
  const book = new RedisBook({ connect: () => openRedis(urls, { commandTimeout: 5_000 }), namespace: "acme" });
  context.after(() => book.close());
  const incident = { notice: notice("n"), channel: "hook", from: 9_500, until: NOW + 60 * MINUTE };
  assert.equal(await book.look(), undefined);
  assert.equal(await book.claim(claim("n", { keys: ["80", "95"], incident })), "claimed");
  const taken = await takeOne(book);
  await book.tried(taken, delivery(taken), 0);
  assert.equal(await book.end(incident, overNotice(incident.notice, NOW)), true);
  assert.equal(await book.waiting("hook"), 1);
  assert.equal((await book.deliveries()).length, 1);
});

test("while Redis is away nobody waits, and what was observed is told when it is back", async (context) => {
  const own = await startTestRedis();
  if (typeof own === "string") return context.skip(`not run: ${own}`);
  context.after(() => own.close());
  const receiver = await startReceiver(context);
  const errors: string[] = [];
  const alerts = new Alerts({
    book: new RedisBook({ connect: () => openRedis([own.url], { commandTimeout: 5_000 }), namespace: "acme" }),
    channels: [{ name: "hook", kind: "webhook", url: receiver.url, secret: undefined }],
    budgets: [defineBudget({ name: "a", limits: ["$100 / month"], ladder: { "80%": "tell" } })],
    onError: (error) => errors.push((error as Error).message),
  });
  context.after(() => alerts.close());
  await alerts.tick();
  await own.kill();
  const balance: Balance = {
    budget: "a",
    subject: "",
    unit: "nanodollars",
    window: "lifetime",
    limit: 100,
    spent: 80,
    held: 0,
    left: 20,
  } as Balance;
  alerts.observe([balance]);
  await eventually("the failure to be known", () => errors.length > 0 || undefined);
  assert.match(errors[0] ?? "", /^Who is told what cannot be written to Redis: .*It is tried again\.$/);
  await assert.rejects(alerts.tick(), /tried again/);
  assert.equal(receiver.posted.length, 0);
  await own.restart();
  await eventually("the notice", async () => {
    await alerts.tick().catch(() => undefined);
    return receiver.posted.length > 0 || undefined;
  });
  alerts.observe([balance]);
  await alerts.tick();
  assert.equal(receiver.posted.length, 1);
});
