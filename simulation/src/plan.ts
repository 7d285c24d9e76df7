import {
  type Budget,
  type BudgetInput,
  type CounterRef,
  defineBudget,
  type ModeInput,
  type Subject,
  type Unit,
} from "../../packages/core/dist/index.js";
import type { Dice } from "./dice.js";
import { canFinish, finishInput, keptOf } from "./finishing.js";
import { adjustedLimit, adjustInput, type PlannedAdjust } from "./plan-adjusting.js";
import { canShare, type PlannedShare, shareInput } from "./plan-sharing.js";
import { type PlannedWeights, planWeights, weightsInput, weightsText } from "./weighing.js";

/** Attributes that the calls of a simulation have. */
export type PlannedSubject = { readonly [path in "team" | "user" | "task" | "model" | "provider" | "endpoint"]?: string };

/** A limit as a simulation knows it: what it allows is looked up here, and not where the product keeps it. */
export interface PlannedLimit {
  readonly unit: Unit;
  readonly amount: number;
  /** `day`, `rolling 90m`, `minute bucket`, `lifetime`. */
  readonly window: string;
  /** Of a window that moves with the time. */
  readonly moving?: Moving;
  /** How much of what a window left unused is added to the next one at most. */
  readonly rollover?: number;
}

/** A rolling window of a length, or a bucket that drains by the amount in it. */
export interface Moving {
  readonly kind: "rolling" | "bucket";
  readonly lengthMs: number;
  /** What a bucket takes at once. */
  readonly burst?: number;
  /** How long calls wait for a leaky one. */
  readonly waitS?: number;
}

/** A budget of a simulation. */
export interface PlannedBudget {
  readonly name: string;
  readonly selects: PlannedSubject;
  readonly per: readonly (keyof PlannedSubject)[];
  readonly limits: readonly PlannedLimit[];
  readonly timezone: string;
  readonly isEnforced: boolean;
  readonly isOpen: boolean;
  readonly minOutput: number;
  readonly maxInput: number | undefined;
  readonly maxOutput: number | undefined;
  readonly models: readonly string[] | undefined;
  readonly share?: PlannedShare;
  readonly adjust?: PlannedAdjust;
  /** Up to when it only observes, where it is enforced in the end; to the second. */
  readonly observedUntil?: number;
  readonly weights?: PlannedWeights;
  /** From what share of its limits on, in per cent, the rest is kept for a last answer. */
  readonly finishAt?: number | undefined;
}

/** The budgets in force, numbered by when they came. */
export interface Configuration {
  readonly number: number;
  readonly planned: readonly PlannedBudget[];
  readonly budgets: readonly Budget[];
  /** By budget and name. */
  readonly limits: ReadonlyMap<string, LimitInForce>;
}

export const TEAMS = ["a", "b"] as const;
export const USERS = ["ann", "bob", "cy=d|e", undefined] as const;
export const TASKS = ["t1", "t2", undefined] as const;
const ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"] as const;

/** Kinds of budgets: which calls, and which of them share a balance. */
const KINDS: readonly Pick<PlannedBudget, "name" | "selects" | "per">[] = [
  { name: "company", selects: {}, per: [] },
  { name: "team a", selects: { team: "a" }, per: [] },
  { name: "team b", selects: { team: "b" }, per: [] },
  { name: "each user", selects: {}, per: ["user"] },
  { name: "each task", selects: {}, per: ["task"] },
  { name: "team and model", selects: {}, per: ["team", "model"] },
  { name: "claude", selects: { provider: "anthropic" }, per: [] },
];

/** What is about the size of a call, by unit: limits are a small or a large number of them. */
const CALL_SIZES: Readonly<Record<Unit, number>> = {
  nanodollars: 3_000_000,
  tokens: 900,
  input_tokens: 400,
  output_tokens: 500,
  requests: 1,
  concurrent: 1,
};

const UNITS: readonly Unit[] = ["nanodollars", "nanodollars", "tokens", "input_tokens", "output_tokens", "requests", "concurrent"];
const WINDOWS = ["minute", "hour", "hour", "day", "day", "week", "month", "quarter", "year", "lifetime"] as const;
const MINUTE_MS = 60_000;
const MOVING: readonly (readonly [window: string, moving: Moving])[] = [
  ["rolling 30s", { kind: "rolling", lengthMs: 30_000 }],
  ["rolling 5m", { kind: "rolling", lengthMs: 5 * MINUTE_MS }],
  ["rolling 90m", { kind: "rolling", lengthMs: 90 * MINUTE_MS }],
  ["rolling 1d", { kind: "rolling", lengthMs: 1_440 * MINUTE_MS }],
  ["minute bucket", { kind: "bucket", lengthMs: MINUTE_MS }],
  ["hour bucket", { kind: "bucket", lengthMs: 60 * MINUTE_MS }],
  ["minute leaky", { kind: "bucket", lengthMs: MINUTE_MS }],
  ["hour leaky", { kind: "bucket", lengthMs: 60 * MINUTE_MS }],
];

/** Which windows a plan has. Those that move go by the clock of the gateway to the second, so that clocks must agree. */
export interface PlanOptions {
  readonly hasMoving: boolean;
  /** Whether budgets weigh their tokens, and change how they do. */
  readonly hasWeights: boolean;
}

/** The first budgets of a simulation. */
export function firstPlan(dice: Dice, options: PlanOptions): readonly PlannedBudget[] {
  const kinds = dice.some(KINDS, 0.5);
  return (kinds.length > 0 ? kinds : KINDS.slice(0, 1)).map((kind) => planBudget(kind, dice, options));
}

/** The same with limits so much larger. */
export function enlarged(plan: readonly PlannedBudget[], times: number): readonly PlannedBudget[] {
  const larger = (limit: PlannedLimit) => ({ ...limit, amount: limit.amount * times });
  return plan.map((budget) => ({ ...budget, limits: budget.limits.map(larger) }));
}

/** One thing that an operator changes. */
export function changedPlan(plan: readonly PlannedBudget[], dice: Dice, options: PlanOptions): readonly PlannedBudget[] {
  const at = dice.between(0, plan.length - 1);
  const changed = plan[at];
  const missing = KINDS.filter(({ name }) => plan.every((budget) => budget.name !== name));
  if (!changed || (missing.length > 0 && dice.chance(0.25))) return [...plan, planBudget(dice.pick(missing), dice, options)];
  const change = (to: Partial<PlannedBudget>) => plan.with(at, { ...changed, ...to });
  if (options.hasWeights && dice.chance(0.3)) return change({ weights: dice.chance(0.2) ? {} : planWeights(dice) });
  return dice.weighted<() => readonly PlannedBudget[]>([
    [3, () => change({ limits: changed.limits.map((limit) => ({ ...limit, amount: scaled(limit, dice) })) })],
    [2, () => change({ limits: planLimits(dice, options) })],
    [1, () => change({ limits: changed.limits.slice(0, 1) })],
    [2, () => change({ isEnforced: !changed.isEnforced })],
    ...(changed.finishAt === undefined ? [] : ([[2, () => change({ finishAt: dice.pick([undefined, 30, 60, 95]) })]] as const)),
    [1, () => change({ isOpen: !changed.isOpen })],
    [1, () => change({ per: dice.pick([[], ["user"], ["task"], ["team", "user"]] as const) })],
    [1, () => change({ timezone: dice.pick(ZONES) })],
    [1, () => change({ maxOutput: dice.chance(0.5) ? dice.between(20, 800) : undefined })],
    [1, () => plan.filter((budget) => budget !== changed)],
    [1, () => [...plan].reverse()],
  ])();
}

/** A grant of more, or a reset, for one of those who have a balance. */
export interface Favour {
  readonly budget: string;
  readonly for: Readonly<Record<string, string>>;
  /** A limit with the amount that is given. */
  readonly limit: string;
}

/** Something that an owner does for somebody in between. */
export function planFavour(plan: readonly PlannedBudget[], dice: Dice): Favour | undefined {
  const budget = plan.length === 0 ? undefined : dice.pick(plan);
  const limit = budget && dice.pick(budget.limits);
  if (!budget || !limit) return undefined;
  const { unit, window } = limit;
  const values = { team: TEAMS, user: USERS.slice(0, 2), task: TASKS.slice(0, 2), model: ["gpt-5"], provider: ["openai"], endpoint: ["x"] };
  return {
    budget: budget.name,
    for: Object.fromEntries(budget.per.map((path) => [path, dice.pick(values[path]) ?? ""])),
    limit: limitText({ unit, window, amount: Math.max(1, planAmount(unit, dice)) }),
  };
}

/** Reads a plan as the product reads its configuration. */
export function configurationOf(number: number, plan: readonly PlannedBudget[]): Configuration {
  const planned = plan.map((budget) => {
    const { share, adjust, finishAt, ...alone } = budget;
    return {
      ...alone,
      ...(canShare(budget, plan) && { share }),
      ...(adjust && adjustedLimit(budget) && { adjust }),
      ...(canFinish(budget) && { finishAt }),
    };
  });
  const budgets = planned.map((budget) => defineBudget(inputOf(budget)));
  const limits = planned.flatMap((budget, i) =>
    budget.limits.map((limit, j): readonly [string, LimitInForce] => {
      const placed = budgets[i]?.limits[j];
      if (!placed) throw new Error(`The budget ${budget.name} has lost a limit.`);
      return [
        `${budget.name}|${limitName(budget, limit)}`,
        { ...limit, isEnforced: budget.isEnforced, observedUntil: budget.observedUntil ?? 0, placed, kept: keptOf(budget, limit) },
      ];
    }),
  );
  return { number, planned, budgets, limits: new Map(limits) };
}

function planBudget(kind: Pick<PlannedBudget, "name" | "selects" | "per">, dice: Dice, options: PlanOptions): PlannedBudget {
  return {
    ...kind,
    limits: planLimits(dice, options),
    timezone: dice.pick(ZONES),
    isEnforced: dice.chance(0.85),
    isOpen: dice.chance(0.15),
    minOutput: dice.pick([0, 1, 16, 256]),
    maxInput: dice.chance(0.15) ? dice.between(50, 2_000) : undefined,
    maxOutput: dice.chance(0.15) ? dice.between(20, 800) : undefined,
    models: dice.chance(0.1) ? ["gpt-*"] : undefined,
  };
}

/** A few limits, no two of them of the same unit and window. */
function planLimits(dice: Dice, { hasMoving }: PlanOptions): readonly PlannedLimit[] {
  const limits = new Map<string, PlannedLimit>();
  for (let i = dice.between(1, 3); i > 0; i--) {
    const unit = dice.pick(UNITS);
    const limit = hasMoving && unit !== "concurrent" && dice.chance(0.3) ? movingLimit(unit, dice) : fixedLimit(unit, dice);
    limits.set(`${unit} ${limit.window}`, limit);
  }
  return [...limits.values()];
}

function fixedLimit(unit: Unit, dice: Dice): PlannedLimit {
  const window = unit === "concurrent" ? "lifetime" : dice.pick(WINDOWS);
  const limit = { unit, window, amount: planAmount(unit, dice) };
  return window !== "lifetime" && dice.chance(0.1) ? { ...limit, rollover: planAmount(unit, dice) } : limit;
}

function movingLimit(unit: Unit, dice: Dice): PlannedLimit {
  const [window, moving] = dice.pick(MOVING);
  const amount = Math.max(1, planAmount(unit, dice));
  const limit = { unit, window, amount, moving };
  if (moving.kind === "rolling") return limit;
  const waits = window.endsWith("leaky") && dice.chance(0.5) ? { waitS: dice.between(1, 120) } : {};
  return { ...limit, moving: { ...moving, ...waits, ...(dice.chance(0.4) && { burst: Math.max(1, planAmount(unit, dice)) }) } };
}

function planAmount(unit: Unit, dice: Dice): number {
  if (dice.chance(0.03)) return 0;
  return Math.max(1, Math.round((CALL_SIZES[unit] * dice.magnitude(5, 1_000)) / 10));
}

function scaled({ amount, unit }: PlannedLimit, dice: Dice): number {
  return amount === 0 ? planAmount(unit, dice) : Math.max(1, Math.floor((amount * dice.magnitude(2, 50)) / 10));
}

function inputOf(budget: PlannedBudget): BudgetInput {
  const { name, selects, per, limits, timezone, isOpen, minOutput, share, adjust, maxInput, maxOutput, models } = budget;
  return {
    name,
    for: selects,
    per,
    limits: limits.map(limitText),
    weights: weightsInput(budget),
    request: { ...(maxInput !== undefined && { maxInput }), ...(maxOutput !== undefined && { maxOutput }), ...(models && { models }) },
    timezone,
    mode: modeText(budget),
    minOutput,
    onStoreFailure: isOpen ? "open" : "closed",
    ...(share && { share: shareInput(share) }),
    ...(adjust && { adjust: adjustInput(adjust) }),
    ...(budget.finishAt !== undefined && { ladder: finishInput(budget) }),
  };
}

function modeText({ isEnforced, observedUntil }: PlannedBudget): ModeInput {
  if (!isEnforced) return "observe";
  return observedUntil === undefined ? "enforce" : `observe until ${new Date(observedUntil).toISOString().replace(".000", "")}`;
}

/** A limit as it is written in a configuration. */
function limitText({ unit, amount, window, moving = { kind: "rolling", lengthMs: 0 }, rollover }: PlannedLimit): string {
  const whole = unit === "nanodollars" ? amountText(amount, unit) : `${amount} ${unit.replace("_", " ")}`;
  const period = window === "lifetime" ? "" : ` / ${window}`;
  const burst = moving.burst === undefined ? "" : ` burst ${amountText(moving.burst, unit)}`;
  const wait = moving.waitS === undefined ? "" : ` wait ${moving.waitS}s`;
  return `${whole}${period}${burst}${wait}${rollover === undefined ? "" : ` rollover ${amountText(rollover, unit)}`}`;
}

/** An amount that stands alone, in its unit. */
export function amountText(amount: number, unit: Unit): string {
  if (unit !== "nanodollars") return String(amount);
  const digits = String(amount).padStart(10, "0");
  return `$${digits.slice(0, -9)}.${digits.slice(-9)}`;
}

/** A limit in force: as it was planned, and as the product reads it. */
export interface LimitInForce extends PlannedLimit {
  readonly isEnforced: boolean;
  readonly observedUntil: number;
  readonly placed: Budget["limits"][number];
  /** What of it is there for the last answer of a task alone. */
  readonly kept: number;
}

/** Whether a budget, or a limit of it, refuses calls at a time. */
export function refuses({ isEnforced, observedUntil = 0 }: Pick<PlannedBudget, "isEnforced" | "observedUntil">, at: number): boolean {
  return isEnforced && at >= observedUntil;
}

/** How many trials of a configuration are over at a time. */
export function trialsOver({ planned }: Configuration, at: number): number {
  return planned.filter(({ observedUntil = Number.POSITIVE_INFINITY }) => at >= observedUntil).length;
}

/** Some of the budgets on trial, until some time of a run. */
export function planOnTrial(plan: readonly PlannedBudget[], startsAt: number, minutes: number, dice: Dice): readonly PlannedBudget[] {
  const from = Math.ceil(startsAt / 1_000) * 1_000;
  return plan.map((budget) => (dice.chance(0.6) ? { ...budget, observedUntil: from + dice.between(0, minutes * 60) * 1_000 } : budget));
}

/** How a budget shares. */
export function shareOf({ planned }: Configuration, budget: string): PlannedShare | undefined {
  return planned.find(({ name }) => name === budget)?.share;
}

/** The limit that is kept on a counter. */
export function limitOf({ limits }: Configuration, { budget, unit, window }: CounterRef): LimitInForce | undefined {
  return limits.get(`${budget}|${unit}/${window}`);
}

/** Whether a budget is for a call: its attributes match, and it is part of what the budget has a balance for. */
export function isFor({ selects, per }: PlannedBudget, subject: Subject): boolean {
  const has = subject as PlannedSubject;
  const matches = (Object.keys(selects) as (keyof PlannedSubject)[]).every((path) => has[path] === selects[path]);
  return matches && (!per.includes("task") || has.task !== undefined);
}

/** What the counter of a limit is called for a call, but for when its window began. */
export function counterName(budget: PlannedBudget, limit: PlannedLimit, subject: Subject): string {
  return `${budget.name}|${limitName(budget, limit)}|${counterSubject(budget, subject)}`;
}

/** Whose balance it is that a call is charged to: `team=a,user=ann`. */
export function counterSubject({ per }: PlannedBudget, subject: Subject): string {
  const has = subject as PlannedSubject;
  return per.map((path) => `${path}=${has[path] === undefined ? "(none)" : encoded(has[path])}`).join(",");
}

/** What a limit is called in its budget. */
export function limitName({ timezone, weights }: PlannedBudget, { unit, window, moving, rollover }: PlannedLimit): string {
  const zone = moving || window === "minute" || window === "lifetime" ? "" : `@${timezone}`;
  return `${unit}/${weightsText(weights, unit)}${window}${zone}${rollover === undefined ? "" : " rollover"}`;
}

/** The same of a counter that the product made. */
export function nameOf({ budget, unit, window, subject }: CounterRef): string {
  return `${budget}|${unit}/${window}|${subject}`;
}

function encoded(value: string): string {
  return value.replace(/[%,=|]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`);
}
