import { PurserError } from "@purser/core";

const UNITS: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };

/** The moment that a text names: `2h` from now, `18:00` when it is that time next on this machine, or a date. Epoch milliseconds. */
export function instantOf(text: string, now: number): number {
  const [, count, unit = ""] = /^(\d{1,6})\s*([mhdw])$/.exec(text.trim()) ?? [];
  if (count !== undefined) return now + Number(count) * (UNITS[unit] ?? 0);
  const [, hour, minute] = /^([01]?\d|2[0-3]):([0-5]\d)$/.exec(text.trim()) ?? [];
  if (hour !== undefined) return nextTime(Number(hour), Number(minute), now);
  const instant = Date.parse(text);
  if (!Number.isNaN(instant)) return instant;
  throw new PurserError("body_invalid", `"${text}" is not a time. Write 30m, 12h, 30d, 18:00 or a date such as 2027-01-31.`);
}

function nextTime(hour: number, minute: number, now: number): number {
  const time = new Date(now);
  time.setHours(hour, minute, 0, 0);
  if (time.getTime() <= now) time.setDate(time.getDate() + 1);
  return time.getTime();
}

/** An instant as tables have it, in UTC: `2026-11-22 11:12:35`. */
export function shortInstant(text: string): string {
  return text.slice(0, 19).replace("T", " ");
}
