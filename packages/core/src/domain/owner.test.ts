import assert from "node:assert/strict";
import { test } from "node:test";
import { type BudgetInput, defineBudget } from "./budget.ts";
import { giverOf, withOwners } from "./owner.ts";

function owners(inputs: readonly BudgetInput[]) {
  return withOwners(inputs.map(defineBudget)).map(({ owner, ownerFrom }) => [owner, ownerFrom]);
}

test("a budget without an owner has that of what it is a part of, the narrowest with one first", () => {
  const company = { name: "company", owner: "finance" };
  const team = { name: "team", for: { team: "search" } };
  const feature = { name: "feature", for: { team: "search", feature: "chat" }, per: "user" } as const;
  assert.deepEqual(owners([feature, team, company]), [
    ["finance", "company"],
    ["finance", "company"],
    ["finance", undefined],
  ]);
  assert.deepEqual(owners([company, { ...team, owner: "kim" }, feature])[2], ["kim", "team"]);
});

test("of budgets beside each other none has an owner from the other", () => {
  const inputs = [
    { name: "a", for: { team: "search" }, owner: "kim" },
    { name: "b", for: { team: "chat" } },
    { name: "users", for: { team: ["search", "chat"] }, per: "user" as const, owner: "sam" },
  ];
  assert.deepEqual(owners(inputs)[1], [undefined, undefined]);
});

test("whom to ask is the owner, unless callers are not to know", () => {
  const budget = { name: "company", owner: "kim@example.com" };
  assert.equal(giverOf(defineBudget(budget)), "kim@example.com");
  assert.equal(giverOf(defineBudget({ ...budget, showsOwner: false })), "the owner of the budget");
  assert.equal(giverOf(defineBudget({ name: "company" })), "the owner of the budget");
});
