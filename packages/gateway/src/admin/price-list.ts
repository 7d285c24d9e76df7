import type { ReportRow } from "@purser/core";
import { explainCard, type PriceBook, type PriceRow } from "@purser/core/prices";
import type { Config } from "../config/config.ts";

/** What a model costs now. */
export interface ModelPriceJson {
  readonly provider: string;
  readonly model: string;
  /** Where the price comes from. */
  readonly source: string;
  readonly prices: readonly PriceRow[];
}

/** A model that was called in the last 90 days. */
export interface UsedModelJson {
  readonly model: string;
  readonly calls: number;
  readonly unpriced_calls: number;
  readonly cost_nanodollars: number;
}

export interface PriceListJson {
  readonly data: readonly ModelPriceJson[];
  readonly used: readonly UsedModelJson[];
}

/** The prices of the models that the configured providers serve, as far as they are known by name. */
export function priceList(config: Config, book: PriceBook, used: readonly ReportRow[], now: number): PriceListJson {
  const usedModels = used.flatMap(({ values: [model], calls, unpricedCalls, cost }) =>
    model === undefined ? [] : [{ model, calls, unpriced_calls: unpricedCalls, cost_nanodollars: cost }],
  );
  const data = config.providers.flatMap(({ name }) => {
    const own = config.prices
      .filter(({ provider }) => provider === undefined || [provider].flat().includes(name))
      .flatMap(({ model }) => model)
      .filter((model) => !model.includes("*"));
    const models = new Set([...own, ...book.models(name), ...usedModels.map(({ model }) => model)]);
    return [...models].sort().flatMap((model): ModelPriceJson[] => {
      const card = book.card(name, model, now);
      return card ? [{ provider: name, model, source: card.source, prices: explainCard(card) }] : [];
    });
  });
  return { data, used: usedModels.toSorted((a, b) => b.calls - a.calls) };
}
