import { costOf, type Nanodollars } from "@purser/core";
import type { PricedCall, Saving } from "./savings.ts";

/** How long the answers of one feature are, and how many of its calls set no cap for them. */
export interface AnswerLengthsJson {
  /** Null for calls without one. */
  readonly feature: string | null;
  readonly calls: number;
  /** Calls whose caller set no cap. */
  readonly uncapped_calls: number;
  readonly p50_output_tokens: number;
  readonly p95_output_tokens: number;
  readonly max_output_tokens: number;
  /** What a cap at the p95 would have saved of the calls that had none. */
  readonly saved_nanodollars: Nanodollars;
}

/** Gathers the answers of each feature. */
export class AnswerLengths {
  readonly #features = new Map<string | undefined, PricedCall[]>();

  add(call: PricedCall): void {
    const { isCapped, subject } = call.detail;
    if (isCapped === undefined || call.charge.usage.outputTokens === undefined) return;
    const { feature } = subject;
    const known = this.#features.get(feature);
    if (known) known.push(call);
    else this.#features.set(feature, [call]);
  }

  /** The features where most would have been saved first. */
  data(): readonly AnswerLengthsJson[] {
    return [...this.#features].map(([feature, calls]) => lengthsOf(feature, calls)).sort(bySaving);
  }

  saving(): Saving | undefined {
    const capped = this.data().filter(({ saved_nanodollars }) => saved_nanodollars > 0);
    const nanodollars = capped.reduce((sum, one) => sum + one.saved_nanodollars, 0);
    const calls = [...this.#features].reduce((sum, [, of]) => sum + longerThan(of, p95Of(of)).length, 0);
    const how =
      "Answers of calls without a cap of their own that were longer than 95 % of the answers of their feature: the same answers cut there.";
    return nanodollars > 0 ? { kind: "output", calls, nanodollars, how } : undefined;
  }
}

function bySaving(a: AnswerLengthsJson, b: AnswerLengthsJson): number {
  return b.saved_nanodollars - a.saved_nanodollars || b.calls - a.calls;
}

function lengthsOf(feature: string | undefined, calls: readonly PricedCall[]): AnswerLengthsJson {
  const lengths = calls.map(outputOf).sort((a, b) => a - b);
  const p95 = nearestRank(lengths, 95);
  return {
    feature: feature ?? null,
    calls: calls.length,
    uncapped_calls: calls.filter(isUncapped).length,
    p50_output_tokens: nearestRank(lengths, 50),
    p95_output_tokens: p95,
    max_output_tokens: lengths.at(-1) ?? 0,
    saved_nanodollars: longerThan(calls, p95).reduce((sum, call) => sum + call.charge.cost - costOfCut(call, p95), 0),
  };
}

function p95Of(calls: readonly PricedCall[]): number {
  return nearestRank(
    calls.map(outputOf).sort((a, b) => a - b),
    95,
  );
}

function outputOf({ charge }: PricedCall): number {
  return charge.usage.outputTokens ?? 0;
}

function isUncapped({ detail }: PricedCall): boolean {
  return detail.isCapped === false;
}

function longerThan(calls: readonly PricedCall[], outputTokens: number): readonly PricedCall[] {
  return calls.filter((call) => isUncapped(call) && outputOf(call) > outputTokens);
}

/** Reasoning comes first, so that of a cut answer it is what stays. */
function costOfCut({ card, charge }: PricedCall, outputTokens: number): Nanodollars {
  const { usage, service } = charge;
  const { reasoningOutputTokens: reasoning } = usage;
  const cut = { ...usage, outputTokens, ...(reasoning !== undefined && { reasoningOutputTokens: Math.min(reasoning, outputTokens) }) };
  return costOf(card, cut, service);
}

/** The smallest of ascending numbers that so many in a hundred are not above. */
function nearestRank(ascending: readonly number[], percent: number): number {
  return ascending[Math.max(0, Math.ceil((ascending.length * percent) / 100) - 1)] ?? 0;
}
