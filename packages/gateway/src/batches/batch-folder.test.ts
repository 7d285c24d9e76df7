import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { BatchFolder, type KnownBatch, type KnownFile } from "./batch-folder.ts";

const FILE: KnownFile = { id: "file-1", holder: undefined, provider: "openai", dialect: "openai-chat", at: 1 };
const BATCH: KnownBatch = {
  ...FILE,
  id: "req_1",
  form: "openai",
  state: "running",
  providerId: "batch_1",
  inputFile: "file-1",
  expiresAt: 2,
  headers: [],
  last: undefined,
  lines: [],
  subjects: [],
  cards: [],
};

test("a batch or file that cannot be read keeps no other one from being asked about", async (context) => {
  const directory = mkdtempSync(join(tmpdir(), "purser-batches-"));
  context.after(() => rmSync(directory, { recursive: true }));
  const folder = new BatchFolder(directory);
  await folder.write("file", FILE);
  await folder.write("batch", BATCH);
  mkdirSync(join(directory, "batches"), { recursive: true });
  for (const name of ["bad.batch", "bad.file"]) writeFileSync(join(directory, "batches", name), '{"id":"x"');
  writeFileSync(join(directory, "batches", "older.batch"), JSON.stringify({ ...BATCH, lines: undefined }));
  const told: unknown[] = [];
  const { batches, files } = await folder.open((error) => told.push(error));
  assert.deepEqual([batches.map(({ id }) => id), files.map(({ id }) => id)], [["req_1"], ["file-1"]]);
  assert.match(told.sort().join(), /bad\.batch is not one that Purser wrote.*bad\.file.*older\.batch/s);
});
