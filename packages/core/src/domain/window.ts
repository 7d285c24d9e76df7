import { PurserError } from "../errors.ts";
import { formatDuration } from "./duration.ts";
import { firstInstant } from "./first-instant.ts";
import { unweighedWindow } from "./weights.ts";
import { formatWindowStart, type WindowStart } from "./window-start.ts";

export const CALENDAR_PERIODS = ["minute", "hour", "day", "week", "month", "quarter", "year"] as const;
export type CalendarPeriod = (typeof CALENDAR_PERIODS)[number];

/** A bucket drains by its amount in each of these. */
export const BUCKET_PERIODS = ["minute", "hour", "day"] as const;
export type BucketPeriod = (typeof BUCKET_PERIODS)[number];

/**
 * The span a limit counts over: a calendar period of a time zone, any span of a length, a bucket that drains, or the whole life of the
 * subject. Weeks begin on Monday, months on the 1st, quarters and years in January, where `starts` does not say otherwise.
 */
export type Window =
  | { readonly kind: "calendar"; readonly period: CalendarPeriod; readonly timeZone: string; readonly starts?: WindowStart }
  | { readonly kind: "rolling"; readonly lengthMs: number }
  /** What does not fit is refused, or waits in order. */
  | { readonly kind: "bucket"; readonly period: BucketPeriod; readonly excess: "refused" | "waits" }
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
const PERIOD_MS: Readonly<Record<BucketPeriod, number>> = { minute: MINUTE_MS, hour: HOUR_MS, day: DAY_MS };
/** A window that moves with the time is counted in so many slices. */
const SLICES = 60;
const SLICE_LEAST_MS = 1_000;

/**
 * The instance of a window that `now` (epoch milliseconds) falls into. One ends where the next begins, without gap or overlap.
 * Days follow the zone's clock: they have 23 or 25 hours where it changes.
 */
export function windowSpan(window: Window, now: number): WindowSpan {
  if (window.kind === "lifetime") return LIFETIME;
  if (window.kind !== "calendar") return sliceSpan(window, now);
  const { period, timeZone, starts = {} } = window;
  if (period === "minute") return minuteSpan(now);
  if (period === "hour") return hourSpan(timeZone, now);
  return dateSpan({ period, starts }, timeZone, now);
}

/** A window that has no fixed instances: it is counted in slices, and those that reach into it are added up. */
export type MovingWindow = Extract<Window, { readonly kind: "rolling" | "bucket" }>;

export function isMoving(window: Window): window is MovingWindow {
  return window.kind === "rolling" || window.kind === "bucket";
}

/** The length of a rolling window, or of the period in which a bucket drains its amount. */
export function movingLength(window: MovingWindow): number {
  return window.kind === "rolling" ? window.lengthMs : PERIOD_MS[window.period];
}

/** Whether a window is over so soon that it limits how fast something goes, and not how much there is: it is shorter than an hour. */
export function isBrief(window: Window): boolean {
  if (window.kind === "calendar") return window.period === "minute";
  return isMoving(window) && movingLength(window) < HOUR_MS;
}

/** How long a slice of a moving window is. The slices of a bucket's period fill it exactly. */
export function sliceLength(window: MovingWindow): number {
  return Math.max(SLICE_LEAST_MS, Math.ceil(movingLength(window) / SLICES));
}

/** The slice that `now` falls into, up to when the window has moved past all of it. */
function sliceSpan(window: MovingWindow, now: number): WindowSpan {
  const length = sliceLength(window);
  const startsAt = Math.floor(now / length) * length;
  return { startsAt, resetsAt: startsAt + length + movingLength(window) };
}

/** The name of a window without its zone: `month`, `rolling 1d`, `minute bucket`, `lifetime`. */
export function windowName(window: Window): string {
  if (window.kind === "lifetime") return "lifetime";
  if (window.kind === "rolling") return `rolling ${formatDuration(window.lengthMs)}`;
  if (window.kind === "bucket") return `${window.period} ${window.excess === "waits" ? "leaky" : "bucket"}`;
  return window.period;
}

/** The window with its zone and start where those matter: `month@Europe/Berlin from 15`. Part of every counter's key. */
export function windowText(window: Window): string {
  const name = windowName(window);
  if (window.kind !== "calendar" || window.period === "minute") return name;
  const zoned = `${name}@${window.timeZone}`;
  return window.starts ? `${zoned} from ${formatWindowStart(window.starts)}` : zoned;
}

/** Whether a window that is known by its text only is counted in slices. */
export function isMovingText(text: string): boolean {
  return unweighedWindow(text).startsWith("rolling ") || isBucketText(text);
}

export function isBucketText(text: string): boolean {
  return text.endsWith(" bucket") || text.endsWith(" leaky");
}

/** The bucket that such a text names; nothing for any other. */
export function bucketNamed(text: string): (MovingWindow & { readonly kind: "bucket" }) | undefined {
  const [name, excess] = unweighedWindow(text).split(" ");
  const period = BUCKET_PERIODS.find((one) => one === name);
  return period && isBucketText(text) ? { kind: "bucket", period, excess: excess === "leaky" ? "waits" : "refused" } : undefined;
}

/** The calendar window with another start, as far as the start concerns it; nothing where it does not. */
export function startingOn(window: Window, start: WindowStart): Window | undefined {
  if (window.kind !== "calendar") return undefined;
  const { period } = window;
  const starts = startOf(period, start);
  if (!starts) return undefined;
  return isCalendarStart(starts) ? { kind: "calendar", period, timeZone: window.timeZone } : { ...window, starts };
}

/** What of a start decides when such a period begins. */
function startOf(period: CalendarPeriod, { weekday, month, day }: WindowStart): WindowStart | undefined {
  if (period === "week") return weekday === undefined ? undefined : { weekday };
  if (period === "month") return day === undefined ? undefined : { day };
  if (month === undefined) return undefined;
  if (period === "quarter") return { month: ((month - 1) % 3) + 1, day: day ?? 1 };
  return period === "year" ? { month, day: day ?? 1 } : undefined;
}

function isCalendarStart({ weekday = MONDAY, month = 1, day = 1 }: WindowStart): boolean {
  return weekday === MONDAY && month === 1 && day === 1;
}

const DATE = /^(\d{4})-(\d{2})-(\d{2})$/;

/** When a day of a zone's calendar is over: the first instant of the next one. Nothing for a text that is no date. */
export function endOfDay(text: string, timeZone: string): number | undefined {
  const [, year, month, day] = (DATE.exec(text.trim()) ?? []).map(Number) as [number, number?, number?, number?];
  if (year === undefined || month === undefined || day === undefined) return undefined;
  const date = { year, month, day };
  const { month: sameMonth, day: sameDay } = shiftDays(date, 0);
  return sameMonth === month && sameDay === day ? startOfDay(timeZone, shiftDays(date, 1)) : undefined;
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

function dateSpan(days: DayWindow, timeZone: string, now: number): WindowSpan {
  const first = periodStart(days, zoneDate(timeZone, now));
  const next = nextPeriod(days, first);
  const resetsAt = startOfDay(timeZone, next);
  if (now < resetsAt) return { startsAt: startOfDay(timeZone, first), resetsAt };
  // The clock was put back over midnight and shows the end of a day again. The new day has begun and goes on.
  return { startsAt: resetsAt, resetsAt: startOfDay(timeZone, nextPeriod(days, next)) };
}

/** A window of whole days. */
interface DayWindow {
  readonly period: Exclude<CalendarPeriod, "minute" | "hour">;
  readonly starts: WindowStart;
}

interface CalendarDate {
  readonly year: number;
  /** 1 to 12. */
  readonly month: number;
  readonly day: number;
}

const MONDAY = 1;
const MONTHS_OF = { month: 1, quarter: 3, year: 12 } as const;

function periodStart({ period, starts }: DayWindow, date: CalendarDate): CalendarDate {
  if (period === "day") return date;
  if (period === "week") return shiftDays(date, -((weekday(date) - (starts.weekday ?? MONDAY) + 7) % 7));
  const { month = 1, day = 1 } = starts;
  const months = MONTHS_OF[period];
  const begun = monthStart(date.year, date.month - modulo(date.month - month, months), day);
  return isAfter(begun, date) ? monthStart(begun.year, begun.month - months, day) : begun;
}

function nextPeriod({ period, starts }: DayWindow, first: CalendarDate): CalendarDate {
  if (period === "day") return shiftDays(first, 1);
  if (period === "week") return shiftDays(first, 7);
  return monthStart(first.year, first.month + MONTHS_OF[period], starts.day ?? 1);
}

/** A day of a month, or the last one of a month that is too short. Months before the first and after the last are of other years. */
function monthStart(year: number, month: number, day: number): CalendarDate {
  const { day: days } = dateOf(Date.UTC(year, month, 0));
  return dateOf(Date.UTC(year, month - 1, Math.min(day, days)));
}

function isAfter(one: CalendarDate, other: CalendarDate): boolean {
  return one.month === other.month && one.year === other.year
    ? one.day > other.day
    : Date.UTC(one.year, one.month) > Date.UTC(other.year, other.month);
}

function weekday({ year, month, day }: CalendarDate): number {
  return new Date(Date.UTC(year, month - 1, day)).getUTCDay();
}

function shiftDays({ year, month, day }: CalendarDate, days: number): CalendarDate {
  return dateOf(Date.UTC(year, month - 1, day + days));
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
