import {
  type Balance,
  type Budget,
  type Budgets,
  compilePattern,
  formatLimit,
  type Limit,
  rungText,
  type Selector,
  type SubjectPath,
  windowSpan,
  windowText,
} from "@purser/core";
import { budgetSentence } from "../config/sentence.ts";
import { type BalanceJson, balanceJson, fullest, instantJson } from "./balances.ts";
import type { Figures } from "./figures.ts";
import { windowName } from "./grant-json.ts";
import type { Kept } from "./kept.ts";

/** A budget as it is configured, where it stands among the others, and how its balances stand. */
export interface BudgetJson {
  readonly name: string;
  /** The narrowest budget that all its calls are charged to as well. */
  readonly parent: string | null;
  /** The whole budget in words. */
  readonly sentence: string;
  readonly for: Selector;
  readonly per: readonly SubjectPath[];
  readonly owner: string | null;
  readonly mode: Budget["mode"];
  readonly time_zone: string;
  readonly limits: readonly LimitJson[];
  readonly ladder: readonly { readonly at: number; readonly rungs: readonly string[] }[];
  /** The balances of which most is used, and how many there are. */
  readonly balances: readonly OutlookJson[];
  readonly balances_total: number;
}

export interface LimitJson {
  /** As it is written: `$50.00 / month`. */
  readonly text: string;
  readonly unit: Limit["unit"];
  readonly window: string;
  readonly amount: number;
}

/** A balance, and where it leads. */
export interface OutlookJson extends BalanceJson {
  /** When its window began; null where it moves or never ends. */
  readonly starts_at: string | null;
  /** What will be spent of it when it resets, if it goes on as in the last seven days. */
  readonly expected: number | null;
  /** When nothing is left of it, if that is before it resets. */
  readonly gone_at: string | null;
}

const HOUR_MS = 3_600_000;
const RATE_MS = 7 * 24 * HOUR_MS;
/** The part of a window before the end of which its pace is not known yet. */
const SAYS_LITTLE = 0.4;
/** A budget that nobody used for so long begins anew. */
const KNOWN_MS = 5 * RATE_MS;
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
      mode: budget.mode,
      time_zone: budget.timezone,
      limits: budget.limits.map((limit) => ({
        text: formatLimit(limit),
        unit: limit.unit,
        window: windowName(windowText(limit.window)),
        amount: limit.amount,
      })),
      ladder: budget.ladder.map(({ from, rungs }) => ({ at: from / FULL, rungs: rungs.map(rungText) })),
      balances: fullest(balances, BALANCES_SHOWN).map((balance) => outlook(balance, budget, figures, now)),
      balances_total: balances.length,
    };
  });
}

/** What one balance will come to. */
function outlook(balance: Balance, budget: Budget, figures: Figures, now: number): OutlookJson {
  const limit = limitOf(balance, budget);
  const span = limit?.window.kind === "calendar" ? windowSpan(limit.window, now) : undefined;
  const none = { starts_at: null, expected: null, gone_at: null };
  const isRunning = limit?.window.kind === "calendar" || limit?.window.kind === "lifetime";
  const json = balanceJson(balance);
  if (!limit || !isRunning || balance.unit === "concurrent") return { ...json, ...none };
  const rate = ratePerMs(balance, budget, limit, figures, now);
  const goneAt = balance.left === 0 ? now : rate > 0 ? now + balance.left / rate : Number.POSITIVE_INFINITY;
  const resetsAt = balance.resetsAt ?? Number.POSITIVE_INFINITY;
  return {
    ...json,
    starts_at: span ? instantJson(span.startsAt) : null,
    expected: balance.resetsAt === undefined ? null : Math.round(balance.spent + rate * (balance.resetsAt - now)),
    gone_at: goneAt < resetsAt && goneAt < MOMENT_MOST ? instantJson(Math.round(goneAt)) : null,
  };
}

/** The last moment that a forecast names: a hundred years on, something else will have happened. */
const MOMENT_MOST = Date.UTC(2100, 0);

/**
 * How fast a balance is used up: that of a whole budget as in the last seven days, by its rollups; that of one subject as in its window so
 * far, because nobody keeps the hours of every user.
 */
function ratePerMs({ budget: name, spent, subject }: Balance, budget: Budget, limit: Limit, figures: Figures, now: number): number {
  if (subject === "" && budget.per.length === 0) {
    // A budget that is younger than seven days has its pace since it began.
    const hours = figures.spent(name, limitName(limit), now - KNOWN_MS);
    const since = Math.max(now - RATE_MS, hours[0]?.from ?? now);
    const recent = hours.filter(({ from }) => from >= since).reduce((all, { spent: one }) => all + one, 0);
    return recent / Math.max(HOUR_MS, now - since);
  }
  if (limit.window.kind !== "calendar") return 0;
  const { startsAt, resetsAt = now } = windowSpan(limit.window, now);
  // What one person did in the first hour of a day says little about the other twenty-three.
  return spent / Math.max(now - startsAt, (resetsAt - startsAt) * SAYS_LITTLE);
}

/** A limit as its counters and rollups name it. */
export function limitName({ unit, window, rollover }: Limit): string {
  return `${unit}/${windowText(window)}${rollover === undefined ? "" : " rollover"}`;
}

function limitOf({ unit, window }: Pick<Balance, "unit" | "window">, { limits }: Budget): Limit | undefined {
  return limits.find((limit) => limit.unit === unit && windowName(windowText(limit.window)) === window);
}

/** The narrowest other budget without balances of single subjects that selects whatever this one selects. */
function parentOf(budget: Budget, all: readonly Budget[]): Budget | undefined {
  const index = all.indexOf(budget);
  const wider = all.filter((other, i) => {
    if (other === budget || other.per.length > 0 || !includes(other.selector, budget.selector)) return false;
    // Of two budgets for the same calls the first is above.
    return budget.per.length > 0 || !includes(budget.selector, other.selector) || i < index;
  });
  return wider.reduce<Budget | undefined>((best, one) => (best && !includes(best.selector, one.selector) ? best : one), undefined);
}

/** Whether all that `narrow` selects is selected by `wide`. */
function includes(wide: Selector, narrow: Selector): boolean {
  return (Object.entries(wide) as [SubjectPath, string | readonly string[]][]).every(([path, allowed]) => {
    const values = narrow[path];
    if (values === undefined) return false;
    const patterns = [allowed].flat().map(compilePattern);
    return [values].flat().every((value) => patterns.some((matches) => matches(value)));
  });
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
        .spent(budget.name, limitName(limit), now - days * 24 * HOUR_MS)
        .map(({ from, spent }) => ({ from: instantJson(from), spent })),
    }));
}
