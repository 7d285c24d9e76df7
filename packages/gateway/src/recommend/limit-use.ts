import {
  type Budget,
  type Limit,
  limitId,
  type RefusingLimit,
  type Subject,
  subjectLabel,
  weigh,
  weighMost,
  windowName,
  windowSpan,
} from "@purser/core";
import type { CallAsItWas } from "../replay/replay.ts";
import { type Day, dayOf } from "./days.ts";
import type { Refusal } from "./history.ts";

/** What one subject used in one window of a limit, and what of it was refused. */
export interface WindowUse {
  readonly label: string;
  readonly startsAt: number;
  /** What the limit allows the subject. */
  readonly amount: number;
  /** Of windows that are shorter than a day or move with the time: the most in any of them that day. */
  used: number;
  /** Calls that were refused, as the record says, and the most that they could have used, all together. */
  refused: number;
  asked: number;
  /** Calls that were made and would be refused now. */
  wouldRefuse: number;
}

/** A call that was made, and that is refused when it is made again: by a limit, or for what it is. */
export interface WouldRefuse {
  readonly call: CallAsItWas;
  readonly by: RefusingLimit | undefined;
}

/** Whether a refusal names this limit. */
export function isRefusedBy(by: RefusingLimit, budget: Budget, { unit, window }: Limit): boolean {
  return by.budget === budget.name && by.unit === unit && by.window === windowName(window);
}

/** Whether a limit is looked at by its fullest moment of each day: its windows are shorter, or move. */
function isLookedAtByDay({ window }: Limit): boolean {
  if (window.kind === "calendar") return window.period === "minute" || window.period === "hour";
  return window.kind !== "lifetime";
}

/** Whether it can be said how much of a limit was used: not of what drains, and not of calls at once. */
export function isUseKnown({ unit, window }: Limit): boolean {
  return unit !== "concurrent" && window.kind !== "bucket";
}

function usedOn({ unit, weights }: Limit, { amounts, usage }: CallAsItWas): number {
  return weights ? weigh(weights, unit, { usage, certainty: "confirmed" }) : amounts[unit];
}

/** Of tokens that nobody knows the kinds of, the most that they can count. */
function heldOn({ unit, weights }: Limit, amounts: CallAsItWas["leastHeld"]): number {
  if (!weights) return amounts[unit];
  return weighMost(weights, unit, { inputTokens: amounts.input_tokens, outputTokens: amounts.output_tokens });
}

/** What is used of one limit, window by window and subject by subject. Calls come in the order of their times. */
export class LimitUse {
  readonly #budget: Budget;
  readonly #limit: Limit;
  readonly #windows = new Map<string, WindowUse>();
  readonly #moving = new Map<string, MovingSum>();
  readonly #firstAt = new Map<string, number>();
  #span: Day | undefined;
  #calls = 0;
  #used = 0;
  #leastHeld = 0;

  constructor(budget: Budget, limit: Limit) {
    this.#budget = budget;
    this.#limit = limit;
  }

  /** How many calls it is for, refused ones aside. */
  get calls(): number {
    return this.#calls;
  }

  /** What one of them used on average. */
  get average(): number {
    return this.#calls === 0 ? 0 : this.#used / this.#calls;
  }

  /** What has to be left for the largest of them. */
  get leastHeld(): number {
    return this.#leastHeld;
  }

  get windows(): readonly WindowUse[] {
    return [...this.#windows.values()];
  }

  /** When each subject was seen first. */
  get firstAt(): ReadonlyMap<string, number> {
    return this.#firstAt;
  }

  add(call: CallAsItWas): void {
    const { at, subject } = call;
    if (!this.#budget.selects(subject)) return;
    const label = subjectLabel(this.#budget, subject);
    if (!this.#firstAt.has(label)) this.#firstAt.set(label, at);
    this.#calls++;
    const use = this.#windowOf(at, subject, label);
    if (!isUseKnown(this.#limit)) return;
    const amount = usedOn(this.#limit, call);
    this.#used += amount;
    this.#leastHeld = Math.max(this.#leastHeld, heldOn(this.#limit, call.leastHeld));
    use.used = isLookedAtByDay(this.#limit) ? Math.max(use.used, this.#moved(label, at, amount)) : use.used + amount;
  }

  /** Whether the limit would refuse again what it refused: it may have been raised since, and nobody knows when. */
  refusesStill({ at, subject, asked, by }: Refusal): boolean {
    if (!this.#isNamedBy(by)) return false;
    const { used, amount } = this.#windowOf(at, subject, subjectLabel(this.#budget, subject));
    return !isUseKnown(this.#limit) || used + heldOn(this.#limit, asked) > amount;
  }

  addRefusal({ at, subject, asked, times }: Refusal): void {
    const use = this.#windowOf(at, subject, subjectLabel(this.#budget, subject));
    use.refused += times;
    use.asked += heldOn(this.#limit, asked) * times;
  }

  /** Calls that were made, and that a limit refuses when they are made again: those that this one does. Returns how many. */
  addWouldRefuse(refusals: readonly WouldRefuse[]): number {
    const own = refusals.filter(({ by }) => this.#isNamedBy(by));
    for (const { call } of own) this.#windowOf(call.at, call.subject, subjectLabel(this.#budget, call.subject)).wouldRefuse++;
    return own.length;
  }

  #isNamedBy(by: RefusingLimit | undefined): boolean {
    return by !== undefined && isRefusedBy(by, this.#budget, this.#limit);
  }

  #windowOf(at: number, subject: Subject, label: string): WindowUse {
    if (!this.#span || at < this.#span.startsAt || at >= this.#span.endsAt) this.#span = spanOf(this.#limit, this.#budget.timezone, at);
    const { startsAt } = this.#span;
    const key = `${startsAt}|${label}`;
    const known = this.#windows.get(key);
    if (known) return known;
    const exception = this.#budget.exceptions.find(({ until, isFor }) => at < until && isFor(subject));
    const amount = exception?.limits.get(limitId(this.#limit))?.amount ?? this.#limit.amount;
    const fresh = { label, startsAt, amount, used: 0, refused: 0, asked: 0, wouldRefuse: 0 };
    this.#windows.set(key, fresh);
    return fresh;
  }

  /** What its subject used in the window that a call ends. */
  #moved(label: string, at: number, amount: number): number {
    const moving = this.#moving.get(label) ?? new MovingSum();
    this.#moving.set(label, moving);
    const { window } = this.#limit;
    return moving.add(at, amount, window.kind === "rolling" ? at - window.lengthMs : windowSpan(window, at).startsAt - 1);
  }
}

/** The windows of a limit by which it is looked at. */
function spanOf(limit: Limit, timeZone: string, at: number): Day {
  if (isLookedAtByDay(limit)) return dayOf(timeZone, at);
  const { startsAt, resetsAt = Number.POSITIVE_INFINITY } = windowSpan(limit.window, at);
  return { startsAt, endsAt: resetsAt };
}

/** The sum of what came lately. */
class MovingSum {
  readonly #uses: { readonly at: number; readonly amount: number }[] = [];
  #first = 0;
  #sum = 0;

  /** Adds what came at a time, and leaves out what came at `after` or before. */
  add(at: number, amount: number, after: number): number {
    this.#uses.push({ at, amount });
    this.#sum += amount;
    for (let one = this.#uses[this.#first]; one && one.at <= after; one = this.#uses[this.#first]) {
      this.#sum -= one.amount;
      this.#first++;
    }
    return this.#sum;
  }
}
