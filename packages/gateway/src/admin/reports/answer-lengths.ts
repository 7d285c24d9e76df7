import { costOf, type Nanodollars, type RateCard, type ServiceTier, type Usage } from "@purser/core";
import { nearestRank } from "../../nearest-rank.ts";
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

/** No more of a call than it takes to say what a shorter answer would have cost: there may be very many. */
interface UncappedAnswer {
  readonly outputTokens: number;
  readonly usage: Usage;
  readonly cost: Nanodollars;
  readonly card: RateCard;
  readonly service: ServiceTier | undefined;
}

interface FeatureAnswers {
  /** In output tokens. */
  readonly lengths: number[];
  readonly uncapped: UncappedAnswer[];
}

/** Gathers the answers of each feature. */
export class AnswerLengths {
  readonly #features = new Map<string | undefined, FeatureAnswers>();

  add({ detail, charge, card }: PricedCall): void {
    const { usage, cost, service } = charge;
    const { outputTokens } = usage;
    if (detail.isCapped === undefined || outputTokens === undefined) return;
    const { feature } = detail.subject;
    const answers = this.#features.get(feature) ?? { lengths: [], uncapped: [] };
    this.#features.set(feature, answers);
    answers.lengths.push(outputTokens);
    if (!detail.isCapped) answers.uncapped.push({ outputTokens, usage, cost, card, service });
  }

  /** The features where most would have been saved first, and what all of that is together. */
  result(): { readonly data: readonly AnswerLengthsJson[]; readonly saving: Saving | undefined } {
    let calls = 0;
    const data = [...this.#features].map(([feature, { lengths, uncapped }]): AnswerLengthsJson => {
      const ascending = lengths.sort((a, b) => a - b);
      const p95 = nearestRank(ascending, 95);
      const longer = uncapped.filter(({ outputTokens }) => outputTokens > p95);
      calls += longer.length;
      return {
        feature: feature ?? null,
        calls: lengths.length,
        uncapped_calls: uncapped.length,
        p50_output_tokens: nearestRank(ascending, 50),
        p95_output_tokens: p95,
        max_output_tokens: ascending.at(-1) ?? 0,
        saved_nanodollars: longer.reduce((sum, answer) => sum + answer.cost - costOfCut(answer, p95), 0),
      };
    });
    const nanodollars = data.reduce((sum, { saved_nanodollars }) => sum + saved_nanodollars, 0);
    const saving = nanodollars > 0 ? ({ kind: "output", calls, nanodollars, how: HOW } as const) : undefined;
    return { data: data.sort((a, b) => b.saved_nanodollars - a.saved_nanodollars || b.calls - a.calls), saving };
  }
}

const HOW =
  "Answers of calls without a cap of their own that were longer than 95 % of the answers of their feature: the same answers cut there.";

/** Reasoning comes first, so that of a cut answer it is what stays. */
function costOfCut({ card, usage, service }: UncappedAnswer, outputTokens: number): Nanodollars {
  const { reasoningOutputTokens: reasoning } = usage;
  const cut = { ...usage, outputTokens, ...(reasoning !== undefined && { reasoningOutputTokens: Math.min(reasoning, outputTokens) }) };
  return costOf(card, cut, service);
}
