import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type BudgetInput, defineBudget, isLabelOf, subjectLabel } from "./budget.ts";
import type { Subject, SubjectPath } from "./subject.ts";

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
