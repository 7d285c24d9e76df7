import { windowSpan } from "@purser/core";

/** What was recorded, in epoch milliseconds: from the first on, up to the second. */
export interface RecordedTime {
  readonly since: number;
  readonly until: number;
}

/** One day of a zone's calendar. */
export interface Day {
  readonly startsAt: number;
  readonly endsAt: number;
}

/** A day of which less was recorded does not say what is used in a day. */
const WHOLE = 0.9;

/** The days of a zone that were recorded from end to end, or as good as. */
export function wholeDays({ since, until }: RecordedTime, timeZone: string): readonly Day[] {
  const days: Day[] = [];
  for (let at = since; at < until; ) {
    const day = dayOf(timeZone, at);
    const recorded = Math.min(until, day.endsAt) - Math.max(since, day.startsAt);
    if (recorded >= WHOLE * (day.endsAt - day.startsAt)) days.push(day);
    at = day.endsAt;
  }
  return days;
}

export function dayOf(timeZone: string, at: number): Day {
  const { startsAt, resetsAt = Number.POSITIVE_INFINITY } = windowSpan({ kind: "calendar", period: "day", timeZone }, at);
  return { startsAt, endsAt: resetsAt };
}

/** Something that was used at a time. */
export interface Use {
  readonly at: number;
  readonly amount: number;
}

/** What was used on each of some days. Uses are in the order of their times. */
export function useByDay(uses: readonly Use[], days: readonly Day[]): readonly number[] {
  const sums = days.map(() => 0);
  let i = 0;
  for (const { at, amount } of uses) {
    while (i < days.length && at >= (days[i] as Day).endsAt) i++;
    const day = days[i];
    if (!day) break;
    if (at >= day.startsAt) sums[i] = (sums[i] as number) + amount;
  }
  return sums;
}

/** The days from that on which something was first seen. */
export interface SeenDays {
  readonly days: readonly Day[];
  /** What appears later than the record begins was not there for all of its first day. */
  readonly isFirstWhole: boolean;
}

export function daysSeen(days: readonly Day[], firstAt: number): SeenDays {
  const first = days[0];
  return { days: days.filter(({ endsAt }) => endsAt > firstAt), isFirstWhole: first === undefined || firstAt < first.endsAt };
}
