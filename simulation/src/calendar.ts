import type { CounterRef } from "../../packages/core/dist/index.js";
import { withoutWeights } from "./weighing.js";

/**
 * What a window is, found out by asking a calendar at instants and by nothing else: the longest span around an instant in which the
 * clock on the wall shows the same minute, hour, day, week, month, quarter or year.
 */
export function isWindowAt({ window: named, startsAt, resetsAt }: CounterRef, instant: number): boolean {
  const window = withoutWeights(named);
  if (window.startsWith("lifetime")) return startsAt === 0 && resetsAt === undefined;
  if (resetsAt === undefined || instant < startsAt || instant >= resetsAt) return false;
  const key = `${window} ${startsAt} ${resetsAt}`;
  let isWindow = known.get(key);
  if (isWindow === undefined) {
    isWindow = isLongest(window, startsAt, resetsAt);
    if (known.size >= KNOWN_MOST) known.clear();
    known.set(key, isWindow);
  }
  return isWindow;
}

const known = new Map<string, boolean>();
const KNOWN_MOST = 50_000;
const SAMPLES = 24;

function isLongest(window: string, startsAt: number, resetsAt: number): boolean {
  const [period = "", timeZone = "UTC"] = window.replace(" rollover", "").split("@");
  const shown = (at: number) => labelOf(period, timeZone, at);
  const label = shown(startsAt);
  if (shown(startsAt - 1) === label || shown(resetsAt) === label || shown(resetsAt - 1) !== label) return false;
  const step = (resetsAt - startsAt) / SAMPLES;
  return Array.from({ length: SAMPLES }, (_, i) => startsAt + Math.floor(i * step)).every((at) => shown(at) === label);
}

/** What the clock on the wall shows, as coarse as the period. */
function labelOf(period: string, timeZone: string, at: number): string {
  const shown = clockOf(timeZone).format(at);
  const [date = "", time = ""] = shown.split(", ");
  const [month = "", day = "", year = ""] = date.split("/");
  if (period === "minute") return shown.slice(0, -3);
  // An hour that the clock shows twice is two hours, and one that it cuts short is one.
  if (period === "hour") return `${date} ${time.slice(0, 2)} ${offsetOf(shown, at)}`;
  if (period === "month") return `${year}-${month}`;
  if (period === "quarter") return `${year} ${Math.ceil(Number(month) / 3)}`;
  if (period === "year") return year;
  if (period === "week") return String(Math.floor((Date.UTC(Number(year), Number(month) - 1, Number(day)) / DAY_MS + 3) / 7));
  return date;
}

const DAY_MS = 86_400_000;

function offsetOf(shown: string, at: number): number {
  return Math.round((Date.parse(`${shown} UTC`) - at) / 60_000);
}

const clocks = new Map<string, Intl.DateTimeFormat>();

function clockOf(timeZone: string): Intl.DateTimeFormat {
  let clock = clocks.get(timeZone);
  if (!clock) {
    clock = new Intl.DateTimeFormat("en-US", {
      timeZone,
      hourCycle: "h23",
      year: "numeric",
      month: "2-digit",
      day: "2-digit",
      hour: "2-digit",
      minute: "2-digit",
      second: "2-digit",
    });
    clocks.set(timeZone, clock);
  }
  return clock;
}
