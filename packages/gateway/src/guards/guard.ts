import type { Rung } from "@purser/core";
import type { ToolLoop } from "./tool-loop.ts";
import { createUsual, spanEnded, timesUsual, type Usual } from "./usual.ts";

/** What counts as running away, and what happens then. */
export interface Guard {
  /** The same call so often within ten minutes. */
  readonly repeats: number | undefined;
  /** The same call of a tool so often in one conversation. */
  readonly sameTool: number | undefined;
  /** So many calls in a row that each carry more than the one before, and twice as much in the end as in the beginning. */
  readonly growth: number | undefined;
  /** A minute that costs so many times what the dearest of the minutes before did. */
  readonly surge: number | undefined;
  readonly rungs: readonly GuardRung[];
  /** How long it lasts. */
  readonly lastsMs: number;
}

export type GuardRung = Extract<Rung, { readonly kind: "slow" | "shorten" | "block" | "tell" }>;

export type Trigger = "repeats" | "same_tool" | "growth" | "surge";

/** A guard that a call ran into, or its subject. */
export interface Trip {
  readonly trigger: Trigger;
  readonly at: number;
  readonly until: number;
  /** How often, how many in a row, or how many times as much. */
  readonly measured: number;
  /** Of what came again and again: stands for that. */
  readonly fingerprint?: string;
  /** Of calls of tools: which, and how it shows. */
  readonly loop?: ToolLoop;
}

const MINUTE_MS = 60_000;
export const REPEATS_MS = 10 * MINUTE_MS;
/** Of one subject so many different calls are remembered: a loop goes through few. As many loops are. */
export const CALLS_MOST = 8;
/** What is usual is known after so many minutes with calls. */
const USUAL_AFTER = 30;
/** Half of what was dear is forgotten in as long. */
const USUAL_KEPT = 0.98;

interface RepeatedCall {
  readonly fingerprint: string;
  since: number;
  count: number;
  trip: Trip | undefined;
}

/** Calls of one subject in the order in which they came: how large they were, and how many in a row grew. */
export interface Row {
  /** Of the first call. */
  readonly first: number;
  /** Of the call since which each carried more than the one before. */
  from: number;
  /** Of the last call. */
  size: number;
  /** How many in a row carried more than the one before. */
  grew: number;
  /** No call carried less than the one before. */
  isWhole: boolean;
}

export function rowOf(size: number): Row {
  return { first: size, from: size, size, grew: 0, isWhole: true };
}

/** One more call. */
export function extendRow(row: Row, size: number): void {
  if (size > row.size) row.grew++;
  else Object.assign(row, { from: size, grew: 0, isWhole: false });
  row.size = size;
}

interface ToolTrip {
  readonly fingerprint: string;
  trip: Trip;
  /** How often the loop went on since the guard let go of it. */
  since: number;
}

/** What is remembered of one subject: a fixed amount, however many calls it makes. */
export interface Watch {
  calls: RepeatedCall[];
  /** Loops of calls of tools that were stopped, the latest last. */
  loops: ToolTrip[];
  /** Of the call before; no first call is larger than that. */
  size: number;
  firstSize: number;
  grew: number;
  minute: number;
  spent: number;
  /** What the minute before cost. */
  spentBefore: number;
  /** What minutes cost. */
  readonly usual: Usual;
  trip: Trip | undefined;
}

export function createWatch(): Watch {
  return {
    calls: [],
    loops: [],
    size: Number.POSITIVE_INFINITY,
    firstSize: 0,
    grew: 0,
    minute: 0,
    spent: 0,
    spentBefore: 0,
    usual: createUsual(),
    trip: undefined,
  };
}

/** A call as guards see it. */
export interface SeenCall {
  readonly fingerprint: string;
  readonly size: number;
  /** The loop that its conversation is in. */
  readonly loop?: ToolLoop | undefined;
}

/**
 * Looks at a call that is about to be made. Returns what stands against it: a call that came too often stands alone, as does a conversation
 * that is in a loop, and their subject may still make others.
 */
export function sawCall(watch: Watch, guard: Guard, call: SeenCall, now: number): Trip | undefined {
  const looped = call.loop && sawLoop(watch, guard, call.loop, now);
  const repeated = sawRepeats(watch, guard, { fingerprint: call.fingerprint, since: now, times: 1 }, now);
  if (sawRow(watch, guard, rowOf(call.size))) grewTooLong(watch, guard, now);
  if (watch.trip && now >= watch.trip.until) watch.trip = undefined;
  return watch.trip ?? looped ?? repeated;
}

/** Looks at what a call was charged. */
export function sawSpend(watch: Watch, guard: Pick<Guard, "surge" | "lastsMs">, amount: number, now: number): void {
  if (guard.surge === undefined) return;
  const minute = Math.floor(now / MINUTE_MS);
  if (minute < watch.minute) {
    sawLateSpend(watch, amount, minute);
    return;
  }
  if (minute !== watch.minute) {
    if (watch.minute !== 0) spanEnded(watch.usual, watch.spent, USUAL_KEPT);
    watch.spentBefore = minute === watch.minute + 1 ? watch.spent : 0;
    watch.minute = minute;
    watch.spent = 0;
  }
  watch.spent += amount;
  const times = timesUsual(watch.usual, watch.spent, USUAL_AFTER);
  if (times !== undefined && times > guard.surge) trip(watch, guard, "surge", Math.floor(times), now);
}

/** Of a minute that was over when this was told: it was dearer than was known. */
function sawLateSpend(watch: Watch, amount: number, minute: number): void {
  const isBefore = minute === watch.minute - 1;
  if (isBefore) watch.spentBefore += amount;
  watch.usual.dearest = Math.max(watch.usual.dearest, isBefore ? watch.spentBefore : amount);
}

/** What a call that repeats was stopped by last. */
export function repeatsTrip({ calls }: Watch, fingerprint: string): Trip | undefined {
  return calls.find((one) => one.fingerprint === fingerprint)?.trip;
}

/** What stands against calls of a subject now. */
export function tripsInForce({ trip, loops, calls }: Watch, now: number): readonly Trip[] {
  return [trip, ...[...loops, ...calls].map((one) => one.trip)].filter((one): one is Trip => one !== undefined && now < one.until);
}

/** Takes over what another process tripped on. Of two that tripped on the same the first stands, so that all show the same one. */
export function sawTrip(watch: Watch, trip: Trip, now: number): void {
  if (now >= trip.until) return;
  const isFirst = (known: Trip | undefined) => known === undefined || now >= known.until || comesBefore(trip, known);
  const { trigger, fingerprint } = trip;
  if (fingerprint === undefined) {
    if (isFirst(watch.trip)) watch.trip = trip;
  } else if (trigger === "same_tool") {
    const known = watch.loops.find((one) => one.fingerprint === fingerprint);
    if (isFirst(known?.trip))
      watch.loops = [...watch.loops.filter((one) => one !== known), { fingerprint, trip, since: 0 }].slice(-CALLS_MOST);
  } else {
    const known = watch.calls.find((one) => one.fingerprint === fingerprint);
    if (!isFirst(known?.trip)) return;
    watch.calls = watch.calls.filter((one) => one !== known);
    if (watch.calls.length >= CALLS_MOST) watch.calls.splice(leastOf(watch.calls), 1);
    watch.calls.push({ fingerprint, since: trip.at, count: Math.max(trip.measured, known?.count ?? 0), trip });
  }
}

function comesBefore(one: Trip, other: Trip): boolean {
  return one.at < other.at || (one.at === other.at && one.trigger < other.trigger);
}

/** Takes over how often a call came at all processes together, where that is more than is known. */
export function learnRepeats(watch: Watch, { fingerprint, since, times }: Repeats): void {
  const call = watch.calls.find((one) => one.fingerprint === fingerprint);
  if (call && times >= call.count) Object.assign(call, { since, count: times });
}

/** Takes over what is usual for all processes together: that is not less than what one of them knows. */
export function learnUsual({ usual }: Watch, { dearest, spans }: Usual): void {
  usual.dearest = Math.max(usual.dearest, dearest);
  usual.spans = Math.max(usual.spans, spans);
}

/** What stands here against the same as a trip of another process does, which may have come a moment before or after. */
export function sameTrip(watch: Watch, { trigger, fingerprint }: Trip, now: number): Trip | undefined {
  return tripsInForce(watch, now).find((one) => one.trigger === trigger && one.fingerprint === fingerprint);
}

/** Lets go before the time: what was stopped has to go on for as long again, or cost as much more. */
export function letGo(watch: Watch, trip: Trip, now: number): void {
  watch.calls = watch.calls.filter((call) => call.trip !== trip);
  const loop = watch.loops.find((one) => one.trip === trip);
  if (loop) loop.trip = { ...trip, until: now };
  if (watch.trip !== trip) return;
  watch.trip = undefined;
  if (trip.trigger !== "surge") return;
  // Somebody says that a minute so dear is usual.
  spanEnded(watch.usual, watch.spent, USUAL_KEPT);
  watch.spent = 0;
}

/** The same call, so many times since then. */
export interface Repeats {
  readonly fingerprint: string;
  readonly since: number;
  readonly times: number;
  /** What whoever counted them tripped on. */
  readonly trip?: Trip | undefined;
}

/** Looks at calls that are the same. Returns what stands against them. */
export function sawRepeats(watch: Watch, guard: Pick<Guard, "repeats" | "lastsMs">, seen: Repeats, now: number): Trip | undefined {
  const { fingerprint, since, times } = seen;
  if (guard.repeats === undefined) return undefined;
  watch.calls = watch.calls.filter(({ since, trip }) => (trip ? now < trip.until : now - since < REPEATS_MS));
  let call = watch.calls.find((one) => one.fingerprint === fingerprint);
  if (!call) {
    call = { fingerprint, since, count: 0, trip: undefined };
    watch.calls.push(call);
    if (watch.calls.length > CALLS_MOST) watch.calls.splice(leastOf(watch.calls), 1);
  }
  call.count += times;
  call.since = Math.min(call.since, since);
  call.trip ??= seen.trip;
  if (call.count >= guard.repeats)
    call.trip ??= { trigger: "repeats", at: now, until: now + guard.lastsMs, measured: call.count, fingerprint };
  return call.trip;
}

/** A conversation shows its loop as long as it goes on; once the guard let go of it, it has to go on for as long again. */
function sawLoop(watch: Watch, guard: Guard, loop: ToolLoop, now: number): Trip | undefined {
  const stopped = watch.loops.find(({ fingerprint }) => fingerprint === loop.fingerprint);
  if (stopped && now < stopped.trip.until) return stopped.trip;
  if (stopped && ++stopped.since < (guard.sameTool ?? 0)) return undefined;
  const { fingerprint, times: measured } = loop;
  const trip: Trip = { trigger: "same_tool", at: now, until: now + guard.lastsMs, measured, fingerprint, loop };
  watch.loops = [...watch.loops.filter((one) => one !== stopped), { fingerprint, trip, since: 0 }].slice(-CALLS_MOST);
  return trip;
}

/** The call that came least often, the oldest of them: never the one that came just now. */
function leastOf(calls: readonly RepeatedCall[]): number {
  let least = 0;
  for (let i = 1; i < calls.length - 1; i++) if ((calls[i]?.count ?? 0) < (calls[least]?.count ?? 0)) least = i;
  return least;
}

/** Looks at calls that came after those before. Returns whether as many in a row grew as a guard allows, and twice as much in the end. */
export function sawRow(watch: Watch, guard: Pick<Guard, "growth">, row: Row): boolean {
  if (guard.growth === undefined) return false;
  if (row.isWhole && row.first > watch.size) watch.grew += 1 + row.grew;
  else {
    watch.grew = row.grew;
    watch.firstSize = row.from;
  }
  watch.size = row.size;
  return watch.grew >= guard.growth && watch.size >= 2 * watch.firstSize;
}

/** What goes on after the guard let go has to grow as long again. */
export function grewTooLong(watch: Watch, guard: Pick<Guard, "lastsMs">, now: number): void {
  trip(watch, guard, "growth", watch.grew, now);
  watch.grew = 0;
  watch.firstSize = watch.size;
}

function trip(watch: Watch, guard: Pick<Guard, "lastsMs">, trigger: Trigger, measured: number, now: number): void {
  if (watch.trip && now < watch.trip.until) return;
  watch.trip = { trigger, at: now, until: now + guard.lastsMs, measured };
}
