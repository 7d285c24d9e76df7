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

/** Writes down how the try to tell one notice ended. */
function ended(book: RedisBook, taken: Taken, { error, isLast, pauseMs = 0, isInDoubt = false }: End = {}): Promise<void> {
  return book.tried([{ taken, delivery: delivery(taken, error, isLast), pauseMs, isInDoubt }]);
}

/** Lets the lease of a gateway end that says nothing of what it has taken. */
async function passMissed(scene: Scene, other: RedisBook): Promise<void> {
  for (const wait of [MINUTE - 1, 1, 10 * SECOND - 1]) {
    scene.now += wait;
    assert.deepEqual(await other.take("hook", 10), []);
  }
  scene.now += 1;
}

interface End {
  readonly error?: string;
  readonly isLast?: boolean;
  readonly pauseMs?: number;
  readonly isInDoubt?: boolean;
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

  test("what a gateway has taken is taken by another when its lease ends and it is missed, and by nobody before; it may repeat", async (context) => {
    const scene = await startScene(context);
    const [doomed, other] = [scene.open(), scene.open()];
    await doomed.claim(claim("n"));
    const first = await takeOne(doomed);
    assert.deepEqual([first.attempts, first.doubt], [0, undefined]);
    await passMissed(scene, other);
    const taken = await takeOne(other);
    assert.equal(taken.attempts, 1, "the try that nobody knows the end of");
    assert.ok(taken.doubt);
    await ended(other, taken);
    scene.now += 60 * MINUTE;
    assert.deepEqual(await doomed.take("hook", 10), []);
    assert.equal(await other.waiting("hook"), 0);
  });

  test("a slow gateway whose lease ended puts nothing back that another has, and what it delivered is gone", async (context) => {
    const scene = await startScene(context);
    const [slow, other] = [scene.open(), scene.open()];
    await slow.claim(claim("n"));
    const old = await takeOne(slow);
    await passMissed(scene, other);
    await takeOne(other);
    await ended(slow, old, { error: "it answered 503", pauseMs: 5 * SECOND });
    await ended(slow, old, { error: "it answered 410", isLast: true });
    scene.now += 5 * SECOND;
    assert.deepEqual(await slow.take("hook", 10), [], "the lease of the other goes on");
    assert.equal(await slow.waiting("hook"), 1);
    await ended(slow, old);
    assert.equal(await other.waiting("hook"), 0);
  });

  test("what failed waits for its pause, counts its tries, and every gateway lists them", async (context) => {
    const scene = await startScene(context);
    const [one, two] = [scene.open(), scene.open()];
    await one.claim(claim("n"));
    const first = await takeOne(one);
    await ended(one, first, { error: "it answered 503", pauseMs: 5 * SECOND });
    scene.now += 5 * SECOND - 1;
    assert.deepEqual(await two.take("hook", 10), []);
    scene.now += 1;
    const second = await takeOne(two);
    assert.equal(second.attempts, 1);
    await ended(two, second);
    for (const book of [one, two])
      assert.deepEqual(
        (await book.deliveries()).map(({ attempt, error }) => [attempt, error]),
        [
          [1, "it answered 503"],
          [2, undefined],
        ],
      );
  });

  test("what a gateway told and could not write down while Redis was away is told by no other when Redis is back", async (context) => {
    const scene = await startScene(context);
    const [cut, other] = [scene.open(), scene.open()];
    await cut.claim(claim("n"));
    const taken = await takeOne(cut);
    scene.now += 60 * MINUTE;
    assert.deepEqual(await other.take("hook", 10), []);
    await ended(cut, taken);
    scene.now += MINUTE;
    assert.deepEqual(await other.take("hook", 10), []);
    assert.equal(await other.waiting("hook"), 0);
  });

  test("what may have been told stays in doubt until it is told; what surely was not may not repeat", async (context) => {
    const scene = await startScene(context);
    const [one, two] = [scene.open(), scene.open()];
    await one.claim(claim("n"));
    await ended(one, await takeOne(one), { error: "it answered 503" });
    const second = await takeOne(two);
    assert.equal(second.doubt, undefined);
    await ended(two, second, { error: "it takes too long", isInDoubt: true });
    const third = await takeOne(one);
    assert.ok(third.doubt);
    await ended(one, third, { error: "it answered 503", isInDoubt: true });
    assert.equal((await takeOne(two)).doubt, third.doubt);
  });

  test("what was taken together and may have been told in one message is taken together again, and nothing else with it", async (context) => {
    const scene = await startScene(context);
    const [doomed, other] = [scene.open(), scene.open()];
    for (const id of ["a", "b", "c"]) await doomed.claim(claim(id));
    const together = await doomed.take("hook", 3);
    scene.now += 1;
    await doomed.claim(claim("d"));
    const later = await doomed.take("hook", 3);
    for (const wait of [MINUTE, 10 * SECOND]) {
      scene.now += wait;
      if (wait === MINUTE) await other.claim(claim("e"));
      if (wait === MINUTE)
        assert.deepEqual(
          (await other.take("hook", 10)).map(({ notice: { id } }) => id),
          ["e"],
        );
    }
    const [first, ...rest] = await other.take("hook", 2);
    assert.deepEqual(
      [first, ...rest].map((one) => one?.notice.id).toSorted(),
      together.map(({ notice }) => notice.id),
    );
    assert.equal(new Set([first, ...rest].map((one) => one?.doubt)).size, 1);
    const last = await takeOne(other);
    assert.deepEqual([last.notice.id, last.doubt === first?.doubt], [later[0]?.notice.id, false]);
    await other.tried(
      [first, ...rest].map((taken) => ({ taken: taken as Taken, delivery: delivery(taken as Taken), pauseMs: 0, isInDoubt: false })),
    );
    assert.equal(await other.waiting("hook"), 2, "all of one message are told in one step");
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
    for (const one of taken) await ended(two, one);
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
  await ended(book, taken);
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
