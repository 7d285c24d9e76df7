import { PurserError } from "../errors.ts";

const WEEKDAYS = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"] as const;
const MONTHS = [
  "january",
  "february",
  "march",
  "april",
  "may",
  "june",
  "july",
  "august",
  "september",
  "october",
  "november",
  "december",
] as const;

/** The names that a start can be written with. */
export const WINDOW_START_NAMES: readonly string[] = [...WEEKDAYS, ...MONTHS];

/** On which day weeks, months, quarters and years begin. A month that is too short for the day begins on its last one. */
export interface WindowStart {
  /** 0 is Sunday, 1 Monday. */
  readonly weekday?: number;
  /** 1 to 12. */
  readonly month?: number;
  /** 1 to 31. */
  readonly day?: number;
}

const DATE = /^(\d{4})-(\d{2})-(\d{2})$/;
const FORMS = "Write a day of the week (sunday), a day of the month (15), a month (april), or a date (2026-03-15).";

/** Reads what a budget writes under `starts`: `sunday`, `15`, `april`, or the date of an anniversary. Throws `window_invalid`. */
export function parseWindowStart(text: string): WindowStart {
  const name = text.trim().toLowerCase();
  const weekday = WEEKDAYS.indexOf(name as (typeof WEEKDAYS)[number]);
  if (weekday >= 0) return { weekday };
  const month = MONTHS.indexOf(name as (typeof MONTHS)[number]) + 1;
  if (month > 0) return { month };
  if (/^\d{1,2}$/.test(name) && Number(name) >= 1 && Number(name) <= 31) return { day: Number(name) };
  const date = DATE.exec(name);
  const start = date && anniversary(Number(date[1]), Number(date[2]), Number(date[3]));
  if (start) return start;
  throw new PurserError("window_invalid", `"${text}" is not a day on which windows can start. ${FORMS}`);
}

/** Years begin on the date, quarters and months on its day, weeks on its day of the week. */
function anniversary(year: number, month: number, day: number): WindowStart | undefined {
  const date = new Date(Date.UTC(year, month - 1, day));
  if (date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day) return undefined;
  return { weekday: date.getUTCDay(), month, day };
}

/** A start as it is written: `sunday`, `15`, `april`, `15 april`. */
export function formatWindowStart({ weekday, month, day = 1 }: WindowStart): string {
  if (weekday !== undefined) return WEEKDAYS[weekday] as string;
  if (month === undefined) return String(day);
  const name = MONTHS[month - 1] as string;
  return day === 1 ? name : `${day} ${name}`;
}
