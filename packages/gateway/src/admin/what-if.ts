import {
  type Budget,
  type Charge,
  type Entry,
  type Limit,
  limitId,
  PurserError,
  parseLimit,
  type Store,
  subjectLabel,
  totalTokens,
  weigh,
  windowSpan,
} from "@purser/core";
import { instantJson } from "./balances.ts";

/** What another amount of a limit would have done with the calls of the last days. */
export interface WhatIfJson {
  readonly budget: string;
  readonly limit: string;
  readonly since: string;
  readonly until: string;
  readonly calls: number;
  /** In the unit of the limit. */
  readonly used: number;
  readonly refused_calls: number;
  readonly refused: number;
  readonly first_refused_at: string | null;
  /** How many balances there were, and how many of them would have refused something. */
  readonly subjects: number;
  readonly subjects_refused: number;
}

const DAY_MS = 86_400_000;
const DAYS_MOST = 31;
const PAGE = 500;

/**
 * Plays back what was charged against another amount of one of a budget's limits. What calls were charged decides, not what was held for
 * them, and calls that were refused then are not among them; so it says what would have been refused at the least.
 */
export async function playBack(
  store: Pick<Store, "entries">,
  budget: Budget,
  { limit: text, days, now }: { readonly limit: string; readonly days: number; readonly now: number },
): Promise<WhatIfJson> {
  const limit = parseLimit(text, budget.timezone);
  const real = budget.limits.find((one) => one.unit === limit.unit && one.window.kind === limit.window.kind && isSameWindow(one, limit));
  if (!real)
    throw new PurserError("limit_invalid", `Budget "${budget.name}" has no limit of this unit and window. Change the amount of one.`);
  if (limit.window.kind !== "calendar" || limit.unit === "concurrent")
    throw new PurserError(
      "limit_invalid",
      "What would have been can be said of limits by the calendar: by the hour, day, week, month or year.",
    );
  if (days > DAYS_MOST) throw new PurserError("body_invalid", `It looks back ${DAYS_MOST} days at most.`);
  const since = now - days * DAY_MS;
  const replay = new Replay(budget, { ...real, amount: limit.amount }, since);
  const begin = windowSpan(real.window, since).startsAt;
  for (let after = 0; ; ) {
    const page = await store.entries({ since: begin, kinds: ["settled", "expired"], after, most: PAGE });
    for (const entry of page) replay.add(entry);
    const last = page.at(-1);
    if (!last || page.length < PAGE) break;
    after = last.seq;
  }
  return { budget: budget.name, limit: text, since: instantJson(since), until: instantJson(now), ...replay.result };
}

function isSameWindow(one: Limit, other: Limit): boolean {
  const period = ({ window }: Limit) => (window.kind === "calendar" ? window.period : window.kind);
  return period(one) === period(other);
}

/** Counts calls against a limit in their order. */
class Replay {
  readonly #budget: Budget;
  readonly #limit: Limit;
  readonly #since: number;
  readonly #used = new Map<string, number>();
  readonly #subjects = new Set<string>();
  readonly #refusing = new Set<string>();
  #calls = 0;
  #amount = 0;
  #refusedCalls = 0;
  #refused = 0;
  #firstAt: number | undefined;

  constructor(budget: Budget, limit: Limit, since: number) {
    this.#budget = budget;
    this.#limit = limit;
    this.#since = since;
  }

  add(entry: Entry): void {
    if (entry.kind !== "settled" && entry.kind !== "expired") return;
    const { subject } = entry.detail;
    if (!this.#budget.selects(subject)) return;
    const amount = this.#amountOf(entry);
    const label = subjectLabel(this.#budget, subject);
    const key = `${windowSpan(this.#limit.window, entry.at).startsAt}|${label}`;
    const used = this.#used.get(key) ?? 0;
    const fits = used + amount <= this.#limit.amount;
    if (fits) this.#used.set(key, used + amount);
    // What came before the days that are asked for has only filled their first window.
    if (entry.at < this.#since) return;
    this.#subjects.add(label);
    this.#calls++;
    this.#amount += amount;
    if (fits) return;
    this.#refusedCalls++;
    this.#refused += amount;
    this.#refusing.add(label);
    this.#firstAt ??= entry.at;
  }

  get result() {
    return {
      calls: this.#calls,
      used: this.#amount,
      refused_calls: this.#refusedCalls,
      refused: this.#refused,
      first_refused_at: this.#firstAt === undefined ? null : instantJson(this.#firstAt),
      subjects: this.#subjects.size,
      subjects_refused: this.#refusing.size,
    };
  }

  /** What the call was charged on this very limit; where the limit was not in force yet, what its usage says. */
  #amountOf({ postings, charge }: Extract<Entry, { readonly charge: Charge }>): number {
    const name = limitId(this.#limit);
    const posted = postings.find(({ counter }) => counter.budget === this.#budget.name && `${counter.unit}/${counter.window}` === name);
    if (posted) return posted.spent;
    const { usage, cost = 0 } = charge;
    const { unit, weights } = this.#limit;
    if (weights) return weigh(weights, unit, charge);
    if (unit === "nanodollars") return cost;
    if (unit === "requests") return 1;
    if (unit === "tokens") return totalTokens(usage) ?? 0;
    return (unit === "input_tokens" ? usage.inputTokens : usage.outputTokens) ?? 0;
  }
}
