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

/**
 * The instance of a window that `now` (epoch milliseconds) falls into. One ends where the next begins, without gap or overlap.
 * Days follow the zone's clock: they have 23 or 25 hours where it changes.
 */
export function windowSpan(window: Window, now: number): WindowSpan {
  if (window.kind === "lifetime") return LIFETIME;
  const { period, timeZone } = window;
  if (period === "minute") return minuteSpan(now);
  if (period === "hour") return hourSpan(timeZone, now);
  return dateSpan(period, timeZone, now);
}

/** The name of a window without its zone: `month`, `lifetime`. */
export function windowName(window: Window): CalendarPeriod | "lifetime" {
  return window.kind === "lifetime" ? "lifetime" : window.period;
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

function minuteSpan(now: number): WindowSpan {
  const startsAt = Math.floor(now / MINUTE_MS) * MINUTE_MS;
  return { startsAt, resetsAt: startsAt + MINUTE_MS };
}

/** An hour of the zone's clock, cut short where the clock is moved by a part of an hour, as on Lord Howe Island. */
function hourSpan(timeZone: string, now: number): WindowSpan {
  const minutesAt = (instant: number) => modulo(zoneOffset(timeZone, instant), HOUR_MS);
  const minutes = minutesAt(now);
  const startsAt = Math.floor((now + minutes) / HOUR_MS) * HOUR_MS - minutes;
  const resetsAt = startsAt + HOUR_MS;
  return {
    startsAt: minutesAt(startsAt) === minutes ? startsAt : firstInstant(startsAt, now, (instant) => minutesAt(instant) === minutes),
    resetsAt: minutesAt(resetsAt - 1) === minutes ? resetsAt : firstInstant(now, resetsAt, (instant) => minutesAt(instant) !== minutes),
  };
}

function dateSpan(period: DatePeriod, timeZone: string, now: number): WindowSpan {
  const first = periodStart(period, zoneDate(timeZone, now));
  const next = nextPeriod(period, first);
  const resetsAt = startOfDay(timeZone, next);
  if (now < resetsAt) return { startsAt: startOfDay(timeZone, first), resetsAt };
  // The clock was put back over midnight and shows the end of a day again. The new day has begun and goes on.
  return { startsAt: resetsAt, resetsAt: startOfDay(timeZone, nextPeriod(period, next)) };
}

type DatePeriod = Exclude<CalendarPeriod, "minute" | "hour">;

interface CalendarDate {
  readonly year: number;
  /** 1 to 12. */
  readonly month: number;
  readonly day: number;
}

function periodStart(period: DatePeriod, date: CalendarDate): CalendarDate {
  if (period === "week") return shiftDays(date, -((weekday(date) + 6) % 7));
  if (period === "month") return { ...date, day: 1 };
  if (period === "quarter") return { year: date.year, month: date.month - ((date.month - 1) % 3), day: 1 };
  if (period === "year") return { year: date.year, month: 1, day: 1 };
  return date;
}

function nextPeriod(period: DatePeriod, first: CalendarDate): CalendarDate {
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

/** The first instant of a local day: midnight, or the end of the gap where the clock jumps over midnight or over the whole day. */
function startOfDay(timeZone: string, { year, month, day }: CalendarDate): number {
  const midnight = Date.UTC(year, month - 1, day);
  const shows = (instant: number) => instant + zoneOffset(timeZone, instant);
  const offsets = [zoneOffset(timeZone, midnight - DAY_MS), zoneOffset(timeZone, midnight + DAY_MS)];
  const exact = offsets.map((offset) => midnight - offset).filter((instant) => shows(instant) === midnight);
  if (exact.length > 0) return Math.min(...exact);
  return firstInstant(midnight - Math.max(...offsets), midnight - Math.min(...offsets), (instant) => shows(instant) >= midnight);
}

/** The first instant after `early`, up to `late`, from which a condition holds. */
function firstInstant(early: number, late: number, holds: (instant: number) => boolean): number {
  let before = early;
  let from = late;
  while (from - before > 1) {
    const middle = Math.floor((before + from) / 2);
    if (holds(middle)) from = middle;
    else before = middle;
  }
  return from;
}

function modulo(value: number, divisor: number): number {
  return ((value % divisor) + divisor) % divisor;
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
