import { countsFrom, LimitCounters } from "./counters.ts";
import type { Budget } from "./domain/budget.ts";
import type { SettleCommand } from "./domain/command.ts";
import { NOTHING_USED, usedOn } from "./domain/ending.ts";
import {
  ADOPTION,
  type Adopted,
  type CallDetail,
  type Charge,
  type CounterRef,
  type Entry,
  type EntryKind,
  type LimitInForce,
  type Posting,
} from "./domain/ledger.ts";
import { type Limit, limitId } from "./domain/limit.ts";
import { amountsOf } from "./domain/quote.ts";
import { compileSelector, type Subject } from "./domain/subject.ts";
import { weighMost, weightsOn } from "./domain/weights.ts";
import { isMoving, windowSpan } from "./domain/window.ts";
import { LEDGER_PAGE, type Store } from "./stores/store.ts";

/** The entries that open a call, charge it, or change what it is charged to. */
const CALL_KINDS: readonly EntryKind[] = ["reserved", "raised", "settled", "expired", "corrected", "released", "adjusted"];

/** Only calls in flight count for a limit on calls at once, and none is for longer than this. */
const IN_FLIGHT_MOST_MS = 24 * 3_600_000;

/**
 * For so long after limits were put in force, another process may still admit calls that know nothing of them; or this one did before it
 * died, where it was told that they could not be put in force, and they were.
 */
const LAGGING_MOST_MS = 30 * 60_000;

/**
 * Puts limits in force, so that a changed configuration moves boundaries and never forgets usage: what was used since the window of a new
 * limit began, and is not on its counters yet, is read from the ledger and posted to them. Calls in flight are held on them too.
 *
 * One entry says which limits are in force and posts what they take over. So a limit that stays in force is not read again, a limit that
 * was out of force for a while misses nothing, and nothing is taken over twice.
 *
 * A changed configuration reaches the processes that share a store one after the other. Each, when it comes to it, takes over what was
 * admitted without the new limits since the last one did: so when all have it, nothing is missing.
 */
export class Adoption {
  readonly #store: Store;
  readonly #budgets: readonly Budget[];
  readonly #isDoubtful: boolean;
  #now = 0;
  #fresh: readonly FreshLimit[] = [];
  #isChanged = false;
  #readTo = 0;
  /** The entry that last put limits in force, as far as was read. */
  #follows = 0;
  #open = new Map<string, Missing>();
  #expired = new Map<string, Missing>();

  /** `isDoubtful`: the last one of this process failed, and may have been written down all the same. */
  constructor(store: Store, budgets: readonly Budget[], isDoubtful = false) {
    this.#store = store;
    this.#budgets = budgets;
    this.#isDoubtful = isDoubtful;
  }

  /** Reads the ledger. The long part: calls may go on meanwhile. */
  async read(now: number): Promise<void> {
    this.#now = now;
    this.#readTo = 0;
    this.#open = new Map();
    this.#expired = new Map();
    const before = await this.#lastAdopted();
    this.#follows = before?.seq ?? 0;
    const inForce = this.#inForce();
    const known = new Set(before?.adopted.limits.map(identityOf));
    const isNew = (limit: LimitInForce) => !known.has(identityOf(limit));
    this.#isChanged = inForce.length !== known.size || inForce.some(isNew);
    const canLag = before !== undefined && (this.#isDoubtful || now - before.at <= LAGGING_MOST_MS);
    this.#fresh = this.#budgets.flatMap((budget) =>
      budget.limits.filter((limit) => canLag || isNew(limitInForce(budget, limit))).map((limit) => this.#freshLimit(budget, limit)),
    );
    if (before && !inForce.some(isNew)) this.#readTo = before.adopted.upTo;
    await this.#markTaken();
    await this.#readOn();
  }

  /** Reads what has come since, and puts the limits in force. No call may be admitted meanwhile; calls in flight may end. */
  async finish(now: number): Promise<void> {
    if (this.#fresh.some(({ resetsAt }) => now >= resetsAt)) await this.read(now);
    else await this.#readOn();
    // Whoever was taken for dead meanwhile, and comes back, begins anew.
    while (!(await this.#takeOver())) await this.read(now);
    // What others admitted while that was written down.
    if (!this.#store.alone || this.#fresh.length === 0) return;
    await this.#readOn();
    if (!(await this.#takeOver())) await this.finish(now);
  }

  /** Whether that was done: not where another put limits in force since they were read. */
  async #takeOver(): Promise<boolean> {
    const upTo = this.#readTo;
    await Promise.all([...this.#open].map(([id, missing]) => this.#hold(id, missing)));
    await Promise.all([...this.#expired].map(([id, missing]) => this.#charge(id, missing)));
    const postings = this.#fresh.flatMap(({ taken }) => [...taken.values()].filter(({ spent }) => spent !== 0));
    if (!this.#isChanged && postings.length === 0) return true;
    const adopted: Adopted = { upTo, follows: this.#follows, limits: this.#inForce() };
    const why = postings.length > 0 ? "limits changed; what was used before is carried over" : "limits changed";
    const { outcome } = await this.#store.record({ kind: "adjusted", reservation: ADOPTION, postings, why, adopted });
    if (outcome === "ignored") return false;
    this.#follows = (await this.#lastAdopted())?.seq ?? 0;
    this.#isChanged = false;
    for (const { taken } of this.#fresh) taken.clear();
    return true;
  }

  #inForce(): readonly LimitInForce[] {
    return this.#budgets.flatMap((budget) => budget.limits.map((limit) => limitInForce(budget, limit)));
  }

  async #lastAdopted(): Promise<(Pick<Entry, "seq" | "at"> & { readonly adopted: Adopted }) | undefined> {
    const [entry] = await this.#store.entries({ reservation: ADOPTION, kinds: ["adjusted"], newest: true, most: 1 });
    return entry?.kind === "adjusted" && entry.adopted ? { seq: entry.seq, at: entry.at, adopted: entry.adopted } : undefined;
  }

  #freshLimit(budget: Budget, limit: Limit): FreshLimit {
    const counters = new LimitCounters(budget, limit, this.#now);
    return {
      budget,
      limit,
      readsFrom: limit.unit === "concurrent" ? this.#now - IN_FLIGHT_MOST_MS : countsFrom(limit, this.#now),
      resetsAt: isMoving(limit.window) ? Infinity : (windowSpan(limit.window, this.#now).resetsAt ?? Infinity),
      counterOf: (subject, at) => counters.at(subject, at),
      taken: new Map(),
      takenBefore: [],
    };
  }

  /** What a limit took over when it came into force before, perhaps for fewer subjects, it does not take over again. */
  async #markTaken(): Promise<void> {
    if (this.#fresh.length === 0) return;
    for await (const entry of this.#entries({ reservation: ADOPTION, kinds: ["adjusted"] })) {
      if (entry.kind !== "adjusted" || !entry.adopted) continue;
      for (const earlier of entry.adopted.limits) {
        const fresh = this.#fresh.find(({ budget, limit }) => countersOf(limitInForce(budget, limit)) === countersOf(earlier));
        fresh?.takenBefore.push({ upTo: entry.adopted.upTo, selects: compileSelector(earlier.selector) });
      }
    }
  }

  async #readOn(): Promise<void> {
    if (this.#fresh.length === 0) return;
    const since = Math.min(...this.#fresh.map(({ readsFrom }) => readsFrom));
    for await (const entry of this.#entries({ since, after: this.#readTo, kinds: CALL_KINDS })) {
      this.#readTo = entry.seq;
      this.#read(entry);
    }
  }

  /** A call belongs to the window in which it was reserved, so only calls reserved since it began are followed. */
  #read(entry: Entry): void {
    const { reservation, kind } = entry;
    if (kind === "reserved") {
      const missing = this.#missing(entry);
      if (missing.limits.length > 0) this.#open.set(reservation, missing);
    } else if (kind === "raised") {
      const missing = this.#open.get(reservation);
      if (missing) this.#open.set(reservation, { ...missing, detail: entry.detail, outputCap: entry.outputCap });
    } else if (kind === "adjusted") {
      for (const calls of [this.#open, this.#expired]) {
        const missing = calls.get(reservation);
        if (missing) calls.set(reservation, without(missing, entry.postings));
      }
    } else if (kind === "expired") {
      const open = this.#open.get(reservation);
      this.#open.delete(reservation);
      if (open) this.#expired.set(reservation, open);
    } else if (kind === "settled" || kind === "corrected") {
      const missing = this.#open.get(reservation) ?? this.#expired.get(reservation);
      this.#open.delete(reservation);
      this.#expired.delete(reservation);
      if (missing) take(missing, entry.kind === "corrected" ? correctedTo(entry.charge) : usedBy(entry.charge));
    } else if (kind === "released") {
      this.#open.delete(reservation);
    }
  }

  /** The new limits that a call belongs to and is not posted to. */
  #missing(entry: Entry & { readonly kind: "reserved" }): Missing {
    const { seq, at, detail, outputCap, postings } = entry;
    const { subject } = detail;
    const limits = this.#fresh.filter(
      ({ budget, readsFrom, takenBefore }) =>
        at >= readsFrom && budget.selects(subject) && !takenBefore.some(({ upTo, selects }) => seq <= upTo && selects(subject)),
    );
    const all = { detail, outputCap, limits: limits.map((fresh) => ({ fresh, counter: fresh.counterOf(subject, at) })) };
    return without(all, postings);
  }

  /** Holds a call in flight on the limits it misses. If it has ended by now, or more is held for it, that is in the ledger. */
  async #hold(id: string, missing: Missing): Promise<void> {
    const { outputCap, detail } = missing;
    const postings = missing.limits.map(({ counter }) => ({
      counter,
      held: counter.unit === "concurrent" ? 1 : heldOn(counter, detail),
      spent: 0,
    }));
    if (postings.length === 0) return;
    await this.#store.record({ kind: "adjusted", reservation: id, postings, outputCap, why: "in flight when the limits changed" });
    for await (const entry of this.#entries({ reservation: id, after: this.#readTo, kinds: CALL_KINDS })) this.#read(entry);
    const raised = this.#open.get(id);
    if (raised && raised.outputCap !== outputCap) await this.#hold(id, raised);
  }

  /** Charges a call whose lease ran out to the limits it misses, so that late truth corrects them too. */
  async #charge(id: string, missing: Missing): Promise<void> {
    const postings = missing.limits.map(({ counter }) => ({ counter, held: 0, spent: heldOn(counter, missing.detail) }));
    if (postings.length === 0) return;
    await this.#store.record({ kind: "adjusted", reservation: id, postings, why: "its lease had run out when the limits changed" });
    for await (const entry of this.#entries({ reservation: id, after: this.#readTo, kinds: CALL_KINDS })) this.#read(entry);
  }

  async *#entries(query: { since?: number; after?: number; reservation?: string; kinds: readonly EntryKind[] }): AsyncGenerator<Entry> {
    let { after = 0 } = query;
    for (;;) {
      const page = await this.#store.entries({ ...query, after, most: LEDGER_PAGE });
      yield* page;
      const last = page.at(-1);
      if (!last || page.length < LEDGER_PAGE) return;
      after = last.seq;
    }
  }
}

/** A limit that was not in force, and what it takes over. */
interface FreshLimit {
  readonly budget: Budget;
  readonly limit: Limit;
  /** Calls reserved since then count for it. */
  readonly readsFrom: number;
  readonly resetsAt: number;
  /** Where a call that was reserved at a time is kept. */
  counterOf(subject: Subject, at: number): CounterRef;
  /** By the key of the counter. */
  readonly taken: Map<string, Posting>;
  readonly takenBefore: { readonly upTo: number; selects(subject: Subject): boolean }[];
}

/** A call and the new limits that it is not posted to. */
interface Missing {
  readonly detail: CallDetail;
  /** What is held of its answer. */
  readonly outputCap: number;
  readonly limits: readonly { readonly fresh: FreshLimit; readonly counter: CounterRef }[];
}

function without(missing: Missing, postings: readonly Posting[]): Missing {
  const posted = new Set(postings.map(({ counter }) => counter.key));
  return { ...missing, limits: missing.limits.filter(({ counter }) => !posted.has(counter.key)) };
}

/** What a call used, as it is settled. */
type Used = Pick<SettleCommand, "amounts" | "charge">;

function take({ limits }: Missing, used: Used): void {
  for (const { fresh, counter } of limits) {
    const spent = (fresh.taken.get(counter.key)?.spent ?? 0) + usedOn(counter, used);
    fresh.taken.set(counter.key, { counter, held: 0, spent });
  }
}

/** A call that was returned after its lease ran out is not even a request. */
function correctedTo(charge: Charge): Used {
  const { usage, cost } = charge;
  const isReturned = usage.inputTokens === 0 && usage.outputTokens === 0 && cost === 0;
  return isReturned ? NOTHING_USED : usedBy(charge);
}

function usedBy(charge: Charge): Used {
  return { amounts: amountsOf(charge.usage, charge.cost), charge };
}

/** What is held for a call, and charged while nobody knows what it used. */
function heldOn(counter: CounterRef, { inputTokens, outputTokens, cost }: CallDetail): number {
  const weights = weightsOn(counter);
  return weights
    ? weighMost(weights, counter.unit, { inputTokens, outputTokens })
    : amountsOf({ inputTokens, outputTokens }, cost)[counter.unit];
}

function limitInForce({ name, per, selector }: Budget, limit: Limit): LimitInForce {
  return { budget: name, limit: limitId(limit), per, selector };
}

/** Two limits with the same counters may select different calls. */
function countersOf({ budget, limit, per }: LimitInForce): string {
  return JSON.stringify([budget, limit, per]);
}

function identityOf({ budget, limit, per, selector }: LimitInForce): string {
  return JSON.stringify([budget, limit, per, Object.entries(selector).sort(([a], [b]) => (a < b ? -1 : 1))]);
}
