import assert from "node:assert/strict";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { type Budget, type BudgetInput, defineBudget, type Subject } from "@purser/core";
import type { RoutedCall } from "../rungs/climb.ts";
import { conversationName } from "./handover.ts";
import { HandoverBook } from "./handover-book.ts";
import { Handovers } from "./handovers.ts";
import { OpenHandovers } from "./open-handovers.ts";

const RUNG = { kind: "handover", channel: undefined, keepMs: undefined, text: "Later." } as const;

function budgetPer(...per: readonly string[]): Budget {
  return defineBudget({ name: "chat", per, limits: ["$1 / day"] } as BudgetInput);
}

function callOf(subject: Subject): RoutedCall {
  // Nothing else of a call says whose it is, and no text of it is kept here.
  return { subject, caller: { key: undefined, subject } } as RoutedCall;
}

async function opened(context: TestContext, directory?: string) {
  const folder = directory ?? (await mkdtemp(join(tmpdir(), "purser-handovers-")));
  if (directory === undefined) context.after(() => rm(folder, { recursive: true, force: true }));
  const told: string[] = [];
  const errors: unknown[] = [];
  const budgets = [budgetPer("user")];
  const open = new OpenHandovers();
  const book = await HandoverBook.open({
    directory: folder,
    budgets,
    open,
    alerts: { tell: ({ kind }) => void told.push(kind) },
    log: { write: async () => 0 },
    adminToken: "secret",
    baseUrl: () => "http://purser.invalid",
    onError: (error) => errors.push(error),
  });
  return { book, open, handovers: new Handovers({ book, open, budgets }), told, errors, directory: folder };
}

test("a conversation is known by who is one, never by what is many", () => {
  const named = (per: readonly string[], subject: Subject) => conversationName(budgetPer(...per), callOf(subject)) !== undefined;
  const everybody: Subject = { org: "o", team: "t", product: "p", feature: "f", tier: "x", provider: "p", model: "m", endpoint: "e" };
  for (const path of Object.keys(everybody)) assert.equal(named([path], everybody), false, path);
  assert.equal(named([], everybody), false);
  assert.equal(named(["team"], { ...everybody, user: "ann" }), true);
  assert.equal(named([], { session: "s" }), true);
  assert.equal(named(["task"], { task: "1" }), true);
  assert.equal(named(["task"], { team: "t" }), false);
  assert.equal(named(["tag.ticket"], { tags: { ticket: "7" } }), true);
  assert.equal(named([], { tags: { ticket: "7" } }), false, "a tag is a name only where the operator says so");
});

const ANN = callOf({ user: "ann" });
const EVERYTHING = { hasReturned: true, most: 100 };

async function begunBy(handovers: Handovers) {
  return handovers.begin({ call: ANN, budget: budgetPer("user"), rung: RUNG, why: "Used up." });
}

test("calls that come at once begin one handover, and people are told of it once", async (context) => {
  const { book, handovers, told } = await opened(context);
  const all = await Promise.all([begunBy(handovers), begunBy(handovers), begunBy(handovers)]);
  assert.equal(new Set(all.map(({ handover }) => handover)).size, 1);
  const { handovers: listed, total } = await book.list(EVERYTHING);
  assert.deepEqual([total, listed[0]?.calls, told], [1, 3, ["handover.opened"]]);
});

test("answers on their way to one call no other gets, and what did not arrive the next one gets", async (context) => {
  const { book, handovers, open } = await opened(context);
  const { handover: id } = await begunBy(handovers);
  const next = async () => handovers.goOn(handovers.of(ANN) ?? assert.fail("it is open"), ANN);
  await book.answer(id, "Kim", "Use the pump.");
  const first = (await next()) ?? assert.fail();
  assert.equal(first.text, "Use the pump.");
  const [second, third] = [next(), next()];
  await book.ended(first, false);
  const again = (await second) ?? assert.fail();
  assert.equal(again.text, "Use the pump.", "its client left before it came");
  await book.ended(again, true);
  assert.equal((await third)?.text, "Later.", "it was given");
  assert.deepEqual([open.size, (await book.collect(id, undefined))?.turn.answers], [1, []]);
});

test("whoever dies with answers in hand keeps them for some seconds only", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const { book, handovers } = await opened(context);
  const { handover: id } = await begunBy(handovers);
  await book.answer(id, "Kim", "Use the pump.");
  const lost = (await handovers.goOn(handovers.of(ANN) ?? assert.fail(), ANN)) ?? assert.fail();
  const waiting = handovers.goOn(handovers.of(ANN) ?? assert.fail(), ANN);
  context.mock.timers.tick(5_000);
  const got = (await waiting) ?? assert.fail();
  assert.equal(got.text, "Use the pump.");
  await book.ended(lost, false);
  const later = handovers.goOn(handovers.of(ANN) ?? assert.fail(), ANN);
  await book.ended(got, true);
  assert.equal((await later)?.text, "Later.", "what the first one says of it late does not let go of what another has");
});

test("a process that is told has the same conversations, also one that starts later", async (context) => {
  const directory = await mkdtemp(join(tmpdir(), "purser-handovers-"));
  context.after(() => rm(directory, { recursive: true, force: true }));
  const { book, handovers, open } = await opened(context, directory);
  const mirror = new OpenHandovers();
  const tell = () => {
    for (const event of open.all()) mirror.hear(event);
  };
  const { handover: id } = await begunBy(handovers);
  tell();
  const elsewhere = new Handovers({ book, open: mirror, budgets: [budgetPer("user")] });
  assert.deepEqual(elsewhere.of(ANN), handovers.of(ANN));
  assert.equal(elsewhere.of(callOf({ user: "bob" })), undefined);
  await book.giveBack(id, "Kim");
  assert.equal(handovers.of(ANN), undefined);
  assert.equal(await elsewhere.goOn(elsewhere.of(ANN) ?? assert.fail(), ANN), undefined, "who was not told yet asks, and goes on as usual");
  const again = await elsewhere.begin({ call: ANN, budget: budgetPer("user"), rung: RUNG, why: "Used up." });
  assert.notEqual(again.handover, id);
  await book.answer(again.handover, "Kim", "Bye.");
  await book.giveBack(again.handover, "Kim");
  assert.equal(handovers.of(ANN)?.isReturned, true, "what was answered waits for its call");
  const restarted = await opened(context, directory);
  assert.deepEqual(restarted.open.all(), open.all());
});

test("only what changes about who has a conversation is told", () => {
  const told: unknown[] = [];
  const open = new OpenHandovers((event) => told.push(event));
  const one = { id: "1", name: "ann", budget: "chat", rung: "hand over (chat)", isKept: false, isReturned: false };
  open.put(one);
  open.put({ ...one });
  open.remove({ id: "2", name: "ann" });
  assert.deepEqual([told, open.hasOf("chat"), open.size], [[{ name: "ann", open: one }], true, 1]);
  open.put({ ...one, isReturned: true });
  open.put({ ...one, id: "3" });
  open.remove({ id: "3", name: "ann" });
  assert.deepEqual([told.length, open.hasOf("chat"), open.size], [4, false, 0]);
});

test("what a crash left half is removed, and what cannot be read is told and passed over", async (context) => {
  const { handovers, directory } = await opened(context);
  const { handover: id } = await begunBy(handovers);
  const folder = join(directory, "handovers");
  await writeFile(join(folder, "handover_1.conversation"), "[]");
  await writeFile(join(folder, `${id}.handover.1a2b`), "{");
  await writeFile(join(folder, "handover_2.handover"), '{"id":"handover_2"}');
  const again = await opened(context, directory);
  assert.deepEqual(
    (await again.book.list(EVERYTHING)).handovers.map((one) => one.id),
    [id],
  );
  assert.match(String(again.errors[0]), /handover_2\.handover is not one that Purser wrote/);
  assert.deepEqual((await readdir(folder)).sort(), [`${id}.handover`, "handover_2.handover"].sort());
  again.book.start();
  assert.deepEqual(again.told, ["handover.opened"], "whoever died before it was told: channels hear of the same thing once");
});

test("what cannot be written down is not so", async (context) => {
  const { book, handovers, directory, told } = await opened(context);
  await writeFile(join(directory, "handovers"), "a file in the place of the folder");
  await assert.rejects(begunBy(handovers));
  assert.deepEqual([handovers.of(ANN), (await book.list(EVERYTHING)).handovers, told], [undefined, [], []]);
});
