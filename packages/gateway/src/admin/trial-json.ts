import { formatLimit, type Unit } from "@purser/core";
import type { Trial } from "../trials/trial.ts";
import { instantJson, type ModeJson, modeJson } from "./balances.ts";

/** What a budget that only observes, or did until its trial ended, would have refused. */
export interface TrialJson extends ModeJson {
  readonly budget: string;
  readonly owner: string | null;
  /** When a trial with an end has ended; null before, and where it has none. */
  readonly ended_at: string | null;
  /** The first and the last day on which calls were made that it would have refused. */
  readonly first_at: string | null;
  readonly last_at: string | null;
  readonly would_refuse_calls: number;
  readonly would_refuse_nanodollars: number;
  /** Of whom most would have been refused first. */
  readonly whose: readonly TrialShareJson[];
  readonly whose_total: number;
  readonly needs: readonly TrialNeedJson[];
}

export interface TrialShareJson {
  /** A balance, or who called: `user=ann`; empty where nobody said. */
  readonly whose: string;
  readonly calls: number;
  readonly cost_nanodollars: number;
}

/** What a limit needs, as `purser recommend` reckons it. */
export interface TrialNeedJson {
  readonly limit: string;
  readonly unit: Unit;
  /** Null where it was not seen for long enough. */
  readonly amount: number | null;
  readonly rests_on: string;
}

const WHOSE_MOST = 100;

export function trialJson({ budget, calls, cost, first, last, whose, needs }: Trial, now: number): TrialJson {
  const { name, owner = null, observesUntil } = budget;
  return {
    budget: name,
    owner,
    ...modeJson(budget, now),
    ended_at: now < observesUntil ? null : instantJson(observesUntil),
    first_at: first === undefined ? null : instantJson(first),
    last_at: last === undefined ? null : instantJson(last),
    would_refuse_calls: calls,
    would_refuse_nanodollars: cost,
    whose: whose.slice(0, WHOSE_MOST).map((one) => ({ whose: one.whose, calls: one.calls, cost_nanodollars: one.cost })),
    whose_total: whose.length,
    needs: needs.map(({ limit, amount, rests }) => ({
      limit: formatLimit(limit),
      unit: limit.unit,
      amount: amount ?? null,
      rests_on: rests,
    })),
  };
}
