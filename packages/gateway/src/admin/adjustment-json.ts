import { type AdjustingGrant, type AdjustingOutlook, type Limit, type Unit, windowText } from "@purser/core";
import { instantJson } from "./balances.ts";
import { windowName } from "./grant-json.ts";

/** A limit that follows what is used of it, as programs read it: amounts are integers, money in nano-dollars. */
export interface AdjustmentJson {
  readonly budget: string;
  readonly unit: Unit;
  readonly window: string;
  readonly mode: "apply" | "propose";
  readonly every: string;
  /** What the configuration says, and what holds. */
  readonly configured: number;
  readonly amount: number;
  /** The bounds. */
  readonly least: number;
  readonly most: number;
  /** What was decided for the period that runs; null where nothing was. */
  readonly decided: DecidedJson | null;
  /** When it is looked at next. */
  readonly next_at: string;
  /** What it would be then, with what is known now; null where no gateway runs that has added up what was used. */
  readonly next: { readonly amount: number; readonly why: string } | null;
}

export interface DecidedJson {
  /** The id of the grant that makes the difference: revoking it ends the decision. */
  readonly grant: string;
  readonly before: number;
  readonly amount: number;
  readonly why: string;
  readonly from: string;
  readonly until: string;
}

/** What the rule of a budget had decided when a call came. */
export interface CallAdjustmentJson extends DecidedJson {
  readonly budget: string;
  readonly unit: Unit;
  readonly window: string;
  readonly configured: number;
}

export function adjustmentJson({ budget, limit, rule, amount, decided, nextAt, next }: AdjustingOutlook): AdjustmentJson {
  return {
    budget: budget.name,
    unit: limit.unit,
    window: limitWindowName(limit),
    mode: rule.mode,
    every: rule.every,
    configured: limit.amount,
    amount,
    least: rule.least,
    most: rule.most,
    decided: decided ? decidedJson(decided) : null,
    next_at: instantJson(nextAt),
    next: next ? { amount: next.amount, why: next.why } : null,
  };
}

export function callAdjustmentJson(grant: AdjustingGrant): CallAdjustmentJson {
  const [unit = "", window = ""] = grant.limit.split(/\/(.*)/s);
  const { configured } = grant.adjustment;
  return { budget: grant.budget, unit: unit as Unit, window: windowName(window), configured, ...decidedJson(grant) };
}

function limitWindowName({ window }: Limit): string {
  return windowName(windowText(window));
}

function decidedJson({ id, why, from, until, adjustment }: AdjustingGrant): DecidedJson {
  const { before, amount } = adjustment;
  return { grant: id, before, amount, why, from: instantJson(from), until: instantJson(until) };
}
