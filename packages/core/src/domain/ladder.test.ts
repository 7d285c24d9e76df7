import assert from "node:assert/strict";
import { test } from "node:test";
import { changesCalls, type LadderInput, measures, parseLadder, reachedSteps, rungsAt, rungText, shareOf, stepText } from "./ladder.ts";
import { parseLimit } from "./limit.ts";

const limits = (...texts: readonly string[]) => texts.map((text) => parseLimit(text, "Europe/Berlin"));
const MONEY = limits("$50 / month");
const parsed = (input: LadderInput, of = MONEY) => parseLadder(input, of);
const LADDER = parsed({
  "100%": 'answer "We are at capacity today."',
  "85%": "use gpt-4o-mini",
  "90%": ["shorten 300", "trim 4k"],
  "95%": ["slow 5s", "shorten 100 tokens"],
});

const reached = (share: number, before?: readonly number[]) => reachedSteps(LADDER, () => share, before);
const textsAt = (share: number) => rungsAt(LADDER, reached(share)).map(({ rung }) => rungText(rung));

test("steps hold from their share on, and a later rung of a kind takes the place of an earlier one", () => {
  assert.deepEqual(textsAt(8_499), []);
  assert.deepEqual(textsAt(8_500), ["use gpt-4o-mini"]);
  assert.deepEqual(textsAt(9_000), ["use gpt-4o-mini", "shorten 300", "trim 4000"]);
  assert.deepEqual(textsAt(9_999), ["use gpt-4o-mini", "shorten 100", "trim 4000", "slow 5s"]);
  assert.deepEqual(textsAt(12_000).at(-1), "answer");
});

test("a step is a share of the limits that it names, or of all but those of a moment", () => {
  const measured = (share: string, ...texts: readonly string[]) => {
    const [step] = parsed({ [share]: "slow" }, limits(...texts));
    assert.ok(step);
    assert.equal(stepText(step), share);
    return step.measures.map(({ unit, window }) => `${unit}/${window}`);
  };
  const all = ["$50 / month", "1M tokens / day", "60k tokens / minute bucket", "10 requests / rolling 15m", "5 concurrent"];
  assert.deepEqual(measured("85%", ...all), ["nanodollars/month", "tokens/day"]);
  assert.deepEqual(measured("85% of $", ...all), ["nanodollars/month"]);
  assert.deepEqual(measured("85% of tokens", ...all), ["tokens/day", "tokens/minute bucket"]);
  assert.deepEqual(measured("85% of tokens / minute bucket", ...all), ["tokens/minute bucket"]);
  assert.deepEqual(measured("85% of requests / rolling 15m", ...all), ["requests/rolling 15m"]);
  assert.deepEqual(measured("85%", "60k tokens / minute", "5 concurrent"), ["tokens/minute"], "where there is nothing longer");
  assert.deepEqual(measured("85%", "60k tokens"), ["tokens/lifetime"]);
});

test("each step stands by what it is a share of", () => {
  const ladder = parsed(
    { "50% of $": "use gpt-4o-mini", "80% of tokens / minute": "slow 5s" },
    limits("$50 / month", "60k tokens / minute"),
  );
  const [money, minute] = ladder;
  assert.ok(money && minute && measures(money, { unit: "nanodollars", window: "month" }));
  assert.ok(!measures(money, { unit: "tokens", window: "minute" }));
  const at = (shares: readonly [number, number]) =>
    rungsAt(
      ladder,
      reachedSteps(ladder, (step) => shares[step === money ? 0 : 1]),
    ).map(({ rung, step }) => `${rungText(rung)} from ${stepText(step)}`);
  assert.deepEqual(at([1_000, 9_000]), ["slow 5s from 80% of tokens / minute"]);
  assert.deepEqual(at([6_000, 1_000]), ["use gpt-4o-mini from 50% of $"]);
  assert.deepEqual(at([6_000, 9_000]).length, 2);
});

test("calls that end do not make a ladder flap: a step is left only some way below its share", () => {
  const first = reached(8_510);
  const after = reached(8_400, first);
  assert.deepEqual([first, after], [[0], [0]], "entered at 85 %, still there at 84 %");
  assert.deepEqual(reached(8_299, after), [], "left below 83 %");
  assert.deepEqual(reached(8_400), [], "not entered at 84 %");
  assert.deepEqual(reached(0, reached(9_900)), [], "a new window begins at the bottom");
});

test("a ladder says back what it was told, with what was left out", () => {
  const back = (text: string) => parsed({ "50%": text }).flatMap(({ rungs }) => rungs.map(rungText));
  const texts = [
    "tell",
    "tell slack",
    "cache",
    "cache 90s",
    "cache similar 0.9",
    "cache similar 85% 10m",
    "lookup faq",
    "lookup faq similar 0.75",
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
    "cache similar 0.9 60m",
    "cache similar 0.85 10m",
    "lookup faq",
    "lookup faq similar 0.75",
    "ask +10%",
    "ask 120s +10%",
    "ask slack 30s +20%",
    "summarise 4000 with gpt-4o-mini",
    "queue",
    "queue hook 720m",
  ]);
});

test("rungs that concern people change no call", () => {
  const ladder = parsed({ "50%": "tell", "80%": ["tell slack", "ask 2m"] });
  assert.deepEqual(rungsAt(ladder, [0, 1]), []);
  assert.equal(changesCalls(ladder), false);
  assert.equal(changesCalls(parsed({ "50%": ["tell", "cache"] })), true);
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
    [{ "85%": "cache similar" }, /is not a rung/],
    [{ "85%": "cache similar 0.4" }, /is not a rung/],
    [{ "85%": "cache similar 1.01" }, /is not a rung/],
    [{ "85%": "cache 10m similar 0.9" }, /is not a rung.*`cache similar 0\.9 10m`/],
    [{ "85%": "lookup" }, /is not a rung/],
    [{ "85%": "lookup faq 0.9" }, /is not a rung/],
    [{ "85%": "tell slack email" }, /is not a rung/],
    [{ "85%": "ask 11m" }, /is not a rung/],
    [{ "85%": "ask slack email" }, /is not a rung/],
    [{ "85%": "constructor" }, /is not a rung/],
    [{ "85%": "block", "85.0%": "slow" }, /two steps at 85%/],
    [{ "80%": ["use a", "use b"] }, /"use" stands twice at 80%, where one of them can hold/],
    [{ "85% of $": "block", "85%   of $": "slow" }, /two steps at 85% of \$/],
    [{ "85% of": "block" }, /"85% of" is not a share/],
    [{ "85% of euros": "block" }, /"85% of euros": "euros" is no limit. Write `of \$`, `of tokens \/ day`/],
    [{ "85% of $ / fortnight": "block" }, /"\$ \/ fortnight" is no limit/],
    [{ "85% of tokens": "block" }, /"85% of tokens": it can be a share of the budget's limits .*, which are \$50.00 \/ month/],
    [{ "85% of $ / day": "block" }, /which are \$50.00 \/ month/],
    [{ "50%": "queue 500d" }, /"queue 500d" at 50% is not a rung/],
    [{ "50%": "queue one two" }, /"queue one two" at 50% is not a rung/],
    [{ "50%": "summarise 4000" }, /"summarise 4000" at 50% is not a rung.*`summarise TOKENS with MODEL`/],
  ] as const) {
    assert.throws(() => parsed(input), { code: "ladder_invalid", message: what }, JSON.stringify(input));
  }
  assert.throws(() => parsed({ "85%": "degrade" }), /Rungs are `use MODEL`, `shorten TOKENS`/);
});
