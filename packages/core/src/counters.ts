import { type Budget, subjectLabel } from "./domain/budget.ts";
import type { Balance } from "./domain/decision.ts";
import type { BoundLimit, Counter, Standing } from "./domain/engine.ts";
import type { CounterRef } from "./domain/ledger.ts";
import { type Limit, limitId } from "./domain/limit.ts";
import type { Subject } from "./domain/subject.ts";
import { type WindowSpan, windowSpan, windowText } from "./domain/window.ts";

/** A limit bound to its counter, with the budget that it belongs to. */
export interface BoundBudgetLimit extends BoundLimit {
  readonly budget: Budget;
}

/** Where each limit stands at a moment: its window, and the counters of that window. */
interface Current {
  span: WindowSpan;
  /** By subject label. */
  refs: Map<string, CounterRef>;
}

/** Subjects whose counters are kept at hand for one limit; a limit with more starts over. */
const REFS_MOST = 100_000;

/** Finds the counter of a limit for a subject and a time. Windows are computed once each, not once a call. */
export class Counters {
  readonly #current = new Map<Limit, Current>();

  /** The limits of a budget bound to the counters of one subject. */
  bind(budget: Budget, label: string, now: number): readonly BoundBudgetLimit[] {
    const enforced = budget.mode === "enforce";
    return budget.limits.map((limit) => ({ counter: this.#ref(budget.name, limit, label, now), amount: limit.amount, enforced, budget }));
  }

  /** The limit of a free allowance, which one account shares. */
  bindAllowance({ name, limit }: { readonly name: string; readonly limit: Limit }, now: number): BoundLimit {
    return { counter: this.#ref(`allowance ${name}`, limit, "", now), amount: limit.amount, enforced: true };
  }

  /** The instance of a limit's window that `now` falls into. */
  span(limit: Limit, now: number): WindowSpan {
    return this.#at(limit, now).span;
  }

  /** Balances of budgets from the counters of a store; of one subject, or of all that have a counter in the current window. */
  balances(budgets: readonly Budget[], counters: readonly Counter[], now: number, subject?: Subject): readonly Balance[] {
    const byLimit = groupByLimit(counters);
    return budgets.flatMap((budget) =>
      budget.limits.flatMap((limit) => {
        const { startsAt } = this.span(limit, now);
        const known = (byLimit.get(limitKey(budget.name, limit)) ?? []).filter(({ ref }) => ref.startsAt === startsAt);
        const labels = subject ? [subjectLabel(budget, subject)] : budget.per.length === 0 ? [""] : known.map(({ ref }) => ref.subject);
        return labels.map((label) => {
          const counter = this.#ref(budget.name, limit, label, now);
          const standing = known.find(({ ref }) => ref.key === counter.key) ?? { spent: 0, held: 0 };
          return balanceOf({ counter, amount: limit.amount, enforced: true, budget }, standing);
        });
      }),
    );
  }

  #ref(budget: string, limit: Limit, subject: string, now: number): CounterRef {
    const { span, refs } = this.#at(limit, now);
    let ref = refs.get(subject);
    if (!ref) {
      const window = windowText(limit.window);
      const key = [budget, limitId(limit), subject, span.startsAt].join("|");
      ref = { key, budget, subject, unit: limit.unit, window, startsAt: span.startsAt, resetsAt: span.resetsAt };
      if (refs.size >= REFS_MOST) refs.clear();
      refs.set(subject, ref);
    }
    return ref;
  }

  #at(limit: Limit, now: number): Current {
    let current = this.#current.get(limit);
    if (!current || now < current.span.startsAt || now >= (current.span.resetsAt ?? Infinity)) {
      current = { span: windowSpan(limit.window, now), refs: new Map() };
      this.#current.set(limit, current);
    }
    return current;
  }
}

/** One limit as it stands, for people and programs. */
export function balanceOf({ counter, amount, budget }: BoundBudgetLimit, { spent, held }: Standing): Balance {
  return {
    budget: counter.budget,
    subject: counter.subject,
    unit: counter.unit,
    window: counter.window.split("@")[0] as string,
    limit: amount,
    spent,
    held,
    left: Math.max(0, amount - spent - held),
    resetsAt: counter.resetsAt,
    timezone: budget.timezone,
  };
}

function groupByLimit(counters: readonly Counter[]): Map<string, Counter[]> {
  const groups = new Map<string, Counter[]>();
  for (const counter of counters) {
    const key = `${counter.ref.budget}|${counter.ref.unit}/${counter.ref.window}`;
    const group = groups.get(key);
    if (group) group.push(counter);
    else groups.set(key, [counter]);
  }
  return groups;
}

function limitKey(budget: string, limit: Limit): string {
  return `${budget}|${limitId(limit)}`;
}
