import assert from "node:assert/strict";
import { test } from "node:test";
import { type Candidate, nextCandidate } from "./choice.ts";
import { retryAfterOf } from "./retry-after.ts";

const NEW: Candidate = { tries: 0, isPassedOver: false, isOut: false, notBefore: 0 };
const TERMS = { now: 1_000, waitMsMost: 2_000, dice: 0 };

function chosen(candidates: readonly Partial<Candidate>[], terms: Partial<typeof TERMS> = {}) {
  return nextCandidate(
    candidates.map((one) => ({ ...NEW, ...one })),
    { ...TERMS, ...terms },
  );
}

test("the first of the list comes first, and nobody waits for one that was not asked yet", () => {
  assert.deepEqual(chosen([{}, {}]), { index: 0, waitMs: 0 });
  assert.deepEqual(chosen([{ tries: 1 }, {}]), { index: 1, waitMs: 0 });
  assert.deepEqual(chosen([{ isOut: true }, {}]), { index: 1, waitMs: 0 });
});

test("one that fails lately comes after all that do not, and before any that was asked already", () => {
  assert.equal(chosen([{ isPassedOver: true }, {}])?.index, 1);
  assert.equal(chosen([{ isPassedOver: true }, { isPassedOver: true }])?.index, 0);
  assert.equal(chosen([{ isPassedOver: true }, { tries: 1 }])?.index, 0);
});

test("one that was asked is asked again after a while that doubles, and that dice spread", () => {
  const waits = [1, 2, 3, 9].map((tries) => chosen([{ tries }])?.waitMs);
  assert.deepEqual(waits, [125, 250, 500, 1_000]);
  assert.deepEqual(
    [0.5, 0.99].map((dice) => chosen([{ tries: 1 }], { dice })?.waitMs),
    [188, 249],
  );
});

test("a wish to be left alone is kept where it is short, and nobody waits for a long one", () => {
  assert.equal(chosen([{ tries: 1, notBefore: 2_500 }])?.waitMs, 1_500);
  assert.equal(chosen([{ tries: 1, notBefore: 3_001 }]), undefined);
  assert.equal(chosen([{ tries: 1, notBefore: 3_001 }, { tries: 1 }])?.index, 1);
  assert.equal(chosen([]), undefined);
});

test("how long a provider asks to be left alone is read as all of them write it", () => {
  const now = Date.UTC(2026, 0, 1);
  const read = (...headers: string[]) => retryAfterOf(headers, now);
  assert.equal(read("Retry-After", "2"), 2_000);
  assert.equal(read("retry-after", "2", "retry-after-ms", "150"), 150);
  assert.equal(read("retry-after", "Thu, 01 Jan 2026 00:00:30 GMT"), 30_000);
  assert.equal(read("retry-after", "Wed, 31 Dec 2025 00:00:30 GMT"), 0);
  for (const nothing of [[], ["retry-after", ""], ["retry-after", "soon"], ["retry-after", "-3"]])
    assert.equal(read(...nothing), undefined);
});
