import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { formatLimit, type Subject } from "@purser/core";
import type { Config } from "../config/config.ts";
import { examineConfig } from "../config/read-config.ts";
import type { RecordedRefusal } from "../replay/ledger-calls.ts";
import type { RecordedCall } from "../replay/recorded-call.ts";
import { type Recommendation, recommend } from "./recommend.ts";

const START = Date.UTC(2026, 9, 5);
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
/** What a call of `callAt` costs at m-large, in nano-dollars: a cent. */
const CENT = 10_000_000;

function configOf(budgets = "[]", more = ""): Config {
  const text = `
providers: { house: { dialect: openai, base_url: "http://127.0.0.1:9/v1", api_key: none, models: ["m-*", "free-*"] } }
prices:
  - { model: m-large, input: 5, output: 10, max_output: 8192 }
budgets: ${budgets}
${more}`;
  const { config, problems } = examineConfig({ file: "purser.yaml", text, environment: {} });
  assert.deepEqual(problems, []);
  return config as Config;
}

function callAt(at: number, subject: Subject = {}, more: Partial<RecordedCall> = {}): RecordedCall {
  return {
    at: START + at,
    subject,
    endpoint: "openai-chat",
    provider: undefined,
    model: "m-large",
    priceVariant: undefined,
    service: "standard",
    usage: { inputTokens: 1_000, outputTokens: 500 },
    inputTokensHeld: 1_000,
    outputCap: 500,
    durationMs: 5_000,
    isLost: false,
    cost: undefined,
    ...more,
  };
}

/** Calls at even intervals over each of some days, from a minute after midnight on. */
function daysOf(days: number, perDay: number | ((day: number) => number), subject: Subject = {}): readonly RecordedCall[] {
  return Array.from({ length: days }, (_, day) => {
    const count = typeof perDay === "number" ? perDay : perDay(day);
    return Array.from({ length: count }, (_, i) => callAt(day * DAY + MINUTE + i * ((DAY - 2 * MINUTE) / count), subject));
  }).flat();
}

/** The record of a gateway that still runs when its last day is over. */
function recordOf(calls: readonly RecordedCall[], refusals: readonly RecordedRefusal[] = []) {
  return { calls: calls.toSorted((a, b) => a.at - b.at), refusals, goesOn: true };
}

async function recommended(
  calls: readonly RecordedCall[],
  { config = configOf(), refusals = [] as readonly RecordedRefusal[], headroom = 0.25, unit = undefined as "tokens" | undefined } = {},
): Promise<Recommendation> {
  return recommend({ config, recorded: recordOf(calls, refusals), headroom, unit, now: START + 400 * DAY });
}

const proposed = ({ proposals }: Recommendation) =>
  proposals.map(({ budget, limits }) => [budget.name, ...limits.map(({ limit }) => formatLimit(limit))]);
const reviewed = ({ reviews }: Recommendation) =>
  reviews.map(({ budget, limit, verdict, fit }) => [budget.name, limit && formatLimit(limit), verdict, fit && formatLimit(fit.limit)]);

test("a limit that weighs its tokens is reviewed by what they count, and needs what they count", async () => {
  const calls = daysOf(10, 20, { team: "search" });
  const config = configOf("[{ name: all, limits: [6k tokens / day], weights: { input: 0.1, output: 4 } }]");
  const found = await recommended(calls, { config });
  // 20 calls a day, each 100 + 2,000: where nothing weighed it would be 20 times 1,500.
  assert.deepEqual(reviewed(found), [["all", "6,000 tokens / day", "too tight", "53,000 tokens / day"]]);
});

describe("after a trial of three days", () => {
  const teams = [
    ...daysOf(3, 40, { team: "search", feature: "chat", user: "ann" }),
    ...daysOf(3, 10, { team: "sales", feature: "mails", user: "bob" }),
    ...daysOf(3, 2, { team: "sales", feature: "chat", user: "cem" }),
  ];

  test("a whole tree is proposed, and what it would have refused is none of the trial", async () => {
    const found = await recommended(teams);
    assert.deepEqual(proposed(found), [
      ["company", "$1.10 / day"],
      ["team sales", "$0.24 / day"],
      ["team search", "$0.80 / day"],
      ["feature chat", "$0.84 / day"],
      ["feature mails", "$0.20 / day"],
      ["each user", "$0.80 / day"],
    ]);
    assert.deepEqual([found.wholeDays, found.sureness, found.refusedTogether], [3, "fair", 0]);
    assert.ok(found.proposals.every(({ limits: [first], refusedCalls }) => first?.need.rests !== undefined && refusedCalls === 0));
  });

  test("it is the same each time", async () => {
    assert.deepEqual(proposed(await recommended(teams)), proposed(await recommended(teams.toReversed())));
  });

  test("it has room for what a call holds, and not only for what it uses", async () => {
    const short = daysOf(3, 1, { team: "rare" }).map(
      (call): RecordedCall => ({ ...call, outputCap: undefined, usage: { inputTokens: 10, outputTokens: 1 } }),
    );
    const found = await recommended([...short, ...daysOf(3, 40, { team: "search" })]);
    assert.deepEqual(
      found.proposals.map(({ budget, refusedCalls }) => [budget.name, refusedCalls]),
      [
        ["company", 0],
        ["team rare", 0],
        ["team search", 0],
      ],
    );
  });

  test("it has headroom where days differ, as much as one says", async () => {
    const uneven = daysOf(3, (day) => (day === 1 ? 100 : 10));
    assert.deepEqual(proposed(await recommended(uneven)), [["company", "$1.30 / day"]]);
    assert.deepEqual(proposed(await recommended(uneven, { headroom: 0.5 })), [["company", "$1.50 / day"]]);
  });

  test("it is in tokens where a model has no price, and where one says so: a budget in money would refuse its calls", async () => {
    const free = teams.map((call) => (call.subject.team === "sales" ? { ...call, model: "free-1" } : call));
    assert.deepEqual(proposed(await recommended(free)).slice(0, 3), [
      ["company", "160,000 tokens / day"],
      ["team sales", "36,000 tokens / day"],
      ["team search", "$0.80 / day"],
    ]);
    assert.deepEqual(proposed(await recommended(teams, { unit: "tokens" }))[0], ["company", "160,000 tokens / day"]);
  });
});

describe("what is not known is not guessed", () => {
  test("an hour is no day: nothing is proposed", async () => {
    const hour = Array.from({ length: 60 }, (_, i) => callAt(12 * HOUR + i * MINUTE, { user: `u${i % 5}` }));
    const { proposals, wholeDays, unsaid } = await recommend({
      config: configOf(),
      recorded: { ...recordOf(hour), goesOn: false },
      headroom: 0.25,
      unit: undefined,
      now: START,
    });
    assert.deepEqual([proposals.length, wholeDays], [0, 0]);
    assert.ok(unsaid.every(({ why }) => why === "too early"));
  });

  test("today is not over, and counts as no day", async () => {
    const calls = [...daysOf(3, 10), ...Array.from({ length: 500 }, (_, i) => callAt(3 * DAY + i * MINUTE))];
    const now = START + 3 * DAY + 10 * HOUR;
    const { wholeDays, proposals } = await recommend({
      config: configOf(),
      recorded: recordOf(calls),
      headroom: 0.25,
      unit: undefined,
      now,
    });
    assert.equal(wholeDays, 3);
    assert.deepEqual([proposals[0]?.refusedCalls, proposals[0]?.calls], [480, 530], "and it is said what would have been refused of it");
  });

  test("a team that came on the last day has no proposal, and is named", async () => {
    const late = Array.from({ length: 5 }, (_, i) => callAt(2 * DAY + 20 * HOUR + i * MINUTE, { team: "late" }));
    const found = await recommended([...daysOf(3, 10, { team: "search" }), ...daysOf(3, 5, { team: "sales" }), ...late]);
    assert.deepEqual(
      found.proposals.map(({ budget }) => budget.name),
      ["company", "team sales", "team search"],
    );
    assert.deepEqual(found.unsaid, [{ name: "team late", why: "too early" }]);
  });

  test("a month is proposed from a week on, and growth is told from two on", async () => {
    assert.deepEqual(proposed(await recommended(daysOf(6, 10)))[0], ["company", "$0.20 / day"]);
    const week = await recommended(daysOf(7, (day) => (day < 5 ? 10 : 1)));
    assert.deepEqual(proposed(week)[0], ["company", "$0.13 / day", "$2.90 / month"]);
    const grown = await recommended(daysOf(14, (day) => (day % 7 === 2 || day % 7 === 3 ? 0 : day < 7 ? 10 : 13)));
    assert.equal(grown.proposals[0]?.limits[0]?.need.growth, 0.3);
  });
});

/** As the configuration would read a variable. */
const VARIABLE = "$" + "{HOME}";

describe("people", () => {
  test("whose use is far above the others' get exceptions, so that the budget fits the others", async () => {
    const others = Array.from({ length: 30 }, (_, i) => daysOf(3, 2 + (i % 3), { user: `u${i}` })).flat();
    const { proposals } = await recommended([...others, ...daysOf(3, 300, { user: "robot" })]);
    const each = proposals.find(({ budget }) => budget.name === "each user");
    assert.deepEqual(each?.input.limits, ["$0.08 / day"]);
    assert.deepEqual(each?.input.exceptions, [{ for: { user: "robot" }, limits: ["$6.00 / day"] }]);
    assert.equal(each?.refusedCalls, 0);
  });

  test("are those whom calls name: all that name nobody do not share one balance", async () => {
    const found = await recommended([...daysOf(3, 200), ...daysOf(3, 3, { user: "ann" }), ...daysOf(3, 3, { user: "bob" })]);
    const each = found.proposals.find(({ budget }) => budget.name === "each user");
    assert.deepEqual([each?.input.for, each?.calls, each?.refusedCalls], [{ user: "*" }, 18, 0]);
  });

  test("are proposed for tier by tier, where all have one", async () => {
    const people = ["ann", "bob"].flatMap((user) => daysOf(3, 2, { user, tier: "free" }));
    const found = await recommended([...people, ...["cem", "dee"].flatMap((user) => daysOf(3, 50, { user, tier: "pro" }))]);
    assert.deepEqual(proposed(found).slice(1), [
      ["each user of tier free", "$0.04 / day"],
      ["each user of tier pro", "$1.00 / day"],
    ]);
  });

  test("are keys where calls have no user", async () => {
    const found = await recommended(["k1", "k2"].flatMap((key) => daysOf(3, 2, { key })));
    assert.deepEqual(proposed(found).at(-1), ["each key", "$0.04 / day"]);
  });

  test("who call themselves by what a selector reads as something else get no exception", async () => {
    const others = Array.from({ length: 30 }, (_, i) => daysOf(3, 2, { user: `u${i}` })).flat();
    const { proposals, unsaid } = await recommended([...others, ...daysOf(3, 100, { user: "*" }), ...daysOf(3, 90, { team: VARIABLE })]);
    assert.deepEqual(
      proposals.map(({ input }) => [input.name, input.exceptions ?? []]),
      [
        ["company", []],
        ["each user", []],
      ],
    );
    assert.deepEqual(unsaid, [
      { name: JSON.stringify(`team ${VARIABLE}`), why: "not nameable" },
      { name: '"user *"', why: "not nameable" },
    ]);
  });
});

describe("a level with very many values", () => {
  test("gets one budget with a balance for each", async () => {
    const calls = Array.from({ length: 12 }, (_, i) => daysOf(3, 2, { team: `t${i}` })).flat();
    const found = await recommended(calls);
    assert.deepEqual(proposed(found), [
      ["company", "$0.48 / day"],
      ["each team", "$0.04 / day"],
    ]);
  });

  test("is none where it has one value for all calls", async () => {
    assert.deepEqual(proposed(await recommended(daysOf(3, 10, { org: "acme", team: "one", user: "ann" }))), [["company", "$0.20 / day"]]);
  });
});

describe("days", () => {
  test("are those of the configuration's zone", async () => {
    // The first call comes at 02:01 in Berlin, and the last two of the fourth day on the fifth.
    const found = await recommended(daysOf(4, 24), { config: configOf("[]", "timezone: Europe/Berlin") });
    assert.equal(found.wholeDays, 5);
    assert.deepEqual(found.proposals[0]?.budget.limits[0]?.window, { kind: "calendar", period: "day", timeZone: "Europe/Berlin" });
    assert.equal(found.proposals[0]?.limits[0]?.need.used, (96 / 5) * CENT);
  });
});

describe("a review", () => {
  const steady = daysOf(14, 40, { team: "search", feature: "chat" });
  const review = async (budgets: string, calls = steady, refusals: readonly RecordedRefusal[] = []) =>
    recommended(calls, { config: configOf(budgets), refusals });

  test("finds what is too loose, and says which amount would fit", async () => {
    const found = await review(
      "[{ name: wide, limits: [$50 / day, $1000 / month] }, { name: right, for: { team: search }, limits: [$0.60 / day] }]",
    );
    assert.deepEqual(reviewed(found), [
      ["wide", "$50.00 / day", "too loose", "$0.50 / day"],
      ["wide", "$1,000.00 / month", "too loose", "$16.00 / month"],
      ["right", "$0.60 / day", "fits", undefined],
    ]);
    assert.deepEqual([found.refusedTogether, found.reviews[0]?.fullest], [0, 0.4 / 50]);
  });

  test("finds what only observed and would have refused, day after day, each budget by itself", async () => {
    const found = await review(
      "[{ name: trial, mode: observe, limits: [$0.20 / day] }, { name: other, for: { team: search }, mode: observe, limits: [$0.30 / day] }]",
    );
    assert.deepEqual(reviewed(found), [
      ["trial", "$0.20 / day", "too tight", "$0.50 / day"],
      ["other", "$0.30 / day", "too tight", "$0.50 / day"],
    ]);
    assert.deepEqual(
      found.reviews.map(({ wouldRefuseCalls, refusedWindows, windows, refusedThen }) => [
        wouldRefuseCalls,
        refusedWindows,
        windows,
        refusedThen,
      ]),
      [
        [280, 14, 14, 0],
        [140, 14, 14, 0],
      ],
    );
  });

  const refusal = (at: number, by: RecordedRefusal["by"], times = 1): RecordedRefusal => ({
    at: START + at,
    subject: { team: "search", feature: "chat", provider: "house", model: "m-large", endpoint: "openai-chat" },
    by,
    // At most three and a half cents.
    usage: { inputTokens: 1_000, outputTokens: 3_000 },
    pricedAs: "m-large",
    times,
  });
  const byTight = { budget: "tight", unit: "nanodollars", window: "day" } as const;

  test("takes refused calls for as large as the others, and a client in a loop for no more than was used", async () => {
    const evenings = Array.from({ length: 14 }, (_, day) => refusal(day * DAY + 20 * HOUR, byTight, 20));
    const found = await review("[{ name: tight, limits: [$0.41 / day] }]", steady, evenings);
    assert.deepEqual(reviewed(found), [["tight", "$0.41 / day", "too tight", "$0.75 / day"]]);
    const loop = await review(
      "[{ name: tight, limits: [$0.41 / day] }]",
      steady,
      evenings.map((one) => ({ ...one, times: 50_000 })),
    );
    assert.deepEqual(reviewed(loop), [["tight", "$0.41 / day", "too tight", "$1.00 / day"]]);
    assert.equal(loop.refused, 14 * 50_000);
  });

  test("forgets what was refused by an amount that has been raised since", async () => {
    const found = await review("[{ name: tight, limits: [$0.60 / day] }]", steady, [
      refusal(DAY, byTight, 900),
      refusal(2 * DAY, byTight, 900),
    ]);
    assert.deepEqual(reviewed(found), [["tight", "$0.60 / day", "fits", undefined]]);
    assert.equal(found.reviews[0]?.refusedCalls, 0);
  });

  test("leaves out the days on which a month was gone, of which nobody knows what they would have used", async () => {
    const gone = daysOf(20, (day) => (day < 10 ? 40 : 0), { team: "search", feature: "chat" });
    const byMonth = { budget: "month", unit: "nanodollars", window: "month" } as const;
    const refusals = Array.from({ length: 10 }, (_, i) => refusal((10 + i) * DAY + HOUR, byMonth, 5));
    // The record goes on: somebody else called.
    const others = daysOf(20, 1, { team: "sales" });
    const found = await review("[{ name: month, for: { team: search }, limits: [$4 / month] }]", [...gone, ...others], refusals);
    assert.deepEqual(reviewed(found)[0], ["month", "$4.00 / month", "too tight", "$16.00 / month"]);
  });

  test("does not call loose what others held back", async () => {
    const byOther = { budget: "company", unit: "nanodollars", window: "day" } as const;
    const refusals = Array.from({ length: 14 }, (_, day) => refusal(day * DAY + 20 * HOUR, byOther, 30));
    const found = await review(
      "[{ name: company, limits: [$0.41 / day] }, { name: chat, for: { feature: chat }, limits: [$0.40 / hour] }]",
      steady,
      refusals,
    );
    assert.deepEqual(reviewed(found)[1], ["chat", "$0.40 / hour", "held back", undefined]);
  });

  test("finds what no call is for, what is closed, and what another limit always comes before", async () => {
    const found = await review(`
  - { name: company, limits: [$2 / day] }
  - { name: search, for: { team: search }, limits: [$3 / day, $70 / month] }
  - { name: each, per: user, limits: [$9 / week] }
  - { name: lab, for: { team: lab }, limits: [$1 / day] }
  - { name: off, for: { feature: chat }, limits: [0 requests] }
  - { name: sizes, request: { max_input: 4000 } }
  - { name: other sizes, for: { team: lab }, request: { max_input: 4000 } }`);
    assert.deepEqual(
      found.reviews.map(({ budget, limit, verdict, above }) => [budget.name, limit && formatLimit(limit), verdict, above]),
      [
        ["company", "$2.00 / day", "too loose", undefined],
        ["search", "$3.00 / day", "unreachable", "company: $2.00 / day"],
        ["search", "$70.00 / month", "unreachable", "company: $2.00 / day"],
        ["each", "$9.00 / week", "too loose", undefined],
        ["lab", "$1.00 / day", "unused", undefined],
        ["off", "0 requests", "closed", undefined],
        ["sizes", undefined, "fits", undefined],
        ["other sizes", undefined, "unused", undefined],
      ],
    );
  });

  test("looks at windows that move and at those of an hour by their fullest of each day", async () => {
    const burst = Array.from({ length: 7 }, (_, day) =>
      Array.from({ length: 60 }, (_, i) => callAt(day * DAY + 23.5 * HOUR + i * MINUTE)),
    ).flat();
    const found = await review("[{ name: hour, limits: [$1 / hour, $1 / rolling 1h, 100 requests / rolling 2h] }]", [callAt(0), ...burst]);
    assert.deepEqual(
      found.reviews.map(({ fullest, verdict }) => [fullest, verdict]),
      [
        [0.3, "too loose"],
        [0.6, "fits"],
        [0.6, "fits"],
      ],
    );
  });

  test("of the life of each task says what 95 of 100 need", async () => {
    const tasks = Array.from({ length: 40 }, (_, i) =>
      Array.from({ length: i === 7 ? 30 : 4 }, (_, n) => callAt(i * 4 * HOUR + n * MINUTE, { task: `t${i}` })),
    ).flat();
    const found = await review("[{ name: task, per: task, limits: [$5] }]", tasks);
    assert.deepEqual(
      [found.reviews[0]?.verdict, found.reviews[0]?.need?.amount, found.reviews[0]?.need?.exceptions.length],
      ["too loose", 5 * CENT, 1],
    );
  });

  test("gives the few that need far more exceptions, and not their amount to everybody", async () => {
    const others = Array.from({ length: 60 }, (_, i) => daysOf(7, 4, { user: `u${i}` })).flat();
    const nobody = daysOf(7, 60);
    const calls = [...others, ...nobody, ...daysOf(7, 200, { user: "robot" })];
    const found = await review("[{ name: each, for: { user: '*' }, per: user, limits: [$0.06 / day] }]", calls);
    assert.deepEqual(reviewed(found)[0], ["each", "$0.06 / day", "too tight", "$0.06 / day"]);
    assert.deepEqual(
      found.reviews.map(({ fit, refusedThen }) => [fit?.exceptions.map(({ label, need }) => [label, need.amount]), refusedThen]),
      [[[["user=robot", 250 * CENT]], 0]],
    );
    // Calls without a user have a balance that no exception can name: they stay refused, and it is said how many.
    const shared = await review("[{ name: each, per: user, limits: [$0.06 / day] }]", calls);
    assert.deepEqual(
      shared.reviews.map(({ fit, refusedThen }) => [fit?.exceptions.map(({ label }) => label), refusedThen]),
      [[["user=robot"], 7 * 54]],
    );
  });

  test("of one subject's exception does not conclude what all others need", async () => {
    const calls = [...daysOf(14, 4, { user: "ann" }), ...daysOf(14, 4, { user: "bob" }), ...daysOf(14, 400, { user: "robot" })];
    const budget = "[{ name: each, per: user, limits: [$0.06 / day], exceptions: [{ for: { user: robot }, limits: [$5 / day] }] }]";
    const found = await review(budget, calls);
    assert.deepEqual(reviewed(found)[0], ["each", "$0.06 / day", "fits", undefined]);
    assert.equal(found.reviews[0]?.fullest, 0.8);
  });

  test("proposes no second budget for what has one", async () => {
    const calls = [...daysOf(3, 9, { team: "search", user: "ann" }), ...daysOf(3, 9, { team: "sales", user: "bob" })];
    const some = await review("[{ name: company, limits: [3 concurrent] }, { name: teams, per: team, limits: [$1 / week] }]", calls);
    assert.deepEqual(
      some.proposals.map(({ budget }) => budget.name),
      ["company 2", "each user"],
    );
    const all = await review(
      "[{ name: all, limits: [$1 / day] }, { name: a, per: team, limits: [$1 / day] }, { name: b, per: user, limits: [$1 / day] }]",
      calls,
    );
    assert.deepEqual(all.proposals, []);
  });
});
