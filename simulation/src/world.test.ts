import assert from "node:assert/strict";
import { test } from "node:test";
import { prepareBodies } from "./bodies.js";
import { prepareDisks } from "./disk.js";
import { type Outcome, World } from "./world.js";

/** How many seeds are run that are always the same. Set PURSER_RUNS for more. */
const SEEDS = Number(process.env.PURSER_RUNS ?? 30);
const MINUTES = 10;

async function simulate(seed: number): Promise<Outcome> {
  const bodies = await prepareBodies();
  await prepareDisks();
  return new World({ seed, minutes: MINUTES, bodies }).run();
}

function assertLawful({ seed, failure }: Outcome): void {
  if (!failure) return;
  const again = `npm run simulate -- --seed ${seed} --minutes ${MINUTES}`;
  assert.fail(`${again}\nevent ${failure.event}: ${String(failure.error)}\n${failure.history.slice(-40).join("\n")}`);
}

test(`the laws hold in ${SEEDS} simulations`, async (t) => {
  let requests = 0;
  for (let seed = 1; seed <= SEEDS; seed++) {
    const outcome = await simulate(seed);
    assertLawful(outcome);
    requests += outcome.requests;
  }
  t.diagnostic(`${requests} requests`);
});

test("the laws hold in a simulation that nobody has seen before", async (t) => {
  const seed = Date.now() % 2 ** 31;
  t.diagnostic(`npm run simulate -- --seed ${seed} --minutes ${MINUTES}`);
  assertLawful(await simulate(seed));
});

test("the same seed is the same run, event by event", async () => {
  for (const seed of [1, 2, 3, 4]) {
    const [{ hash, events }, again] = [await simulate(seed), await simulate(seed)];
    assert.deepEqual([again.hash, again.events], [hash, events], `seed ${seed}`);
  }
});

test("different seeds are different runs", async () => {
  const outcomes = [];
  for (const seed of [1, 2, 3, 4, 5]) outcomes.push((await simulate(seed)).hash);
  assert.equal(new Set(outcomes).size, outcomes.length);
});
