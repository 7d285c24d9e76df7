import { nanodollars, type RateCard, type Rates, ratesFor, type Usage } from "@purser/core";

/** One term of a charge: so many tokens of a kind at so much each. */
export interface ChargeLine {
  readonly kind: string;
  readonly tokens: number;
  /** In pico-dollars: $1 per million tokens is 1,000,000. */
  readonly picodollars_per_token: number;
}

/**
 * The arithmetic of a charge, term by term. Nothing where the terms do not add up to what was charged: the price has changed since, the
 * call was a batch, or tools were charged beside the tokens. A wrong explanation is worse than none.
 */
export function chargeLines(card: RateCard, usage: Usage, cost: number): readonly ChargeLine[] | undefined {
  if (usage.inputTokens === undefined || usage.outputTokens === undefined) return undefined;
  const rates = ratesFor(card, usage.inputTokens);
  const { unbilledInputTokens: inputFree = 0, unbilledOutputTokens: outputFree = 0 } = usage;
  const lines = [
    ...inputLines(rates, usage, usage.inputTokens - inputFree),
    line("input that is not billed", inputFree, 0),
    ...outputLines(rates, usage, usage.outputTokens - outputFree),
    line("output that is not billed", outputFree, 0),
  ];
  if (lines.some(({ tokens }) => tokens < 0)) return undefined;
  const picodollars = lines.reduce((sum, line) => sum + line.tokens * line.picodollars_per_token, 0);
  return nanodollars(picodollars) === cost ? lines.filter(({ tokens }) => tokens > 0) : undefined;
}

function inputLines(rates: Rates, usage: Usage, total: number): readonly ChargeLine[] {
  const write1h = usage.cacheWrite1hInputTokens ?? 0;
  const writeRate = rates.cacheWrite ?? rates.input;
  return withRest("input", total, rates.input, [
    line("input read from cache", usage.cacheReadInputTokens, rates.cacheRead ?? rates.input),
    line("input written to cache", (usage.cacheWriteInputTokens ?? 0) - write1h, writeRate),
    line("input written to cache for 1 hour", write1h, rates.cacheWrite1h ?? writeRate),
    line("audio input", usage.audioInputTokens, rates.audioInput ?? rates.input),
    line("image input", usage.imageInputTokens, rates.imageInput ?? rates.input),
  ]);
}

function outputLines(rates: Rates, usage: Usage, total: number): readonly ChargeLine[] {
  const text = (usage.reasoningOutputTokens ?? 0) > 0 ? (rates.outputAfterReasoning ?? rates.output) : rates.output;
  return withRest("output", total, text, [
    line("reasoning", usage.reasoningOutputTokens, rates.reasoning ?? text),
    line("audio output", usage.audioOutputTokens, rates.audioOutput ?? text),
    line("image output", usage.imageOutputTokens, rates.imageOutput ?? text),
  ]);
}

function line(kind: string, tokens: number | undefined, rate: number): ChargeLine {
  return { kind, tokens: tokens ?? 0, picodollars_per_token: rate };
}

/** What no other kind names is text. */
function withRest(kind: string, total: number, rate: number, named: readonly ChargeLine[]): readonly ChargeLine[] {
  const rest = total - named.reduce((sum, { tokens }) => sum + tokens, 0);
  return [line(kind, rest, rate), ...named];
}
