import assert from "node:assert/strict";
import { test } from "node:test";
import { changesCalls, parseLadder, rungsAt, rungText, shareOf, stepAt } from "./ladder.ts";

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

test("a ladder says back what it was told, with what was left out", () => {
  const back = (text: string) => parseLadder({ "50%": text }).flatMap(({ rungs }) => rungs.map(rungText));
  const texts = [
    "tell",
    "tell slack",
    "cache",
    "cache 90s",
    "ask",
    "ask 2m",
    "ask slack +20% 30s",
    "summarize 4k with gpt-4o-mini",
    "queue",
    "queue 12h hook",
  ];
  assert.deepEqual(texts.flatMap(back), [
    "tell",
    "tell slack",
    "cache 60m",
    "cache 90s",
    "ask +10%",
    "ask 120s +10%",
    "ask slack 30s +20%",
    "summarise 4000 with gpt-4o-mini",
    "queue",
    "queue hook 720m",
  ]);
});

test("rungs that concern people change no call", () => {
  const ladder = parseLadder({ "50%": "tell", "80%": ["tell slack", "ask 2m"] });
  assert.deepEqual(rungsAt(ladder, 1), []);
  assert.equal(changesCalls(ladder), false);
  assert.equal(changesCalls(parseLadder({ "50%": ["tell", "cache"] })), true);
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
    [{ "85%": "cache 25h" }, /is not a rung/],
    [{ "85%": "tell slack email" }, /is not a rung/],
    [{ "85%": "ask 11m" }, /is not a rung/],
    [{ "85%": "ask slack email" }, /is not a rung/],
    [{ "85%": "constructor" }, /is not a rung/],
    [{ "85%": "block", "85.0%": "slow" }, /two steps at 85%/],
    [{ "80%": ["use a", "use b"] }, /"use" stands twice at 80%, where one of them can hold/],
    [{ "50%": "queue 500d" }, /"queue 500d" at 50% is not a rung/],
    [{ "50%": "queue one two" }, /"queue one two" at 50% is not a rung/],
    [{ "50%": "summarise 4000" }, /"summarise 4000" at 50% is not a rung.*`summarise TOKENS with MODEL`/],
  ] as const) {
    assert.throws(() => parseLadder(input), { code: "ladder_invalid", message: what }, JSON.stringify(input));
  }
  assert.throws(() => parseLadder({ "85%": "degrade" }), /Rungs are `use MODEL`, `shorten TOKENS`/);
});
