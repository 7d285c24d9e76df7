import assert from "node:assert/strict";
import { test } from "node:test";
import { changesCalls, type LadderInput, parseLadder, reachedSteps, rungsAt, rungText } from "./ladder.ts";
import { beyondStep, measures, type StepBounds, shareFrom, shareOf, stepPhrase, stepText } from "./ladder-step.ts";
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

const reached = (share: number, before?: readonly number[]) => reachedSteps(LADDER, ({ from }) => share - from, before);
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
      reachedSteps(ladder, (step) => shares[step === money ? 0 : 1] - step.from),
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
    "hand over",
    'hand over support keep 36h "A colleague will write to you."',
    "hand over keep 30d support",
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
    "hand over",
    "hand over support keep 36h",
    "hand over support keep 30d",
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

/** How far a step is, on a balance with this limit. */
function beyond(step: string, { limit, spent, held = 0 }: { limit: number; spent: number; held?: number }, of = MONEY) {
  const [read] = parsed({ [step]: "slow" }, of);
  assert.ok(read);
  return beyondStep(read, { spent, held }, limit);
}

test("an amount is reached to the unit, whatever the limit in force, by what is spent and held or by what is left", () => {
  const dollars = (amount: number) => amount * 1_000_000_000;
  const limit = dollars(50);
  assert.ok(beyond("$40", { limit, spent: dollars(40) - 1 }) < 0);
  assert.equal(beyond("$40", { limit, spent: dollars(30), held: dollars(10) }), 0);
  assert.equal(beyond("$40", { limit: dollars(80), spent: dollars(40) }), 0, "a grant moves no amount that is spent");
  assert.ok(beyond("$20 left", { limit, spent: dollars(30) - 1 }) < 0);
  assert.equal(beyond("$20 left", { limit, spent: dollars(30) }), 0);
  assert.ok(beyond("$20 left", { limit: dollars(80), spent: dollars(59) }) < 0, "a grant leaves more");
  assert.ok(beyond("$20 left", { limit: dollars(10), spent: 0 }) >= 0, "whoever has less from the start has no more left");
  assert.ok(beyond("$40", { limit: 0, spent: 0 }) < 0);
  assert.ok(beyond("$20 left", { limit: 0, spent: 0 }) >= 0);
  // A limit so large that shares of it are not exact.
  const large = 9_000_000_000_000_000;
  assert.ok(beyond("$40", { limit: large, spent: dollars(40) - 1 }) < 0);
});

test("an amount is one of the limit on its unit that can come so far, and says back what it was told", () => {
  const of = (key: string, ...texts: readonly string[]) => {
    const [step] = parsed({ [key]: "slow" }, limits(...texts));
    assert.ok(step);
    return [stepText(step), ...step.measures.map(({ unit, window }) => `${unit}/${window}`)];
  };
  assert.deepEqual(of("$400", "$500 / month", "1M tokens / day"), ["$400", "nanodollars/month"]);
  assert.deepEqual(of("$400", "$500 / month", "$50 / day"), ["$400", "nanodollars/month"], "a day never comes so far");
  assert.deepEqual(of("$40 of $ / day", "$500 / month", "$50 / day"), ["$40 of $ / day", "nanodollars/day"]);
  assert.deepEqual(of("80k tokens", "$500 / month", "100k tokens / day"), ["80k tokens", "tokens/day"]);
  assert.deepEqual(
    of("8 requests", "10 requests / minute", "$5 / day"),
    ["8 requests", "requests/minute"],
    "of a minute, where nothing longer has that unit",
  );
  assert.deepEqual(of("0.5M input tokens left", "1M input tokens / day"), ["0.5M input tokens left", "input_tokens/day"]);
  assert.deepEqual(of("$1 of $", "$2", "$5 / day"), ["$1 of $", "nanodollars/lifetime"], "a lifetime has no other name");
  assert.deepEqual(
    parsed({ $45: "slow", "50%": "cache", "$20 left": "tell" }).map((step) => [stepText(step), step.from, stepPhrase(step)]),
    [
      ["50%", 5_000, "from 50% on"],
      ["$20 left", 6_000, "when $20 is left"],
      ["$45", 9_000, "from $45 on"],
    ],
  );
});

test("steps beyond the limit are for budgets that only observe", () => {
  const observing: StepBounds = { isEnforced: false, most: ({ amount }) => amount };
  const steps = parseLadder({ "120%": "tell", $70: "tell" }, MONEY, observing);
  assert.deepEqual(
    steps.map((step) => [stepText(step), shareFrom(step, 50_000_000_000)]),
    [
      ["120%", 12_000],
      ["$70", 14_000],
    ],
  );
  const wider: StepBounds = { isEnforced: true, most: ({ amount }) => 2 * amount };
  assert.equal(parseLadder({ $70: "tell" }, MONEY, wider).length, 1, "some subject is allowed so much");
});

test("an amount that is never reached, or leaves open of what, is refused with the nearest one", () => {
  for (const [key, texts, what] of [
    [
      "$600",
      ["$500 / month"],
      /"\$600" is never reached: of \$500\.00 \/ month the budget lets nobody use more than \$500\.00\. Write at most \$500\.00, or let it only observe/,
    ],
    ["$600", ["$500 / month", "$50 / day"], /Write at most \$500\.00/],
    ["$501 left", ["$500 / month"], /"\$501 left" holds always: .* Write at most \$500\.00 left, or 0%/],
    [
      "$40",
      ["$500 / month", "$50 / day"],
      /can be an amount of \$500\.00 \/ month and of \$50\.00 \/ day\. Say of which: `\$40 of \$ \/ month` or `\$40 of \$ \/ day`/,
    ],
    ["$400", ["1M tokens / month"], /"\$400" is an amount of no limit of the budget .*: these are 1,000,000 tokens \/ month/],
    ["5 requests", ["5 concurrent"], /it has none/],
    ["$400 of tokens", ["$500 / month", "1M tokens / month"], /that is an amount of money, and a limit on tokens/],
    ["$400 / month", ["$500 / month"], /write `\$400 of \$ \/ month`/],
    ["80k tokens / day left", ["100k tokens / day"], /write `80k tokens of tokens \/ day/],
    ["$4,00", ["$500 / month"], /"\$4,00" is no amount\. .*"4,00" is not a number/],
    ["80k", ["100k tokens / day"], /"80k" is not a share of a limit from 0% to 100%, nor an amount such as \$400, 80k tokens/],
    ["2 concurrent", ["2 concurrent", "$5"], /is an amount of no limit/],
    ["120%", ["$500 / month"], /"120%" is not a share of a limit that is ever reached: the budget refuses calls at 100%/],
    ["$99,999,999", ["$500 / month"], /is no amount\. The limit "\$99,999,999" is too large/],
  ] as const) {
    assert.throws(() => parsed({ [key]: "slow" }, limits(...texts)), { code: "ladder_invalid", message: what }, key);
  }
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
    [{ "85%": "hand" }, /is not a rung/],
    [{ "85%": "hand overboard" }, /is not a rung/],
    [{ "85%": "hand over keep" }, /is not a rung/],
    [{ "85%": "hand over keep 30" }, /is not a rung/],
    [{ "85%": "hand over keep 367d" }, /is not a rung/],
    [{ "85%": "hand over a b" }, /is not a rung/],
    [{ "85%": 'hand over ""' }, /is not a rung/],
    [{ "85%": 'hand over "Later" chat' }, /is not a rung/],
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
    [{ $40: "block", "$40.00": "slow" }, /two steps at \$40/],
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
