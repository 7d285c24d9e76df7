import assert from "node:assert/strict";
import { test } from "node:test";
import { addUsage, totalTokens } from "./usage.ts";

test("a kind that nobody knows stays unknown in the sum, and is not nothing", () => {
  assert.deepEqual(addUsage({ inputTokens: 3 }, { inputTokens: 4, outputTokens: 0 }), { inputTokens: 7, outputTokens: 0 });
  assert.deepEqual(addUsage({}, {}), {});
});

test("uses of tools add up by name, whatever the name", () => {
  const toolCalls = JSON.parse('{"web_search": 2, "__proto__": 1}');
  const sum = addUsage({ toolCalls }, { toolCalls: { web_search: 1 } });
  assert.deepEqual(Object.entries(sum.toolCalls ?? {}), [
    ["web_search", 3],
    ["__proto__", 1],
  ]);
  assert.equal(({} as Record<string, unknown>).web_search, undefined);
});

test("cached and reasoning tokens are parts of the totals and are not added again", () => {
  assert.equal(totalTokens({ inputTokens: 10, cacheReadInputTokens: 9, outputTokens: 5, reasoningOutputTokens: 4 }), 15);
});
