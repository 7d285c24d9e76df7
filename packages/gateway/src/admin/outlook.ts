import { type Balance, type Budget, type Limit, limitId, windowSpan, windowText } from "@purser/core";
import { windowName } from "./grant-json.ts";
import { type MovingLimit, movingFullAt } from "./moving-outlook.ts";

/** Where a balance leads. */
export interface Outlook {
  /** When its window began; nothing where it never ends. */
  readonly startsAt: number | undefined;
  /** What will be spent of it when it resets, if it goes on as before; nothing where it is too early to say. */
  readonly expected: number | undefined;
  /**
   * When nothing is left of it, if that is before it resets; of a window that moves, if it fills before its past has left it. Nothing where it is used
   * up already, or it is too early to say.
   */
  readonly goneAt: number | undefined;
}

/** What a limit of a budget was charged since a time, by the hour. */
export type SpentByHour = (budget: string, limit: string, since: number) => readonly { readonly from: number; readonly spent: number }[];

const HOUR_MS = 3_600_000;
const RATE_MS = 7 * 24 * HOUR_MS;
/** The part of a window before the end of which its pace is not known yet. */
const SAYS_LITTLE = 0.4;
const DAY_MS = 24 * HOUR_MS;
/** Of what has less left than one part in so many, it is no news when it will be gone: calls hardly fit any more. */
const USED_UP = 100;
/** A budget that nobody used for so long begins anew. */
export const KNOWN_MS = 5 * RATE_MS;
/** No forecast looks further: in a hundred years, something else will have happened. */
const FORESEEN_MS = 100 * 365 * 24 * HOUR_MS;

/** What a balance will come to; nothing where nobody can say, as of one subject's window that moves, whose hours nobody keeps. */
export function outlookOf(balance: Balance, budget: Budget, spent: SpentByHour, now: number): Outlook | undefined {
  const limit = limitOf(balance, budget);
  if (!limit || balance.unit === "concurrent") return undefined;
  if (hasMovingWindow(limit)) {
    if (balance.subject !== "" || budget.per.length > 0) return undefined;
    const hours = spent(budget.name, limitId(limit), now - movingReach(limit));
    const fullAt = isUsedUp(balance) ? undefined : movingFullAt({ limit, balance, hours, now });
    return { startsAt: undefined, expected: undefined, goneAt: fullAt };
  }
  const startsAt = limit.window.kind === "calendar" ? windowSpan(limit.window, now).startsAt : undefined;
  const { rate, knownMs } = rateOf(balance, budget, limit, spent, now);
  const resetsAt = balance.resetsAt ?? Number.POSITIVE_INFINITY;
  if (!isPaceKnown(knownMs, resetsAt - (startsAt ?? now))) return { startsAt, expected: undefined, goneAt: undefined };
  const goneAt = rate > 0 && !isUsedUp(balance) ? now + balance.left / rate : Number.POSITIVE_INFINITY;
  return {
    startsAt,
    expected: balance.resetsAt === undefined ? undefined : balance.spent + rate * (balance.resetsAt - now),
    goneAt: goneAt < resetsAt && goneAt < now + FORESEEN_MS ? Math.round(goneAt) : undefined,
  };
}

function hasMovingWindow(limit: Limit): limit is MovingLimit {
  return limit.window.kind === "rolling" || limit.window.kind === "bucket";
}

/** Of what is as good as used up, it is no news when nothing will be left. */
function isUsedUp({ left, limit }: Balance): boolean {
  return left * USED_UP < limit || left === 0;
}

/** How far back it matters what was used of a window that moves. */
function movingReach({ window }: Limit): number {
  return Math.max(KNOWN_MS, window.kind === "rolling" ? window.lengthMs + HOUR_MS : 0);
}

/**
 * Whether use was seen for long enough to tell from it how a window goes on: for a day, or two fifths of a window that is shorter. Whoever tries
 * something out for some minutes would be told that the month is gone.
 */
export function isPaceKnown(knownMs: number, windowMs: number): boolean {
  return knownMs >= Math.min(DAY_MS, windowMs * SAYS_LITTLE);
}

/** Per millisecond, and for how long that was looked at. */
interface Rate {
  readonly rate: number;
  readonly knownMs: number;
}

/**
 * How fast a balance is used up: that of a whole budget as in the last seven days, by its rollups; that of one subject as in its window so
 * far, because nobody keeps the hours of every user.
 */
function rateOf({ budget: name, spent, subject }: Balance, budget: Budget, limit: Limit, spentByHour: SpentByHour, now: number): Rate {
  if (subject === "" && budget.per.length === 0) {
    // A budget that is younger than seven days has its pace since it began.
    const hours = spentByHour(name, limitId(limit), now - KNOWN_MS);
    const since = Math.max(now - RATE_MS, hours[0]?.from ?? now);
    const recent = hours.filter(({ from }) => from >= since).reduce((all, { spent: one }) => all + one, 0);
    return { rate: recent / Math.max(HOUR_MS, now - since), knownMs: now - since };
  }
  if (limit.window.kind !== "calendar") return { rate: 0, knownMs: 0 };
  const { startsAt, resetsAt = now } = windowSpan(limit.window, now);
  // What one person did in the first hour of a day says little about the other twenty-three.
  return { rate: spent / Math.max(now - startsAt, (resetsAt - startsAt) * SAYS_LITTLE), knownMs: now - startsAt };
}

/** The limit whose balance it is. */
function limitOf({ unit, window }: Pick<Balance, "unit" | "window">, { limits }: Budget): Limit | undefined {
  return limits.find((limit) => limit.unit === unit && windowName(windowText(limit.window)) === window);
}
