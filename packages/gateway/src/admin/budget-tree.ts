import {
  type Balance,
  type Budget,
  type Budgets,
  formatLimit,
  type LadderStep,
  type Limit,
  limitId,
  type MeasuredLimit,
  parentOf,
  rungText,
  type Selector,
  type SubjectPath,
  stepText,
  type WeightsInput,
  windowText,
} from "@purser/core";
import { budgetSentence } from "../config/sentence.ts";
import { type BalanceJson, balanceJson, fullest, instantJson, type ModeJson, modeJson } from "./balances.ts";
import type { Figures } from "./figures.ts";
import { windowName } from "./grant-json.ts";
import type { Kept } from "./kept.ts";
import { outlookOf } from "./outlook.ts";

/** A budget as it is configured, where it stands among the others, and how its balances stand. */
export interface BudgetJson extends ModeJson {
  readonly name: string;
  /** The narrowest budget that all its calls are charged to as well. */
  readonly parent: string | null;
  /** The whole budget in words. */
  readonly sentence: string;
  readonly for: Selector;
  readonly per: readonly SubjectPath[];
  /** Its own, or that of the budget that it is a part of. */
  readonly owner: string | null;
  /** The budget whose owner it is, where this one says none. */
  readonly owner_from: string | null;
  readonly cost_center: string | null;
  readonly time_zone: string;
  readonly limits: readonly LimitJson[];
  readonly ladder: readonly StepJson[];
  /** The balances of which most is used, and how many there are. */
  readonly balances: readonly OutlookJson[];
  readonly balances_total: number;
}

export interface LimitJson {
  /** As it is written: `$50.00 / month`. */
  readonly text: string;
  readonly unit: Limit["unit"];
  /** By how much kinds of tokens count, where not every token is one. */
  readonly weights?: WeightsInput;
  readonly window: string;
  readonly amount: number;
}

/** A step of a ladder. */
export interface StepJson {
  /** As it is written: `85% of $ / month`, `$20 left`. */
  readonly text: string;
  /** The share from which on it holds, from 0 to 1, of the limit as the budget has it. */
  readonly at: number;
  /** The amount that is spent, or left, where its step says that and no share. */
  readonly spent: number | null;
  readonly left: number | null;
  /** What it is a share of, where its step says that: `$ / month`. */
  readonly of: string | null;
  /** The limits of which the fullest counts. */
  readonly measures: readonly MeasuredLimit[];
  readonly rungs: readonly string[];
}

/** A balance, and where it leads. */
export interface OutlookJson extends BalanceJson {
  /** When its window began; null where it moves or never ends. */
  readonly starts_at: string | null;
  /** What will be spent of it when it resets, if it goes on as in the last seven days; null where it is too early to say. */
  readonly expected: number | null;
  /** When nothing is left of it, if that is before it resets; null where it is used up already, or it is too early to say. */
  readonly gone_at: string | null;
}

const HOUR_MS = 3_600_000;
const BALANCES_SHOWN = 8;
/** Thresholds of ladders are in hundredths of a per cent. */
const FULL = 10_000;

export interface TreeParts {
  readonly budgets: Pick<Budgets, "balances">;
  readonly figures: Figures;
  readonly configured: readonly Budget[];
  /** The balances of budgets that have one for each subject. */
  readonly kept: Kept<readonly Balance[]>;
  readonly now: number;
}

function stepJson(step: LadderStep): StepJson {
  const { from, amount, of = null, measures, rungs } = step;
  const spent = amount && !amount.isLeft ? amount.value : null;
  const left = amount?.isLeft ? amount.value : null;
  return { text: stepText(step), at: from / FULL, spent, left, of, measures, rungs: rungs.map(rungText) };
}

export async function readBudgetTree({ budgets, figures, configured, kept, now }: TreeParts): Promise<readonly BudgetJson[]> {
  const read = ({ name: budget, per }: Budget) =>
    per.length === 0 ? budgets.balances({ budget }) : kept.read(budget, () => budgets.balances({ budget }));
  const balancesOf = await Promise.all(configured.map(read));
  return configured.map((budget, i) => {
    const balances = balancesOf[i] ?? [];
    return {
      name: budget.name,
      parent: parentOf(budget, configured)?.name ?? null,
      sentence: budgetSentence(budget),
      for: budget.selector,
      per: budget.per,
      owner: budget.owner ?? null,
      owner_from: budget.ownerFrom ?? null,
      cost_center: budget.costCenter ?? null,
      ...modeJson(budget, now),
      time_zone: budget.timezone,
      limits: budget.limits.map((limit) => ({
        text: formatLimit(limit),
        unit: limit.unit,
        ...(limit.weights && { weights: limit.weights.said }),
        window: windowName(windowText(limit.window)),
        amount: limit.amount,
      })),
      ladder: budget.ladder.map(stepJson),
      balances: fullest(balances, BALANCES_SHOWN).map((balance) => outlook(balance, budget, figures, now)),
      balances_total: balances.length,
    };
  });
}

/** What one balance will come to. */
function outlook(balance: Balance, budget: Budget, figures: Figures, now: number): OutlookJson {
  const json = balanceJson(balance);
  const found = outlookOf(balance, budget, figures.spent, now);
  if (!found) return { ...json, starts_at: null, expected: null, gone_at: null };
  const { startsAt, expected, goneAt } = found;
  return {
    ...json,
    starts_at: startsAt === undefined ? null : instantJson(startsAt),
    expected: expected === undefined ? null : Math.round(expected),
    gone_at: goneAt === undefined ? null : instantJson(goneAt),
  };
}

/** What a limit was charged, by the hour. */
export interface HistoryJson {
  readonly unit: Limit["unit"];
  readonly window: string;
  readonly hours: readonly { readonly from: string; readonly spent: number }[];
}

/** What the limits of a budget were charged in the last days, all its balances together. Hours without charges are left out. */
export function readHistory(
  figures: Figures,
  budget: Budget,
  { days, now }: { readonly days: number; readonly now: number },
): readonly HistoryJson[] {
  return budget.limits
    .filter(({ unit }) => unit !== "concurrent")
    .map((limit) => ({
      unit: limit.unit,
      window: windowName(windowText(limit.window)),
      hours: figures
        .spent(budget.name, limitId(limit), now - days * 24 * HOUR_MS)
        .map(({ from, spent }) => ({ from: instantJson(from), spent })),
    }));
}
