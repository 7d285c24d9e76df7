import { type Balance, type Budget, type BudgetMode, modeAt, shownOwner, trialEnd, type Unit, type WeightsInput } from "@purser/core";
import type { ConfiguredAllowance } from "../config/allowances.ts";

/** A balance as programs read it: amounts are integers, money in nano-dollars. */
export interface BalanceJson {
  readonly budget: string;
  readonly subject: string;
  readonly unit: Unit;
  /** By how much kinds of tokens count in these amounts, where not every token is one. */
  readonly weights?: WeightsInput;
  readonly window: string;
  readonly limit: number;
  readonly spent: number;
  readonly held: number;
  readonly left: number;
  /** ISO 8601; null where it never resets. */
  readonly resets_at: string | null;
  /** Of a budget that only observes: until when it refuses nothing; null where that has no end. */
  readonly observes_until?: string | null;
}

export function balanceJson(balance: Balance): BalanceJson {
  const { budget, subject, unit, weights, window, limit, spent, held, left, resetsAt, observedUntil } = balance;
  const resets_at = resetsAt === undefined ? null : instantJson(resetsAt);
  const trial = observedUntil !== undefined && { observes_until: observedUntil === Infinity ? null : instantJson(observedUntil) };
  return { budget, subject, unit, ...(weights && { weights }), window, limit, spent, held, left, resets_at, ...trial };
}

/** Whether a budget refuses calls. */
export interface ModeJson {
  /** What it does now with calls that do not fit: `observe` only records what it would have refused. */
  readonly mode: BudgetMode;
  /** When a trial ends and the budget refuses calls; null where that has no end, or is over. */
  readonly observes_until: string | null;
}

export function modeJson(budget: Budget, now: number): ModeJson {
  const end = trialEnd(budget, now);
  return { mode: modeAt(budget, now), observes_until: end === undefined ? null : instantJson(end) };
}

/** A balance, with whom its budget belongs to. */
export interface OwnedBalanceJson extends BalanceJson {
  readonly owner: string | null;
  readonly cost_center: string | null;
}

/** Balances with whom they belong to, as whoever runs this knows it, or as callers may. */
export function ownedBalances(
  balances: readonly Balance[],
  budgets: readonly Budget[],
  { isForCallers }: { readonly isForCallers: boolean },
): readonly OwnedBalanceJson[] {
  const byName = new Map(budgets.map((budget) => [budget.name, budget]));
  return balances.map((balance) => {
    const budget = byName.get(balance.budget);
    const owner = budget && (isForCallers ? shownOwner(budget) : budget.owner);
    return { ...balanceJson(balance), owner: owner ?? null, cost_center: budget?.costCenter ?? null };
  });
}

/** What is left of what a provider gives away. */
export interface AllowanceJson extends Omit<BalanceJson, "budget" | "subject"> {
  readonly allowance: string;
  /** The same as `allowance`. */
  readonly name: string;
  readonly providers: readonly string[];
  readonly models: readonly string[];
  /** Spent and held together. */
  readonly used: number;
  /** When it ends, as ISO 8601; null where it does not. From then on nothing is left. */
  readonly until: string | null;
}

export function allowanceJson(balance: Balance, allowance: ConfiguredAllowance | undefined, now: number): AllowanceJson {
  const { budget: name, subject: _, left, ...standing } = balanceJson(balance);
  const { providers = [], models = [], until } = allowance ?? {};
  const ends = until === undefined ? null : instantJson(until);
  const isOver = until !== undefined && until <= now;
  const used = standing.spent + standing.held;
  return { allowance: name, name, providers, models, ...standing, used, left: isOver ? 0 : left, until: ends };
}

/** The balances of which most is used, in the order in which they were. Few are looked for among very many, so that all are not sorted. */
export function fullest(balances: readonly Balance[], most: number): readonly Balance[] {
  if (balances.length <= most) return balances;
  const found: { readonly index: number; readonly share: number }[] = [];
  for (const [index, { limit, left }] of balances.entries()) {
    const share = limit === 0 ? 1 : (limit - left) / limit;
    if (found.length === most && share <= (found[most - 1]?.share ?? 0)) continue;
    const at = found.findIndex((one) => one.share < share);
    found.splice(at < 0 ? found.length : at, 0, { index, share });
    if (found.length > most) found.pop();
  }
  return found.sort((a, b) => a.index - b.index).map(({ index }) => balances[index] as Balance);
}

export function instantJson(instant: number): string {
  return new Date(instant).toISOString();
}
