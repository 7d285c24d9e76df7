import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { type QueuedCall, QueueFolder } from "./queue-folder.ts";

const CALL: QueuedCall = {
  id: "queued_1",
  state: "queued",
  at: 1,
  runAt: 2,
  giveUpAt: 3,
  keptUntil: 4,
  key: undefined,
  subject: {},
  url: "/v1/chat/completions",
  headers: [],
  rung: "queue (chatbot 100%)",
  channel: undefined,
};

test("a call that cannot be read keeps no other one from its turn, and stays on disk", async (context) => {
  const directory = mkdtempSync(join(tmpdir(), "purser-queue-"));
  context.after(() => rmSync(directory, { recursive: true }));
  const folder = new QueueFolder(directory);
  for (const id of ["queued_1", "queued_2", "queued_3"]) await folder.add({ ...CALL, id }, Buffer.from("{}"));
  writeFileSync(join(directory, "queue", "queued_2.call"), '{"id":"queued_2","sta');
  writeFileSync(join(directory, "queue", "queued_3.call"), "null");
  const told: unknown[] = [];
  const { calls } = await folder.open((error) => told.push(error));
  assert.deepEqual(
    calls.map(({ id }) => id),
    ["queued_1"],
  );
  assert.match(told.sort().join(), /queued_2\.call is not one that Purser wrote.*delete it.*queued_3\.call/s);
  assert.ok(existsSync(join(directory, "queue", "queued_2.body")));
});
