import assert from "node:assert/strict";
import { after, test } from "node:test";
import fc from "fast-check";
import type { ReportPath } from "../../domain/charged-to.ts";
import type { Entry } from "../../domain/ledger.ts";
import { REPORT_STEPS, type ReportQuery, ReportSum } from "../../domain/report.ts";
import { bookedSavings, SavingsSum } from "../../domain/saving.ts";
import type { SubjectPath } from "../../domain/subject.ts";
import { sampleLedger } from "../../testing/sample-ledger.ts";
import { openTestDatabase, testServer } from "./database.test-setup.ts";

const server = testServer(after);
/** Over the end of summer time in Europe and America. */
const SINCE = Date.UTC(2026, 9, 22, 13, 47, 11);
const UNTIL = Date.UTC(2026, 10, 3, 5, 12, 9, 345);
const LEDGER = sampleLedger({ count: 3_000, since: SINCE, until: UNTIL });
const RUNS = Number(process.env.PURSER_RUNS ?? 60);

const paths: readonly ReportPath[] = [
  "org",
  "team",
  "feature",
  "user",
  "model",
  "provider",
  "tag.customer",
  "task",
  "cost_center",
  "owner",
];
const filters: fc.Arbitrary<ReportQuery["filter"]> = fc.constantFrom(
  {},
  { team: "search" },
  { team: ["s*", ""], user: "user-1*" },
  { model: "GPT-*" },
  { team: "*", provider: "demo" },
  { "tag.customer": ["acme", '*"quotes"*'] },
  { team: "%" },
  { team: "back\\slash" },
  { feature: [] },
  { cost_center: "CC *" },
  { owner: "kim@example.com", team: "*" },
);
const queries: fc.Arbitrary<ReportQuery> = fc
  .record({
    ends: fc.tuple(fc.integer({ min: SINCE - 90_000_000, max: UNTIL + 90_000_000 }), fc.integer({ min: 1, max: UNTIL - SINCE })),
    isRound: fc.boolean(),
    by: fc.uniqueArray(fc.constantFrom(...paths), { maxLength: 3 }),
    step: fc.constantFrom(undefined, ...REPORT_STEPS),
    timeZone: fc.constantFrom("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Asia/Kathmandu", "Australia/Lord_Howe"),
    filter: filters,
  })
  .map(({ ends: [from, length], isRound, step, filter, ...rest }) => {
    const since = isRound ? from - (from % 86_400_000) : from;
    return { since, until: since + length, ...rest, ...(step && { step }), ...(filter && { filter }) };
  });

test("PostgreSQL answers every report as the sum of the entries does, in every time zone, to the nano-dollar", async (t) => {
  const database = await openTestDatabase(t, await server());
  if (!database) return;
  const archive = await database.archive();
  for (let i = 0; i < LEDGER.length; i += 700) await archive.append(LEDGER.slice(i, i + 700));
  let rows = 0;
  await fc.assert(
    fc.asyncProperty(queries, async (query) => {
      const sum = new ReportSum(query);
      for (const entry of LEDGER) sum.add(entry);
      const expected = sum.rows();
      assert.deepEqual(await archive.report(query), expected);
      rows += expected.length;
    }),
    { numRuns: RUNS, includeErrorInReport: true },
  );
  assert.ok(rows > RUNS, `${rows} rows compared: that is no test`);
});

test("PostgreSQL says what rungs saved as the entries do, whatever the time", async (t) => {
  const database = await openTestDatabase(t, await server());
  if (!database) return;
  const archive = await database.archive();
  for (let i = 0; i < LEDGER.length; i += 700) await archive.append(LEDGER.slice(i, i + 700));
  await archive.append(LEDGER.slice(-5));
  const times = fc.tuple(fc.integer({ min: SINCE - 9_000_000, max: UNTIL }), fc.integer({ min: 1, max: UNTIL - SINCE }), fc.boolean());
  let rows = 0;
  await fc.assert(
    fc.asyncProperty(times, async ([from, length, isRound]) => {
      const since = isRound ? from - (from % 3_600_000) : from;
      const until = since + length;
      const sum = new SavingsSum();
      for (const entry of LEDGER) if (entry.at >= since && entry.at < until) for (const row of bookedSavings(entry)) sum.add(row);
      assert.deepEqual(await archive.savings({ since, until }), sum.rows());
      rows += sum.rows().length;
    }),
    { numRuns: RUNS, includeErrorInReport: true },
  );
  assert.ok(rows > RUNS, `${rows} rows compared: that is no test`);
});

test("names that PostgreSQL cannot hold keep no entry out of the archive, and their savings are there", async (t) => {
  const database = await openTestDatabase(t, await server());
  if (!database) return;
  const archive = await database.archive();
  const entry = LEDGER.find((one) => one.kind === "settled") as Entry & { readonly kind: "settled" };
  const savings = [{ budget: "\0", rung: `use \ud800${"x".repeat(9_000)}`, saved: 7 }];
  await archive.append([{ ...entry, seq: 1, charge: { ...entry.charge, savings } }]);
  const [row] = await archive.savings({ since: 0, until: UNTIL });
  assert.deepEqual([row?.budget, row?.rung.slice(0, 6), row?.saved, row?.calls], ["\ufffd", "use \ufffdx", 7, 1]);
});

test("a report has all ledgers of the database in it", async (t) => {
  const database = await openTestDatabase(t, await server());
  if (!database) return;
  const ledgers = [1, 2].map((seed) => sampleLedger({ seed, count: 200, since: SINCE, until: UNTIL }));
  for (const [i, ledger] of ledgers.entries()) await (await database.archive(`gateway ${i}`)).append(ledger);
  const query: ReportQuery = { since: SINCE, until: UNTIL, by: ["user"], step: "day", timeZone: "Europe/Berlin" };
  const sum = new ReportSum(query);
  for (const entry of ledgers.flat()) sum.add(entry);
  assert.deepEqual(await (await database.archive("another")).report(query), sum.rows());
});

test("a sum that a number cannot hold is refused, never rounded", async (t) => {
  const database = await openTestDatabase(t, await server());
  if (!database) return;
  const archive = await database.archive();
  await archive.append(LEDGER);
  await database.rows(`UPDATE purser.team_day SET cost = ${2 ** 52}`);
  await assert.rejects(archive.report({ since: SINCE, until: UNTIL }), { code: "amount_too_large" });
});

test("a report that cannot be is refused with what to do", async (t) => {
  const database = await openTestDatabase(t, await server());
  if (!database) return;
  const archive = await database.archive();
  await assert.rejects(archive.report({ since: UNTIL, until: SINCE }), { code: "body_invalid" });
  await assert.rejects(archive.report({ since: 0, until: UNTIL, step: "hour" }), { code: "body_invalid" });
  await assert.rejects(archive.report({ since: SINCE, until: UNTIL, timeZone: "Mars/Olympus" }), { code: "window_invalid" });
  const injected = [`team" FROM purser.entry; --` as SubjectPath];
  await assert.rejects(archive.report({ since: SINCE, until: UNTIL, by: injected }), { code: "body_invalid" });
});
