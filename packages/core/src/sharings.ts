import type { BoundBudgetLimit } from "./counters.ts";
import { type Budget, isShareable } from "./domain/budget.ts";
import type { Standing } from "./domain/command.ts";
import type { Entry, Grant, MovedAmount, Moves } from "./domain/ledger.ts";
import { capacityOf, limitId } from "./domain/limit.ts";
import { observes } from "./domain/mode.ts";
import { lessened, planMoves, type Sharer, type Sharing } from "./domain/sharing.ts";
import { windowSpan } from "./domain/window.ts";
import type { Store } from "./stores/store.ts";

/** A limit of one balance, and how it stands. */
export interface StandingLimit {
  readonly bound: BoundBudgetLimit;
  readonly standing: Standing;
}

/** What was moved by a budget's rule. */
export interface SharedOut {
  /** The budget whose rule it is. */
  readonly budget: string;
  /** `nanodollars/week@UTC` */
  readonly limit: string;
  readonly moves: Moves;
}

export interface SharingsOptions {
  readonly store: Pick<Store, "record" | "entries">;
  /** The time by which amounts are granted. */
  time(): Promise<number>;
  /** The balances of some budgets at a time, of whoever used them in its windows. */
  standings(budgets: readonly Budget[], at: number): Promise<readonly StandingLimit[]>;
}

/** What ids of grants begin with, so that none is the id of a call. */
const GRANT_ID = "grant_share";
/** How the id of the grant ends that says what is moved. */
const DECISION = "moves";

/** The balances of one limit that share what they leave unused. */
interface Circle {
  readonly rule: Budget & { readonly sharing: Sharing };
  readonly limit: string;
  readonly members: readonly StandingLimit[];
  readonly now: number;
  readonly startsAt: number;
  readonly resetsAt: number;
  /** What the grants of this time are known by. */
  readonly id: string;
}

/**
 * Moves what balances leave unused to others, by the rules of budgets, as grants that end with the window. First it is taken, and only what is
 * still unused then is given: whatever is admitted meanwhile, all together are never granted more than their limits. What is to be moved stands
 * on a grant of nothing before all others, so that several processes, or one that starts again, go on with the same.
 */
export class Sharings {
  readonly #options: SharingsOptions;
  /** What needs no second look, by the window in which it was done. */
  readonly #done = new Map<string, number>();

  constructor(options: SharingsOptions) {
    this.#options = options;
  }

  /** Moves what is due. Returns what was decided here: of what others decided only the rest is done. */
  async share(budgets: readonly Budget[]): Promise<readonly SharedOut[]> {
    if (!budgets.some(({ sharing }) => sharing)) return [];
    const shared: SharedOut[] = [];
    const now = await this.#options.time();
    for (const [id, resetsAt] of this.#done) if (resetsAt <= now) this.#done.delete(id);
    for (const rule of budgets) {
      const { sharing } = rule;
      if (!sharing) continue;
      const members = sharing.among.length === 0 ? [rule] : budgets.filter(({ name }) => sharing.among.includes(name));
      const standings = await this.#options.standings(members, now);
      for (const circle of circlesOf({ ...rule, sharing }, standings, now)) {
        const moves = this.#done.has(circle.id) ? undefined : await this.#shareIn(circle);
        if (moves) shared.push({ budget: rule.name, limit: circle.limit, moves });
      }
    }
    return shared;
  }

  /** Does what is decided for this time, or decides it. Returns what was decided here. */
  async #shareIn(circle: Circle): Promise<Moves | undefined> {
    const { id, resetsAt } = circle;
    const known = (await this.#granted(idFrom(id, DECISION)))?.moves;
    const { moves, isOwn } = known ? { moves: known, isOwn: false } : await this.#decide(circle);
    if (!moves) return undefined;
    for (const [i, take] of moves.takes.entries()) await this.#grantOnce(circle, idFrom(id, i + 1), { ...take, amount: 0 - take.amount });
    const gives = lessened(moves.gives, await this.#usedAfterAll(circle, moves));
    for (const give of gives) await this.#grantOnce(circle, idFrom(id, "to", give.budget, give.subject), give);
    this.#done.set(id, resetsAt);
    return isOwn ? moves : undefined;
  }

  /**
   * Writes down what is to be moved. Whoever is first decides: the grant that says so is in the same place whatever it is, because an id is
   * there once for each balance, and whoever looked at another moment may have found others to take from.
   */
  async #decide(circle: Circle): Promise<{ readonly moves: Moves | undefined; readonly isOwn: boolean }> {
    const { id, now, startsAt, resetsAt, rule, members } = circle;
    const elapsed = (now - startsAt) / (resetsAt - startsAt);
    const moves = planMoves(members.map(sharerOf), elapsed, rule.sharing);
    if (moves.takes.length === 0) return { moves: undefined, isOwn: false };
    const nothing = { budget: rule.name, subject: "", amount: 0 };
    const grant = { ...grantOf(circle, idFrom(id, DECISION), nothing), why: "What is moved.", moves };
    const { outcome } = await this.#options.store.record({ kind: "granted", reservation: grant.id, postings: [], grant });
    if (outcome === "recorded") return { moves, isOwn: true };
    return { moves: (await this.#granted(grant.id))?.moves, isOwn: false };
  }

  /** How much those from whom something was taken use beyond what they are left with: it was admitted before that was taken. */
  async #usedAfterAll({ limit, members, now }: Circle, { takes }: Moves): Promise<number> {
    const budgets = [...new Set(members.map(({ bound }) => bound.budget))];
    const sharers = (await this.#options.standings(budgets, now)).filter((one) => idOf(one) === limit).map(sharerOf);
    const isTakenFrom = (one: Sharer) => takes.some(({ budget, subject }) => budget === one.budget && subject === one.subject);
    return sharers.filter(isTakenFrom).reduce((sum, { used, amount }) => sum + Math.max(0, used - amount), 0);
  }

  /** One that was revoked is not given again. */
  async #grantOnce(circle: Circle, id: string, moved: MovedAmount): Promise<void> {
    if (await this.#granted(id)) return;
    await this.#options.store.record({ kind: "granted", reservation: id, postings: [], grant: grantOf(circle, id, moved) });
  }

  async #granted(id: string): Promise<Grant | undefined> {
    const [entry]: readonly Entry[] = await this.#options.store.entries({ reservation: id, kinds: ["granted"], most: 1 });
    return entry?.kind === "granted" ? entry.grant : undefined;
  }
}

function circlesOf(rule: Circle["rule"], all: readonly StandingLimit[], now: number): readonly Circle[] {
  const shareable = all.filter((one) => takesPart(one, now));
  return [...new Set(shareable.map(idOf))].flatMap((limit) => {
    const members = shareable.filter((one) => idOf(one) === limit);
    const [first] = members;
    const { window } = first?.bound.limit ?? {};
    const { startsAt, resetsAt } = first?.bound.counter ?? {};
    if (members.length < 2 || window?.kind !== "calendar" || startsAt === undefined || resetsAt === undefined) return [];
    const period = windowSpan({ kind: "calendar", period: rule.sharing.every, timeZone: window.timeZone }, now);
    const since = new Date(Math.max(startsAt, period.startsAt)).toISOString();
    return [{ rule, limit, members, now, startsAt, resetsAt, id: idFrom(GRANT_ID, rule.name, limit, since) }];
  });
}

function takesPart({ bound: { budget, limit } }: StandingLimit, now: number): boolean {
  return !observes(budget, now) && isShareable(limit);
}

/** People copy ids into commands: nothing in them needs quotes, and no two are the same. */
function idFrom(beginning: string, ...parts: readonly (string | number)[]): string {
  return [beginning, ...parts.map(encodeURIComponent)].join(":");
}

function idOf({ bound }: StandingLimit): string {
  return limitId(bound.limit);
}

function sharerOf({ bound, standing }: StandingLimit): Sharer {
  const { budget, subject } = bound.counter;
  const { amount, spent, held } = standing;
  return { budget, subject, own: capacityOf(bound.limit), amount, used: spent + held };
}

/** It holds from the beginning of the window on, whatever the clocks say, and ends with it. */
function grantOf({ rule, limit, startsAt, resetsAt }: Circle, id: string, { budget, subject, amount }: MovedAmount): Grant {
  const why = amount < 0 ? "Unused, and given to others." : "Unused by others.";
  return { id, budget, limit, subject, amount, from: startsAt, until: resetsAt, giver: `the sharing of "${rule.name}"`, why };
}
