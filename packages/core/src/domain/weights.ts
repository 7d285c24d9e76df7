import { PurserError } from "../errors.ts";
import type { Ask, Asks } from "./command.ts";
import type { Charge, CounterRef } from "./ledger.ts";
import type { Unit } from "./limit.ts";
import type { Usage } from "./usage.ts";

/** Of which total a kind of tokens is a part, and what it counts where nothing is said of it: what the kind counts that it is part of. */
const KINDS = {
  input: { total: "input", parent: undefined },
  cache_read: { total: "input", parent: "input" },
  cache_write: { total: "input", parent: "input" },
  cache_write_1h: { total: "input", parent: "cache_write" },
  audio_input: { total: "input", parent: "input" },
  image_input: { total: "input", parent: "input" },
  output: { total: "output", parent: undefined },
  reasoning: { total: "output", parent: "output" },
  audio_output: { total: "output", parent: "output" },
  image_output: { total: "output", parent: "output" },
} as const;

/** A kind of tokens, as prices name it too. */
export type TokenKind = keyof typeof KINDS;

/** In the order in which they are written. What a kind is part of stands before it. */
export const TOKEN_KINDS = Object.keys(KINDS) as readonly TokenKind[];

/** How much a token of a kind counts, as one writes it: `{ cache_read: 0.1, output: 4 }`. */
export type WeightsInput = { readonly [kind in TokenKind]?: number };

/** By how much tokens count on a limit. Those of a budget that differ from 1 where its limit counts them, in whole thousandths. */
export interface Weights {
  /** In the order of the kinds, without those that count as what they are part of. */
  readonly said: WeightsInput;
  /** The same as text: `cache_read 0.1, output 4`. */
  readonly text: string;
  readonly input: Weighing;
  readonly output: Weighing;
}

/** What a token of one total counts, in thousandths. */
interface Weighing {
  readonly plain: number;
  /** The heaviest first. */
  readonly parts: readonly (readonly [TokenKind, number])[];
  /** The most that any token of it can count. */
  readonly most: number;
}

/** Weights have three decimals: so what calls count is a whole number of thousandths, and is rounded once. */
const SCALE = 1000;
export const WEIGHT_MOST = 1000;

/** Limits that count tokens, and which totals. */
const COUNTS: { readonly [unit in Unit]?: { readonly input: boolean; readonly output: boolean } } = {
  tokens: { input: true, output: true },
  input_tokens: { input: true, output: false },
  output_tokens: { input: false, output: true },
};

/** The weights by which a limit of this unit counts; nothing where every token that it counts is one. */
export function weightsFor(unit: Unit, input: WeightsInput): Weights | undefined {
  const counts = COUNTS[unit];
  const kinds = TOKEN_KINDS.filter((kind) => counts?.[KINDS[kind].total]);
  const own = kinds.filter((kind) => weightOf(kind, input) !== weightOf(KINDS[kind].parent, input));
  if (own.length === 0) return undefined;
  const said: WeightsInput = Object.fromEntries(own.map((kind) => [kind, weightOf(kind, input) / SCALE]));
  const text = own.map((kind) => `${kind} ${said[kind]}`).join(", ");
  return { said, text, input: weighingOf("input", said), output: weighingOf("output", said) };
}

/** In thousandths. What is part of nothing else counts 1 where nothing is said. */
function weightOf(kind: TokenKind | undefined, input: WeightsInput): number {
  if (kind === undefined) return SCALE;
  const said = input[kind];
  return said === undefined ? weightOf(KINDS[kind].parent, input) : Math.round(said * SCALE);
}

function weighingOf(total: "input" | "output", input: WeightsInput): Weighing {
  const plain = weightOf(total, input);
  const parts = TOKEN_KINDS.filter((kind) => kind !== total && KINDS[kind].total === total)
    .map((kind) => [kind, weightOf(kind, input)] as const)
    // What counts as the rest does is no kind of its own here.
    .filter(([, weight]) => weight !== plain)
    .sort(([, a], [, b]) => b - a);
  return { plain, parts, most: Math.max(plain, parts[0]?.[1] ?? 0) };
}

/** Checks weights as somebody wrote them, for limits of these units. Throws `config_invalid` with what to do. */
export function checkWeights(name: string, input: WeightsInput, units: readonly Unit[]): void {
  const fail = (what: string) => new PurserError("config_invalid", `Budget "${name}": ${what}`);
  if (typeof input !== "object" || input === null || Array.isArray(input))
    throw fail("weights are a number for each kind of tokens. Write weights: { cache_read: 0.1, output: 4 }.");
  for (const [kind, weight] of Object.entries(input)) {
    if (!Object.hasOwn(KINDS, kind)) throw fail(`"${kind}" is no kind of tokens that can weigh. Kinds are ${TOKEN_KINDS.join(", ")}.`);
    if (!isWeight(weight)) throw fail(`the weight of ${kind} is ${JSON.stringify(weight)}. Write ${WEIGHT_FORM}.`);
    const { total } = KINDS[kind as TokenKind];
    if (!units.some((unit) => COUNTS[unit]?.[total]))
      throw fail(`${kind} has a weight, and no limit of the budget counts ${total} tokens. Give it one, such as 1M tokens / day.`);
  }
  const idle = units.find((unit) => limitsNothing(weightsFor(unit, input), unit));
  if (idle)
    throw fail(
      `its limit in ${idle.replace("_", " ")} limits nothing: all that it counts weighs 0. Give something of it a weight, or leave it out.`,
    );
}

/** What a weight is, ready to follow "write". */
export const WEIGHT_FORM = `a number from 0 to ${WEIGHT_MOST} with at most three decimals, such as 0.1`;

export function isWeight(weight: unknown): weight is number {
  if (typeof weight !== "number" || !(weight >= 0 && weight <= WEIGHT_MOST)) return false;
  return Math.round(weight * SCALE) / SCALE === weight;
}

function limitsNothing(weights: Weights | undefined, unit: Unit): boolean {
  return weights !== undefined && mostOf(weights, unit).input === 0 && mostOf(weights, unit).output === 0;
}

/** The most that a token of each total can count on a limit of a unit. */
function mostOf({ input, output }: Weights, unit: Unit): { readonly input: number; readonly output: number } {
  const counts = COUNTS[unit];
  return { input: counts?.input ? input.most : 0, output: counts?.output ? output.most : 0 };
}

/**
 * What a charge counts on a limit of a unit. Each token counts once: by the heavier of two kinds that a provider names for it. Where the end of a
 * call is unknown, so are the kinds of its tokens, and each of which nothing is said counts the most that it can.
 */
export function weigh(weights: Weights, unit: Unit, { usage, certainty }: Pick<Charge, "usage" | "certainty">): number {
  return Math.ceil(thousandths(weights, unit, usage, certainty === "unconfirmed") / SCALE);
}

function thousandths(weights: Weights, unit: Unit, usage: Usage, isUnsure: boolean): number {
  const counts = COUNTS[unit];
  const input = counts?.input ? weighed(weights.input, usage.inputTokens, usage, isUnsure) : 0;
  const output = counts?.output ? weighed(weights.output, usage.outputTokens, usage, isUnsure) : 0;
  return input + output + (usage.besides ? thousandths(weights, unit, usage.besides, isUnsure) : 0);
}

function weighed({ plain, parts, most }: Weighing, total: number | undefined, usage: Usage, isUnsure: boolean): number {
  let left = total ?? 0;
  let sum = 0;
  for (const [kind, weight] of parts) {
    const tokens = tokensOf(kind, usage);
    // What a provider says of the parts was not checked as the totals were.
    if (!(tokens > 0)) continue;
    const counted = Math.min(left, tokens);
    sum += counted * weight;
    left -= counted;
  }
  return sum + left * (isUnsure ? most : plain);
}

function tokensOf(kind: TokenKind, usage: Usage): number {
  switch (kind) {
    case "input":
      return usage.inputTokens ?? 0;
    case "cache_read":
      return usage.cacheReadInputTokens ?? 0;
    case "cache_write":
      return (usage.cacheWriteInputTokens ?? 0) - (usage.cacheWrite1hInputTokens ?? 0);
    case "cache_write_1h":
      return usage.cacheWrite1hInputTokens ?? 0;
    case "audio_input":
      return usage.audioInputTokens ?? 0;
    case "image_input":
      return usage.imageInputTokens ?? 0;
    case "output":
      return usage.outputTokens ?? 0;
    case "reasoning":
      return usage.reasoningOutputTokens ?? 0;
    case "audio_output":
      return usage.audioOutputTokens ?? 0;
    case "image_output":
      return usage.imageOutputTokens ?? 0;
  }
}

/** The most that tokens of unknown kinds can count on a limit of a unit. */
export function weighMost(weights: Weights, unit: Unit, usage: Pick<Usage, "inputTokens" | "outputTokens">): number {
  return weigh(weights, unit, { usage, certainty: "unconfirmed" });
}

/** What a call asks of a counter. Nobody knows yet what kinds its tokens will be, so each counts the most that it can. */
export function askOn(asks: Asks, counter: CounterRef): Ask {
  const weights = weightsOn(counter);
  return weights === undefined ? asks[counter.unit] : weighedAsk(asks, weights, counter.unit);
}

function weighedAsk(asks: Asks, weights: Weights, unit: Unit): Ask {
  const most = mostOf(weights, unit);
  const base = asks.input_tokens.base * most.input;
  return { base, perOutputToken: asks.output_tokens.perOutputToken * most.output, scale: SCALE };
}

const OPENING = "(".charCodeAt(0);
const WEIGHED = /^\((.*?)\) /;

/** The window of a limit as its counters name it: with the weights before it by which they count. */
export function weighedWindow(weights: Weights | undefined, window: string): string {
  return weights === undefined ? window : `(${weights.text}) ${window}`;
}

/** The same without the weights. */
export function unweighedWindow(window: string): string {
  return window.charCodeAt(0) === OPENING ? window.replace(WEIGHED, "") : window;
}

/** Looked up at every posting, and there are only a few. */
const known = new Map<string, Weights | undefined>();
const KNOWN_MOST = 1000;

/** The weights by which a counter counts; nothing where every token is one. */
export function weightsOn({ window }: Pick<CounterRef, "window">): Weights | undefined {
  return window.charCodeAt(0) === OPENING ? weightsBefore(window) : undefined;
}

function weightsBefore(window: string): Weights {
  const found = known.get(window);
  if (found) return found;
  const weights = weightsFor("tokens", readWeights(WEIGHED.exec(window)?.[1] ?? ""));
  if (!weights) throw new PurserError("internal", `The window "${window}" of a counter names no weights.`);
  if (known.size >= KNOWN_MOST) known.clear();
  known.set(window, weights);
  return weights;
}

function readWeights(text: string): WeightsInput {
  return Object.fromEntries(
    text
      .split(", ")
      .map((part) => part.split(" "))
      .map(([kind = "", weight]) => [kind, Number(weight)]),
  );
}

const KIND_NAMES: { readonly [kind in TokenKind]: string } = {
  input: "input",
  cache_read: "cache reads",
  cache_write: "cache writes",
  cache_write_1h: "cache writes for an hour",
  audio_input: "audio input",
  image_input: "image input",
  output: "output",
  reasoning: "reasoning",
  audio_output: "audio output",
  image_output: "image output",
};
const SHARE_NAMES: ReadonlyMap<number, string> = new Map([
  [0, "not at all"],
  [0.1, "a tenth"],
  [0.2, "a fifth"],
  [0.25, "a quarter"],
  [0.5, "half"],
  [1, "once"],
  [2, "twice"],
]);

/** The weights for people, ready to follow "counting": `cache reads a tenth and output 4 times`. */
export function weightsPhrase(input: WeightsInput): string {
  const phrases = TOKEN_KINDS.flatMap((kind) => {
    const weight = input[kind];
    return weight === undefined ? [] : [`${KIND_NAMES[kind]} ${SHARE_NAMES.get(weight) ?? `${weight} times`}`];
  });
  return phrases.length < 2 ? (phrases[0] ?? "") : `${phrases.slice(0, -1).join(", ")} and ${phrases.at(-1)}`;
}
