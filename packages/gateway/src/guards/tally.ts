import {
  CALLS_MOST,
  createWatch,
  extendRow,
  type Guard,
  grewTooLong,
  letGo,
  REPEATS_MS,
  type Row,
  rowOf,
  sameTrip,
  sawRepeats,
  sawRow,
  sawSpend,
  type Trip,
  tripsInForce,
  type Watch,
} from "./guard.ts";
import type { Usual } from "./usual.ts";

/** What one process counted of a subject since it told of it last. A fixed amount, however many calls there were. Times are epoch milliseconds. */
export interface Counted {
  readonly calls: CountedCall[];
  row: CountedRow | undefined;
  readonly spends: CountedSpend[];
  readonly ended: EndedTrip[];
}

interface CountedCall {
  readonly fingerprint: string;
  since: number;
  times: number;
  /** What the process tripped on by itself. */
  trip: Trip | undefined;
}

interface CountedRow extends Row {
  /** When the first call came, and the last. */
  readonly firstAt: number;
  lastAt: number;
}

interface CountedSpend {
  readonly at: number;
  amount: number;
}

/** A trip that somebody let go of. */
interface EndedTrip {
  readonly trip: Trip;
  readonly at: number;
}

/** A guard as those who count together need to know it. */
export type GuardLimits = Pick<Guard, "repeats" | "growth" | "surge" | "lastsMs">;

/** What is counted of a subject in one message. */
export interface CountItem {
  readonly budget: string;
  /** `session=42`; empty where the budget has one balance for all. */
  readonly label: string;
  readonly limits: GuardLimits;
  readonly counted: Counted;
}

/** What all processes counted of a subject together. */
export interface Tally {
  readonly watch: Watch;
  /** When the last call of the row came at the latest, and at which process. */
  rowEnd: number;
  rowBy: string;
  /** Since when as many calls in a row have grown as the guard allows. */
  reachedAt: number | undefined;
}

/** What is known of a subject after it was counted, of what was asked about. */
export interface CountAnswer {
  readonly at: number;
  readonly calls: readonly { readonly fingerprint: string; readonly since: number; readonly count: number }[];
  /** What stands against it. `isNew`: nobody knows it yet. */
  readonly trips: readonly { readonly trip: Trip; readonly isNew: boolean }[];
  readonly usual: Usual;
}

/** Of minutes before the last so many nothing is told. */
const MINUTES_MOST = 3;
const MINUTE_MS = 60_000;
/** Whoever counts tells it within less. Until then calls of others may have come between. */
const SETTLES_MS = 250;

export function createCounted(): Counted {
  return { calls: [], row: undefined, spends: [], ended: [] };
}

/** One more of the same call, and what it made a guard trip on. */
export function countCall({ calls }: Counted, fingerprint: string, trip: Trip | undefined, now: number): void {
  let call = calls.find((one) => one.fingerprint === fingerprint);
  if (call && now - call.since >= REPEATS_MS) Object.assign(call, { since: now, times: 0 });
  if (!call) {
    if (calls.length >= CALLS_MOST) calls.splice(calls.indexOf(calls.reduce((least, one) => (one.times < least.times ? one : least))), 1);
    call = { fingerprint, since: now, times: 0, trip: undefined };
    calls.push(call);
  }
  call.times++;
  call.trip ??= trip;
}

export function countSize(counted: Counted, size: number, now: number): void {
  const { row } = counted;
  if (!row) counted.row = { ...rowOf(size), firstAt: now, lastAt: now };
  else {
    extendRow(row, size);
    row.lastAt = now;
  }
}

export function countSpend({ spends }: Counted, amount: number, now: number): void {
  const last = spends.at(-1);
  if (last && Math.floor(last.at / MINUTE_MS) === Math.floor(now / MINUTE_MS)) last.amount += amount;
  else if (spends.push({ at: now, amount }) > MINUTES_MOST) spends.shift();
}

export function countEnd({ ended }: Counted, trip: Trip, now: number): void {
  if (ended.push({ trip, at: now }) > CALLS_MOST) ended.shift();
}

export function createTally(): Tally {
  return { watch: createWatch(), rowEnd: 0, rowBy: "", reachedAt: undefined };
}

/** Adds what one process counted to what all did, and says what came of it. */
export function addCounted(tally: Tally, { limits, counted }: CountItem, by: string, now: number): CountAnswer {
  const { watch } = tally;
  const known = new Set(tripsInForce(watch, now));
  for (const { trip, at } of counted.ended) {
    const same = sameTrip(watch, trip, now);
    // What went on after that is another one.
    if (same && same.at <= Math.max(at, trip.at)) letGo(watch, same, now);
  }
  for (const call of counted.calls) {
    if (call.trip) known.add(call.trip);
    if (now - call.since < REPEATS_MS) sawRepeats(watch, limits, call, now);
  }
  if (counted.row) addRow(tally, limits, counted.row, by, now);
  if (watch.trip && now >= watch.trip.until) watch.trip = undefined;
  for (const { at, amount } of counted.spends) sawSpend(watch, limits, amount, at);
  return answerOf(tally, counted, now, known);
}

/** What is known of what was counted before. */
export function answerOf({ watch }: Tally, counted: Counted, now: number, known?: ReadonlySet<Trip>): CountAnswer {
  const calls = watch.calls.filter(({ fingerprint }) => counted.calls.some((one) => one.fingerprint === fingerprint));
  const standing = [watch.trip, ...calls.map(({ trip }) => trip)];
  const trips = standing.filter((trip): trip is Trip => trip !== undefined && now < trip.until);
  return {
    at: now,
    calls: calls.map(({ fingerprint, since, count }) => ({ fingerprint, since, count })),
    usual: watch.usual,
    trips: trips.map((trip) => ({ trip, isNew: known !== undefined && !known.has(trip) })),
  };
}

/**
 * Calls are in a row only where it is certain which came first. A row that has grown for long enough trips with a later call, when whatever
 * else came in the meantime would have been told.
 */
function addRow(tally: Tally, limits: GuardLimits, row: CountedRow, by: string, now: number): void {
  const { watch } = tally;
  const isInOrder = (by === tally.rowBy || tally.rowEnd < row.firstAt) && now - row.firstAt < SETTLES_MS;
  const goesOn = isInOrder && row.isWhole && row.first > watch.size;
  if (!goesOn) tally.reachedAt = undefined;
  if (!isInOrder) {
    const size = Number.isFinite(watch.size) ? Math.max(watch.size, row.size) : row.size;
    Object.assign(watch, { size, firstSize: size, grew: 0 });
  } else if (sawRow(watch, limits, row)) {
    tally.reachedAt ??= row.lastAt;
    if (now - tally.reachedAt >= SETTLES_MS) {
      grewTooLong(watch, limits, now);
      tally.reachedAt = undefined;
    }
  }
  tally.rowEnd = Math.max(tally.rowEnd, row.lastAt);
  tally.rowBy = by;
}
