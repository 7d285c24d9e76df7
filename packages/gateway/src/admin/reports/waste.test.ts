import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type CallDetail, type Charge, defineBudget, type Entry, type PriceSource, type RateCard, type Usage } from "@purser/core";
import { NO_TRACES, tenantCalls } from "../../conformance/traces.ts";
import { readWaste, readWasteQuery } from "./waste.ts";

const NOW = Date.UTC(2026, 10, 20, 12);
const SINCE = Date.UTC(2026, 10, 1);
const RATES = { input: 3_000_000, output: 15_000_000, cacheRead: 300_000 };
const card = (model: string, factor = 1): RateCard => ({
  provider: "p",
  model,
  tiers: [
    { aboveInputTokens: 0, rates: { input: RATES.input * factor, output: RATES.output * factor, cacheRead: RATES.cacheRead * factor } },
  ],
  batchPermille: 500,
  source: "test",
});
const CARDS: Readonly<Record<string, RateCard>> = { large: card("large"), small: card("small", 0.1), tiny: card("tiny", 0.01) };
const PRICES: PriceSource = { card: (_, model) => CARDS[model] };

type Settled = Extract<Entry, { kind: "settled" | "overrun" | "expired" | "corrected" }>;

function settled(i: number, usage: Usage, more: Partial<CallDetail> = {}, charge: Partial<Charge> = {}): Settled {
  const cost = (usage.inputTokens ?? 0) * 3_000 + (usage.outputTokens ?? 0) * 15_000;
  const subject = { provider: "p", model: "large", feature: "chat" };
  const detail = { subject, inputTokens: 0, outputTokens: 0, cost, counted: true, price: "test", isCapped: false, ...more };
  const known = { usage, cost, certainty: "confirmed", ...charge } as const;
  return { kind: "settled", seq: i + 1, at: SINCE + i, reservation: `r${i}`, postings: [], detail, charge: known };
}

/** A ledger of these entries, read in pages as stores give them. */
function wasteOf(entries: readonly Entry[], asked = "", budgets: Parameters<typeof readWaste>[0]["budgets"] = []) {
  const store = {
    entries: async ({ after = 0, most = 1 }: { after?: number; most?: number }) =>
      entries.slice(after, after + most).filter(({ seq }) => seq > after),
  };
  return readWaste({ store, prices: PRICES, budgets }, readWasteQuery(new URLSearchParams(asked), { now: NOW, timeZone: "UTC" }));
}

describe("what could be saved", () => {
  test("on a real day: the lengths of answers are those of the whole list, and a cap saves what is above it", {
    skip: NO_TRACES,
  }, async () => {
    const calls = tenantCalls(SINCE);
    const entries = calls.map(({ inputTokens, outputTokens }, i) => settled(i, { inputTokens, outputTokens }));
    const { answers, savings, total } = await wasteOf(entries);
    const lengths = calls.map(({ outputTokens }) => outputTokens).sort((a, b) => a - b);
    const at = (share: number) => lengths[Math.ceil(lengths.length * share) - 1] as number;
    const [chat] = answers;
    assert.deepEqual([chat?.p50_output_tokens, chat?.p95_output_tokens, chat?.max_output_tokens], [at(0.5), at(0.95), lengths.at(-1)]);
    const above = lengths.reduce((sum, length) => sum + Math.max(0, length - at(0.95)), 0);
    assert.ok(above > 0);
    assert.equal(chat?.saved_nanodollars, above * 15_000);
    assert.equal(savings.find(({ kind }) => kind === "output")?.nanodollars, above * 15_000);
    assert.equal(total.calls, 26_017);
    assert.equal(total.input_tokens, 15_278_278);
  });

  test("a call that waited in the queue costs half as a batch; one that did not wait is not said to", async () => {
    const queued = { rungs: ["queue (chatbot 90%)"] };
    const usage = { inputTokens: 5_000, outputTokens: 500 };
    const { savings } = await wasteOf([settled(0, usage, queued), settled(1, usage)]);
    assert.deepEqual(
      savings.map(({ kind, calls, nanodollars }) => [kind, calls, nanodollars]),
      [["batch", 1, (5_000 * 3_000 + 500 * 15_000) / 2]],
    );
  });

  test("short calls cost less with the cheapest model that a ladder of their budgets names, and with none other", async () => {
    const entries = [settled(0, { inputTokens: 1_000, outputTokens: 200 }), settled(1, { inputTokens: 1_001, outputTokens: 200 })];
    assert.deepEqual((await wasteOf(entries)).savings, []);
    const chatbot = { name: "chatbot", for: { feature: "chat" }, limits: ["$5 / month"], ladder: { "80%": "use small" } };
    const other = { name: "other", for: { feature: "mail" }, limits: ["$5 / month"], ladder: { "80%": "use tiny" } };
    const { savings } = await wasteOf(entries, "", [chatbot, other].map(defineBudget));
    const cost = 1_000 * 3_000 + 200 * 15_000;
    assert.deepEqual(
      savings.map(({ kind, calls, nanodollars }) => [kind, calls, nanodollars]),
      [["model", 1, cost - cost / 10]],
    );
    assert.match(savings[0]?.how ?? "", /\(small\)/);
  });

  test("of a call whose price has changed, or that was free, nothing is said to be saved", async () => {
    const queued = { rungs: ["queue (chatbot 90%)"] };
    const usage = { inputTokens: 5_000, outputTokens: 500 };
    const json = await wasteOf([settled(0, usage, queued, { cost: 1 }), settled(1, usage, queued, { cost: 0 })]);
    assert.deepEqual([json.savings, json.repriced_calls, json.total.calls], [[], 1, 2]);
  });

  test("only what the question selects is looked at, and the dearest rows are shown", async () => {
    const entries = ["ann", "bob", "cat"].map((user, i) => {
      const resent = { inputTokens: 100 * i, cacheReadInputTokens: 0, cost: 300_000 * i, unchangedInputTokens: 0 };
      return settled(i, { inputTokens: 1_000, outputTokens: 10 }, { subject: { provider: "p", model: "large", user } }, { resent });
    });
    const json = await wasteOf(entries, "by=user&most=1&filter=user=ann&filter=user=c*");
    assert.deepEqual([json.rows, json.data.map(({ values }) => values.user)], [2, ["cat"]]);
    assert.deepEqual([json.total.calls, json.total.resent_nanodollars], [2, 600_000]);
  });
});
