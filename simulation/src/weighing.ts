import type { Asks } from "../../packages/core/dist/domain/command.js";
import type { Charge, CounterRef, Unit } from "../../packages/core/dist/index.js";
import type { Dice } from "./dice.js";
import type { PlannedBudget } from "./plan.js";

/** How much kinds of tokens count, where a budget says so. No kind counts as what it is part of. */
export type PlannedWeights = { readonly [kind in Kind]?: number };

type Kind = "input" | "cache_read" | "cache_write" | "output" | "reasoning";

const CHOICE: readonly (readonly [Kind, readonly number[]])[] = [
  ["input", [0.5, 2]],
  ["cache_read", [0, 0.1]],
  ["cache_write", [1.25]],
  ["output", [0.3, 4, 5.125]],
  ["reasoning", [0, 6]],
];

/** A limit, as its counters name it. */
type Named = Pick<CounterRef, "unit" | "window">;

export function planWeights(dice: Dice): PlannedWeights {
  return Object.fromEntries(dice.some(CHOICE, 0.5).map(([kind, choice]) => [kind, dice.pick(choice)]));
}

/** The budgets with weights, some of them. */
export function weighedPlan(plan: readonly PlannedBudget[], dice: Dice): readonly PlannedBudget[] {
  return plan.map((budget) => (dice.chance(0.7) ? { ...budget, weights: planWeights(dice) } : budget));
}

function counts(unit: Unit, kind: Kind): boolean {
  const isOutput = kind === "output" || kind === "reasoning";
  return unit === "tokens" || unit === (isOutput ? "output_tokens" : "input_tokens");
}

/** The weights that some limit of a budget counts by: others say nothing, and would be refused. */
export function weightsInput({ weights = {}, limits }: Pick<PlannedBudget, "weights" | "limits">): PlannedWeights {
  return Object.fromEntries(
    CHOICE.flatMap(([kind]) => {
      const weight = weights[kind];
      return weight !== undefined && limits.some(({ unit }) => counts(unit, kind)) ? [[kind, weight]] : [];
    }),
  );
}

/** What stands before the window of a limit that counts by weights. */
export function weightsText(weights: PlannedWeights = {}, unit: Unit): string {
  const parts = CHOICE.flatMap(([kind]) => (weights[kind] !== undefined && counts(unit, kind) ? [`${kind} ${weights[kind]}`] : []));
  return parts.length === 0 ? "" : `(${parts.join(", ")}) `;
}

/** The window of a counter alone. */
export function withoutWeights(window: string): string {
  return window.replace(/^\([^)]*\) /, "");
}

/** What tokens of each kind count, in thousandths: read from the window of a counter, by other rules than the product's. */
function read({ unit, window }: Named) {
  const weights = new Map(
    [...(/^\(([^)]*)\)/.exec(window)?.[1] ?? "").matchAll(/(\w+) ([\d.]+)/g)].map(([, kind, n]) => [kind, Number(n)]),
  );
  const of = (kind: Kind, otherwise: number) => (weights.has(kind) ? Math.round((weights.get(kind) as number) * 1000) : otherwise);
  const [input, output] = [of("input", 1000), of("output", 1000)];
  const all = { input, cached: of("cache_read", input), written: of("cache_write", input), output, reasoning: of("reasoning", output) };
  const none = {
    ...(unit === "output_tokens" && { input: 0, cached: 0, written: 0 }),
    ...(unit === "input_tokens" && { output: 0, reasoning: 0 }),
  };
  return { ...all, ...none };
}

/** What tokens of unknown kinds count at the most. */
function most(named: Named, inputTokens: number, outputTokens: number): number {
  const { input, output } = heaviest(read(named));
  return Math.ceil((inputTokens * input + outputTokens * output) / 1000);
}

function heaviest({ input, cached, written, output, reasoning }: ReturnType<typeof read>) {
  return { input: Math.max(input, cached, written), output: Math.max(output, reasoning) };
}

function isTokens(unit: Unit): boolean {
  return unit === "tokens" || unit === "input_tokens" || unit === "output_tokens";
}

/** What a charge comes to on a counter. Tokens of an unconfirmed one of which no kind is known count the most that they can. */
export function chargedOn(named: Named, { usage, cost = 0, certainty }: Charge): number {
  if (!isTokens(named.unit)) return named.unit === "nanodollars" ? cost : named.unit === "requests" ? 1 : 0;
  const weights = read(named);
  const { input, output } = certainty === "unconfirmed" ? heaviest(weights) : weights;
  let thousandths = 0;
  for (const { inputTokens = 0, outputTokens = 0, ...parts } of [usage, usage.besides ?? {}]) {
    const { cacheReadInputTokens: cached = 0, cacheWriteInputTokens: written = 0, reasoningOutputTokens: reasoning = 0 } = parts;
    thousandths += (inputTokens - cached - written) * input + cached * weights.cached + written * weights.written;
    thousandths += (outputTokens - reasoning) * output + reasoning * weights.reasoning;
  }
  return Math.ceil(thousandths / 1000);
}

/** What a call asks of a counter with so long an answer. */
export function askedOn(named: Named, asks: Asks, outputCap: number): number {
  if (isTokens(named.unit)) return most(named, asks.input_tokens.base, asks.output_tokens.perOutputToken * outputCap);
  const { base, perOutputToken, scale } = asks[named.unit];
  return Math.ceil((base + perOutputToken * outputCap) / scale);
}

/** What the least that a call asks, by unit, comes to on a counter. */
export function leastOn(named: Named, least: { readonly [unit in Unit]: number }): number {
  return isTokens(named.unit) ? most(named, least.input_tokens, least.output_tokens) : least[named.unit];
}
