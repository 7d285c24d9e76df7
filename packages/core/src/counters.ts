import { type Budget, isLabelOf, type LimitException, labelSubject, subjectLabel } from "./domain/budget.ts";
import { type ChargedTo, chargedTo } from "./domain/charged-to.ts";
import type { BoundLimit, Rollover, Standing } from "./domain/command.ts";
import type { Balance } from "./domain/decision.ts";
import { finishes, keptOf, lastAnswer, ONE_LAST_ANSWER } from "./domain/finish.ts";
import { type CounterRef, seriesOf } from "./domain/ledger.ts";
import { capacityOf, type Limit, limitId, limitWindow } from "./domain/limit.ts";
import { observes, trialEnd } from "./domain/mode.ts";
import { drainingTime, type Rule } from "./domain/slices.ts";
import type { Counter } from "./domain/state.ts";
import type { Subject } from "./domain/subject.ts";
import { isMoving, movingLength, sliceLength, type WindowSpan, windowName, windowSpan } from "./domain/window.ts";

/** A limit bound to its counter, with the budget that it belongs to. */
export interface BoundBudgetLimit extends BoundLimit {
  readonly budget: Budget;
  /** What of the limit is kept for the last answer of a task, and is no part of `amount`: for calls that are not the last. */
  readonly kept?: number;
  /** As it holds for the subject: of an exception, where one does. */
  readonly limit: Limit;
}

/** The budgets that select a subject, and their limits in one window of each. Holds from `from` up to `until`. */
export interface BoundSubject {
  readonly budgets: readonly Budget[];
  readonly limits: readonly BoundBudgetLimit[];
  readonly chargedTo: ChargedTo | undefined;
  /** Of these budgets, those that keep room for a last answer. */
  readonly finishing: readonly Budget[];
  readonly from: number;
  readonly until: number;
}

/** A named limit that all calls of one account share. */
interface Shared {
  readonly name: string;
  readonly limit: Limit;
}

/** The windows of some limits at a moment, and what was bound in them by subject label. Holds from `from` up to `until`. */
interface Current<Bound> {
  readonly from: number;
  readonly until: number;
  readonly spans: readonly LimitSpan[];
  readonly bound: Map<string, Bound>;
}

/** The instance of a limit's window that a time falls into, or the slice of it. */
interface LimitSpan extends WindowSpan {
  /** When another one begins. */
  readonly endsAt: number;
  /** When the window before began, for a limit that asks what that one left. */
  readonly previousStartsAt: number | undefined;
}

/** A budget that comes with a call and not from a configuration: what its caller was given by another one. It has no window, and an end. */
export interface Pool {
  readonly budget: Budget;
  /** Epoch milliseconds. */
  readonly until: number;
}

/** Clocks differ, and a call that was admitted at the last moment is settled later. */
const POOL_LINGERS_MS = 86_400_000;

/** Subjects whose counters are kept at hand for one budget; a budget with more starts over. */
const BOUND_MOST = 100_000;

/** Finds the counters of a budget for a subject and a time. They are made once a window, not once a call. */
export class Counters {
  readonly #budgets = new WeakMap<Budget, Current<readonly BoundBudgetLimit[]>>();
  readonly #allowances = new WeakMap<Shared, Current<BoundLimit>>();
  /** By the objects that are the subjects of many calls. */
  readonly #subjects = new WeakMap<Subject, BoundSubject>();

  /** The limits of a budget, each bound to the counter of one subject. */
  bind(budget: Budget, label: string, now: number): readonly BoundBudgetLimit[] {
    const { spans, bound } = currentOf(this.#budgets, budget, budget, now);
    return bound.get(label) ?? keep(bound, label, bindLimits(budget, label, spans, now));
  }

  /** The budgets that select a subject, with all their limits. `budgets` are always the same ones: those of a configuration. */
  bindSubject(budgets: readonly Budget[], subject: Subject, now: number): BoundSubject {
    const known = this.#subjects.get(subject);
    if (known && now >= known.from && now < known.until) return known;
    const selecting = budgets.filter((budget) => budget.selects(subject));
    const finishing = selecting.filter((budget) => finishes(budget) && !observes(budget, now));
    const limits: BoundBudgetLimit[] = [];
    let [from, until] = [0, Number.POSITIVE_INFINITY];
    for (const budget of selecting) {
      const bound = this.bind(budget, subjectLabel(budget, subject), now);
      limits.push(...(finishing.includes(budget) ? bound.map(withoutKept) : bound));
      const current = currentOf(this.#budgets, budget, budget, now);
      from = Math.max(from, current.from);
      until = Math.min(until, current.until, trialEnd(budget, now) ?? Infinity);
      if (!observes(budget, now)) from = Math.max(from, budget.observesUntil);
    }
    const bound = { budgets: selecting, limits, chargedTo: chargedTo(selecting), finishing, from, until };
    if (isLasting(subject)) this.#subjects.set(subject, bound);
    return bound;
  }

  /** The limit of a budget by which its task has one last answer. */
  bindLast(budget: Budget, label: string): BoundBudgetLimit {
    return { ...lastAnswer(budget.name, label), budget, limit: ONE_LAST_ANSWER };
  }

  /** The limits of a pool. Its counters end some time after it, so that they are forgotten. */
  bindPool({ budget, until }: Pool, now: number): readonly BoundBudgetLimit[] {
    const resetsAt = until + POOL_LINGERS_MS;
    return this.bind(budget, "", now).map((bound) => ({ ...bound, counter: { ...bound.counter, resetsAt } }));
  }

  /** The limit of a free allowance. */
  bindAllowance(allowance: Shared, now: number): BoundLimit {
    const { spans, bound } = currentOf(this.#allowances, allowance, { limits: [allowance.limit], exceptions: [] }, now);
    return bound.get("") ?? keep(bound, "", bindLimit(allowanceName(allowance), allowance.limit, "", spans[0] as LimitSpan));
  }

  /** The limits of which there are balances: of one subject, or of all that have a counter in the current window. */
  balanced(
    budgets: readonly Budget[],
    counters: readonly Readonly<Counter>[],
    now: number,
    subject?: Subject,
  ): readonly BoundBudgetLimit[] {
    const used = new Set(counters.map(({ ref }) => ref.series ?? ref.key));
    const labels = labelsByBudget(counters);
    return budgets.flatMap((budget) => {
      const { spans } = currentOf(this.#budgets, budget, budget, now);
      const known = labels.get(budget.name) ?? new Set();
      const wanted = subject ? [subjectLabel(budget, subject)] : budget.per.length === 0 ? [""] : known;
      return [...wanted]
        .filter((label) => isLabelOf(budget, label))
        .flatMap((label) => bindLimits(budget, label, spans, now))
        .filter(({ counter }) => subject || budget.per.length === 0 || used.has(counter.series ?? counter.key));
    });
  }
}

/** A limit for calls that are not the last of their task. */
function withoutKept(bound: BoundBudgetLimit): BoundBudgetLimit {
  const { budget, counter, limit, amount } = bound;
  const kept = keptOf(budget.ladder, { unit: counter.unit, window: windowName(limit.window) }, amount);
  return kept === 0 ? bound : { ...bound, amount: amount - kept, kept };
}

/** A limit with all that there is, for the last call of a task. */
export function withKept(bound: BoundBudgetLimit): BoundBudgetLimit {
  const { kept = 0, ...others } = bound;
  return kept === 0 ? bound : { ...others, amount: bound.amount + kept };
}

/** What stands in the place of a budget's name on the counter of an allowance. */
export function allowanceName({ name }: { readonly name: string }): string {
  return `allowance ${name}`;
}

/** Finds the counters of one limit, for times that mostly go on. */
export class LimitCounters {
  readonly #budget: Budget;
  readonly #limit: Limit;
  #span: LimitSpan;

  constructor(budget: Budget, limit: Limit, now: number) {
    this.#budget = budget;
    this.#limit = limit;
    this.#span = limitSpan(limit, now);
  }

  /** Where the limit keeps what a subject reserves at a time. */
  at(subject: Subject, time: number): CounterRef {
    if (time < this.#span.startsAt || time >= this.#span.endsAt) this.#span = limitSpan(this.#limit, time);
    return counterRef(this.#budget.name, this.#limit, subjectLabel(this.#budget, subject), this.#span);
  }
}

/** Since when it matters for a limit what was reserved. */
export function countsFrom(limit: Limit, now: number): number {
  const { startsAt, previousStartsAt = startsAt } = limitSpan(limit, now);
  const rule = ruleOf(limit);
  if (!rule) return previousStartsAt;
  return rule.kind === "rolling" ? startsAt - rule.lengthMs : startsAt - drainingTime(rule, capacityOf(limit)) - rule.periodMs;
}

/** A limit of which there is a balance. */
type BalancedLimit = Pick<BoundBudgetLimit, "counter" | "limit" | "rule" | "kept"> & {
  readonly budget: Pick<Budget, "timezone"> & Partial<Pick<Budget, "observesUntil">>;
};

/** One limit as it stands, for people and programs. */
export function balanceOf(
  { counter, budget, limit, rule, kept = 0 }: BalancedLimit,
  { amount, spent, held }: Standing,
  now: number,
): Balance {
  // A bucket is as good as new when it is empty.
  const resetsAt = rule?.kind === "bucket" ? now + drainingTime(rule, spent + held) : counter.resetsAt;
  const balance = {
    budget: counter.budget,
    subject: counter.subject,
    unit: counter.unit,
    window: windowName(limit.window),
    limit: amount + kept,
    spent,
    held,
    left: Math.max(0, amount - spent - held),
    resetsAt: resetsAt === Infinity ? undefined : resetsAt,
    timezone: budget.timezone,
  };
  const { observesUntil: observedUntil = 0 } = budget;
  const trial = now < observedUntil ? { observedUntil } : undefined;
  return limit.weights || trial ? { ...balance, ...trial, ...(limit.weights && { weights: limit.weights.said }) } : balance;
}

/** A free allowance as it stands: its name is in the place of a budget's. */
export function allowanceBalance({ name, limit }: Shared, bound: BoundLimit, standing: Standing, now: number): Balance {
  const timezone = limit.window.kind === "calendar" ? limit.window.timeZone : "UTC";
  return { ...balanceOf({ ...bound, limit, budget: { timezone } }, standing, now), budget: name };
}

/** Whether a subject will be the same when it comes again: one that could be changed meanwhile must not be taken for what it was. */
function isLasting(subject: Subject): boolean {
  return Object.isFrozen(subject) && (subject.tags === undefined || Object.isFrozen(subject.tags));
}

function bindLimits(budget: Budget, label: string, spans: readonly LimitSpan[], now: number): readonly BoundBudgetLimit[] {
  const exception = exceptionFor(budget, label, now);
  const { observesUntil } = budget;
  const enforced = observesUntil < Number.POSITIVE_INFINITY;
  const trial = enforced && observesUntil > 0 ? { observedUntil: observesUntil } : undefined;
  return budget.limits.map((configured, i) => {
    const limit = exception?.limits.get(limitId(configured)) ?? configured;
    return { ...bindLimit(budget.name, limit, label, spans[i] as LimitSpan), enforced, ...trial, budget, limit };
  });
}

/** The first exception that is for the subject and has not ended. */
function exceptionFor({ exceptions }: Budget, label: string, now: number): LimitException | undefined {
  if (exceptions.length === 0) return undefined;
  const subject = labelSubject(label);
  return exceptions.find(({ until, isFor }) => now < until && isFor(subject));
}

function bindLimit(owner: string, limit: Limit, label: string, span: LimitSpan): BoundLimit {
  const counter = counterRef(owner, limit, label, span);
  const rule = ruleOf(limit);
  const rollover = rolloverOf(limit, counter, span);
  return { counter, amount: capacityOf(limit), enforced: true, ...(rule && { rule }), ...(rollover && { rollover }) };
}

/** The key has one reading only: of its parts none but the first can contain a `|`. */
function counterRef(budget: string, limit: Limit, subject: string, { startsAt, resetsAt }: WindowSpan): CounterRef {
  const key = `${budget}|${limitId(limit)}|${subject}|${startsAt}`;
  const ref = { key, budget, subject, unit: limit.unit, window: limitWindow(limit), startsAt, resetsAt };
  if (!isMoving(limit.window)) return ref;
  const slice = { ...ref, series: seriesOf(ref) };
  return limit.window.kind === "bucket" ? { ...slice, drains: limit.amount } : slice;
}

function ruleOf({ window, amount }: Limit): Rule | undefined {
  if (!isMoving(window)) return undefined;
  const sliceMs = sliceLength(window);
  const length = movingLength(window);
  return window.kind === "rolling"
    ? { kind: "rolling", lengthMs: length, sliceMs }
    : { kind: "bucket", drains: amount, periodMs: length, sliceMs };
}

function rolloverOf({ amount, rollover }: Limit, counter: CounterRef, { previousStartsAt }: LimitSpan): Rollover | undefined {
  if (rollover === undefined || previousStartsAt === undefined) return undefined;
  return { key: `${seriesOf(counter)}|${previousStartsAt}`, amount, most: rollover };
}

/** A slice of a bucket is remembered for longer than a full bucket takes to drain, because an overrun can fill it beyond. */
const REMEMBERED_DRAININGS = 3;
const REMEMBERED_MOST_MS = 366 * 86_400_000;

function limitSpan(limit: Limit, now: number): LimitSpan {
  const { window, rollover } = limit;
  const { startsAt, resetsAt } = windowSpan(window, now);
  if (!isMoving(window)) {
    const previousStartsAt = rollover === undefined ? undefined : windowSpan(window, startsAt - 1).startsAt;
    return { startsAt, resetsAt, endsAt: resetsAt ?? Number.POSITIVE_INFINITY, previousStartsAt };
  }
  const endsAt = startsAt + sliceLength(window);
  const rule = ruleOf(limit);
  const drainsIn = rule?.kind === "bucket" ? Math.min(REMEMBERED_MOST_MS, REMEMBERED_DRAININGS * drainingTime(rule, capacityOf(limit))) : 0;
  return { startsAt, endsAt, resetsAt: window.kind === "rolling" ? resetsAt : endsAt + drainsIn, previousStartsAt: undefined };
}

/** A clock that steps back over a reset finds the counters of the window before again: their keys say when it began. */
function currentOf<Owner extends object, Bound>(
  known: WeakMap<Owner, Current<Bound>>,
  owner: Owner,
  { limits, exceptions }: Pick<Budget, "limits" | "exceptions">,
  now: number,
): Current<Bound> {
  const current = known.get(owner);
  if (current && now >= current.from && now < current.until) return current;
  const spans = limits.map((limit) => limitSpan(limit, now));
  const ended = exceptions.map(({ until }) => until);
  const from = Math.max(0, ...spans.map(({ startsAt }) => startsAt), ...ended.filter((until) => until <= now));
  const until = Math.min(Infinity, ...spans.map(({ endsAt }) => endsAt), ...ended.filter((until) => until > now));
  const fresh: Current<Bound> = { from, until, spans, bound: new Map() };
  known.set(owner, fresh);
  return fresh;
}

function keep<Bound>(bound: Map<string, Bound>, label: string, one: Bound): Bound {
  if (bound.size >= BOUND_MOST) bound.clear();
  bound.set(label, one);
  return one;
}

function labelsByBudget(counters: readonly Readonly<Counter>[]): ReadonlyMap<string, ReadonlySet<string>> {
  const labels = new Map<string, Set<string>>();
  for (const { ref } of counters) {
    const known = labels.get(ref.budget);
    if (known) known.add(ref.subject);
    else labels.set(ref.budget, new Set([ref.subject]));
  }
  return labels;
}
