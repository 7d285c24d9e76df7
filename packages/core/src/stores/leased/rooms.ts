import type { BoundLimit, Standing } from "../../domain/command.ts";
import type { Allotment, Portion, Want } from "../../domain/lease.ts";
import { fits } from "../../domain/reserve.ts";
import type { Busy } from "./demand.ts";

/** What is allotted of one limit and not used yet. */
interface Room {
  limit: BoundLimit;
  left: number;
  /** What would be a fair part of what is left of the limit, when the store was last asked. */
  fair: number;
  standing: Standing;
}

/** What is kept at hand: as much as is asked for in so many spans between reports. */
const SPANS_AHEAD = 10;
/** What is at hand beyond this many times what is aimed at is returned. */
const SURPLUS = 1.5;
/** An allotment for fewer calls than this is of no use. */
const CALLS_LEAST = 2;

/** Wants, with what was at hand of each when it was sent. */
export interface Sent {
  readonly wants: readonly Want[];
  readonly owns: readonly number[];
}

/** The allotments of one gateway: how much room it has on each limit. */
export class Rooms {
  readonly #rooms = new Map<string, Room>();
  /** Limits of which nothing is wanted for a while: because whoever asks the store lacks it, or because there was nothing. */
  readonly #paused = new Map<string, number>();

  get isEmpty(): boolean {
    return this.#rooms.size === 0;
  }

  /** Uses room on every limit, or on none. Standings are those of the store: what is allotted counts as held until it is used. */
  use(limits: readonly BoundLimit[], asked: readonly number[], share?: number): readonly Standing[] | undefined {
    const standings: Standing[] = [];
    for (let i = 0; i < limits.length; i++) {
      const room = this.#roomFor(limits[i] as BoundLimit, asked[i] as number, share);
      if (!room) {
        for (let used = 0; used < i; used++) this.#give(limits[used] as BoundLimit, asked[used] as number);
        return undefined;
      }
      room.left -= asked[i] as number;
      standings.push(room.standing);
    }
    return standings;
  }

  /** Whether more could be allotted of what a call lacks. */
  couldGrow(limits: readonly BoundLimit[], asked: readonly number[]): boolean {
    return limits.every((limit, i) => {
      const room = this.#rooms.get(limit.counter.key);
      return !room || room.left >= (asked[i] as number) || room.fair > room.left + (asked[i] as number);
    });
  }

  /** Gives up what is at hand of these limits, for whoever asks the store for them. Whether there was any. */
  recall(limits: readonly BoundLimit[], until: number): boolean {
    let hadSome = false;
    for (const { counter } of limits) {
      const room = this.#rooms.get(counter.key);
      if (!room || room.left === 0) continue;
      room.left = 0;
      hadSome = true;
      this.#paused.set(counter.key, until);
    }
    return hadSome;
  }

  /** What is wanted from now on. What is not wanted any more is given up at once, since the store returns it. */
  resize(busy: Iterable<Busy>, now: number, reportMs: number): Sent {
    for (const [key, until] of this.#paused) if (until <= now) this.#paused.delete(key);
    const wants: Want[] = [];
    const owns: number[] = [];
    const wanted = new Set<string>();
    for (const { limit, rate, mean } of busy) {
      const { key, resetsAt = Number.POSITIVE_INFINITY } = limit.counter;
      const aim = Math.ceil(rate * SPANS_AHEAD * reportMs);
      const least = Math.ceil(CALLS_LEAST * mean);
      if (aim < least || this.#paused.has(key) || resetsAt - now < 2 * reportMs) continue;
      const room = this.#rooms.get(key);
      const isShrunk = room !== undefined && shrink(room, aim, least);
      const own = room?.left ?? 0;
      wants.push({ limit, amount: isShrunk ? own : Math.max(own, aim), least });
      owns.push(own);
      wanted.add(key);
    }
    for (const key of this.#rooms.keys()) if (!wanted.has(key)) this.#rooms.delete(key);
    return { wants, owns };
  }

  /**
   * Takes over what was allotted, less what was used meanwhile. What was wanted in vain is not wanted again before `pausedUntil`. Whether
   * something is more than would be fair.
   */
  take({ wants, owns }: Sent, portions: readonly Portion[], pausedUntil: number): boolean {
    let isUnfair = false;
    for (let i = 0; i < wants.length; i++) {
      const { limit, least } = wants[i] as Want;
      const { amount, fair, standing } = portions[i] as Portion;
      const { key } = limit.counter;
      const room = this.#rooms.get(key) ?? { limit, left: 0, fair, standing };
      if (amount === 0 && !this.#paused.has(key)) this.#paused.set(key, pausedUntil);
      // What was recalled meanwhile is not given out again: the next report returns it.
      if (!this.#paused.has(key)) room.left += amount - (owns[i] as number);
      Object.assign(room, { limit, fair, standing });
      this.#rooms.set(key, room);
      isUnfair ||= room.left > SURPLUS * fairAim(fair, Number.POSITIVE_INFINITY, least);
    }
    return isUnfair;
  }

  clear(): void {
    this.#rooms.clear();
  }

  #roomFor(limit: BoundLimit, asked: number, share: number | undefined): Room | undefined {
    const room = this.#rooms.get(limit.counter.key);
    if (!room || room.left < asked || room.limit.amount !== limit.amount || room.limit.enforced !== limit.enforced) return undefined;
    if (share === undefined) return room;
    // What is at hand is little; what the limit has left is what an estimate is rough against.
    const { amount, spent, held } = room.standing;
    return fits({ ...limit, amount }, { spent, held: held - room.left }, asked, share) ? room : undefined;
  }

  #give({ counter }: BoundLimit, amount: number): void {
    const room = this.#rooms.get(counter.key);
    if (room) room.left += amount;
  }
}

/** Gives up what is far beyond what is aimed at, or fair. Whether there was any. */
function shrink(room: Room, aim: number, least: number): boolean {
  const target = fairAim(room.fair, aim, least);
  if (room.left <= SURPLUS * target) return false;
  room.left = target;
  return true;
}

function fairAim(fair: number, aim: number, least: number): number {
  const target = Math.min(aim, fair);
  return target < least ? 0 : target;
}

/** Of allotments, those of the limits of a call. */
export function holdsOf(limits: readonly BoundLimit[], asked: readonly number[]): readonly Allotment[] {
  return limits.map(({ counter }, i) => ({ counter, amount: asked[i] as number }));
}
