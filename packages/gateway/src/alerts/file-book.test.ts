import assert from "node:assert/strict";
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { Claim, Incident } from "./alert-book.ts";
import { openFileBook } from "./file-book.ts";
import type { Notice } from "./notice.ts";

const NOW = Date.UTC(2026, 10, 20, 12);
const DAY = 86_400_000;
const NOTICE: Notice = {
  id: "n",
  kind: "budget.threshold",
  about: "a",
  at: NOW,
  severity: "info",
  title: "n",
  text: "",
  facts: [],
  data: {},
  owner: undefined,
};
const INCIDENT: Incident = { notice: NOTICE, channel: "duty", from: 8_000, until: NOW + DAY };
const CLAIM: Claim = { keys: ["80", "95"], until: NOW + DAY, channel: "duty", notice: NOTICE, incident: INCIDENT };

function startFolder(context: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), "purser-book-"));
  context.after(() => rmSync(directory, { recursive: true }));
  return directory;
}

test("wherever a crash cuts the file, what is claimed waits to be told, and what does not wait can be claimed", async (context) => {
  const directory = startFolder(context);
  const file = join(directory, "alerts.jsonl");
  const book = await openFileBook(directory, { now: () => NOW });
  await book.claim(CLAIM);
  await book.end(INCIDENT, { ...NOTICE, id: "n_over", after: "n" });
  const whole = readFileSync(file);
  const found = new Set<string>();
  for (let length = whole.length; length >= 0; length -= 7) {
    writeFileSync(file, whole.subarray(0, length));
    const again = await openFileBook(directory, { now: () => NOW });
    const waits = await again.waiting("duty");
    const claimed = await again.claim({ ...CLAIM, channel: "another" });
    assert.equal(claimed, waits > 0 ? "known" : "claimed");
    if (waits > 0) assert.equal(again.incidents.size, waits === 1 ? 1 : 0, "an incident ends with the word that it is over");
    await again.close();
    found.add(`${waits} ${claimed}`);
  }
  assert.deepEqual([...found], ["2 known", "1 known", "0 claimed"]);
});

test("what nobody could be told of for a week is forgotten", async (context) => {
  const directory = startFolder(context);
  await (await openFileBook(directory, { now: () => NOW })).claim(CLAIM);
  assert.equal(await (await openFileBook(directory, { now: () => NOW + 6 * DAY })).waiting("duty"), 1);
  assert.equal(await (await openFileBook(directory, { now: () => NOW + 7 * DAY })).waiting("duty"), 0);
});

test("the word that an incident is over is delivered after the word that it began", async (context) => {
  const book = await openFileBook(startFolder(context), { now: () => NOW });
  await book.claim(CLAIM);
  await book.end(INCIDENT, { ...NOTICE, id: "n_over", after: "n" });
  const [taken, ...rest] = await book.take("duty", 10);
  assert.ok(taken);
  assert.deepEqual([taken.notice.id, rest], ["n", []]);
  const delivery = { notice: "n", channel: "duty", title: "n", at: NOW, attempt: 1, error: undefined, isLast: true };
  await book.tried([{ taken, delivery, pauseMs: 0, isInDoubt: false }]);
  assert.deepEqual(
    (await book.take("duty", 10)).map(({ notice }) => notice.id),
    ["n_over"],
  );
});

test("of a try that a crash cut off it is known that it began, over a file that is begun anew too; of one that failed how it ended", async (context) => {
  const directory = startFolder(context);
  await (await openFileBook(directory, { now: () => NOW })).claim(CLAIM);
  const dies = async () => {
    const book = await openFileBook(directory, { now: () => NOW });
    const [taken] = await book.take("duty", 10);
    assert.ok(taken);
    return { book, taken };
  };
  const first = await dies();
  assert.deepEqual([first.taken.attempts, first.taken.doubt], [0, undefined]);
  const second = await dies();
  assert.equal(second.taken.attempts, 1);
  assert.ok(second.taken.doubt);
  const third = await dies();
  assert.deepEqual([third.taken.attempts, third.taken.doubt], [2, second.taken.doubt]);
  const delivery = { notice: "n", channel: "duty", title: "n", at: NOW, attempt: 3, error: "it answered 503", isLast: false };
  await third.book.tried([{ taken: third.taken, delivery, pauseMs: 0, isInDoubt: false }]);
  const fourth = await dies();
  assert.deepEqual([fourth.taken.attempts, fourth.taken.doubt], [3, undefined]);
});

test("lines that cannot be read stop nothing and take no other line with them: they are told of once, and kept", async (context) => {
  const directory = startFolder(context);
  const file = join(directory, "alerts.jsonl");
  const damaged = [
    // As an earlier version wrote it.
    JSON.stringify({ event: "tried", notice: "n", channel: "duty", title: "n", at: NOW, attempt: 1, isLast: true, dueAt: 0 }),
    ...["null", "7", "[]", "{}", '{"event":"toString"}', '{"event":"opened"}', '{"event":"ended","incident":"x"}', "{ cut in the mid"],
    '{"event":"taken","channel":"duty","notices":"n","name":"x"}',
    JSON.stringify({ event: "told", channel: "duty", notice: { ...NOTICE, facts: [null] } }),
  ];
  await (await openFileBook(directory, { now: () => NOW })).claim(CLAIM);
  appendFileSync(file, damaged.map((line) => `${line}\n`).join(""));
  appendFileSync(file, `${JSON.stringify({ event: "told", channel: "duty", notice: { ...NOTICE, id: "m" } })}\n{"event":"told","cha`);
  const told: unknown[] = [];
  const start = () => openFileBook(directory, { now: () => NOW, onError: (error) => told.push(error) });
  const book = await start();
  assert.equal(await book.waiting("duty"), 2);
  assert.equal(await book.claim({ ...CLAIM, channel: "another" }), "known");
  assert.equal(book.incidents.size, 1);
  assert.deepEqual(readFileSync(`${file}.unread`, "utf8").trimEnd().split("\n"), damaged);
  await start();
  assert.equal(told.length, 1);
  assert.match(
    String(told[0]),
    /Lines 2, 3, 4 and 8 more of .*alerts\.jsonl are not ones that Purser wrote.* passed over\. .* kept in alerts\.jsonl\.unread\.$/,
  );
});

test("what a full disk cut off does not swallow the next line", async (context) => {
  const directory = startFolder(context);
  const file = join(directory, "alerts.jsonl");
  const book = await openFileBook(directory, { now: () => NOW });
  await book.claim(CLAIM);
  const handle = await open(file, "r");
  const { writeFile } = Object.getPrototypeOf(handle) as FileHandle;
  await handle.close();
  context.mock.method(Object.getPrototypeOf(handle), "writeFile", async function (this: FileHandle, text: string) {
    await Reflect.apply(writeFile, this, [text.slice(0, text.length / 2)]);
    throw Object.assign(new Error("no space left on device"), { code: "ENOSPC" });
  });
  await assert.rejects(book.claim({ ...CLAIM, keys: ["99"], notice: { ...NOTICE, id: "lost" } }), /no space/);
  context.mock.restoreAll();
  await book.claim({ ...CLAIM, keys: ["100"], notice: { ...NOTICE, id: "after" } });
  assert.equal(await (await openFileBook(directory, { now: () => NOW })).waiting("duty"), 2);
});
