import assert from "node:assert/strict";
import { test } from "node:test";
import { editDistance, nearestName, suggestion } from "./nearest-name.ts";

test("a slip of the fingers finds the name that was meant", () => {
  const names = ["name", "limits", "timezone", "max_body", "min_output", "on_store_failure"];
  assert.equal(nearestName("limit", names), "limits");
  assert.equal(nearestName("limtis", names), "limits");
  assert.equal(nearestName("maxBody", names), "max_body");
  assert.equal(nearestName("time-zone", names), "timezone");
});

test("what is far from every name suggests none, and lists them", () => {
  assert.equal(nearestName("elephant", ["name", "limits"]), undefined);
  assert.equal(suggestion("elephant", ["name", "limits"]), " Known here: name, limits.");
});

test("neighbours that changed places count as one slip", () => {
  assert.equal(editDistance("limtis", "limits"), 1);
  assert.equal(editDistance("", "abc"), 3);
  assert.equal(editDistance("same", "same"), 0);
});
