import type { SharingInput } from "../../packages/core/dist/domain/sharing.js";
import type { Dice } from "./dice.js";
import { limitName, type PlannedBudget, type PlannedLimit } from "./plan.js";

/** How the budgets of a simulation share what they leave unused, in per cent. */
export interface PlannedShare {
  /** Budgets; the balances of the budget itself where there are none. */
  readonly among: readonly string[];
  readonly every: string;
  readonly from: number;
  readonly keep: number;
  readonly most: number;
}

const PERIODS = ["minute", "hour", "day"] as const;
const WINDOWS = ["hour", "day", "week"] as const;
/** About a call each: so few calls are in a limit that is shared, or follows its use, that some need more soon, and others do not. */
export const CALLS_WORTH: readonly Pick<PlannedLimit, "unit" | "amount">[] = [
  { unit: "nanodollars", amount: 3_000_000 },
  { unit: "tokens", amount: 900 },
  { unit: "output_tokens", amount: 500 },
  { unit: "requests", amount: 1 },
];

/** The same budgets, of which some share: what has several balances by itself, and the two teams with each other. */
export function sharingPlan(plan: readonly PlannedBudget[], dice: Dice): readonly PlannedBudget[] {
  const { unit, amount } = dice.pick(CALLS_WORTH);
  const window = dice.pick(WINDOWS);
  const timezone = dice.pick(["UTC", "Australia/Lord_Howe"]);
  const share = (among: readonly string[]): PlannedShare => ({
    among,
    every: dice.pick(PERIODS),
    from: dice.pick([0, 30, 80]),
    keep: dice.pick([0, 20, 50]),
    most: dice.pick([10, 50, 300]),
  });
  const sharing = plan.map((budget): PlannedBudget => {
    const limit = { unit, window, amount: amount * dice.magnitude(2, 40) };
    if (budget.per.length > 0) return { ...budget, isEnforced: true, limits: [limit, ...limitsBeside(budget, limit)], share: share([]) };
    return budget.selects.team === undefined ? budget : { ...budget, isEnforced: true, timezone, limits: [limit] };
  });
  const teams = sharing.filter(({ selects }) => selects.team !== undefined).map(({ name }) => name);
  return teams.length < 2 ? sharing : sharing.map((budget, i) => (i === 0 ? { ...budget, share: share(teams) } : budget));
}

/** Limits that stay beside another one: no two are of the same unit and window. */
export function limitsBeside({ limits }: PlannedBudget, { unit, window }: PlannedLimit): readonly PlannedLimit[] {
  return limits.filter((limit) => limit.unit !== unit || limit.window !== window).slice(0, 1);
}

/** Whether a budget can share as it is planned. What was changed meanwhile may leave nothing to be shared. */
export function canShare(budget: PlannedBudget, plan: readonly PlannedBudget[]): boolean {
  const { share, per } = budget;
  if (!share) return false;
  if (share.among.length === 0) return per.length > 0 && shareable(budget).length > 0;
  const members = share.among.flatMap((wanted) => plan.find(({ name }) => name === wanted) ?? []);
  const [first, ...rest] = members.map((member) => (member.per.length > 0 ? [] : shareable(member)));
  return members.length === share.among.length && first?.some((limit) => rest.every((limits) => limits.includes(limit))) === true;
}

function shareable(budget: PlannedBudget): readonly string[] {
  const { limits } = budget;
  return limits
    .filter(({ window, moving, rollover, unit }) => window !== "lifetime" && !moving && rollover === undefined && unit !== "concurrent")
    .map((limit) => limitName(budget, limit));
}

/** How it is written in a configuration. */
export function shareInput({ among, every, from, keep, most }: PlannedShare): SharingInput {
  return { every, from: `${from}%`, keep: `${keep}%`, most: `${most}%`, ...(among.length > 0 && { among }) };
}
