import { type Budget, isLabelOf, subjectLabel } from "./domain/budget.ts";
import type { Balance } from "./domain/decision.ts";
import type { BoundLimit, Counter, Standing } from "./domain/engine.ts";
import type { CounterRef } from "./domain/ledger.ts";
import { type Limit, limitId } from "./domain/limit.ts";
import type { Subject } from "./domain/subject.ts";
import { type WindowSpan, windowName, windowSpan, windowText } from "./domain/window.ts";

/** A limit bound to its counter, with the budget that it belongs to. */
export interface BoundBudgetLimit extends BoundLimit {
  readonly budget: Budget;
  readonly limit: Limit;
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
  readonly spans: readonly WindowSpan[];
  readonly bound: Map<string, Bound>;
}

/** Subjects whose counters are kept at hand for one budget; a budget with more starts over. */
const BOUND_MOST = 100_000;

/** Finds the counters of a budget for a subject and a time. They are made once a window, not once a call. */
export class Counters {
  readonly #budgets = new Map<Budget, Current<readonly BoundBudgetLimit[]>>();
  readonly #allowances = new Map<Shared, Current<BoundLimit>>();

  /** The limits of a budget, each bound to the counter of one subject. */
  bind(budget: Budget, label: string, now: number): readonly BoundBudgetLimit[] {
    const { spans, bound } = currentOf(this.#budgets, budget, budget.limits, now);
    return bound.get(label) ?? keep(bound, label, bindLimits(budget, label, spans));
  }

  /** The limit of a free allowance. */
  bindAllowance(allowance: Shared, now: number): BoundLimit {
    const { spans, bound } = currentOf(this.#allowances, allowance, [allowance.limit], now);
    return bound.get("") ?? keep(bound, "", bindShared(allowance, spans[0] as WindowSpan));
  }

  /** Balances of budgets from the counters of a store: of one subject, or of all that have a counter in the current window. */
  balances(budgets: readonly Budget[], counters: readonly Readonly<Counter>[], now: number, subject?: Subject): readonly Balance[] {
    const standings = new Map(counters.map((counter) => [counter.ref.key, counter]));
    const labels = labelsByBudget(counters);
    return budgets.flatMap((budget) => {
      const { spans } = currentOf(this.#budgets, budget, budget.limits, now);
      const known = labels.get(budget.name) ?? new Set();
      const wanted = subject ? [subjectLabel(budget, subject)] : budget.per.length === 0 ? [""] : known;
      return [...wanted]
        .filter((label) => isLabelOf(budget, label))
        .flatMap((label) => bindLimits(budget, label, spans))
        .filter(({ counter }) => subject || budget.per.length === 0 || standings.has(counter.key))
        .map((bound) => balanceOf(bound, standings.get(bound.counter.key) ?? UNUSED));
    });
  }
}

const UNUSED: Standing = { spent: 0, held: 0 };

/** What stands in the place of a budget's name on the counter of an allowance. */
export function allowanceName({ name }: { readonly name: string }): string {
  return `allowance ${name}`;
}

/** One limit as it stands, for people and programs. */
export function balanceOf({ counter, amount, budget, limit }: BoundBudgetLimit, { spent, held }: Standing): Balance {
  return {
    budget: counter.budget,
    subject: counter.subject,
    unit: counter.unit,
    window: windowName(limit.window),
    limit: amount,
    spent,
    held,
    left: Math.max(0, amount - spent - held),
    resetsAt: counter.resetsAt,
    timezone: budget.timezone,
  };
}

function bindLimits(budget: Budget, label: string, spans: readonly WindowSpan[]): readonly BoundBudgetLimit[] {
  const enforced = budget.mode === "enforce";
  return budget.limits.map((limit, i) => {
    const counter = counterRef(budget.name, limit, label, spans[i] as WindowSpan);
    return { counter, amount: limit.amount, enforced, budget, limit };
  });
}

function bindShared(allowance: Shared, span: WindowSpan): BoundLimit {
  const { limit } = allowance;
  return { counter: counterRef(allowanceName(allowance), limit, "", span), amount: limit.amount, enforced: true };
}

/** The key has one reading only: of its parts none but the first can contain a `|`. */
function counterRef(budget: string, limit: Limit, subject: string, { startsAt, resetsAt }: WindowSpan): CounterRef {
  const key = `${budget}|${limitId(limit)}|${subject}|${startsAt}`;
  return { key, budget, subject, unit: limit.unit, window: windowText(limit.window), startsAt, resetsAt };
}

/** A clock that steps back over a reset finds the counters of the window before again: their keys say when it began. */
function currentOf<Owner, Bound>(known: Map<Owner, Current<Bound>>, owner: Owner, limits: readonly Limit[], now: number): Current<Bound> {
  const current = known.get(owner);
  if (current && now >= current.from && now < current.until) return current;
  const spans = limits.map(({ window }) => windowSpan(window, now));
  const from = Math.max(0, ...spans.map(({ startsAt }) => startsAt));
  const until = Math.min(Infinity, ...spans.map(({ resetsAt = Infinity }) => resetsAt));
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
