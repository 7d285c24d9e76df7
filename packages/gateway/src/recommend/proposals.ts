import {
  type Attribute,
  type Budget,
  type BudgetInput,
  defineBudget,
  type ExceptionInput,
  formatLimit,
  includesSelection,
  type Limit,
  type Selector,
} from "@purser/core";
import type { CallAsItWas } from "../replay/replay.ts";
import { type Day, daysSeen, useByDay } from "./days.ts";
import type { History } from "./history.ts";
import { type Need, needOfDay, needOfEach, needOfPeriod } from "./need.ts";
import { type Sureness, surenessOf } from "./sureness.ts";

/** A budget that is proposed, and what it rests on. */
export interface Proposal {
  /** As one writes it. */
  readonly input: BudgetInput;
  readonly budget: Budget;
  readonly limits: readonly ProposedLimit[];
  /** How many recorded calls it is for. */
  readonly calls: number;
  /** How many whole days it rests on. */
  readonly days: number;
  readonly sureness: Sureness;
}

export interface ProposedLimit {
  readonly limit: Limit;
  readonly need: Need;
}

/** What is proposed, and what was seen for too short a time to propose anything. */
export interface Proposals {
  readonly proposals: readonly Proposal[];
  readonly unsaid: readonly Unsaid[];
}

/** What has no proposal: it was seen for less than a day, used nothing that is known, or its name cannot stand in a budget. */
export interface Unsaid {
  readonly name: string;
  readonly why: "too early" | "nothing used" | "not nameable";
}

export type MoneyOrTokens = "nanodollars" | "tokens";

export interface ProposalTerms {
  /** What is added to what was used: 0.25. */
  readonly headroom: number;
  /** Money where every call has a price, and else tokens, where it is left out. */
  readonly unit: MoneyOrTokens | undefined;
  readonly timeZone: string;
  /** The budgets that are there already. */
  readonly configured: readonly Budget[];
}

/** Levels whose values are few enough to have a budget each, from the widest to the narrowest. */
const LEVELS = ["org", "team", "product", "feature"] as const satisfies readonly Attribute[];
/** Who is one of many. */
const PEOPLE = ["user", "key"] as const satisfies readonly Attribute[];
const VALUES_MOST = 10;
const MONTH_DAYS = 31;

/** Proposes budgets for all calls, for each team, feature and so on, and for each user, as far as calls say who they are of. */
export function proposeBudgets(history: History, terms: ProposalTerms): Proposals {
  return new Proposer(history, terms).propose();
}

class Proposer {
  readonly #calls: readonly CallAsItWas[];
  readonly #days: readonly Day[];
  readonly #terms: ProposalTerms;
  readonly #names: Set<string>;
  readonly #proposals: Proposal[] = [];
  readonly #unsaid: Unsaid[] = [];

  constructor(history: History, terms: ProposalTerms) {
    this.#calls = history.calls;
    this.#days = history.days(terms.timeZone);
    this.#terms = terms;
    this.#names = new Set(terms.configured.map(({ name }) => name));
  }

  propose(): Proposals {
    this.#proposeOne("company", {}, this.#calls);
    for (const path of LEVELS) this.#proposeLevel(path);
    const path = PEOPLE.find((one) => valuesOf(this.#calls, one).size > 0);
    if (path) this.#proposePeople(path);
    return { proposals: this.#proposals, unsaid: this.#unsaid };
  }

  /** A budget for each value, or one with a balance for each where there are many. One value that all calls have is no level. */
  #proposeLevel(path: Attribute): void {
    const values = valuesOf(this.#calls, path);
    if (values.size === 1 && [...values.values()][0]?.length === this.#calls.length) return;
    if (values.size > VALUES_MOST) {
      this.#proposeEach(`each ${path}`, path, {}, this.#calls);
      return;
    }
    for (const [value, calls] of values) {
      const name = `${path} ${value}`;
      if (isNameable(value)) this.#proposeOne(name, { [path]: value }, calls);
      else this.#unsaid.push({ name: JSON.stringify(name), why: "not nameable" });
    }
  }

  /** People of each tier apart, where all of them have one. */
  #proposePeople(path: Attribute): void {
    const known = this.#calls.filter(({ subject }) => subject[path] !== undefined);
    const tiers = valuesOf(known, "tier");
    const tiered = [...tiers.values()].reduce((sum, calls) => sum + calls.length, 0);
    const isTiered = tiers.size > 1 && tiers.size <= VALUES_MOST && tiered === known.length && [...tiers.keys()].every(isNameable);
    if (!isTiered) {
      this.#proposeEach(`each ${path}`, path, {}, this.#calls);
      return;
    }
    for (const [tier, calls] of tiers) {
      const all = this.#calls.filter(({ subject }) => subject.tier === tier);
      this.#proposeEach(`each ${path} of tier ${tier}`, path, { tier }, all.length === calls.length ? calls : all);
    }
  }

  #proposeOne(name: string, selector: Selector, calls: readonly CallAsItWas[]): void {
    if (this.#terms.configured.some((budget) => coversAll(budget, selector))) return;
    const { days, isFirstWhole } = daysSeen(this.#days, calls[0]?.at ?? 0);
    const unit = this.#unitOf(calls);
    const used = { days: useByDay(usesOf(calls, unit), days), isFirstWhole, leastHeld: leastHeldOf(calls, unit) };
    const whole = isFirstWhole ? days.length : days.length - 1;
    const day = whole > 0 ? needOfDay(used, this.#terms.headroom) : undefined;
    if (!day) {
      this.#unsaid.push({ name, why: whyNot(calls, unit) });
      return;
    }
    const month = needOfPeriod(used, MONTH_DAYS, this.#terms.headroom);
    const limits = [this.#limit(unit, "day", day)];
    // A month that has room for all its days at their most refuses nothing.
    if (month && month.amount < MONTH_DAYS * day.amount) limits.push(this.#limit(unit, "month", month));
    this.#add({ name, for: selector, limits: limits.map(({ limit }) => formatLimit(limit)) }, { limits, calls, days: whole });
  }

  /** One balance for each value of `path`, of the calls that have one: those without would all share one. */
  #proposeEach(name: string, path: Attribute, outer: Selector, calls: readonly CallAsItWas[]): void {
    const values = valuesOf(calls, path);
    const known = [...values.values()].flat();
    const selector: Selector = known.length < calls.length ? { ...outer, [path]: "*" } : outer;
    if (values.size < 2 || this.#terms.configured.some((budget) => coversEach(budget, path, outer))) return;
    const unit = this.#unitOf(known);
    const each = this.#needOfEach(values, unit);
    if (!each || each.count < 2) {
      this.#unsaid.push({ name, why: whyNot(known, unit) });
      return;
    }
    const limits = [this.#limit(unit, "day", each)];
    const exceptions: ExceptionInput[] = [];
    for (const { label, need } of each.exceptions) {
      if (!isNameable(label)) this.#unsaid.push({ name: JSON.stringify(`${path} ${label}`), why: "not nameable" });
      else exceptions.push({ for: { [path]: label }, limits: [formatLimit(this.#limit(unit, "day", need).limit)] });
    }
    const input = { name, for: selector, per: path, limits: limits.map(({ limit }) => formatLimit(limit)), exceptions };
    this.#add(input, { limits, calls: known, days: this.#days.length });
  }

  #needOfEach(values: ReadonlyMap<string, readonly CallAsItWas[]>, unit: MoneyOrTokens): Need | undefined {
    const needs = new Map<string, Need>();
    for (const [value, calls] of values) {
      const { days, isFirstWhole } = daysSeen(this.#days, calls[0]?.at ?? 0);
      const need = needOfDay(
        { days: useByDay(usesOf(calls, unit), days), isFirstWhole, leastHeld: leastHeldOf(calls, unit) },
        this.#terms.headroom,
      );
      if (need) needs.set(value, need);
    }
    return needOfEach(needs);
  }

  #limit(unit: MoneyOrTokens, period: "day" | "month", need: Need): ProposedLimit {
    return { limit: { unit, amount: need.amount, window: { kind: "calendar", period, timeZone: this.#terms.timeZone } }, need };
  }

  #add(
    { name: wanted, for: selector = {}, exceptions = [], ...rest }: BudgetInput,
    { limits, calls, days }: { limits: readonly ProposedLimit[]; calls: readonly CallAsItWas[]; days: number },
  ): void {
    const name = freeName(wanted, this.#names);
    this.#names.add(name);
    const input: BudgetInput = {
      name,
      ...(Object.keys(selector).length > 0 && { for: selector }),
      ...rest,
      ...(exceptions.length > 0 && { exceptions }),
    };
    const budget = defineBudget({ ...input, timezone: this.#terms.timeZone });
    this.#proposals.push({ input, budget, limits, calls: calls.length, days, sureness: surenessOf(days) });
  }

  /** Calls to models without a price would be refused where money is limited, and what is free needs no money. */
  #unitOf(calls: readonly CallAsItWas[]): MoneyOrTokens {
    const isMoney = calls.every(({ isPriced }) => isPriced) && calls.some(({ amounts }) => amounts.nanodollars > 0);
    return this.#terms.unit ?? (isMoney ? "nanodollars" : "tokens");
  }
}

/** The calls of each value, the values in the order of the alphabet: the same record is proposed for the same way. */
function valuesOf(calls: readonly CallAsItWas[], path: Attribute): ReadonlyMap<string, readonly CallAsItWas[]> {
  const values = new Map<string, CallAsItWas[]>();
  for (const call of calls) {
    const value = call.subject[path];
    if (value === undefined) continue;
    const known = values.get(value);
    if (known) known.push(call);
    else values.set(value, [call]);
  }
  return new Map([...values].sort(([a], [b]) => (a < b ? -1 : 1)));
}

function leastHeldOf(calls: readonly CallAsItWas[], unit: MoneyOrTokens): number {
  return calls.reduce((most, { leastHeld }) => Math.max(most, leastHeld[unit]), 0);
}

function whyNot(calls: readonly CallAsItWas[], unit: MoneyOrTokens): Unsaid["why"] {
  return calls.some(({ amounts }) => amounts[unit] > 0) ? "too early" : "nothing used";
}

function usesOf(calls: readonly CallAsItWas[], unit: MoneyOrTokens) {
  return calls.map((call) => ({ at: call.at, amount: call.amounts[unit] }));
}

/** In a selector `*` stands for anything and `${…}` for a variable; callers may have named themselves so, and what no line of text has. */
export function isNameable(value: string): boolean {
  return !/[*\p{Control}\p{Private_Use}\p{Surrogate}\ufffd]|\$\{/u.test(value);
}

function freeName(wanted: string, taken: ReadonlySet<string>): string {
  for (let n = 1; ; n++) {
    const name = n === 1 ? wanted : `${wanted} ${n}`;
    if (!taken.has(name)) return name;
  }
}

/** Whether a budget limits what all calls of a selection use together. */
function coversAll(budget: Budget, selector: Selector): boolean {
  if (!limitsUse(budget)) return false;
  const paths = Object.keys(selector);
  if (budget.per.length === 0) return isSamePaths(Object.keys(budget.selector), paths) && includesSelection(budget.selector, selector);
  return isSamePaths(budget.per, paths) && includesSelection(budget.selector, selector);
}

/** Whether a budget limits what each value uses. */
function coversEach(budget: Budget, path: Attribute, outer: Selector): boolean {
  return limitsUse(budget) && isSamePaths(budget.per, [path]) && includesSelection(budget.selector, { ...outer, [path]: "*" });
}

/** How many at once, or in a minute, says nothing about how much. */
function limitsUse({ limits }: Budget): boolean {
  return limits.some(({ unit, window }) => unit !== "concurrent" && unit !== "requests" && isLong(window));
}

function isLong(window: Limit["window"]): boolean {
  return window.kind === "lifetime" || window.kind === "rolling" || (window.kind === "calendar" && window.period !== "minute");
}

function isSamePaths(some: readonly string[], others: readonly string[]): boolean {
  return some.length === others.length && some.every((path) => others.includes(path));
}
