import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { AuditLog } from "./audit-log.ts";

function openLog(context: TestContext) {
  const directory = mkdtempSync(join(tmpdir(), "purser-audit-"));
  context.after(() => rmSync(directory, { recursive: true }));
  const clock = { now: Date.UTC(2026, 10, 22, 12) };
  const errors: unknown[] = [];
  const open = () => new AuditLog(directory, { now: () => clock.now, onError: (error) => errors.push(error) });
  const file = join(directory, "audit.jsonl");
  return {
    log: open(),
    open,
    clock,
    errors,
    file,
    headFile: join(directory, "audit.head"),
    read: () => readFileSync(file, "utf8").split("\n").slice(0, -1),
    write: (lines: readonly string[]) => writeFileSync(file, lines.map((line) => `${line}\n`).join("")),
  };
}

async function withFive(context: TestContext) {
  const site = openLog(context);
  for (let i = 1; i <= 5; i++) await site.log.write({ by: "ann", what: "POST /api/grants", details: { amount: `$${i}` } });
  const verified = await site.log.verify();
  assert.deepEqual([verified.head.n, verified.faults, verified.isTorn], [5, [], false]);
  return { ...site, faults: async () => (await site.open().verify()).faults };
}

test("a line that was changed is found, also by one who made its hash anew", async (context) => {
  const { read, write, faults, open, headFile } = await withFive(context);
  const lines = read();
  write(lines.with(2, lines[2]?.replace("$3", "$9") ?? ""));
  assert.deepEqual(await faults(), [{ line: 3, what: "was changed: it is not what its hash says" }]);
  // Lines are chained again from there on by somebody who knows how; the head file is theirs as well, and the auditor's note is not.
  const noted = { n: 5, hash: JSON.parse(lines[4] ?? "").hash };
  write(lines.slice(0, 2));
  writeFileSync(headFile, `2 ${JSON.parse(lines[1] ?? "").hash}\n`);
  const forger = open();
  for (const amount of ["$9", "$4", "$5"]) await forger.write({ by: "ann", what: "POST /api/grants", details: { amount } });
  assert.deepEqual(await faults(), []);
  const { faults: found } = await open().verify(noted);
  assert.deepEqual(found, [{ line: 5, what: "is another than it was: the log was written anew from there" }]);
});

test("a line that was taken out, moved or put in is found, and where", async (context) => {
  const { read, write, faults } = await withFive(context);
  const lines = read();
  const [one = "", two = "", three = "", four = "", five = ""] = lines;
  write([one, two, four, five]);
  assert.match((await faults())[0]?.what ?? "", /^is number 4, where 3 follows: the one between was taken out$/);
  write([four, five]);
  assert.match((await faults())[0]?.what ?? "", /those between were taken out/);
  write([one, three, two, four, five]);
  assert.deepEqual(
    (await faults()).map(({ line }) => line),
    [2, 3, 4],
  );
  write([one, two, two, three, four, five]);
  assert.match((await faults())[0]?.what ?? "", /it was moved, or is there twice/);
  write(["", ...lines]);
  assert.equal((await faults())[0]?.line, 1);
});

test("an end that was cut off is found, even after more was written, or when all is gone", async (context) => {
  const { read, write, faults, open, headFile, file } = await withFive(context);
  const lines = read();
  write(lines.slice(0, 3));
  assert.deepEqual(await faults(), [{ line: 4, what: "is missing: the log had 5 lines, and ends after 3" }]);
  await open().write({ by: "ann", what: "later" });
  assert.match((await faults())[0]?.what ?? "", /^is number 6, where 4 follows/);
  write(lines);
  rmSync(headFile);
  assert.match((await faults())[0]?.what ?? "", /cannot be known to be the first that is missing/);
  writeFileSync(headFile, `5 ${JSON.parse(lines[4] ?? "").hash}\n`);
  rmSync(file);
  assert.deepEqual(await faults(), [{ line: 1, what: "is missing: the log had 5 lines, and ends after 0" }]);
});

test("a line that a crash cut off was told to nobody; the next one repairs it, and says so", async (context) => {
  const { log, file, open, read, faults } = await withFive(context);
  appendFileSync(file, '{"n":6,"at":"2026-11-22T12:0');
  const torn = await log.verify();
  assert.deepEqual([torn.faults, torn.isTorn, torn.head.n], [[], true, 5]);
  assert.equal(await open().write({ by: "ann", what: "later" }), 7);
  assert.deepEqual(await faults(), []);
  assert.deepEqual(
    read()
      .slice(5)
      .map((line) => JSON.parse(line).what),
    ["log.repaired", "later"],
  );
});

test("a crash between a line and the note of where the log ends loses nothing", async (context) => {
  const { headFile, open, faults, read } = await withFive(context);
  writeFileSync(headFile, `4 ${JSON.parse(read()[3] ?? "").hash}\n`);
  assert.deepEqual(await faults(), []);
  assert.equal(await open().write({ by: "ann", what: "later" }), 6);
  assert.deepEqual(await faults(), []);
});

test("several processes write one chain", async (context) => {
  const { open, read } = openLog(context);
  const logs = [open(), open(), open()];
  await Promise.all(Array.from({ length: 30 }, (_, i) => logs[i % 3]?.write({ by: `process ${i % 3}`, what: "deed" })));
  assert.equal(read().length, 30);
  assert.deepEqual((await open().verify()).faults, []);
});

test("a process that was killed while it wrote keeps nobody from writing", async (context) => {
  const { open, file, read } = openLog(context);
  const { pid } = spawnSync(process.execPath, ["--version"]);
  writeFileSync(`${file}.lock`, `${hostname()} ${pid}`);
  const began = performance.now();
  await open().write({ by: "ann", what: "deed" });
  assert.ok(performance.now() - began < 5_000, "a lock that nobody holds is not waited for");
  assert.equal(read().length, 1);
});

test("a program that is refused in a loop does not fill the disk, and how often it was refused stays known", async (context) => {
  const { log, clock, read, errors } = openLog(context);
  const refuse = () => log.refused({ by: "nobody known", what: "access.refused", from: "10.0.0.1", details: { code: "key_invalid" } });
  for (let i = 0; i < 5_000; i++) refuse();
  clock.now += 60_000;
  refuse();
  await log.close();
  const times = read().map((line) => JSON.parse(line).details.times ?? 1);
  assert.equal(times.length, 12);
  assert.equal(
    times.reduce((sum: number, one: number) => sum + one, 0),
    5_001,
  );
  assert.deepEqual(errors, []);
});

test("what cannot be written down is refused with what to do", async (context) => {
  const { open, file } = openLog(context);
  rmSync(join(file, ".."), { recursive: true });
  writeFileSync(join(file, ".."), "no folder");
  await assert.rejects(open().write({ by: "ann", what: "deed" }), {
    code: "store_unavailable",
    message: /What cannot be written down there is not done/,
  });
});
