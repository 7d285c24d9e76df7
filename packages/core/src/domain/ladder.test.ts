import assert from "node:assert/strict";
import { test } from "node:test";
import { parseLadder, rungsAt, rungText, shareOf, stepAt } from "./ladder.ts";

const LADDER = parseLadder({
  "100%": 'answer "We are at capacity today."',
  "85%": "use gpt-4o-mini",
  "90%": ["shorten 300", "trim 4k"],
  "95%": ["slow 5s", "shorten 100 tokens"],
});

const textsAt = (step: number) => rungsAt(LADDER, step).map(rungText);

test("steps hold from their share on, and a later rung of a kind takes the place of an earlier one", () => {
  assert.deepEqual(textsAt(stepAt(LADDER, 8_499)), []);
  assert.deepEqual(textsAt(stepAt(LADDER, 8_500)), ["use gpt-4o-mini"]);
  assert.deepEqual(textsAt(stepAt(LADDER, 9_000)), ["use gpt-4o-mini", "shorten 300", "trim 4000"]);
  assert.deepEqual(textsAt(stepAt(LADDER, 9_999)), ["use gpt-4o-mini", "shorten 100", "trim 4000", "slow 5s"]);
  assert.deepEqual(textsAt(stepAt(LADDER, 12_000)).at(-1), "answer");
});

test("calls that end do not make a ladder flap: a step is left only some way below its share", () => {
  const first = stepAt(LADDER, 8_510);
  const after = stepAt(LADDER, 8_400, first);
  assert.equal(after, first, "entered at 85 %, still there at 84 %");
  assert.equal(stepAt(LADDER, 8_299, after), -1, "left below 83 %");
  assert.equal(stepAt(LADDER, 8_400), -1, "not entered at 84 %");
  assert.equal(stepAt(LADDER, 0, stepAt(LADDER, 9_900)), -1, "a new window begins at the bottom");
});

test("a limit of nothing is all used", () => {
  assert.equal(shareOf({ spent: 0, held: 0 }, 0), 10_000);
  assert.equal(shareOf({ spent: 40, held: 2 }, 100), 4_200);
});

test("what is not a ladder is refused with what one looks like", () => {
  for (const [input, what] of [
    [{ "85": "block" }, /"85" is not a share of a limit/],
    [{ "101%": "block" }, /"101%" is not a share/],
    [{ "85%": "use" }, /"use" at 85% is not a rung/],
    [{ "85%": "use a b" }, /is not a rung/],
    [{ "85%": "shorten 0" }, /is not a rung/],
    [{ "85%": "shorten many" }, /is not a rung/],
    [{ "85%": "slow 2h" }, /is not a rung/],
    [{ "85%": 'answer ""' }, /is not a rung/],
    [{ "85%": "block everything" }, /is not a rung/],
    [{ "85%": "constructor" }, /is not a rung/],
    [{ "85%": "block", "85.0%": "slow" }, /two steps at 85%/],
    [{ "50%": "tell slack" }, /this version has no rung "tell" yet \(50%\)/],
  ] as const) {
    assert.throws(() => parseLadder(input), { code: "ladder_invalid", message: what }, JSON.stringify(input));
  }
  assert.throws(() => parseLadder({ "85%": "degrade" }), /Rungs are `use MODEL`, `shorten TOKENS`/);
});
