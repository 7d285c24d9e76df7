import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type Circuit,
  circuitFailed,
  circuitTried,
  FAILURES_MOST,
  isPassedOver,
  OPEN_FIRST_MS,
  OPEN_MOST_MS,
  PROBE_MS,
  RETRY_AFTER_MOST_MS,
} from "./circuit.ts";
import { Circuits } from "./circuits.ts";

function failing(times: number, now = 0): Circuit | undefined {
  let circuit: Circuit | undefined;
  for (let i = 0; i < times; i++) circuit = circuitFailed(circuit, now);
  return circuit;
}

/** The one call that finds out whether a provider answers again finds out that it does not. */
function probeFails(circuit: Circuit, now: number): Circuit {
  return circuitFailed(circuitTried(circuit, now), now);
}

test("some failures are no reason to pass over a provider, and one more is", () => {
  assert.equal(isPassedOver(failing(FAILURES_MOST - 1), 0), false);
  const open = failing(FAILURES_MOST);
  assert.equal(isPassedOver(open, OPEN_FIRST_MS - 1), true);
  assert.equal(isPassedOver(open, OPEN_FIRST_MS), false);
});

test("when its time is over, one call at a time finds out whether it answers again", () => {
  const tried = circuitTried(failing(FAILURES_MOST) as Circuit, OPEN_FIRST_MS);
  assert.equal(isPassedOver(tried, OPEN_FIRST_MS), true, "no second call goes with it");
  assert.equal(isPassedOver(tried, OPEN_FIRST_MS + PROBE_MS), false, "a call that never told how it ended does not close it for ever");
});

test("each time that it fails again it is passed over for twice as long, up to a bound", () => {
  let circuit = failing(FAILURES_MOST) as Circuit;
  const openMs: number[] = [];
  for (let i = 0; i < 9; i++) {
    const now = circuit.until;
    circuit = probeFails(circuit, now);
    openMs.push(circuit.until - now);
  }
  assert.deepEqual(openMs.slice(0, 3), [2 * OPEN_FIRST_MS, 4 * OPEN_FIRST_MS, 8 * OPEN_FIRST_MS]);
  assert.deepEqual(openMs.slice(-2), [OPEN_MOST_MS, OPEN_MOST_MS]);
});

test("calls that were on their way when it opened do not open it again", () => {
  const open = failing(FAILURES_MOST) as Circuit;
  const after = circuitFailed(circuitFailed(open, 10), 20);
  assert.deepEqual([after.opened, after.until], [open.opened, open.until]);
});

test("who asks to be left alone is, at once and up to a minute, and is not taken for broken", () => {
  const asked = circuitFailed(undefined, 1_000, 3_000);
  assert.deepEqual([isPassedOver(asked, 3_999), isPassedOver(asked, 4_000), asked.opened], [true, false, 0]);
  assert.equal(circuitFailed(undefined, 0, 86_400_000).until, RETRY_AFTER_MOST_MS);
});

test("what answers again is forgotten, and whoever counts is told when circuits open and close", () => {
  const told: string[] = [];
  const circuits = new Circuits((provider, change) => told.push(`${provider} ${change}`));
  const one = { provider: { name: "azure" }, sentAs: "gpt-4o" };
  const other = { provider: { name: "azure" }, sentAs: "gpt-4o-mini" };
  for (let i = 0; i < FAILURES_MOST; i++) circuits.failed(one, 0, undefined);
  for (let i = 0; i < FAILURES_MOST; i++) circuits.failed(other, 0, undefined);
  circuits.failed(one, 0, undefined);
  assert.deepEqual([circuits.isPassedOver(one, 0), circuits.isPassedOver({ ...one, sentAs: "o3" }, 0)], [true, false]);
  circuits.answered(one);
  assert.equal(circuits.isPassedOver(one, 0), false);
  assert.equal(circuits.find(one), undefined);
  circuits.forget();
  assert.equal(circuits.isPassedOver(other, 0), false);
  assert.deepEqual(told, ["azure opened", "azure opened", "azure closed", "azure closed"]);
});

test("what one process passes over, another one that is told of it does too, until either finds that it answers again", () => {
  const others: Circuits[] = [];
  const told: string[] = [];
  const open = () => {
    const circuits: Circuits = new Circuits(
      (provider, change) => told.push(`${provider} ${change}`),
      (event) => {
        for (const other of others) if (other !== circuits) other.hear(event);
      },
    );
    others.push(circuits);
    return circuits;
  };
  const [one, other] = [open(), open()];
  const place = { provider: { name: "p" }, sentAs: "m/large" };
  for (let i = 1; i < FAILURES_MOST; i++) one.failed(place, 0, undefined);
  assert.equal(other.find(place), undefined, "what is counted is not told");
  one.failed(place, 0, undefined);
  assert.ok(other.isPassedOver(place, OPEN_FIRST_MS - 1) && !other.isPassedOver(place, OPEN_FIRST_MS));
  assert.deepEqual(told, ["p opened", "p opened"]);
  // The one that finds out does so for both, and for longer where it fails again.
  other.tried(place, OPEN_FIRST_MS);
  assert.ok(one.isPassedOver(place, OPEN_FIRST_MS));
  other.failed(place, OPEN_FIRST_MS, undefined);
  assert.ok(one.isPassedOver(place, 3 * OPEN_FIRST_MS - 1) && !one.isPassedOver(place, 3 * OPEN_FIRST_MS));
  one.tried(place, 3 * OPEN_FIRST_MS);
  one.answered(place);
  assert.deepEqual([one.find(place), other.find(place)], [undefined, undefined]);
  assert.deepEqual(told, ["p opened", "p opened", "p closed", "p closed"]);
  other.failed(place, 0, 20_000);
  assert.ok(one.isPassedOver(place, 19_999), "who asks to be left alone is left alone by both");
});
