import type { Counters } from "./counters.ts";
import { type Budget, subjectLabel } from "./domain/budget.ts";
import type { Counter } from "./domain/engine.ts";
import type { Entry, Posting } from "./domain/ledger.ts";
import { type Limit, limitId } from "./domain/limit.ts";
import { amountsOf } from "./domain/quote.ts";
import type { Subject } from "./domain/subject.ts";
import { LEDGER_PAGE, type Store } from "./stores/store.ts";

/**
 * Brings a limit that the store does not know yet up to date: what was used since its window began is read from the
 * ledger and posted to its counters. So a changed configuration moves boundaries and never forgets usage.
 */
export class Adoption {
  readonly #store: Store;
  readonly #counters: Counters;
  readonly #now: number;

  constructor(store: Store, counters: Counters, now: number) {
    this.#store = store;
    this.#counters = counters;
    this.#now = now;
  }

  async run(budgets: readonly Budget[]): Promise<void> {
    const known = await this.#store.counters();
    const fresh = budgets.flatMap((budget) =>
      budget.limits
        .filter((limit) => limit.unit !== "concurrent" && !this.#isKnown(known, budget, limit))
        .map((limit) => ({ budget, limit })),
    );
    if (fresh.length === 0) return;
    const since = Math.min(...fresh.map(({ limit }) => this.#counters.span(limit, this.#now).startsAt));
    const used = await this.#readUsage(since);
    for (const { budget, limit } of fresh) await this.#carry(budget, limit, used);
  }

  /** A limit is known when any counter of its current window is: every call since then was posted to it. */
  #isKnown(counters: readonly Counter[], budget: Budget, limit: Limit): boolean {
    const { startsAt } = this.#counters.span(limit, this.#now);
    const id = limitId(limit);
    const paths = budget.per.join(",");
    return counters.some(
      ({ ref }) =>
        ref.budget === budget.name && `${ref.unit}/${ref.window}` === id && ref.startsAt === startsAt && labelPaths(ref.subject) === paths,
    );
  }

  /** What each reservation since a moment was charged; calls still in flight count at their estimate. */
  async #readUsage(since: number): Promise<readonly Used[]> {
    const used = new Map<string, Used>();
    let after = 0;
    for (;;) {
      const page = await this.#store.entries({
        since,
        after,
        kinds: ["reserved", "settled", "expired", "corrected", "released"],
        most: LEDGER_PAGE,
      });
      for (const entry of page) readEntry(used, entry);
      const last = page.at(-1);
      if (!last || page.length < LEDGER_PAGE) return [...used.values()];
      after = last.seq;
    }
  }

  async #carry(budget: Budget, limit: Limit, used: readonly Used[]): Promise<void> {
    const { startsAt } = this.#counters.span(limit, this.#now);
    const sums = new Map<string, number>();
    for (const { at, subject, amounts } of used) {
      if (at < startsAt || !budget.selects(subject)) continue;
      const label = subjectLabel(budget, subject);
      sums.set(label, (sums.get(label) ?? 0) + amounts[limit.unit]);
    }
    const postings = [...sums].flatMap(([label, spent]): Posting[] => {
      const bound = this.#counters
        .bind(budget, label, this.#now)
        .find(({ counter }) => `${counter.unit}/${counter.window}` === limitId(limit));
      return bound && spent > 0 ? [{ counter: bound.counter, held: 0, spent }] : [];
    });
    if (postings.length === 0) return;
    const why = `usage since ${new Date(startsAt).toISOString()} carried into the limit ${limitId(limit)} of budget "${budget.name}"`;
    await this.#store.record({ kind: "adjusted", reservation: "", postings, why });
  }
}

interface Used {
  readonly at: number;
  readonly subject: Subject;
  readonly amounts: ReturnType<typeof amountsOf>;
}

/** An entry of a reservation made before the window belongs to the window before, so only reservations seen here count. */
function readEntry(used: Map<string, Used>, entry: Entry): void {
  if (entry.kind === "reserved") {
    const { subject, inputTokens, outputTokens, cost } = entry.detail;
    used.set(entry.reservation, { at: entry.at, subject, amounts: amountsOf({ inputTokens, outputTokens }, cost) });
    return;
  }
  const reserved = used.get(entry.reservation);
  if (!reserved) return;
  if (entry.kind === "released") used.delete(entry.reservation);
  if (entry.kind === "settled" || entry.kind === "expired" || entry.kind === "corrected") {
    used.set(entry.reservation, { ...reserved, amounts: amountsOf(entry.charge.usage, entry.charge.cost) });
  }
}

function labelPaths(label: string): string {
  return label === ""
    ? ""
    : label
        .split(",")
        .map((pair) => pair.split("=")[0])
        .join(",");
}
