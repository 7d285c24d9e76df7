import assert from "node:assert/strict";
import { test } from "node:test";
import { type SimulationOptions, type SimulationOutcome, simulateLeases } from "../../testing/lease-simulation.ts";

const HALF = { gateways: 16, callsPerSecond: 60, durationMs: 120_000 } as const;

/** What must hold whatever happens, to the unit. */
function checkLaws({ peak, peakCounted, heldInTheEnd, used, charged }: SimulationOutcome): void {
  assert.ok(peak <= 1, `what was used and could still be used came to ${peak} of the limit`);
  assert.ok(peakCounted <= 1, `the store counted up to ${peakCounted} of the limit`);
  assert.equal(heldInTheEnd, 0, "every hold and every lease ends");
  assert.ok(charged >= used, `${used} of the limit was used and only ${charged} charged`);
}

async function simulated(options: Partial<SimulationOptions>): Promise<SimulationOutcome> {
  const outcome = await simulateLeases({ seed: 1, ...HALF, demand: 0.9, ...options });
  checkLaws(outcome);
  return outcome;
}

test("on a normal day every call is admitted, with less than a quarter of an operation of the shared store", async () => {
  const outcome = await simulated({ durationMs: 300_000 });
  assert.equal(outcome.admitted, outcome.calls);
  assert.equal(outcome.charged, outcome.used);
  assert.ok(outcome.operations <= 0.25 * outcome.calls, `${outcome.operations} operations for ${outcome.calls} calls`);
  assert.deepEqual(outcome.errors, []);
});

for (const gateways of [4, 16, 64]) {
  test(`${gateways} gateways use a limit to its last percent before a call is refused for good, and refuse none too early`, async () => {
    const outcome = await simulated({ seed: gateways, gateways, demand: 1.5 });
    assert.ok(outcome.finalRefusals > 0);
    assert.ok((outcome.usedAtFirstFinal ?? 0) >= 0.99, `refused at ${outcome.usedAtFirstFinal} of the limit`);
    assert.equal(outcome.prematureFinal, 0);
    assert.equal(outcome.prematureBusy, 0, "what is allotted elsewhere refuses no call for the moment either");
    assert.ok(outcome.used >= 0.99);
    assert.equal(outcome.charged, outcome.used);
  });
}

test("gateways that die cost no more than their leases and the calls they had, and no limit", async () => {
  const outcome = await simulated({ crashes: 6, demand: 0.6 });
  assert.equal(outcome.finalRefusals, 0);
  // Six times of sixteen what a gateway asks in 20 seconds, and what its calls of some seconds hold.
  const most = (6 * (20 + 6)) / (16 * 120);
  assert.ok(outcome.charged - outcome.used <= (most * 0.6) / 0.4, `${outcome.charged} charged for ${outcome.used}`);
});

test("limits hold when gateways die while there is more demand than money", async () => {
  const { prematureFinal, charged } = await simulated({ crashes: 6, demand: 1.5 });
  assert.equal(prematureFinal, 0);
  assert.ok(charged <= 1);
});

test("limits hold, and all is reported once, when messages are lost and the store is out of reach", async () => {
  const outages = [
    { fromMs: 30_000, toMs: 40_000 },
    { fromMs: 60_000, toMs: 105_000 },
  ];
  const outcome = await simulated({ outages, lost: 0.02, demand: 0.3 });
  const away = (10 + 45) / 120;
  assert.ok(outcome.failed > 0 && outcome.failed < 0.7 * away * outcome.calls, "allotments bridge a part of the time");
  await simulated({ outages, lost: 0.02, demand: 1.2 });
});

test("the same seed makes the same ledger", async () => {
  const options = { durationMs: 20_000, crashes: 2, lost: 0.02 };
  const [first, second, other] = [await simulated(options), await simulated(options), await simulated({ ...options, seed: 2 })];
  assert.equal(first.ledger, second.ledger);
  assert.notEqual(first.ledger, other.ledger);
});
