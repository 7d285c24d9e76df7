import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type BudgetInput, defineBudget, isLabelOf, labelSubject, subjectLabel } from "./budget.ts";
import { defineGrant, type GrantInput } from "./grant.ts";
import type { Subject, SubjectPath } from "./subject.ts";
import { windowText } from "./window.ts";

const perUser = defineBudget({ name: "users", per: "user" });

test("calls without a user share one balance, so that leaving the user out is no way round a budget per user", () => {
  assert.ok(perUser.selects({}));
  assert.equal(subjectLabel(perUser, {}), subjectLabel(perUser, { team: "a" }));
  assert.notEqual(subjectLabel(perUser, {}), subjectLabel(perUser, { user: "ann" }));
});

test("a call without a task, session or tag is not in a budget per task, session or tag", () => {
  for (const per of ["task", "session", "tag.customer"] as const)
    assert.ok(!defineBudget({ name: "one", per }).selects({ user: "ann" }), per);
  assert.ok(defineBudget({ name: "one", per: ["user", "task"] }).selects({ task: "7" }));
});

const HOSTILE = [
  "a,model=x",
  "a",
  "%",
  "%25",
  "%2C",
  "a=b",
  "a|b",
  "(none)",
  "%28none)",
  "",
  " ",
  "__proto__",
  "constructor",
  "ann\n",
  "ann",
  "\r800",
  "\ud800",
  "\ud801",
  "%uD800",
  "é",
  "e\u0301",
  "😀",
  "x".repeat(100_000),
  `${"x".repeat(100_000)}y`,
];

test("hostile values never share a label", () => {
  const labels = [undefined, ...HOSTILE].map((user) => subjectLabel(perUser, user === undefined ? {} : { user }));
  assert.equal(new Set(labels).size, HOSTILE.length + 1);
});

test("two different subjects never share a label, whatever their values contain, and no label tells of other attributes", () => {
  const value = fc.option(fc.oneof(fc.constantFrom(...HOSTILE.slice(0, -2)), fc.string({ unit: "binary", maxLength: 6 })), {
    nil: undefined,
  });
  const subject: fc.Arbitrary<Subject> = fc
    .record({ user: value, model: value })
    .map(({ user, model }) => ({ ...(user !== undefined && { user }), ...(model !== undefined && { model }) }));
  const both = defineBudget({ name: "both", per: ["user", "model"] });
  fc.assert(
    fc.property(subject, subject, (a, b) => {
      const isSame = a.user === b.user && a.model === b.model;
      assert.equal(subjectLabel(both, a) === subjectLabel(both, b), isSame);
      assert.ok(isLabelOf(both, subjectLabel(both, a)));
      assert.ok(!isLabelOf(perUser, subjectLabel(both, a)));
      assert.doesNotMatch(subjectLabel(both, a), /\p{Surrogate}/u, "every store can keep a label");
    }),
    { numRuns: 2_000 },
  );
});

const refused = (input: Partial<BudgetInput>, code: string, message: RegExp) =>
  assert.throws(() => defineBudget({ name: "team", ...input }), { code, message });

test("a budget that cannot be meant is refused with what to write instead", () => {
  refused({ name: " " }, "config_invalid", /has no name/);
  refused({ per: "customer" as SubjectPath }, "config_invalid", /"customer" is not an attribute.*Write tag.customer for a tag/);
  refused({ for: { constructor: "x" } as object }, "config_invalid", /not an attribute/);
  refused({ limits: ["$5 / day", "$9 / day"] }, "limit_invalid", /two limits for the same thing, "\$5.00 \/ day" and "\$9.00 \/ day"/);
  refused({ timezone: "Mars/Olympus" }, "window_invalid", /not a time zone/);
  refused({ request: { maxInput: -1 } }, "config_invalid", /maxInput is -1. Write a whole number/);
  refused({ minOutput: 0.5 }, "config_invalid", /minOutput is 0.5/);
  const ladder = { "80%": "slow" };
  const never = /The ladder of budget "team" would never begin: .* the budget has none. Give it one, such as \$50 \/ month/;
  refused({ request: { maxInput: 500 }, ladder }, "ladder_invalid", never);
  refused({ limits: ["5 concurrent"], ladder }, "ladder_invalid", never);
  refused({ limits: ["$5 / day"], ladder: { "80% of tokens": "slow" } }, "ladder_invalid", /"80% of tokens": .* which are \$5.00 \/ day/);
});

test("a program that no compiler has seen is told of what would limit nothing", () => {
  refused({ name: undefined as unknown as string }, "config_invalid", /has no name/);
  refused(
    { limit: ["$5 / day"] } as object,
    "config_invalid",
    /Budget "team" has a field "limit", which is not known. Known are name, for, per, limits/,
  );
  refused(
    { request: { max_input: 5 } as object },
    "config_invalid",
    /request of budget "team" has a field "max_input".*Known are maxInput/,
  );
  refused({ limits: "$5 / day" as unknown as string[] }, "config_invalid", /limits are a list. Write limits: \["\$50 \/ month"\]/);
  refused({ mode: "observed" as "observe" }, "config_invalid", /"observed" is no mode. Write enforce, observe, or observe until/);
  refused({ onStoreFailure: "fail" as "open" }, "config_invalid", /onStoreFailure is "fail". Write open or closed/);
});

test("a list of models allows these and no other", () => {
  const { allowsModel } = defineBudget({ name: "team", request: { models: ["gpt-4o", "claude-*"] } });
  assert.ok(allowsModel("gpt-4o") && allowsModel("claude-sonnet-5"));
  assert.ok(!allowsModel("gpt-4o-mini") && !allowsModel(""));
  assert.ok(defineBudget({ name: "team" }).allowsModel("anything"));
});

test("a model spelled in capitals is in the budgets of the model, and has no balance of its own", () => {
  const budget = defineBudget({ name: "one", for: { model: "gpt-4o" }, per: "model", request: { models: ["GPT-4o*"] } });
  assert.ok(budget.selects({ model: "GPT-4o" }));
  assert.ok(budget.allowsModel("gpt-4O-mini"));
  assert.equal(subjectLabel(budget, { model: "GPT-4o" }), subjectLabel(budget, { model: "gpt-4o" }));
});

const noon = Date.UTC(2026, 10, 22, 12);

test("an exception is for the subjects that it selects, in the order of exceptions, and until its last day is over in the budget's zone", () => {
  const { exceptions } = defineBudget({
    name: "users",
    per: ["user", "model"],
    limits: ["10k / day", "$5 / month"],
    timezone: "Asia/Kolkata",
    exceptions: [
      { for: { user: "ann", model: "GPT-*" }, limits: ["50k tokens / day"], until: "2026-12-31" },
      { for: { user: ["ann", "b*"] }, limits: ["20k / day", "$9 / month"] },
    ],
  });
  const forWhom = (subject: Subject) => exceptions.map(({ isFor }) => isFor(subject));
  assert.deepEqual(forWhom({ user: "ann", model: "gpt-4o" }), [true, true]);
  assert.deepEqual(forWhom({ user: "bob", model: "gpt-4o" }), [false, true]);
  assert.deepEqual(forWhom({ model: "gpt-4o" }), [false, false]);
  assert.deepEqual(
    exceptions.map(({ until }) => until),
    [Date.UTC(2026, 11, 31, 18, 30), Number.POSITIVE_INFINITY],
  );
  assert.deepEqual(
    exceptions.map(({ limits }) => [...limits.values()].map(({ amount }) => amount)),
    [[50_000], [20_000, 9e9]],
  );
});

test("an exception takes over what is carried over and how long calls wait, where it does not say it", () => {
  const { exceptions } = defineBudget({
    name: "users",
    per: "user",
    limits: ["$50 / month rollover $20", "10 requests / minute leaky burst 30 wait 1m"],
    exceptions: [
      { for: { user: "ann" }, limits: ["$80 / month", "20 requests / minute leaky"] },
      { for: { user: "bob" }, limits: ["$80 / month rollover $5", "20 requests / minute leaky wait 5s"] },
    ],
  });
  assert.deepEqual(
    exceptions.map(({ limits }) => [...limits.values()].map(({ amount, rollover, waitMs, burst }) => [amount, rollover ?? waitMs, burst])),
    [
      [
        [80e9, 20e9, undefined],
        [20, 60_000, undefined],
      ],
      [
        [80e9, 5e9, undefined],
        [20, 5_000, undefined],
      ],
    ],
  );
});

const WRONG: readonly (readonly [string, Partial<BudgetInput>, RegExp])[] = [
  [
    "an exception for what per does not name",
    { exceptions: [{ for: { team: "a" }, limits: ["1 / day"] }] },
    /"team", which per does not name. Name user/,
  ],
  ["an exception for nobody", { exceptions: [{ for: {}, limits: ["1 / day"] }] }, /says for whom it is. Name user under its for/],
  ["an exception without per", { per: [], exceptions: [{ for: { user: "a" }, limits: ["1 / day"] }] }, /Give the budget a per: first/],
  ["an exception without limits", { exceptions: [{ for: { user: "a" }, limits: [] }] }, /an exception has no limits/],
  [
    "an exception to no limit",
    { exceptions: [{ for: { user: "a" }, limits: ["1 / month"] }] },
    /stands in the place of no limit.*10,000 tokens \/ day/,
  ],
  [
    "an exception that carries over",
    { exceptions: [{ for: { user: "a" }, limits: ["1 / day rollover 1"] }] },
    /stands in the place of no limit/,
  ],
  [
    "an exception without an end that is a day",
    { exceptions: [{ for: { user: "a" }, limits: ["1 / day"], until: "soon" }] },
    /"soon" is not the last day/,
  ],
  ["a start that concerns no limit", { starts: "sunday" }, /no limit starts on "sunday"/],
  ["two limits that differ in what is carried over", { limits: ["1 / day", "2 / day rollover 1"] }, /two limits for the same thing/],
];

for (const [what, fields, message] of WRONG) {
  test(`${what} is refused with what to write`, () =>
    assert.throws(() => defineBudget({ name: "users", per: "user", limits: ["10k / day"], ...fields }), { message }));
}

test("the windows of a budget start when it says, each by the part that concerns it", () => {
  const { limits } = defineBudget({
    name: "company",
    limits: ["1 / day", "1 / week", "1 / month", "1 / year"],
    starts: ["sunday", "15", "april"],
  });
  assert.deepEqual(
    limits.map(({ window }) => windowText(window)),
    ["day@UTC", "week@UTC from sunday", "month@UTC from 15", "year@UTC from april"],
  );
});

test("a label says of which part of a subject it was made, whatever its values contain", () => {
  const per: readonly SubjectPath[] = ["user", "model", "tag.customer"];
  for (const value of HOSTILE) {
    const subject = { user: value, model: value, tags: { customer: value } };
    const label = subjectLabel({ per }, subject);
    assert.deepEqual(labelSubject(label), { ...subject, model: value.toLowerCase() }, JSON.stringify(value));
  }
  assert.deepEqual(labelSubject(subjectLabel({ per }, {})), { tags: {} });
});

const users = defineBudget({
  name: "users",
  per: "user",
  limits: ["10k / day", "$5 / month", "$1 / day", "1M / minute bucket"],
  timezone: "Europe/Berlin",
});
const granting = (input: Partial<GrantInput>, budget = users) =>
  defineGrant(
    { id: "grant-1", budget: "users", amount: "5k / day", for: { user: "ann" }, until: "7d", giver: "o", why: "w", ...input },
    budget,
    noon,
  );

test("a grant is for one limit and one subject, and ends with a day, at a time or after a duration", () => {
  assert.deepEqual(granting({}), {
    id: "grant-1",
    budget: "users",
    limit: "tokens/day@Europe/Berlin",
    subject: "user=ann",
    amount: 5_000,
    from: noon,
    until: noon + 7 * 86_400_000,
    giver: "o",
    why: "w",
  });
  assert.equal(granting({ until: "2026-12-31" }).until, Date.UTC(2026, 11, 31, 23));
  assert.equal(granting({ until: "2026-12-31T18:00:00Z" }).until, Date.UTC(2026, 11, 31, 18));
  assert.equal(granting({ from: "2h", until: "1h" }).until, noon + 3 * 3_600_000);
  assert.equal(granting({ amount: "$2 / month" }).limit, "nanodollars/month@Europe/Berlin");
  assert.equal(granting({ amount: "5 / minute bucket" }).limit, "tokens/minute bucket");
  const life = defineBudget({ name: "task", per: "task", limits: ["$2"] });
  assert.equal(granting({ amount: "$1", for: { task: "7" } }, life).limit, "nanodollars/lifetime");
});

const WRONG_GRANTS: readonly (readonly [string, Partial<GrantInput>, RegExp])[] = [
  ["for an amount that could be for several limits", { amount: "5k" }, /could be for several of its limits/],
  ["for a limit that is not there", { amount: "5 requests / day" }, /is for none of its limits/],
  ["of nothing", { amount: "0 / day" }, /adds nothing/],
  ["with more than an amount", { amount: "5 / day rollover 3" }, /a grant is an amount only/],
  ["for nobody", { for: {} }, /has a balance for each user: name one/],
  ["for what has no balance", { for: { user: "ann", team: "a" } }, /"team" says nothing about it/],
  ["that ended", { until: "2026-11-21" }, /before it begins/],
  ["without an end that is a time", { until: "someday" }, /"someday" is not a time/],
];

for (const [what, input, message] of WRONG_GRANTS) {
  test(`a grant ${what} is refused with what to write`, () => assert.throws(() => granting(input), { message }));
}
