import { Budgets, createMemoryStore, reportLedger, type Store } from "@purser/core";
import type { UsesSource } from "./uses.ts";

/** A million tokens cost a dollar: 1,000 nano-dollars each. */
const CARD = { source: "test card", tiers: [{ aboveInputTokens: 0, rates: { input: 1_000_000, output: 1_000_000 } }] };

/** Calls as they were made at their times, in a ledger of their own. */
export interface Recorded {
  readonly store: Store;
  readonly source: UsesSource;
  call(
    at: number,
    inputTokens: number,
    options?: { readonly outputTokens?: number; readonly provider?: string; readonly model?: string },
  ): Promise<void>;
}

export function startRecording(): Recorded {
  let now = 0;
  let id = 0;
  const store = createMemoryStore({ now: () => now });
  const budgets = new Budgets({
    store,
    prices: { card: (provider, model) => ({ ...CARD, provider, model }) },
    budgets: [],
    now: () => now,
  });
  return {
    store,
    source: { figures: { report: (query) => reportLedger(store, query) }, timeZone: "UTC" },
    async call(at, inputTokens, { outputTokens = 0, provider = "openai", model = "gpt-4o" } = {}) {
      now = at;
      const call = { id: `call-${id++}`, subject: { provider, model }, input: { most: inputTokens }, output: { most: outputTokens } };
      const decision = await budgets.reserve(call);
      if (decision.outcome !== "allowed") throw new Error(`refused: ${decision.outcome}`);
      await budgets.settle(decision.reservation, { inputTokens, outputTokens });
    },
  };
}
