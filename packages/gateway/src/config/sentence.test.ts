import assert from "node:assert/strict";
import { test } from "node:test";
import { defineBudget } from "@purser/core";
import { budgetSentence } from "./sentence.ts";

test("a budget reads as a sentence that says whom it is for, what they may use, and by which clock", () => {
  const whole = defineBudget({
    name: "free users",
    for: { tier: ["free", "trial"], "tag.env": "prod" },
    per: "user",
    limits: ["10k tokens / day", "10 requests / hour", "2 concurrent", "$0"],
    timezone: "Europe/Berlin",
    owner: "a@example.com",
    mode: "observe",
    onStoreFailure: "open",
    request: { maxInput: 4000, maxOutput: 1000, models: ["gpt-4o", "gpt-4o-mini"] },
  });
  assert.equal(
    budgetSentence(whole),
    "Calls with tier free or trial and env prod may use 10,000 tokens a day, 10 requests an hour, 2 at once and no money, each user apart " +
      "(Europe/Berlin). A call may have at most 4,000 input tokens and 1,000 output tokens and go to gpt-4o or gpt-4o-mini. " +
      "It only observes and refuses nothing. While the store is down, calls pass uncounted. Owner: a@example.com.",
  );
  assert.equal(budgetSentence(defineBudget({ name: "a", limits: ["$2"] })), "All calls may use $2.00 in all.");
});
