import assert from "node:assert/strict";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { type Budget, type BudgetInput, defineBudget, type Subject } from "@purser/core";
import type { RoutedCall } from "../rungs/climb.ts";
import { conversationName } from "./handover.ts";
import { Handovers } from "./handovers.ts";

const RUNG = { kind: "handover", channel: undefined, keepMs: undefined, text: "Later." } as const;

function budgetPer(...per: readonly string[]): Budget {
  return defineBudget({ name: "chat", per, limits: ["$1 / day"] } as BudgetInput);
}

function callOf(subject: Subject): RoutedCall {
  // Nothing else of a call says whose it is.
  return { subject, caller: { key: undefined, subject } } as RoutedCall;
}

async function opened(context: TestContext, directory?: string) {
  const folder = directory ?? (await mkdtemp(join(tmpdir(), "purser-handovers-")));
  if (directory === undefined) context.after(() => rm(folder, { recursive: true, force: true }));
  const told: string[] = [];
  const errors: unknown[] = [];
  const handovers = await Handovers.open({
    directory: folder,
    budgets: [budgetPer("user")],
    alerts: { tell: ({ kind }) => void told.push(kind) },
    log: { write: async () => 0 },
    adminToken: "secret",
    baseUrl: () => "http://purser.invalid",
    onError: (error) => errors.push(error),
  });
  return { handovers, told, errors, directory: folder };
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

test("calls that come at once begin one handover, and people are told of it once", async (context) => {
  const { handovers, told } = await opened(context);
  const begin = () => handovers.begin({ call: callOf({ user: "ann" }), budget: budgetPer("user"), rung: RUNG, why: "Used up." });
  const all = await Promise.all([begin(), begin(), begin()]);
  assert.equal(new Set(all.map(({ id }) => id)).size, 1);
  assert.deepEqual([handovers.list().length, handovers.list()[0]?.calls, told], [1, 3, ["handover.opened"]]);
});

test("what a crash left half is removed, and what cannot be read is told and passed over", async (context) => {
  const { handovers, directory } = await opened(context);
  const { id } = await handovers.begin({ call: callOf({ user: "ann" }), budget: budgetPer("user"), rung: RUNG, why: "Used up." });
  const folder = join(directory, "handovers");
  await writeFile(join(folder, "handover_1.conversation"), "[]");
  await writeFile(join(folder, `${id}.handover.1a2b`), "{");
  await writeFile(join(folder, "handover_2.handover"), '{"id":"handover_2"}');
  const again = await opened(context, directory);
  assert.deepEqual(
    again.handovers.list().map((one) => one.id),
    [id],
  );
  assert.match(String(again.errors[0]), /handover_2\.handover is not one that Purser wrote/);
  assert.deepEqual((await readdir(folder)).sort(), [`${id}.handover`, "handover_2.handover"].sort());
  again.handovers.start();
  assert.deepEqual(again.told, ["handover.opened"], "whoever died before it was told: channels hear of the same thing once");
});

test("what cannot be written down is not so", async (context) => {
  const { handovers, directory, told } = await opened(context);
  const call = callOf({ user: "ann" });
  await writeFile(join(directory, "handovers"), "a file in the place of the folder");
  await assert.rejects(handovers.begin({ call, budget: budgetPer("user"), rung: RUNG, why: "Used up." }));
  assert.deepEqual([handovers.of(call), handovers.list(), told], [undefined, [], []]);
});
