import assert from "node:assert/strict";
import { appendFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { openSwitches } from "./switches.ts";

const NOW = Date.UTC(2026, 10, 20, 12);

function folder(context: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), "purser-switches-"));
  context.after(() => rmSync(directory, { recursive: true }));
  return directory;
}

test("a switch with an end ends by itself, to the millisecond", async (context) => {
  let now = NOW;
  const switches = openSwitches(folder(context), { now: () => now });
  await switches.off({ for: { feature: "chatbot" }, by: "ann", why: "bug 123", until: NOW + 1000 });
  now = NOW + 999;
  assert.equal(switches.find({ feature: "chatbot" })?.why, "bug 123");
  now = NOW + 1000;
  assert.equal(switches.find({ feature: "chatbot" }), undefined);
});

test("a switch stops what a budget with the same words would select, and nothing else", async (context) => {
  const switches = openSwitches(folder(context));
  await switches.off({ for: { model: "GPT-4o*", "tag.env": ["prod", "stage"] }, by: "ann", why: "w" });
  assert.ok(switches.find({ model: "gpt-4o-mini", tags: { env: "stage" } }));
  assert.equal(switches.find({ model: "gpt-4o-mini", tags: { env: "dev" } }), undefined);
  assert.equal(switches.find({ model: "gpt-4o-mini" }), undefined);
});

test("a line that a crash cut off takes no other line with it", async (context) => {
  const directory = folder(context);
  const errors: unknown[] = [];
  const before = openSwitches(directory);
  await before.off({ for: { user: "ann" }, by: "kim", why: "w" });
  appendFileSync(join(directory, "switches.jsonl"), '{"event":"off","id":"sw_1","fo');
  const after = openSwitches(directory, { onError: (error) => errors.push(error) });
  assert.ok(after.find({ user: "ann" }));
  await after.off({ for: { user: "bob" }, by: "kim", why: "w" });
  assert.ok(after.find({ user: "bob" }));
  assert.ok(openSwitches(directory).find({ user: "bob" }));
  assert.match(String(errors[0]), /Line 2 of .* is not one that Purser wrote.*take out what cannot be read/);
  assert.equal(errors.length, 1, "though the file was read again");
});

test("processes that switch at the same time lose nothing", async (context) => {
  const directory = folder(context);
  const all = Array.from({ length: 8 }, () => openSwitches(directory));
  await Promise.all(all.map((switches, i) => switches.off({ for: { user: `u${i}` }, by: "kim", why: "w" })));
  for (const switches of all) assert.equal(switches.list().length, 8);
});
