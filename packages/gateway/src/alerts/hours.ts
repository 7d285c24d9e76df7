import { windowSpan } from "@purser/core";
import type { Channel } from "./channel.ts";

/** When a channel does not tell at once. */
export interface Hours {
  /** From and to, in minutes of the day; over midnight where it ends earlier than it begins. */
  readonly quiet?: { readonly from: number; readonly to: number };
  /** At which minute of the day all that came since is told in one message. */
  readonly digest?: number;
}

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;

/** When a channel tells of what comes at a time: later where it is quiet then, or tells of a day at once. */
export function toldAt({ quiet, digest }: Pick<Channel, "quiet" | "digest">, at: number, timeZone: string): number {
  const due = digest === undefined ? at : nextAt(digest, at, timeZone);
  return quiet && isQuiet(quiet, minuteOfDay(due, timeZone)) ? nextAt(quiet.to, due, timeZone) : due;
}

function isQuiet({ from, to }: { readonly from: number; readonly to: number }, minute: number): boolean {
  return from <= to ? minute >= from && minute < to : minute >= from || minute < to;
}

/** The first moment after another at which clocks show a minute of the day; where it is skipped, because clocks are put forward, the one after it. */
function nextAt(minute: number, after: number, timeZone: string): number {
  const { startsAt } = windowSpan({ kind: "calendar", period: "day", timeZone }, after);
  const today = minuteOn(startsAt, minute, timeZone);
  if (today > after) return today;
  // Noon of the next day, whatever clocks do in the night.
  const tomorrow = windowSpan({ kind: "calendar", period: "day", timeZone }, startsAt + 1.5 * DAY_MS).startsAt;
  return minuteOn(tomorrow, minute, timeZone);
}

function minuteOn(startsAt: number, minute: number, timeZone: string): number {
  const guess = startsAt + minute * MINUTE_MS;
  // Clocks may have been changed since midnight.
  const shown = guess + (minute - minuteOfDay(guess, timeZone)) * MINUTE_MS;
  return minuteOfDay(shown, timeZone) === minute ? shown : guess;
}

function minuteOfDay(at: number, timeZone: string): number {
  const parts = clockOf(timeZone).formatToParts(at);
  const value = (type: "hour" | "minute") => Number(parts.find((part) => part.type === type)?.value);
  return value("hour") * 60 + value("minute");
}

const clocks = new Map<string, Intl.DateTimeFormat>();

function clockOf(timeZone: string): Intl.DateTimeFormat {
  const clock =
    clocks.get(timeZone) ?? new Intl.DateTimeFormat("en-US", { timeZone, hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  clocks.set(timeZone, clock);
  return clock;
}
