import type { Call } from "../admission.ts";
import { Budgets, type BudgetsOptions } from "../budgets.ts";
import { type BudgetInput, defineBudget } from "../domain/budget.ts";
import type { RateCard } from "../domain/price.ts";
import { createMemoryStore } from "../stores/memory.ts";
import type { Store } from "../stores/store.ts";

/** A Sunday. */
export const NOON = Date.UTC(2026, 10, 22, 12, 0);

/** One dollar for a million tokens of input, two for a million of output. */
export const DEMO_CARD: RateCard = {
  provider: "demo",
  model: "demo-1",
  tiers: [{ aboveInputTokens: 0, rates: { input: 1_000_000, output: 2_000_000 } }],
  source: "test",
};

export interface DemoOptions extends Partial<Omit<BudgetsOptions, "budgets">> {
  readonly card?: RateCard | undefined;
}

/** Budgets over a memory store, at noon, with the prices of `DEMO_CARD`. */
export function demoBudgets(
  inputs: readonly BudgetInput[],
  options: DemoOptions = {},
): { readonly budgets: Budgets; readonly store: Store } {
  const { now = () => NOON, store = createMemoryStore({ now }), prices, ...rest } = options;
  const card = "card" in options ? options.card : DEMO_CARD;
  return {
    store,
    budgets: new Budgets({ store, budgets: inputs.map(defineBudget), prices: prices ?? { card: () => card }, now, ...rest }),
  };
}

let calls = 0;

/** A call of user Ann in team A, with an id of its own. */
export function demoCall(size: { input: number; output: number; copies?: number; least?: number }, extra: Partial<Call> = {}): Call {
  const { input, output, ...rest } = size;
  const subject = { provider: "demo", model: "demo-1", user: "ann", team: "a", ...extra.subject };
  return { id: `call-${++calls}`, input: { most: input }, output: { most: output, ...rest }, ...extra, subject };
}
