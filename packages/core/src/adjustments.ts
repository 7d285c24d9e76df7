import { type AdjustedAmount, type Adjusting, adjustedAmount, adjustedSpan, type Evidence } from "./domain/adjusting.ts";
import type { Budget } from "./domain/budget.ts";
import type { Adjustment, Entry, Grant } from "./domain/ledger.ts";
import { formatAmount, type Limit, limitId } from "./domain/limit.ts";
import type { StandingLimit } from "./sharings.ts";
import { LEDGER_PAGE, type Store } from "./stores/store.ts";

/** A limit that its budget's rule adjusts. */
export interface AdjustedLimit {
  readonly budget: Budget;
  readonly limit: Limit;
  readonly rule: Adjusting;
}

/** The grant of a rule: the difference between what the configuration says and what holds. */
export type AdjustingGrant = Grant & { readonly adjustment: Adjustment };

/** What a rule has decided for a time. */
export interface Adjusted extends AdjustedLimit {
  readonly grant: AdjustingGrant;
  /** Whether it was decided here, just now. */
  readonly isNew: boolean;
}

/** A rule that only proposes, and what it would do. */
export interface Proposed extends AdjustedLimit, AdjustedAmount {
  readonly before: number;
  /** From when on it would hold. */
  readonly from: number;
}

/** What stands for this period and, shortly before it ends, for the next one; and what is only proposed. */
export interface AdjustedNow {
  readonly adjusted: readonly Adjusted[];
  readonly proposed: readonly Proposed[];
}

/** How a rule stands: what it decided for this time, and what it would do as things stand. */
export interface AdjustingOutlook extends AdjustedLimit {
  /** What holds now, grants aside. */
  readonly amount: number;
  readonly decided: AdjustingGrant | undefined;
  /** When it is looked at next. */
  readonly nextAt: number;
  /** What it would be then, and why; nothing where what was used is not known yet. */
  readonly next: AdjustedAmount | undefined;
}

/** What was seen of a limit up to a time, refusals from another one on; nothing where that is not known yet. */
export type ReadEvidence = (adjusted: AdjustedLimit, from: number, until: number) => Promise<Evidence | undefined>;

export interface AdjustmentsOptions {
  readonly store: Pick<Store, "record" | "entries">;
  /** The time by which amounts are granted. */
  time(): Promise<number>;
  /** The balances of some budgets at a time. */
  standings(budgets: readonly Budget[], at: number): Promise<readonly StandingLimit[]>;
}

/** What ids of grants begin with, so that none is the id of a call. */
const GRANT_ID = "grant_adjust";
/** So early it is decided what holds from the next period on, so that it does from its beginning. */
const AHEAD_MS = 600_000;
/** So many periods are looked back for what was decided last, where no process was there for a while. */
const PERIODS_BACK = 32;
/** No grant of a rule was given earlier and is still in force: periods are quarters at most, and decided just before they begin. */
const GIVEN_LATELY_MS = 190 * 86_400_000;

/** The time for which a rule decides. */
type Span = ReturnType<typeof adjustedSpan>;

/** What stands in the ledger for a time. */
interface Decision {
  readonly grant: AdjustingGrant;
  readonly revokedBy: string | undefined;
  readonly isNew: boolean;
}

/**
 * Lets limits follow what is used of them, by the rules of their budgets: shortly before a period ends, a grant for the next one makes the difference
 * to what the configuration says. Each period has one, also where it adds nothing, under an id that follows from the budget, the limit and the time.
 * So it is decided once, by any number of processes, over restarts and whatever the clocks say, and it ends by itself.
 */
export class Adjustments {
  readonly #options: AdjustmentsOptions;
  /** Whether it was looked for what other rules decided than those that are configured now: a process that has the old ones may decide late. */
  #isTidy = false;
  /** Whether there may be what other rules decided: before the first look, and wherever there was a rule. The whole ledger is not read for nothing. */
  #mayHaveDecided = true;

  constructor(options: AdjustmentsOptions) {
    this.#options = options;
  }

  /** Rules, or amounts, may be others from now on. */
  configured(): void {
    this.#isTidy = false;
  }

  /** Decides what is due. Returns what stands for this period and the next one, and what rules that only propose would do. */
  async adjust(budgets: readonly Budget[], read: ReadEvidence): Promise<AdjustedNow> {
    const now = await this.#options.time();
    if (!this.#isTidy) await this.end(await this.outdated(budgets, now));
    this.#isTidy = true;
    this.#mayHaveDecided = adjustedLimits(budgets).length > 0;
    const adjusted: Adjusted[] = [];
    const proposed: Proposed[] = [];
    for (const one of adjustedLimits(budgets)) {
      const span = spanAt(one, now);
      const isDue = now >= span.endsAt - AHEAD_MS;
      const before = one.limit.amount;
      if (one.rule.mode === "propose") {
        const next = isDue ? await this.#next(one, before, span, now, read) : undefined;
        if (next && next.amount !== before) proposed.push({ ...one, ...next, before, from: span.endsAt });
        continue;
      }
      const present = await this.#present(one, span, now, read);
      const following = present && isDue ? await this.#following(one, present, span, now, read) : undefined;
      for (const decision of [present, following])
        if (decision && decision.revokedBy === undefined) adjusted.push({ ...one, grant: decision.grant, isNew: decision.isNew });
    }
    return { adjusted, proposed };
  }

  /** How each rule stands at a time, and what it would do with what is known by then. Changes nothing. */
  async outlook(budgets: readonly Budget[], read: ReadEvidence): Promise<readonly AdjustingOutlook[]> {
    const now = await this.#options.time();
    const looked = adjustedLimits(budgets).map(async (one): Promise<AdjustingOutlook> => {
      const span = spanAt(one, now);
      const decided = one.rule.mode === "apply" ? await this.#inForce(one, span) : undefined;
      const amount = decided?.adjustment.amount ?? one.limit.amount;
      return { ...one, amount, decided, nextAt: span.endsAt, next: await this.#next(one, amount, span, now, read) };
    });
    return Promise.all(looked);
  }

  /** What rules had decided for a time. */
  async inForce(budgets: readonly Budget[], at: number): Promise<readonly AdjustingGrant[]> {
    const found = await Promise.all(adjustedLimits(budgets).map((one) => this.#inForce(one, spanAt(one, at))));
    return found.filter((grant) => grant !== undefined);
  }

  async #inForce(one: AdjustedLimit, span: Span): Promise<AdjustingGrant | undefined> {
    const decision = await this.#decided(one, span);
    return decision && decision.revokedBy === undefined && isOf(decision, one) ? decision.grant : undefined;
  }

  /** What was decided for the period that runs. Where nobody was there to do it, it is done now; where there was no rule before, it begins. */
  async #present(one: AdjustedLimit, span: Span, now: number, read: ReadEvidence): Promise<Decision | undefined> {
    const { budget, limit } = one;
    const known = await this.#decided(one, span);
    // What a person revoked is not decided again in the same period.
    if (known && known.revokedBy !== giverOf(budget)) return known;
    const last = known ? undefined : await this.#last(one, span);
    if (!last) return this.#decide(one, span, limit.amount, { amount: limit.amount, why: "it begins with what is configured." });
    const before = last.grant.adjustment.amount;
    const next = await this.#next(one, before, { startsAt: last.grant.from, endsAt: span.startsAt }, span.startsAt, read);
    if (!next) return undefined;
    const used = next.amount < before ? await this.#used(one, now) : 0;
    const amount = Math.max(next.amount, Math.min(before, used));
    return this.#decide(one, span, before, { ...next, amount });
  }

  async #following(one: AdjustedLimit, present: Decision, span: Span, now: number, read: ReadEvidence): Promise<Decision | undefined> {
    const following = spanAt(one, span.endsAt);
    const known = await this.#decided(one, following);
    if (known && known.revokedBy !== giverOf(one.budget)) return known;
    const before = present.revokedBy === undefined && isOf(present, one) ? present.grant.adjustment.amount : one.limit.amount;
    const next = await this.#next(one, before, span, now, read);
    return next && this.#decide(one, following, before, next);
  }

  async #next(
    one: AdjustedLimit,
    before: number,
    { startsAt }: Span,
    until: number,
    read: ReadEvidence,
  ): Promise<AdjustedAmount | undefined> {
    const evidence = await read(one, startsAt, until);
    return evidence && adjustedAmount(one.rule, one.limit, before, evidence);
  }

  /** Writes down what is to hold. Whoever is first decides. */
  async #decide(one: AdjustedLimit, span: Span, before: number, { amount, why }: AdjustedAmount): Promise<Decision | undefined> {
    const { budget, limit } = one;
    const grant: AdjustingGrant = {
      id: idOf(one, span),
      budget: budget.name,
      limit: limitId(limit),
      subject: "",
      amount: amount - limit.amount,
      from: span.startsAt,
      until: span.endsAt,
      giver: giverOf(budget),
      why: whyOf(limit, before, { amount, why }),
      adjustment: { configured: limit.amount, before, amount },
    };
    const { outcome } = await this.#options.store.record({ kind: "granted", reservation: grant.id, postings: [], grant });
    return outcome === "recorded" ? { grant, revokedBy: undefined, isNew: true } : this.#decided(one, span);
  }

  async #decided(one: AdjustedLimit, span: Span): Promise<Decision | undefined> {
    const query = { reservation: idOf(one, span), kinds: ["granted", "revoked"], newest: true, most: 1 } as const;
    const [entry]: readonly Entry[] = await this.#options.store.entries(query);
    if ((entry?.kind !== "granted" && entry?.kind !== "revoked") || !isAdjusting(entry.grant)) return undefined;
    return { grant: entry.grant, revokedBy: entry.kind === "revoked" ? entry.giver : undefined, isNew: false };
  }

  /** The last decision before a time, where it is of the same rule. */
  async #last(one: AdjustedLimit, span: Span): Promise<Decision | undefined> {
    let { startsAt } = span;
    for (let i = 0; i < PERIODS_BACK; i++) {
      const earlier = spanAt(one, startsAt - 1);
      const decision = await this.#decided(one, earlier);
      if (decision) return decision.revokedBy === undefined && isOf(decision, one) ? decision : undefined;
      startsAt = earlier.startsAt;
    }
    return undefined;
  }

  async #used({ budget, limit }: AdjustedLimit, now: number): Promise<number> {
    const standings = await this.#options.standings([budget], now);
    const own = standings.find(({ bound }) => limitId(bound.limit) === limitId(limit));
    return own ? own.standing.spent + own.standing.held : 0;
  }

  /** What was decided by rules that are not configured any more, or from another amount, and has not ended. */
  async outdated(budgets: readonly Budget[], now: number): Promise<readonly AdjustingGrant[]> {
    const adjusted = adjustedLimits(budgets);
    if (adjusted.length === 0 && !this.#mayHaveDecided) return [];
    const rules = adjusted.filter(({ rule }) => rule.mode === "apply");
    return (await this.#givenLately(now)).filter((grant) => {
      const one = rules.find(({ budget, limit }) => budget.name === grant.budget && limitId(limit) === grant.limit);
      return !one || !isOf({ grant }, one) || !isSpan(grant, spanAt(one, grant.from));
    });
  }

  /** Ends what was decided by rules: what the file says holds. */
  async end(grants: readonly AdjustingGrant[]): Promise<void> {
    for (const grant of grants) {
      const [giver, why] = [giverOf({ name: grant.budget }), "The budget was changed."];
      await this.#options.store.record({ kind: "revoked", reservation: grant.id, postings: [], grant, giver, why });
    }
  }

  /** The grants of rules that have not ended. */
  async #givenLately(now: number): Promise<readonly AdjustingGrant[]> {
    const grants = new Map<string, AdjustingGrant>();
    let after = 0;
    for (;;) {
      const page = await this.#options.store.entries({ kinds: ["granted", "revoked"], since: now - GIVEN_LATELY_MS, after });
      for (const entry of page) {
        if (entry.kind === "granted" && isAdjusting(entry.grant) && entry.grant.until > now) grants.set(entry.grant.id, entry.grant);
        if (entry.kind === "revoked") grants.delete(entry.grant.id);
      }
      const last = page.at(-1);
      if (!last || page.length < LEDGER_PAGE) return [...grants.values()];
      after = last.seq;
    }
  }
}

function adjustedLimits(budgets: readonly Budget[]): readonly AdjustedLimit[] {
  return budgets.flatMap((budget) => {
    const { adjusting: rule, limits } = budget;
    const limit = rule && limits.find((one) => limitId(one) === rule.limit);
    return limit ? [{ budget, limit, rule }] : [];
  });
}

function spanAt({ limit, rule }: AdjustedLimit, at: number): Span {
  return adjustedSpan(limit, rule.every, at);
}

function isSpan({ from, until }: Grant, { startsAt, endsAt }: Span): boolean {
  return from === startsAt && until === endsAt;
}

function isAdjusting(grant: Grant): grant is AdjustingGrant {
  return grant.adjustment !== undefined;
}

/** Whether a decision rests on the amount and the bounds that are configured. */
function isOf({ grant: { adjustment } }: Pick<Decision, "grant">, { limit, rule }: AdjustedLimit): boolean {
  return adjustment.configured === limit.amount && adjustment.amount >= rule.least && adjustment.amount <= rule.most;
}

/** People copy ids into commands: nothing in them needs quotes, and no two are the same. */
function idOf({ budget, limit }: AdjustedLimit, { startsAt }: Span): string {
  return [GRANT_ID, budget.name, limitId(limit), new Date(startsAt).toISOString()].map(encodeURIComponent).join(":");
}

function giverOf({ name }: Pick<Budget, "name">): string {
  return `the adjusting of "${name}"`;
}

/** `From $50.00 to $60.00: it refused 3 calls on 2 days.` */
function whyOf({ unit }: Limit, before: number, { amount, why }: AdjustedAmount): string {
  const text = formatAmount(amount, unit);
  return `${amount === before ? `${text} as before` : `From ${formatAmount(before, unit)} to ${text}`}: ${why}`;
}
