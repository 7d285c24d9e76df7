import type { PriceSource } from "@purser/core";
import { PRESETS } from "../providers/presets/index.ts";
import { DIALECTS } from "../providers/provider.ts";
import { routeModel } from "../providers/routing.ts";
import type { Config } from "./config.ts";

export interface UnpricedModel {
  readonly model: string;
  readonly provider: string;
}

/** The models that the configuration names and that have no price where they would go: a budget in money refuses their calls. */
export function unpricedModels(config: Config, prices: PriceSource, now: number): readonly UnpricedModel[] {
  const unpriced = new Map<string, UnpricedModel>();
  const check = (provider: string, model: string) => {
    if (!prices.card(provider, model, now)) unpriced.set(`${provider}/${model}`, { model, provider });
  };
  for (const model of namedModels(config)) {
    const routes = DIALECTS.map((dialect) => routeModel(model, dialect, config)).filter((route) => "provider" in route);
    const claimed = routes.filter(({ isClaimed }) => isClaimed);
    for (const route of claimed.length > 0 ? claimed : routes) {
      const all = route.failover?.targets.map((target) => target.route) ?? [route];
      for (const { provider, model: known, pricedAs } of all)
        if (pricedAs === undefined || !prices.card(provider.name, pricedAs, now)) check(provider.name, known);
    }
  }
  // What a preset serves, and nobody has a key for, is no concern of this configuration.
  const listed = config.providers.filter(({ name, models, apiKey }) => apiKey !== undefined || models !== PRESETS.get(name)?.models);
  for (const { name, models } of listed) for (const model of models) if (!model.includes("*")) check(name, model);
  return [...unpriced.values()];
}

/** Models that budgets and routes name in full. Patterns say nothing about which models will be called. */
function namedModels({ budgets, routes }: Config): readonly string[] {
  const names = [
    ...budgets.flatMap(({ request, selector, ladder }) => [
      ...(request.models ?? []),
      ...[selector.model ?? []].flat(),
      ...ladder.flatMap(({ rungs }) => rungs.flatMap((rung) => ("model" in rung ? [rung.model] : []))),
    ]),
    ...routes.map(({ pattern }) => pattern),
  ];
  return [...new Set(names)].filter((name) => !name.includes("*"));
}
