import { PurserError } from "../errors.ts";
import { exactSum } from "./exact-sum.ts";
import type { Charge, Entry, KnownAnswer } from "./ledger.ts";
import type { Nanodollars } from "./money.ts";
import { costOf, type RateCard, type ServiceTier } from "./price.ts";
import type { Usage } from "./usage.ts";

/** A rung of a budget's ladder, as it is written: `use gpt-4o-mini`. */
interface OfRung {
  readonly budget: string;
  readonly rung: string;
}

/**
 * What a rung did to a call, as far as it saves money. `cachedShare`: how much of the input its provider would have read from a prompt cache
 * without the rung, from 0 to 1.
 */
export type RungEffect = OfRung &
  (
    | { readonly kind: "use"; readonly insteadOf: PricedModel; readonly cachedShare: number }
    | { readonly kind: "cut"; readonly leftOutTokens: number; readonly cachedShare: number }
    | { readonly kind: "shorten" }
    /** The call is the rung's own: it writes what takes the place of what is cut from another one. */
    | { readonly kind: "summary" }
  );

/** A model by its name in the price list. */
export interface PricedModel {
  readonly provider: string;
  readonly pricedAs: string;
}

/** What a rung saved of a call. */
export interface RungSaving extends OfRung {
  /** Tokens of input that it left out, as counted here. */
  readonly leftOutTokens?: number;
  /** In nano-dollars: below 0 where the call became dearer, and left out where nobody can know. */
  readonly saved?: Nanodollars;
  /** What the call cost, where it is one that the rung made itself. */
  readonly spent?: Nanodollars;
}

export interface SavingTerms {
  /** The price of the call. */
  readonly card: RateCard | undefined;
  readonly service: ServiceTier;
  /** Whether an allowance pays for the call. */
  readonly isFree: boolean;
  /** The price of the model in whose place another one was used; none where that is unknown, or could have been nothing. */
  readonly priceOf: (model: PricedModel) => RateCard | undefined;
}

/**
 * What each rung saved of a call, against the call as it was made: another model by what the same tokens cost at the one before it, a cut by
 * what was left out at the price of the call. What two of them saved only together is not counted, and so nothing is counted twice.
 */
export function savingsOf(
  effects: readonly RungEffect[],
  { usage, cost, certainty }: Charge,
  { card, service, isFree, priceOf }: SavingTerms,
): readonly RungSaving[] {
  // What is charged at an estimate, or costs nothing anyway, says nothing of what it would have cost.
  const charged = isFree || certainty === "unconfirmed" ? undefined : cost;
  const savings: RungSaving[] = [];
  let [byModel, byLength, whole] = [charged, charged, usage];
  for (const effect of effects.toReversed()) {
    const { budget, rung } = effect;
    if (effect.kind === "use") {
      const before = costAt(priceOf(effect.insteadOf), withInput(usage, 0, effect.cachedShare), service);
      savings.unshift({ budget, rung, ...savedOf(before, byModel) });
      byModel = before;
    } else if (effect.kind === "cut") {
      const { leftOutTokens, cachedShare } = effect;
      whole = withInput(whole, leftOutTokens, cachedShare);
      const before = costAt(card, whole, service);
      savings.unshift({ budget, rung, leftOutTokens, ...savedOf(before, byLength) });
      byLength = before;
    } else savings.unshift({ budget, rung, ...(effect.kind === "summary" && { spent: cost ?? 0 }) });
  }
  return oncePerRung(savings);
}

/** A call that goes on at another provider climbs its ladders again: what a rung does to it then is more of the same. */
function oncePerRung(savings: readonly RungSaving[]): readonly RungSaving[] {
  const once: RungSaving[] = [];
  for (const saving of savings) {
    const { budget, rung, leftOutTokens, saved } = saving;
    const i = once.findIndex((one) => one.budget === budget && one.rung === rung);
    const known = once[i];
    if (!known) once.push(saving);
    else
      once[i] = {
        budget,
        rung,
        ...(leftOutTokens !== undefined && { leftOutTokens: (known.leftOutTokens ?? 0) + leftOutTokens }),
        ...(known.saved !== undefined && saved !== undefined && { saved: known.saved + saved }),
      };
  }
  return once;
}

/** Nothing where it is not known, or more than can be counted: what a call would have cost must not keep it from being charged. */
function costAt(card: RateCard | undefined, usage: Usage, service: ServiceTier): Nanodollars | undefined {
  if (!card || usage.inputTokens === undefined) return undefined;
  try {
    return costOf(card, usage, service);
  } catch (error) {
    if (error instanceof PurserError && error.code === "amount_too_large") return undefined;
    throw error;
  }
}

function savedOf(before: Nanodollars | undefined, after: Nanodollars | undefined): Pick<RungSaving, "saved"> {
  return before === undefined || after === undefined ? {} : { saved: before - after };
}

/** A usage with so much more input, of all of which a share is read from the cache, if it is not more already; what is read there is not written. */
function withInput(usage: Usage, more: number, cachedShare: number): Usage {
  const { inputTokens: before, cacheReadInputTokens = 0, cacheWriteInputTokens = 0, cacheWrite1hInputTokens = 0 } = usage;
  if (before === undefined) return usage;
  const inputTokens = before + more;
  const read = Math.max(cacheReadInputTokens, Math.ceil(inputTokens * cachedShare));
  const written = Math.min(cacheWriteInputTokens, inputTokens - read);
  return {
    ...usage,
    inputTokens,
    cacheReadInputTokens: read,
    cacheWriteInputTokens: written,
    cacheWrite1hInputTokens: Math.min(cacheWrite1hInputTokens, written),
  };
}

/** What rungs did, added up. Money is in nano-dollars. */
export interface SavingAmounts {
  /** Calls that the rung touched. */
  readonly calls: number;
  /** Of these, calls of which nobody can know what it saved. */
  readonly unknownCalls: number;
  readonly leftOutTokens: number;
  readonly saved: Nanodollars;
  /** What calls cost that the rung made itself. */
  readonly spent: Nanodollars;
}

export const SAVING_AMOUNTS = [
  "calls",
  "unknownCalls",
  "leftOutTokens",
  "saved",
  "spent",
] as const satisfies readonly (keyof SavingAmounts)[];

/** What one rung of one budget did. Calls that the budget refused, because it was used up or its ladder says `block`, are those of the rung `refused`. */
export interface SavingRow extends SavingAmounts, OfRung {}

export const REFUSED = "refused";

export interface SavingsQuery {
  /** Epoch milliseconds, inclusive. */
  readonly since: number;
  /** Epoch milliseconds, exclusive. */
  readonly until: number;
}

/** What an entry adds to what rungs did. The one place that says so, for every store. */
export function bookedSavings(entry: Entry): readonly SavingRow[] {
  switch (entry.kind) {
    case "settled":
    case "corrected":
      return entry.charge.savings?.map(bookedSaving) ?? [];
    case "answered": {
      const { known, times: calls = 1 } = entry;
      const saving = savingOfAnswer(known);
      if (!saving) return [];
      const { budget, rung, saved } = saving;
      return [{ budget, rung, calls, unknownCalls: saved === undefined ? calls : 0, leftOutTokens: 0, saved: saved ?? 0, spent: 0 }];
    }
    case "denied": {
      const { detail, reason, times: calls = 1 } = entry;
      const { refusedBy, readyText } = detail;
      if (!refusedBy || reason !== "budget_exhausted") return [];
      const rung = readyText === undefined ? REFUSED : rungIn(readyText, refusedBy.budget);
      return [{ budget: refusedBy.budget, rung, calls, unknownCalls: calls, leftOutTokens: 0, saved: 0, spent: 0 }];
    }
    default:
      return [];
  }
}

function bookedSaving({ budget, rung, leftOutTokens = 0, saved, spent }: RungSaving): SavingRow {
  const calls = spent === undefined ? 1 : 0;
  const unknownCalls = saved === undefined ? calls : 0;
  return { budget, rung, calls, unknownCalls, leftOutTokens, saved: saved ?? 0, spent: spent ?? 0 };
}

/** What an answer saved that was known; nothing where it is not known whose rung gave it. */
export function savingOfAnswer({ budget, rung, saved }: KnownAnswer): RungSaving | undefined {
  return budget === undefined ? undefined : { budget, rung: rungIn(rung, budget), ...(saved !== undefined && { saved }) };
}

/** The rung in what is written of it with its budget: `cache 10m` of `cache 10m (support 30%)`. */
function rungIn(text: string, budget: string): string {
  const end = text.lastIndexOf(` (${budget}`);
  return end < 0 ? text : text.slice(0, end);
}

/** What rungs saved less what they spent. */
export function savedNet(savings: readonly Pick<RungSaving, "saved" | "spent">[]): Nanodollars {
  return savings.reduce((sum, { saved = 0, spent = 0 }) => sum + saved - spent, 0);
}

/** Adds up what rungs did, for stores that cannot. */
export class SavingsSum {
  readonly #rows = new Map<string, SavingRow>();

  add(row: SavingRow): void {
    const key = JSON.stringify([row.budget, row.rung]);
    const known = this.#rows.get(key);
    this.#rows.set(key, known ? { ...row, ...combined(known, row) } : row);
  }

  rows(): readonly SavingRow[] {
    return orderedSavings([...this.#rows.values()]);
  }
}

function combined(a: SavingAmounts, b: SavingAmounts): SavingAmounts {
  return Object.fromEntries(SAVING_AMOUNTS.map((name) => [name, exactSum(a[name], b[name])])) as unknown as SavingAmounts;
}

/** By budget, then by rung; the same wherever they were added up. */
export function orderedSavings(rows: readonly SavingRow[]): readonly SavingRow[] {
  return rows.toSorted((a, b) => compare(a.budget, b.budget) || compare(a.rung, b.rung));
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
