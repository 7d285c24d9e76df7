import { PurserError } from "../errors.ts";
import type { Used } from "./command.ts";
import { Leases, leaseOf } from "./lease.ts";
import { type CallDetail, type CounterRef, type Entry, type Grant, grantSeries, type Posting } from "./ledger.ts";
import { rollsOver } from "./limit.ts";
import { Recent } from "./recent.ts";
import { type Slice, wasEmpty } from "./slices.ts";
import { isBucketText } from "./window.ts";

export interface Counter extends Used, Slice {
  readonly ref: CounterRef;
  spent: number;
  held: number;
}

export interface Hold {
  readonly id: string;
  expiresAt: number;
  outputCap: number;
  postings: readonly Posting[];
  detail: CallDetail;
}

/** What a hold was charged when its lease ran out, for a late settlement to correct. */
interface Expired {
  readonly postings: readonly Posting[];
  readonly detail: CallDetail;
}

/** All balances and holds of one store. Always the sum of the entries it was built from. */
export interface State {
  seq: number;
  readonly counters: Map<string, Counter>;
  /** The counters that are slices, by their series, in the order of time. One on which nothing stands is not kept. */
  readonly series: Map<string, Counter[]>;
  /** By the series that they add to. */
  readonly grants: Map<string, readonly Grant[]>;
  readonly holds: Map<string, Hold>;
  /** Reservations that ended lately, so that none ends twice. */
  readonly ended: Recent<true>;
  /** Of these, the ones that expired: they can still be corrected. */
  readonly expired: Recent<Expired>;
  readonly leases: Leases;
  /** The entry that last put limits in force, 0 where none did. */
  adopted: number;
}

/** How many ended and how many expired reservations are remembered at least. What comes later than that many calls is answered `unknown`. */
export const ENDED_MOST = 100_000;

export function createState(): State {
  return {
    seq: 0,
    counters: new Map(),
    series: new Map(),
    grants: new Map(),
    holds: new Map(),
    ended: new Recent(ENDED_MOST),
    expired: new Recent(ENDED_MOST),
    leases: new Leases(),
    adopted: 0,
  };
}

/** Keeps spent and held together within what is counted exactly. Checked before anything changes, so that a refusal leaves no trace. */
export function checkCountable({ budget, unit }: CounterRef, { spent, held }: Used, added: number): void {
  if (Number.isSafeInteger(added) && Number.isSafeInteger(spent + held + added)) return;
  throw new PurserError("amount_too_large", `${added} ${unit} more on budget "${budget}" are too many to be counted exactly.`);
}

/** Adds one entry to the state: how every change happens, live and when a journal is read back. Entries already known are skipped. */
export function evolve(state: State, entry: Entry): void {
  if (entry.seq <= state.seq) return;
  if (entry.seq !== state.seq + 1)
    throw new PurserError("internal", `Ledger entry ${entry.seq} follows ${state.seq}: entries are missing between them.`);
  state.seq = entry.seq;
  for (const posting of entry.postings) post(state, posting);
  const id = entry.reservation;
  if (entry.kind === "reserved") {
    state.holds.set(id, {
      id,
      expiresAt: entry.expiresAt,
      outputCap: entry.outputCap,
      postings: entry.postings,
      detail: entry.detail,
    });
  } else if (entry.kind === "extended") {
    const hold = state.holds.get(id);
    if (hold) hold.expiresAt = entry.expiresAt;
  } else if (entry.kind === "raised") {
    const hold = state.holds.get(id);
    if (!hold) return;
    hold.expiresAt = entry.expiresAt;
    hold.outputCap = entry.outputCap;
    hold.detail = entry.detail;
    hold.postings = addedTo(hold.postings, entry.postings);
  } else if (entry.kind === "settled" || entry.kind === "released") {
    end(state, id);
  } else if (entry.kind === "expired") {
    end(state, id);
    state.expired.set(id, { postings: entry.postings, detail: entry.detail });
  } else if (entry.kind === "corrected") {
    state.expired.delete(id);
  } else if (entry.kind === "adjusted") {
    if (entry.adopted) state.adopted = entry.seq;
    // Of what a call holds nothing of, or was charged nothing for, it can still use more than that.
    const hold = state.holds.get(id);
    if (hold) hold.postings = [...hold.postings, ...entry.postings];
    const expired = state.expired.get(id);
    if (expired) state.expired.set(id, { ...expired, postings: [...expired.postings, ...entry.postings] });
  } else if (entry.kind === "leased") {
    state.leases.set(leaseOf(entry));
  } else if (entry.kind === "granted") {
    const series = grantSeries(entry.grant);
    state.grants.set(series, [...(state.grants.get(series) ?? []), entry.grant]);
  } else if (entry.kind === "revoked") {
    keepGrants(state, grantSeries(entry.grant), (grant) => grant.id !== entry.grant.id);
  }
}

function keepGrants({ grants }: State, series: string, isKept: (grant: Grant) => boolean): void {
  const kept = (grants.get(series) ?? []).filter(isKept);
  if (kept.length > 0) grants.set(series, kept);
  else grants.delete(series);
}

function end(state: State, id: string): void {
  const hold = state.holds.get(id);
  // A map in which many come and go leaves outgrown tables to the collector of garbage: nothing large may hang on what was in them.
  if (hold) hold.postings = NO_POSTINGS;
  state.holds.delete(id);
  state.ended.set(id, true);
}

/** The postings of a hold with what was added to them. */
function addedTo(postings: readonly Posting[], added: readonly Posting[]): readonly Posting[] {
  return postings.map((posting) => {
    const more = added.find(({ counter }) => counter.key === posting.counter.key);
    return more ? { ...posting, held: posting.held + more.held } : posting;
  });
}

const NO_POSTINGS: readonly Posting[] = [];

function post(state: State, { counter: ref, held, spent }: Posting): void {
  let counter = state.counters.get(ref.key);
  if (!counter) {
    counter = { ref, spent: 0, held: 0 };
    addCounter(state, counter);
  }
  counter.held += held;
  counter.spent += spent;
  if (counter.held < 0 || !Number.isSafeInteger(counter.spent) || !Number.isSafeInteger(counter.held)) {
    throw new PurserError("internal", `Counter ${ref.key} would hold ${counter.held} and have spent ${counter.spent}.`);
  }
  if (ref.series !== undefined && counter.held === 0 && counter.spent === 0) forget(state, counter);
}

/** Adds a counter as it stands, as when a snapshot is read. */
export function addCounter({ counters, series }: State, counter: Counter): void {
  const { key, series: name, startsAt } = counter.ref;
  counters.set(key, counter);
  if (name === undefined) return;
  const slices = series.get(name);
  if (!slices) {
    series.set(name, [counter]);
    return;
  }
  // Time goes on, so a slice nearly always belongs at the end.
  let i = slices.length;
  while (i > 0 && (slices[i - 1] as Counter).ref.startsAt > startsAt) i--;
  slices.splice(i, 0, counter);
}

function forget({ counters, series }: State, { ref }: Counter): void {
  counters.delete(ref.key);
  if (ref.series === undefined) return;
  const slices = (series.get(ref.series) ?? []).filter((slice) => slice.ref.key !== ref.key);
  if (slices.length > 0) series.set(ref.series, slices);
  else series.delete(ref.series);
}

export const UNUSED: Used = { spent: 0, held: 0 };

export function counted({ counters }: State, { key }: CounterRef): Used {
  return counters.get(key) ?? UNUSED;
}

/** Forgets counters whose window closed before `closedBefore` and on which nothing is held. Their entries stay in the ledger. */
export function compact(state: State, closedBefore: number): readonly string[] {
  const forgotten: string[] = [];
  for (const [key, { ref, held }] of state.counters) {
    if (ref.series === undefined && ref.resetsAt !== undefined && keptUntil(ref, ref.resetsAt) < closedBefore && held === 0) {
      state.counters.delete(key);
      forgotten.push(key);
    }
  }
  for (const [series, grants] of state.grants) {
    if (grants.some(({ until }) => until < closedBefore)) keepGrants(state, series, ({ until }) => until >= closedBefore);
  }
  return forgotten;
}

/** What a window left unused is asked for during the next one, which may be a little longer. */
export function keptUntil({ window, startsAt }: CounterRef, resetsAt: number): number {
  return rollsOver(window) ? resetsAt + 2 * (resetsAt - startsAt) : resetsAt;
}

/** Forgets the slices that no window reaches any more: those of a bucket together, when it has been empty since before. */
export function compactSlices(state: State, closedBefore: number): readonly string[] {
  const forgotten: string[] = [];
  const isClosed = ({ ref, held }: Counter) => held === 0 && (ref.resetsAt ?? Number.POSITIVE_INFINITY) < closedBefore;
  for (const slices of state.series.values()) {
    const closed = slices.filter(isClosed);
    const isBucket = isBucketText((slices[0] as Counter).ref.window);
    if (isBucket && (closed.length < slices.length || !wasEmpty(slices, closedBefore))) continue;
    for (const slice of closed) {
      forget(state, slice);
      forgotten.push(slice.ref.key);
    }
  }
  return forgotten;
}
