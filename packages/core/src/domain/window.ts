import { PurserError } from "../errors.ts";

export const CALENDAR_PERIODS = ["minute", "hour", "day", "week", "month", "quarter", "year"] as const;
export type CalendarPeriod = (typeof CALENDAR_PERIODS)[number];

/** The span a limit counts over: a calendar period of a time zone, or the whole life of the subject. Weeks begin on Monday. */
export type Window =
  | { readonly kind: "calendar"; readonly period: CalendarPeriod; readonly timeZone: string }
  | { readonly kind: "lifetime" };

/** One instance of a window: it counts from `startsAt` up to, not including, `resetsAt` (epoch milliseconds; none: never). */
export interface WindowSpan {
  readonly startsAt: number;
  readonly resetsAt: number | undefined;
}

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;
const LIFETIME: WindowSpan = { startsAt: 0, resetsAt: undefined };

/** The instance of a window that `now` (epoch milliseconds) falls into. Days follow the zone's clock: 23 or 25 hours where it changes. */
export function windowSpan(window: Window, now: number): WindowSpan {
  if (window.kind === "lifetime") return LIFETIME;
  const { period, timeZone } = window;
  if (period === "minute") return fixedSpan(now, MINUTE_MS, 0);
  if (period === "hour") return fixedSpan(now, HOUR_MS, zoneOffset(timeZone, now) % HOUR_MS);
  const today = zoneDate(timeZone, now);
  const first = periodStart(period, today);
  return { startsAt: startOfDay(timeZone, first), resetsAt: startOfDay(timeZone, nextPeriod(period, first)) };
}

/** The window as it is written in a limit, with its zone where that matters: `month@Europe/Berlin`. Part of every counter's key. */
export function windowText(window: Window): string {
  if (window.kind === "lifetime") return "lifetime";
  return window.period === "minute" ? "minute" : `${window.period}@${window.timeZone}`;
}

/** Throws `window_invalid` for a name that is no IANA time zone. */
export function checkTimeZone(timeZone: string): string {
  try {
    clockOf(timeZone);
    return timeZone;
  } catch (cause) {
    throw new PurserError("window_invalid", `"${timeZone}" is not a time zone. Use an IANA name such as Europe/Berlin or UTC.`, { cause });
  }
}

interface CalendarDate {
  readonly year: number;
  /** 1 to 12. */
  readonly month: number;
  readonly day: number;
}

function fixedSpan(now: number, lengthMs: number, offset: number): WindowSpan {
  const startsAt = Math.floor((now + offset) / lengthMs) * lengthMs - offset;
  return { startsAt, resetsAt: startsAt + lengthMs };
}

function periodStart(period: CalendarPeriod, date: CalendarDate): CalendarDate {
  if (period === "week") return shiftDays(date, -((weekday(date) + 6) % 7));
  if (period === "month") return { ...date, day: 1 };
  if (period === "quarter") return { year: date.year, month: date.month - ((date.month - 1) % 3), day: 1 };
  if (period === "year") return { year: date.year, month: 1, day: 1 };
  return date;
}

function nextPeriod(period: CalendarPeriod, first: CalendarDate): CalendarDate {
  if (period === "week") return shiftDays(first, 7);
  if (period === "month") return shiftMonths(first, 1);
  if (period === "quarter") return shiftMonths(first, 3);
  if (period === "year") return shiftMonths(first, 12);
  return shiftDays(first, 1);
}

function weekday({ year, month, day }: CalendarDate): number {
  return new Date(Date.UTC(year, month - 1, day)).getUTCDay();
}

function shiftDays({ year, month, day }: CalendarDate, days: number): CalendarDate {
  return dateOf(Date.UTC(year, month - 1, day + days));
}

function shiftMonths({ year, month }: CalendarDate, months: number): CalendarDate {
  return dateOf(Date.UTC(year, month - 1 + months, 1));
}

function dateOf(utc: number): CalendarDate {
  const date = new Date(utc);
  return { year: date.getUTCFullYear(), month: date.getUTCMonth() + 1, day: date.getUTCDate() };
}

/** The first instant of a local day: midnight, or the end of the gap where the clock jumps over midnight. */
function startOfDay(timeZone: string, { year, month, day }: CalendarDate): number {
  const wall = Date.UTC(year, month - 1, day);
  const offsets = [zoneOffset(timeZone, wall - DAY_MS), zoneOffset(timeZone, wall + DAY_MS)];
  const exact = offsets.map((offset) => wall - offset).filter((instant) => instant + zoneOffset(timeZone, instant) === wall);
  return exact.length > 0 ? Math.min(...exact) : firstInstantFrom(timeZone, wall, wall - Math.max(...offsets), wall - Math.min(...offsets));
}

/** Midnight does not exist here: the clock jumps over it somewhere between `early` and `late`. Finds the jump. */
function firstInstantFrom(timeZone: string, wall: number, early: number, late: number): number {
  let before = early;
  let after = late;
  while (after - before > 1) {
    const middle = Math.floor((before + after) / 2);
    if (middle + zoneOffset(timeZone, middle) >= wall) after = middle;
    else before = middle;
  }
  return after;
}

function zoneDate(timeZone: string, now: number): CalendarDate {
  return dateOf(now + zoneOffset(timeZone, now));
}

/** Milliseconds that the zone's clock is ahead of UTC at an instant. */
function zoneOffset(timeZone: string, instant: number): number {
  if (timeZone === "UTC") return 0;
  const part: Record<string, number> = {};
  for (const { type, value } of clockOf(timeZone).formatToParts(instant)) part[type] = Number(value);
  const wall = Date.UTC(part.year ?? 0, (part.month ?? 1) - 1, part.day, part.hour, part.minute, part.second);
  return wall - Math.floor(instant / 1000) * 1000;
}

const clocks = new Map<string, Intl.DateTimeFormat>();

function clockOf(timeZone: string): Intl.DateTimeFormat {
  let clock = clocks.get(timeZone);
  if (!clock) {
    clock = new Intl.DateTimeFormat("en-US", {
      timeZone,
      calendar: "gregory",
      hourCycle: "h23",
      year: "numeric",
      month: "numeric",
      day: "numeric",
      hour: "numeric",
      minute: "numeric",
      second: "numeric",
    });
    clocks.set(timeZone, clock);
  }
  return clock;
}
