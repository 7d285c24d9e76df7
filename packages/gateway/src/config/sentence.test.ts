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

test("how tokens count is read aloud", () => {
  const weights = { cache_read: 0.1, output: 4 };
  assert.equal(
    budgetSentence(defineBudget({ name: "a", per: "user", limits: ["1M tokens / day", "$5 / day"], weights })),
    "All calls may use 1,000,000 tokens a day and $5.00 a day, counting cache reads a tenth and output 4 times, each user apart (UTC).",
  );
  assert.equal(
    budgetSentence(defineBudget({ name: "a", limits: ["1M tokens"], weights: { output: 1 } })),
    "All calls may use 1,000,000 tokens in all.",
  );
});

test("windows that move, what is carried over, exceptions and starts are read aloud too", () => {
  const whole = defineBudget({
    name: "users",
    per: "user",
    limits: [
      "$50 / month rollover $20",
      "$200 / year",
      "1M / week",
      "100k tokens / rolling 24h",
      "100k input tokens / minute bucket burst 120k",
      "10 requests / minute leaky wait 2m",
    ],
    timezone: "Europe/Berlin",
    starts: ["sunday", "15", "april"],
    exceptions: [
      { for: { user: ["ann", "bob"] }, limits: ["$80 / month"], until: "2026-12-31" },
      { for: { user: "cy" }, limits: ["500k / rolling 24h"] },
    ],
  });
  assert.equal(
    budgetSentence(whole),
    "All calls may use $50.00 a month with up to $20.00 left over from the one before, $200.00 a year, 1,000,000 tokens a week, " +
      "100,000 tokens in any day, 100,000 input tokens a minute from a bucket of 120,000 input tokens and " +
      "10 requests a minute from a bucket of 10 requests, waiting up to 2 minutes for room, each user apart (Europe/Berlin). " +
      "Months start on day 15, years in April and weeks on Sunday. " +
      "Calls with user ann or bob may use $80.00 a month with up to $20.00 left over from the one before instead, until 2027-01-01 00:00 Europe/Berlin. " +
      "Calls with user cy may use 500,000 tokens in any day instead.",
  );
});
