/**
 * `npm run bench -- decisions`: how many calls a second one core decides and settles, in memory, over 5 budgets with 8 limits.
 * Processor time is the primary figure; the best slice is the one that others disturbed least.
 *
 *   --slices N   slices of each row, taken in turns (16)
 *   --pairs N    reservations with their settlements in a slice (10,000)
 */
import { parseArgs } from "node:util";
import { Budgets, createLeasedStore, createMemoryStore, defineBudget } from "@purser/core";
import { apply } from "../packages/core/dist/domain/engine.js";
import { amountsOf, asksOf } from "../packages/core/dist/domain/quote.js";
import { createState } from "../packages/core/dist/domain/state.js";
import { quantile } from "./statistics.mjs";

const { values } = parseArgs({ options: { slices: { type: "string", default: "16" }, pairs: { type: "string", default: "10000" } } });
const SLICES = Number(values.slices);
const PAIRS = Number(values.pairs);
const USERS = 50;

const CARD = {
  provider: "demo",
  model: "demo-1",
  tiers: [{ aboveInputTokens: 0, rates: { input: 1_000_000, output: 2_000_000 } }],
  source: "bench",
};
const BUDGETS = [
  { name: "company", limits: ["$9M / month", "9000B / day"] },
  { name: "teams", per: "team", limits: ["$9M / month", "1B requests / day"] },
  { name: "chat", for: { feature: "chat" }, limits: ["$9M / month"] },
  { name: "users", per: "user", limits: ["1000B / day", "1B requests / hour"] },
  { name: "agents", limits: ["100 concurrent"] },
];
const SUBJECTS = Array.from({ length: USERS }, (_, i) => ({
  provider: "demo",
  model: "demo-1",
  team: `team-${i % 5}`,
  feature: "chat",
  user: `user-${i}`,
}));
const USAGE = { inputTokens: 900, outputTokens: 33 };
const COST = 966_000;

/** The engine alone: a reserve and a settle command over eight limits, with what they ask and use. */
function engineRow() {
  const units = ["nanodollars", "tokens", "nanodollars", "requests", "nanodollars", "tokens", "requests", "concurrent"];
  const limitsOf = SUBJECTS.map(({ user }) =>
    units.map((unit, i) => {
      const subject = i < 5 ? "" : `user=${user}`;
      const counter = {
        key: `budget-${i}|${unit}/day@UTC|${subject}|0`,
        budget: `budget-${i}`,
        subject,
        unit,
        window: "day@UTC",
        startsAt: 0,
        resetsAt: undefined,
      };
      return { counter, amount: Number.MAX_SAFE_INTEGER, enforced: true };
    }),
  );
  const details = SUBJECTS.map((subject) => ({
    subject,
    inputTokens: 1_000,
    outputTokens: 500,
    cost: undefined,
    counted: false,
    price: "bench",
  }));
  return (first) => {
    const state = createState();
    for (let i = first; i < first + PAIRS; i++) {
      const id = `call-${i}`;
      const asks = asksOf({ inputTokens: 1_000, outputTokensMost: 500, copies: 1 }, CARD, "standard");
      const limits = limitsOf[i % USERS];
      const { result } = apply(
        state,
        { kind: "reserve", id, limits, asks, output: { least: 256, most: 500 }, leaseMs: 1_000, detail: details[i % USERS] },
        i,
      );
      if (result.outcome !== "reserved") throw new Error(result.outcome);
      apply(
        state,
        { kind: "settle", id, amounts: amountsOf(USAGE, COST), charge: { usage: USAGE, cost: COST, certainty: "confirmed" } },
        i,
      );
    }
  };
}

/** The whole decision as an application makes it: budgets selected, prices found, terms bound, stored in memory, settled by usage. */
function budgetsRow() {
  const budgets = BUDGETS.map(defineBudget);
  const prices = { card: () => CARD };
  return async (first) => {
    const purser = new Budgets({ store: createMemoryStore(), budgets, prices });
    for (let i = first; i < first + PAIRS; i++) {
      const decision = await purser.reserve({
        id: `call-${i}`,
        subject: SUBJECTS[i % USERS],
        input: { most: 1_000 },
        output: { most: 500 },
      });
      if (decision.outcome !== "allowed") throw new Error(decision.outcome);
      await purser.settle(decision.reservation, USAGE);
    }
  };
}

/** A refusal by an exhausted budget, for the same call: it must be cheaper than what it prevents. */
function refusalRow() {
  const budgets = [...BUDGETS, { name: "off", limits: ["0 requests / month"] }].map(defineBudget);
  const prices = { card: () => CARD };
  return async (first) => {
    const purser = new Budgets({ store: createMemoryStore(), budgets, prices });
    for (let i = first; i < first + PAIRS; i++) {
      const decision = await purser.reserve({
        id: `call-${i}`,
        subject: SUBJECTS[i % USERS],
        input: { most: 1_000 },
        output: { most: 500 },
      });
      if (decision.outcome !== "denied") throw new Error(decision.outcome);
    }
  };
}

/**
 * The same calls decided from allotments of another store, reports to it included. Time is made: 500 calls in the 2 seconds between two
 * reports. Calls end at once here and their slots return with the reports, so there are more of them.
 */
async function leasedRow() {
  const budgets = [...BUDGETS.slice(0, -1), { name: "agents", limits: ["1M concurrent"] }].map(defineBudget);
  let now = Date.UTC(2026, 10, 22, 12);
  const due = [];
  const shared = createMemoryStore({ now: () => now });
  let asked = 0;
  const reserve = (command) => {
    asked++;
    return shared.reserve(command);
  };
  const after = (_milliseconds, work) => {
    due.push(work);
    return () => undefined;
  };
  const store = createLeasedStore({ ...shared, reserve }, { now: () => now, timers: { after }, onError: (error) => console.error(error) });
  const purser = new Budgets({ store, budgets, prices: { card: () => CARD }, now: () => now });
  const run = async (first, count) => {
    for (let i = first; i < first + count; i++) {
      if (i % 500 === 0) {
        now += 2_000;
        for (const work of due.splice(0)) work();
        await store.report();
      }
      const call = { id: `leased-${i}`, subject: SUBJECTS[i % USERS], input: { most: 1_000 }, output: { most: 500 } };
      const decision = await purser.reserve(call);
      if (decision.outcome !== "allowed") throw new Error(decision.outcome);
      await purser.settle(decision.reservation, USAGE);
    }
  };
  await run(1e9, 10_000);
  return async (first) => {
    asked = 0;
    await run(first, PAIRS);
    if (asked > PAIRS / 100) throw new Error(`${asked} of ${PAIRS} calls were asked for.`);
  };
}

const ROWS = [
  { what: "engine, 8 limits: reserve + settle", goal: 300_000, run: engineRow() },
  { what: "Budgets, 5 budgets with 8 limits: reserve + settle", goal: 150_000, run: budgetsRow() },
  { what: "Budgets on leases, 5 budgets with 8 limits: reserve + settle", goal: undefined, run: await leasedRow() },
  { what: "Budgets, 6 budgets with 9 limits: refusal", goal: undefined, run: refusalRow() },
];

const samples = ROWS.map(() => []);
for (let slice = 0; slice < SLICES; slice++) {
  for (const [i, { run }] of ROWS.entries()) {
    const cpu = process.cpuUsage();
    const started = process.hrtime.bigint();
    await run(slice * PAIRS);
    const elapsed = Number(process.hrtime.bigint() - started) / 1_000;
    const { user, system } = process.cpuUsage(cpu);
    // The first slices warm up.
    if (slice >= SLICES / 4) samples[i].push({ wallMicros: elapsed / PAIRS, cpuMicros: (user + system) / PAIRS });
  }
}

for (const [i, { what, goal }] of ROWS.entries()) {
  const cpu = samples[i].map(({ cpuMicros }) => cpuMicros);
  const wall = samples[i].map(({ wallMicros }) => wallMicros);
  const best = Math.min(...wall);
  const row = {
    what,
    perSecondBest: Math.round(1e6 / best),
    perSecondMedian: Math.round(1e6 / quantile(wall, 0.5)),
    cpuMicrosBest: Number(Math.min(...cpu).toFixed(2)),
    cpuMicrosMedian: Number(quantile(cpu, 0.5).toFixed(2)),
    ...(goal && { goal }),
  };
  console.log(JSON.stringify(row));
  const aim = goal ? ` (goal ${goal.toLocaleString("en-US")})` : "";
  console.log(
    `${what}: ${row.perSecondBest.toLocaleString("en-US")} a second in the best slice${aim}, ${row.perSecondMedian.toLocaleString("en-US")} in the median one; ${row.cpuMicrosMedian} µs of processor time`,
  );
}
