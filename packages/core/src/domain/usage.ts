/**
 * The tokens of one call by kind, named as OpenTelemetry names them. A kind that is not known is `undefined`, never 0.
 *
 * `inputTokens` and `outputTokens` are totals: cached input is part of `inputTokens`, reasoning is part of `outputTokens`.
 */
export interface Usage {
  readonly inputTokens?: number;
  /** Part of `inputTokens` that was read from the provider's prompt cache. */
  readonly cacheReadInputTokens?: number;
  /** Part of `inputTokens` that was written to the provider's prompt cache, for 5 minutes and for 1 hour together. */
  readonly cacheWriteInputTokens?: number;
  /** Part of `cacheWriteInputTokens` that was written for 1 hour. */
  readonly cacheWrite1hInputTokens?: number;
  readonly audioInputTokens?: number;
  readonly imageInputTokens?: number;
  /** Part of `inputTokens` for which the provider takes no money: what Cohere puts before every prompt. */
  readonly unbilledInputTokens?: number;
  readonly outputTokens?: number;
  /** Part of `outputTokens` that was spent on reasoning. */
  readonly reasoningOutputTokens?: number;
  readonly audioOutputTokens?: number;
  readonly imageOutputTokens?: number;
  /** Part of `outputTokens` for which the provider takes no money. */
  readonly unbilledOutputTokens?: number;
  /** How often a tool that the provider charges by the call was used, by the name in the rate card: `{ web_search: 2 }`. */
  readonly toolCalls?: Readonly<Record<string, number>>;
  /** What the provider did for the answer, leaves out of these totals, and charges: a conversation that was compacted first was read twice. */
  readonly besides?: Usage;
}

/** All input tokens that are charged. Unknown counts as nothing. */
export function chargedInputTokens({ inputTokens = 0, besides }: Usage): number {
  return inputTokens + (besides ? chargedInputTokens(besides) : 0);
}

/** All output tokens that are charged. Unknown counts as nothing. */
export function chargedOutputTokens({ outputTokens = 0, besides }: Usage): number {
  return outputTokens + (besides ? chargedOutputTokens(besides) : 0);
}

/** All tokens that are charged, input and output. */
export function totalTokens(usage: Usage): number {
  return chargedInputTokens(usage) + chargedOutputTokens(usage);
}

/** The kinds of a usage that are numbers of tokens. */
const TOKEN_KINDS = [
  "inputTokens",
  "cacheReadInputTokens",
  "cacheWriteInputTokens",
  "cacheWrite1hInputTokens",
  "audioInputTokens",
  "imageInputTokens",
  "unbilledInputTokens",
  "outputTokens",
  "reasoningOutputTokens",
  "audioOutputTokens",
  "imageOutputTokens",
  "unbilledOutputTokens",
] as const satisfies readonly (keyof Usage)[];

/** Two usages of the same call added up, kind by kind. A kind unknown on both sides stays unknown. */
export function addUsage(a: Usage, b: Usage): Usage {
  const sum: { -readonly [kind in keyof Usage]: Usage[kind] } = {};
  for (const kind of TOKEN_KINDS) {
    if (a[kind] !== undefined || b[kind] !== undefined) sum[kind] = (a[kind] ?? 0) + (b[kind] ?? 0);
  }
  if (a.toolCalls || b.toolCalls) sum.toolCalls = addToolCalls(a.toolCalls ?? {}, b.toolCalls ?? {});
  if (a.besides || b.besides) sum.besides = addUsage(a.besides ?? {}, b.besides ?? {});
  return sum;
}

function addToolCalls(a: Readonly<Record<string, number>>, b: Readonly<Record<string, number>>): Readonly<Record<string, number>> {
  const sum = new Map(Object.entries(a));
  for (const [tool, calls] of Object.entries(b)) sum.set(tool, (sum.get(tool) ?? 0) + calls);
  return Object.fromEntries(sum);
}
