import { parseArgs } from "node:util";
import { costOf, formatDollars, type RateCard } from "@purser/core";
import { explainCard, type PriceBook } from "@purser/core/prices";
import type { Config } from "../../config/config.ts";
import { nearestName } from "../../config/nearest-name.ts";
import { priceBookOf } from "../../config/price-book.ts";
import { readConfig } from "../../config/read-config.ts";
import { DEMO_ELSEWHERE, DEMO_MODELS } from "../../demo/models.ts";
import { DIALECTS } from "../../providers/provider.ts";
import { routeModel } from "../../providers/routing.ts";
import { lookedAt } from "../demo-folder.ts";
import { type CommandIo, type CommandOutcome, lines, UsageError, withUsage } from "./outcome.ts";

const USAGE = "purser price MODEL [--provider NAME] [--input TOKENS] [--output TOKENS] [--at YYYY-MM-DD] [--config FILE] [--json]";

/** `purser price MODEL`: what a model costs on a day, and what a call of some size would cost. */
export async function price(args: string[], io: CommandIo): Promise<CommandOutcome> {
  return await withUsage(USAGE, async () => {
    const { values, positionals } = parseArgs({
      args,
      allowPositionals: true,
      options: {
        provider: { type: "string" },
        input: { type: "string" },
        output: { type: "string" },
        at: { type: "string" },
        config: { type: "string" },
        json: { type: "boolean" },
      },
    });
    const [model] = positionals;
    if (model === undefined || positionals.length > 1) throw new UsageError("Name one model.");
    const at = dayOf(values.at);
    const tokens = { inputTokens: tokensOf("--input", values.input), outputTokens: tokensOf("--output", values.output) };
    const config = lookedAt(readConfig({ file: values.config, environment: io.environment, cwd: io.cwd }));
    const book = priceBookOf(config);
    const named = values.provider === undefined ? modelAtProvider(config, model) : { provider: values.provider, model };
    if (!named && DEMO_MODELS.includes(model)) throw new UsageError(`${model} ${DEMO_ELSEWHERE}`);
    if (!named) {
      const nearest = nearestName(
        model,
        config.providers.flatMap(({ name }) => book.models(name)),
      );
      const hint = nearest === undefined ? "" : ` Did you mean ${nearest}?`;
      throw new UsageError(`No provider is known to serve ${model}.${hint} Name a provider with --provider.`);
    }
    const card = book.card(named.provider, named.model, at);
    return card ? priced(card, tokens) : unpriced(book, named);
  });
}

export interface ModelAtProvider {
  readonly provider: string;
  readonly model: string;
}

/** Where calls to the model go, in the first dialect in which they go anywhere. That one provider alone speaks a dialect says little. */
export function modelAtProvider(config: Config, model: string): ModelAtProvider | undefined {
  const routes = DIALECTS.map((dialect) => routeModel(model, dialect, config)).filter((route) => "provider" in route);
  const isOnlyOne = new Set(routes.map(({ provider }) => provider)).size === 1;
  const route = routes.find(({ isClaimed }) => isClaimed) ?? (isOnlyOne ? routes[0] : undefined);
  return route && { provider: route.provider.name, model: route.model };
}

interface Tokens {
  readonly inputTokens: number | undefined;
  readonly outputTokens: number | undefined;
}

function priced(card: RateCard, { inputTokens, outputTokens }: Tokens): CommandOutcome {
  const rows = explainCard(card);
  const asked = inputTokens !== undefined || outputTokens !== undefined;
  const usage = { inputTokens: inputTokens ?? 0, outputTokens: outputTokens ?? 0 };
  const cost = asked ? costOf(card, usage) : undefined;
  const width = Math.max(...rows.map(({ what }) => what.length));
  const size = `${usage.inputTokens.toLocaleString("en-US")} input and ${usage.outputTokens.toLocaleString("en-US")} output tokens`;
  return {
    exit: 0,
    text: lines([
      `${card.provider}/${card.model}`,
      ...rows.map(({ what, price: rate, aboveInputTokens }) => {
        const tier = aboveInputTokens === undefined ? "" : `  above ${aboveInputTokens.toLocaleString("en-US")} input tokens`;
        return `  ${what.padEnd(width)}  ${rate}${tier}`;
      }),
      ...(card.contextTokens === undefined ? [] : [`  reads and writes at most ${card.contextTokens.toLocaleString("en-US")} tokens`]),
      ...(card.maxOutputTokens === undefined ? [] : [`  writes at most ${card.maxOutputTokens.toLocaleString("en-US")} tokens`]),
      `  from ${card.source}${card.since === undefined ? "" : `, since ${card.since}`}`,
      ...(cost === undefined ? [] : ["", `A call with ${size} costs ${formatDollars(cost)}.`]),
    ]),
    json: { card, rows, ...(cost !== undefined && { usage, cost_nanodollars: cost }) },
  };
}

function unpriced(book: PriceBook, { provider, model }: ModelAtProvider): CommandOutcome {
  const nearest = nearestName(model, book.models(provider));
  const hint = nearest === undefined ? "" : ` Did you mean ${nearest}?`;
  return {
    exit: 1,
    text: `${provider}/${model} has no price, so budgets in money refuse it.${hint} Add it under prices in purser.yaml, or set default_price.`,
    json: { error: { code: "model_unpriced", provider, model, nearest: nearest ?? null } },
  };
}

function dayOf(text: string | undefined): number {
  if (text === undefined) return Date.now();
  const at = /^\d{4}-\d{2}-\d{2}$/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(at)) throw new UsageError(`--at is "${text}". Write a day like 2026-01-31.`);
  return at;
}

function tokensOf(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const tokens = /^\d[\d_,]*$/.test(text) ? Number(text.replace(/[_,]/g, "")) : Number.NaN;
  if (!(tokens <= 1e12)) throw new UsageError(`${option} is "${text}". Write a number of tokens.`);
  return tokens;
}
