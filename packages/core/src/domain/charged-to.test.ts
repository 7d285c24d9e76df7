import assert from "node:assert/strict";
import { test } from "node:test";
import { type BudgetInput, defineBudget } from "./budget.ts";
import { chargedTo, compileFilter, reportValue } from "./charged-to.ts";
import { withOwners } from "./owner.ts";

function charged(...inputs: readonly Omit<BudgetInput, "name">[]) {
  return chargedTo(withOwners(inputs.map((input, i) => defineBudget({ name: `b${i}`, ...input }))));
}

test("a call is booked on the cost centre of the budget that says most about it, wherever that stands in the file", () => {
  const company = { costCenter: "CC-1" };
  const team = { for: { team: "search" }, costCenter: "CC-2" };
  const feature = { for: { team: "search", feature: "chat" }, costCenter: "CC-3" };
  assert.deepEqual(charged(company, team, feature), { costCenter: "CC-3" });
  assert.deepEqual(charged(feature, team, company), { costCenter: "CC-3" });
  assert.deepEqual(charged(company, { for: { team: "search", feature: "chat" } }, team), { costCenter: "CC-2" });
});

test("of two budgets that say as much the first of the file counts, and what only observes counts too", () => {
  const one = { for: { team: "search" }, costCenter: "CC-1" };
  const other = { for: { feature: "chat" }, costCenter: "CC-2", mode: "observe" } as const;
  assert.deepEqual(charged(one, other), { costCenter: "CC-1" });
  assert.deepEqual(charged(other, one), { costCenter: "CC-2" });
});

test("owner and cost centre may be said by different budgets, and nobody is charged where none says anything", () => {
  assert.deepEqual(charged({ owner: "kim" }, { for: { team: "search" }, costCenter: "CC-2" }), { owner: "kim", costCenter: "CC-2" });
  assert.equal(charged({}, { for: { team: "search" } }), undefined);
  assert.equal(charged(), undefined);
});

test("an owner that a budget has from a wider one does not go before what another says itself", () => {
  assert.deepEqual(charged({ owner: "finance" }, { for: { team: "search" }, owner: "kim" }, { for: { feature: "chat", tier: "free" } }), {
    owner: "kim",
  });
});

test("a report reads and selects by cost centre and owner as by any attribute", () => {
  const call = { subject: { team: "search" }, chargedTo: { costCenter: "CC-1" } };
  assert.deepEqual(
    (["team", "cost_center", "owner"] as const).map((path) => reportValue(call, path)),
    ["search", "CC-1", undefined],
  );
  assert.ok(compileFilter({ cost_center: "CC-*", team: "search" })(call));
  assert.ok(!compileFilter({ owner: "*" })(call) && !compileFilter({ cost_center: "CC-2" })(call));
});
