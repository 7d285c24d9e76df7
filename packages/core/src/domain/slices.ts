import { firstInstant } from "./first-instant.ts";
import type { CounterRef } from "./ledger.ts";
import type { Unit } from "./limit.ts";
import { bucketNamed, movingLength, sliceLength } from "./window.ts";

/**
 * A limit whose window moves with the time is kept on slices of time, each a counter of its own; together they are a series. A call belongs
 * to the slice in which it was reserved, whenever it ends.
 *
 * Rolling: what stands on every slice that reaches into the window adds up. The oldest of them counts whole, so a limit is never passed in
 * any span of the window's length, and what a call used comes back late by one slice at most.
 *
 * Bucket: what is reserved flows in, and the bucket drains at a steady rate until it is empty. A slice flows in at its end, so what was used
 * in any span is at most what the bucket takes at once and what drains in that span. A call that used less than it held makes the history
 * of its slice smaller, as if it had held no more.
 */
export type Rule =
  | { readonly kind: "rolling"; readonly lengthMs: number; readonly sliceMs: number }
  /** `drains` units in each `periodMs`. */
  | { readonly kind: "bucket"; readonly drains: number; readonly periodMs: number; readonly sliceMs: number };

export type Bucket = Extract<Rule, { readonly kind: "bucket" }>;

/** The counter of one slice. */
export interface Slice {
  readonly ref: CounterRef;
  readonly spent: number;
  readonly held: number;
}

/** How a series stands, its slices in the order of time. */
export function seriesStanding(rule: Rule, slices: readonly Slice[], now: number): { readonly spent: number; readonly held: number } {
  if (rule.kind === "rolling") return rollingStanding(rule, slices, now);
  const spent = levelAt(rule, filled(rule, slices, now, spentOf), now);
  const level = levelAt(rule, filled(rule, slices, now, reservedOf), now);
  return { spent, held: Math.max(0, level - spent) };
}

/** When a series has room for `asked`, if nothing else is asked of it: 0, any moment, where only calls in flight are in the way. */
export function seriesRefusedUntil(
  rule: Rule,
  slices: readonly Slice[],
  { unit, amount, asked, now }: { readonly unit: Unit; readonly amount: number; readonly asked: number; readonly now: number },
): number {
  // A request in flight is used up, whatever it returns of its money and tokens.
  const used = unit === "requests" ? reservedOf : spentOf;
  if (rule.kind === "bucket") return bucketRefusedUntil(rule, slices, { used, room: amount - asked, now });
  const reaching = slices.filter((slice) => reaches(rule, slice, now));
  let excess = asked - amount;
  for (const slice of reaching) excess += used(slice);
  if (excess <= 0) return 0;
  for (const slice of reaching) {
    excess -= used(slice);
    if (excess <= 0) return slice.ref.startsAt + rule.sliceMs + rule.lengthMs;
  }
  return Number.POSITIVE_INFINITY;
}

/** When no more than `room` is left in a bucket. It may drain far enough before its last slice ends, or only with all of them in it. */
function bucketRefusedUntil(
  rule: Bucket,
  slices: readonly Slice[],
  { used, room, now }: { readonly used: (slice: Slice) => number; readonly room: number; readonly now: number },
): number {
  const hasRoom = (at: number) => levelAt(rule, filled(rule, slices, at, used), at) <= room;
  if (hasRoom(now)) return 0;
  const lastEndsAt = (slices.at(-1)?.ref.startsAt ?? 0) + rule.sliceMs;
  if (lastEndsAt > now && hasRoom(lastEndsAt)) return firstInstant(now, lastEndsAt, hasRoom);
  const { total, since } = filled(rule, slices, Number.POSITIVE_INFINITY, used);
  return Math.max(now + 1, since + drainingTime(rule, total - room));
}

function rollingStanding(rule: Rule & { readonly kind: "rolling" }, slices: readonly Slice[], now: number) {
  let spent = 0;
  let held = 0;
  for (const slice of slices) {
    if (!reaches(rule, slice, now)) continue;
    spent += slice.spent;
    held += slice.held;
  }
  return { spent, held };
}

function reaches({ lengthMs, sliceMs }: Rule & { readonly kind: "rolling" }, { ref }: Slice, now: number): boolean {
  return ref.startsAt + sliceMs > now - lengthMs;
}

function spentOf({ spent }: Slice): number {
  return spent;
}

function reservedOf({ spent, held }: Slice): number {
  return spent + held;
}

/** What flowed into a bucket since it was last empty. Whole units drain; what drained is reckoned from `since`, so no part of one is lost. */
interface Filling {
  readonly total: number;
  readonly since: number;
}

/** Fills a bucket with slices, each at its end or at `latest`. */
function filled(rule: Bucket, slices: readonly Slice[], latest: number, inflow: (slice: Slice) => number): Filling {
  let total = 0;
  let since = 0;
  for (const slice of slices) {
    const at = Math.min(slice.ref.startsAt + rule.sliceMs, latest);
    if (total <= drained(rule, at - since)) {
      total = 0;
      since = at;
    }
    total += inflow(slice);
  }
  return { total, since };
}

function levelAt(rule: Bucket, { total, since }: Filling, at: number): number {
  return Math.max(0, total - drained(rule, at - since));
}

/**
 * Whether a bucket was empty at a time, by the rate at which it drained when its last slice was named. One that never drains lets nothing
 * pass either, so it is not waited for.
 */
export function wasEmpty(slices: readonly Slice[], at: number): boolean {
  const { drains = 0, window } = (slices.at(-1) as Slice).ref;
  const bucket = bucketNamed(window);
  if (!bucket || drains === 0) return true;
  const rule: Bucket = { kind: "bucket", drains, periodMs: movingLength(bucket), sliceMs: sliceLength(bucket) };
  return levelAt(rule, filled(rule, slices, at, reservedOf), at) === 0;
}

/** Whole units that drain in a time: `drains * time / period`, in parts that are each counted exactly. */
export function drained({ drains, periodMs }: Bucket, timeMs: number): number {
  if (timeMs <= 0) return 0;
  const rest = timeMs % periodMs;
  const periods = (timeMs - rest) / periodMs;
  const low = drains % periodMs;
  const high = (drains - low) / periodMs;
  const part = low * rest;
  return Math.min(Number.MAX_SAFE_INTEGER, periods * drains + high * rest + (part - (part % periodMs)) / periodMs);
}

/** Longer than any clock will run, and still short enough to be added to a time. */
const FOREVER_MS = 1e14;

/** The shortest time in which so much drains; `Infinity` where nobody will live to see it. */
export function drainingTime(rule: Bucket, amount: number): number {
  if (amount <= 0) return 0;
  const rest = amount % rule.drains;
  // Close to exact, then exact.
  let timeMs = ((amount - rest) / rule.drains) * rule.periodMs + Math.ceil((rest / rule.drains) * rule.periodMs);
  if (!(timeMs < FOREVER_MS)) return Number.POSITIVE_INFINITY;
  while (drained(rule, timeMs) < amount) timeMs++;
  while (timeMs > 0 && drained(rule, timeMs - 1) >= amount) timeMs--;
  return timeMs;
}

/** The beginning of a series whose slices were drawn together: what was left of them at the end of the last. */
export interface DrawnTogether {
  readonly slices: readonly Slice[];
  readonly startsAt: number;
  readonly level: number;
}

/**
 * Draws the oldest slices of a bucket together into one, so that a bucket which is never empty does not grow without end. Not the last
 * period, which can still be corrected, and nothing from the oldest call in flight on, since what it returns changes all that follows. Up to
 * whole periods after the bucket was last empty, in which whole units drain: so no decision is another one for it.
 */
export function drawTogether(rule: Bucket, slices: readonly Slice[], now: number): DrawnTogether | undefined {
  const endOf = ({ ref }: Slice) => ref.startsAt + rule.sliceMs;
  const [oldest] = slices;
  if (!oldest || endOf(oldest) + 2 * rule.periodMs > now) return undefined;
  const inFlight = slices.find(({ held }) => held !== 0);
  const latest = Math.min(now - rule.periodMs, inFlight?.ref.startsAt ?? Number.POSITIVE_INFINITY);
  const closed = slices.filter((slice) => endOf(slice) <= latest);
  const { since } = filled(rule, closed, latest, spentOf);
  const at = since + Math.floor((latest - since) / rule.periodMs) * rule.periodMs;
  if (at < endOf(oldest) + rule.periodMs) return undefined;
  const past = closed.filter((slice) => endOf(slice) <= at);
  return { slices: past, startsAt: at - rule.sliceMs, level: levelAt(rule, filled(rule, past, at, spentOf), at) };
}
