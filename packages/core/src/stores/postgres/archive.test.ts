import assert from "node:assert/strict";
import { after, test } from "node:test";
import type { Entry } from "../../domain/ledger.ts";
import { sampleJournal, sampleLedger } from "../../testing/sample-ledger.ts";
import type { ArchiveQuery, LedgerArchive } from "../archive.ts";
import { openTestDatabase, testServer } from "./database.test-setup.ts";

const server = testServer(after);
const SINCE = Date.UTC(2026, 9, 30);
const UNTIL = Date.UTC(2026, 11, 2);
const LEDGER = sampleLedger({ count: 1_500, since: SINCE, until: UNTIL });
const LAST = LEDGER.length;

const everything = (archive: LedgerArchive) => archive.entries({ most: 100_000 });

test("what is archived is read back as it was written, whether it was copied or listed", async (t) => {
  const database = await openTestDatabase(t, await server());
  if (!database) return;
  assert.equal(new Set(LEDGER.map(({ kind }) => kind)).size, 10);
  for (const copy of [true, false]) {
    const archive = await database.archive(copy ? "copied" : "listed", { copy });
    assert.equal(await archive.resume(sampleJournal(LEDGER)), 0);
    assert.deepEqual(await archive.append(LEDGER.slice(0, 1_000)), { added: 1_000, lastSeq: 1_000 });
    assert.deepEqual(await archive.append(LEDGER.slice(1_000)), { added: LAST - 1_000, lastSeq: LAST });
    assert.deepEqual(await everything(archive), LEDGER);
  }
});

test("kinds, fields and texts that the tables do not know are kept with the entry", async (t) => {
  const database = await openTestDatabase(t, await server());
  if (!database) return;
  const [first] = LEDGER as readonly [Entry & { kind: "reserved" }];
  const long = "ü".repeat(3_000);
  const counter = { ...(first.postings[0]?.counter as object), key: `budget|${long}`, subject: long, slot: 7 };
  const strange = [
    { ...first, seq: 1, reservation: `call\0\ud800${long}` },
    {
      ...first,
      seq: 2,
      detail: { ...first.detail, subject: { team: "a\0b", user: "\udfff", tags: { "na\0me": "\0", __proto: long }, squad: "new" } },
    },
    {
      seq: 3,
      at: first.at,
      kind: "granted",
      reservation: "",
      postings: [{ counter, held: 0, spent: -5, slot: 3 }],
      amount: 5,
      giver: { name: "ann" },
    },
    { seq: 4, at: first.at, kind: "granted", reservation: "", postings: [{ counter, held: 0, spent: -5 }], amount: 5 },
  ] as unknown as readonly Entry[];
  for (const copy of [true, false]) {
    const archive = await database.archive(copy ? "copied" : "listed", { copy });
    const padding = Array.from({ length: copy ? 300 : 0 }, (_, i) => ({ ...first, seq: 5 + i }));
    await archive.append([...strange, ...padding]);
    assert.deepEqual(await everything(archive), [...strange, ...padding]);
    assert.deepEqual((await archive.entries({ reservation: strange[0]?.reservation as string })).slice(0, 1), strange.slice(0, 1));
  }
});

test("the archive answers every query as the store that the entries are from", async (t) => {
  const database = await openTestDatabase(t, await server());
  if (!database) return;
  const archive = await database.archive();
  await archive.append(LEDGER);
  const middle = LEDGER[Math.floor(LAST / 2)] as Entry;
  const queries: readonly ArchiveQuery[] = [
    {},
    { most: 7 },
    { newest: true, most: 7 },
    { after: 700, most: 1_000 },
    { kinds: ["denied", "expired"] },
    { kinds: ["reserved"], newest: true, most: 3, after: 10 },
    { since: middle.at, most: 10_000 },
    { since: middle.at, kinds: ["settled"], after: middle.seq + 20 },
    { reservation: middle.reservation },
    { reservation: "nobody's" },
  ];
  for (const query of queries)
    assert.deepEqual(await archive.entries(query), await sampleJournal(LEDGER).entries(query), JSON.stringify(query));
  const before = await archive.entries({ before: 100, newest: true, most: 5 });
  assert.deepEqual(before, LEDGER.slice(94, 99));
  assert.deepEqual(
    await archive.reservationEntries(middle.reservation),
    LEDGER.filter(({ reservation }) => reservation === middle.reservation),
  );
});

test("an append that is repeated, or overlaps another, adds each entry once", async (t) => {
  const database = await openTestDatabase(t, await server());
  if (!database) return;
  const archive = await database.archive();
  await archive.append(LEDGER.slice(0, 400));
  assert.deepEqual(await archive.append(LEDGER.slice(0, 400)), { added: 0, lastSeq: 400 });
  assert.deepEqual(await archive.append(LEDGER.slice(100, 300)), { added: 0, lastSeq: 400 });
  assert.deepEqual(await archive.append(LEDGER.slice(399, 500)), { added: 100, lastSeq: 500 });
  assert.deepEqual(await archive.append(LEDGER.slice(250, 800)), { added: 300, lastSeq: 800 });
  assert.deepEqual(await everything(archive), LEDGER.slice(0, 800));
});

test("many that append the same entries at the same time add each entry once, and their sums with it", async (t) => {
  const database = await openTestDatabase(t, await server());
  if (!database) return;
  const archives = await Promise.all(Array.from({ length: 4 }, () => database.archive()));
  const added = await Promise.all(
    archives.map(async (archive, i) => {
      let own = 0;
      for (let lastSeq = 0; lastSeq < LAST; ) {
        const appended = await archive.append(LEDGER.slice(Math.max(0, lastSeq - 1), lastSeq + 50 + 40 * i));
        own += appended.added;
        lastSeq = appended.lastSeq;
      }
      return own;
    }),
  );
  assert.equal(
    added.reduce((sum, own) => sum + own),
    LAST,
  );
  assert.deepEqual(await everything(archives[0] as LedgerArchive), LEDGER);
  await assertRollupsAreSums(database.rows);
});

test("entries that would leave a gap, or are another history, are refused, and nothing of them is added", async (t) => {
  const database = await openTestDatabase(t, await server());
  if (!database) return;
  const archive = await database.archive();
  await archive.append(LEDGER.slice(0, 100));
  await assert.rejects(archive.append(LEDGER.slice(101, 200)), { code: "ledger_diverged" });
  const other = LEDGER.map((entry) => ({ ...entry, reservation: `other-${entry.reservation}` }));
  await assert.rejects(archive.append(other.slice(99, 200)), { code: "ledger_diverged" });
  await assert.rejects(archive.append(other.slice(50, 80)), { code: "ledger_diverged" });
  await assert.rejects(archive.append([...LEDGER.slice(90, 100), ...LEDGER.slice(101, 110)]), { code: "internal" });
  assert.deepEqual(await everything(archive), LEDGER.slice(0, 100));
});

test("a store that was put back goes on in an epoch of its own, after what both histories have", async (t) => {
  const database = await openTestDatabase(t, await server());
  if (!database) return;
  const before = await database.archive();
  await before.append(LEDGER.slice(0, 1_000));
  const rest = LEDGER.slice(600).map((entry) => ({ ...entry, at: entry.at + 1 }));
  const restored = [...LEDGER.slice(0, 600), ...rest];

  const archives = await Promise.all([database.archive(), database.archive()]);
  assert.deepEqual(await Promise.all(archives.map((archive) => archive.resume(sampleJournal(restored.slice(0, 700))))), [600, 600]);
  const [after] = archives as [LedgerArchive, LedgerArchive];
  for (const archive of archives) await archive.append(restored.slice(599, 800));
  assert.deepEqual(await everything(after), restored.slice(0, 800));
  assert.deepEqual(await after.entries({ newest: true, most: 300 }), restored.slice(500, 800));
  assert.deepEqual(await after.entries({ after: 590, before: 611 }), restored.slice(590, 610));
  assert.equal((await database.rows("SELECT max(epoch) AS epoch FROM purser.ledger"))[0].epoch, 2);

  // Both copies go on, each where it was: neither becomes a third.
  const [one, two] = [await database.archive(), await database.archive()];
  assert.equal(await one.resume(sampleJournal(restored)), 800);
  assert.equal(await two.resume(sampleJournal(LEDGER)), 1_000);
  await two.append(LEDGER.slice(999));
  await one.append(restored.slice(799));
  assert.deepEqual(await everything(one), restored);
  assert.deepEqual(await everything(two), LEDGER);
  // What an epoch has beyond the branch was spent, so it stays in the books.
  const [{ count }] = await database.rows("SELECT count(*)::int AS count FROM purser.entry");
  assert.equal(count, LAST + LAST - 600);
  await assertRollupsAreSums(database.rows);
});

test("an empty store under an old name begins again, and a trimmed one goes on", async (t) => {
  const database = await openTestDatabase(t, await server());
  if (!database) return;
  const archive = await database.archive();
  await archive.append(LEDGER.slice(0, 300));
  assert.equal(await (await database.archive()).resume(sampleJournal(LEDGER.slice(299, 310))), 300);
  const empty = await database.archive();
  assert.equal(await empty.resume(sampleJournal([])), 300);
  const other = sampleLedger({ seed: 2, count: 50, since: SINCE, until: UNTIL });
  assert.equal(await empty.resume(sampleJournal(other)), 0);
  await empty.append(other);
  assert.deepEqual(await everything(empty), other);
  assert.equal(await (await database.archive()).resume(sampleJournal(LEDGER)), 300);
});

test("entries of any time have a partition, also where an operator dropped one", async (t) => {
  const database = await openTestDatabase(t, await server());
  if (!database) return;
  const archive = await database.archive();
  const late = LEDGER.slice(0, 10).map((entry) => ({ ...entry, at: entry.at - 400 * 86_400_000 }));
  await archive.append(late);
  await database.rows("DROP TABLE purser.entry_2025_09");
  const more = late.map((entry) => ({ ...entry, seq: entry.seq + 10 }));
  await assert.rejects(archive.append(more), { code: "store_unavailable" });
  await archive.append(more);
  assert.deepEqual(await everything(archive), more);
});

test("every rollup is the sum of the entries, to the nano-dollar", async (t) => {
  const database = await openTestDatabase(t, await server());
  if (!database) return;
  for (const seed of [3, 4, 5]) {
    const archive = await database.archive(`ledger ${seed}`);
    const ledger = sampleLedger({ seed, count: 600, since: SINCE, until: UNTIL });
    for (let i = 0; i < ledger.length; i += 37 * seed) await archive.append(ledger.slice(Math.max(0, i - 5), i + 37 * seed));
  }
  await assertRollupsAreSums(database.rows);
  await database.rows(
    "UPDATE purser.user_day SET cost = cost + 1 WHERE digest = (SELECT digest FROM purser.user_day ORDER BY cost LIMIT 1)",
  );
  await assert.rejects(assertRollupsAreSums(database.rows));
});

const AMOUNTS = [
  "calls",
  "refusals",
  "unpriced_calls",
  "input_tokens",
  "cache_read_input_tokens",
  "cache_write_input_tokens",
  "output_tokens",
  "reasoning_output_tokens",
  "cost",
  "estimated_cost",
  "unconfirmed_cost",
  "known_answers",
  "saved_cost",
];

async function assertRollupsAreSums(rows: (sql: string) => Promise<readonly unknown[]>): Promise<void> {
  for (const [cube, attributes] of [
    ["team", "org, team, feature, provider, model"],
    ["user", `org, "user", model`],
  ]) {
    for (const [step, milliseconds] of [
      ["hour", 3_600_000],
      ["day", 86_400_000],
    ]) {
      const columns = `${attributes}, ${AMOUNTS.map((amount) => `coalesce(sum(${amount}), 0)::text AS ${amount}`).join(", ")}`;
      const sums = (table: string, at: string, where: string) =>
        rows(`SELECT ${at} AS at, ${columns} FROM purser.${table} ${where} GROUP BY 1, ${attributes} ORDER BY 1, ${attributes}`);
      const booked = AMOUNTS.map((amount) => `${amount} <> 0`).join(" OR ");
      const raw = await sums("entry", `(at - at % ${milliseconds})`, `WHERE ${booked}`);
      assert.ok(raw.length > 20);
      assert.deepEqual(await sums(`${cube}_${step}`, "at", ""), raw, `${cube}_${step}`);
    }
  }
}
