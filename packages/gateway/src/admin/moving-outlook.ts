import { type Balance, capacityOf, type Limit, movingLength } from "@purser/core";

/** What was charged in an hour. */
interface Hour {
  readonly from: number;
  readonly spent: number;
}

interface MovingTerms {
  readonly limit: MovingLimit;
  readonly balance: Pick<Balance, "spent" | "left">;
  /** The hours of the whole budget, in their order, at least as far back as the window reaches. */
  readonly hours: readonly Hour[];
  readonly now: number;
}

/** A limit whose window is rolling, or a bucket. */
export type MovingLimit = Limit & { readonly window: Parameters<typeof movingLength>[0] };

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const HOURS_A_DAY = 24;
/** The shape of a day is that of so many. */
const SHAPE_DAYS = 7;

/**
 * When a window that moves is full, if as much comes as lately, spread over the hours of the day as in the last week: what leaves it, or drains,
 * makes room meanwhile. Nothing where that never happens before all of what is in it now has left, or where less than a day is known: nights and
 * mornings differ, and a rate alone would have every evening end in an alarm.
 */
export function movingFullAt({ limit, balance, hours, now }: MovingTerms): number | undefined {
  const spanMs = spanOf(limit);
  const knownMs = now - (hours[0]?.from ?? now);
  // Of what fills and empties within a day, hours say little.
  if (spanMs < DAY_MS || knownMs < DAY_MS) return undefined;
  const comes = comingOf(hours, { spanMs, knownMs, now });
  const hasLeft = limit.window.kind === "rolling" ? leavingOf(hours, limit.window.lengthMs, balance.spent, now) : drainingOf(limit);
  let used = balance.spent;
  const room = balance.spent + balance.left;
  for (let at = now; at < now + spanMs; ) {
    const until = Math.min(Math.floor(at / HOUR_MS) * HOUR_MS + HOUR_MS, now + spanMs);
    const came = comes(at) * ((until - at) / HOUR_MS);
    const after = Math.max(0, used + came - hasLeft(at, until));
    if (after >= room) return Math.round(at + ((room - used) / (after - used)) * (until - at));
    used = after;
    at = until;
  }
  return undefined;
}

/** How long it takes until nothing of what is in the window now is left of it. */
function spanOf(limit: MovingLimit): number {
  const lengthMs = movingLength(limit.window);
  if (limit.window.kind === "rolling") return lengthMs;
  return limit.amount === 0 ? 0 : (capacityOf(limit) / limit.amount) * lengthMs;
}

/** What comes in an hour: as much a day as in the last day, or in the last week for a window that is as long, where the hours of a day have their usual part of it. */
function comingOf(
  hours: readonly Hour[],
  { spanMs, knownMs, now }: { readonly spanMs: number; readonly knownMs: number; readonly now: number },
) {
  const lately = Math.min(spanMs, SHAPE_DAYS * DAY_MS, knownMs);
  const shape = new Array<number>(HOURS_A_DAY).fill(0);
  let daily = 0;
  for (const { from, spent } of hours) {
    if (from >= now - SHAPE_DAYS * DAY_MS) shape[hourOf(from)] = (shape[hourOf(from)] as number) + Math.max(0, spent);
    if (from >= now - lately) daily += (Math.max(0, spent) / lately) * DAY_MS;
  }
  const all = shape.reduce((sum, one) => sum + one, 0);
  return (at: number) => (all === 0 ? 0 : (daily * (shape[hourOf(at)] as number)) / all);
}

/** Zones whose hours begin at half past have their hours by these all the same. */
function hourOf(at: number): number {
  return Math.floor(at / HOUR_MS) % HOURS_A_DAY;
}

/** What leaves a rolling window in a time: what was charged as long before, and never more than is in it. */
function leavingOf(hours: readonly Hour[], lengthMs: number, spent: number, now: number) {
  const inside = hours.filter(({ from }) => from + HOUR_MS > now - lengthMs);
  const known = inside.reduce((sum, one) => sum + one.spent, 0);
  // What stands in the window and in no hour, because sums are behind or a charge was moved, leaves as the rest does.
  const scale = known > 0 ? spent / known : 0;
  let oldest = 0;
  // Times are asked for in their order.
  return (at: number, until: number) => {
    while (oldest < inside.length && (inside[oldest] as Hour).from + HOUR_MS + lengthMs <= at) oldest++;
    let left = 0;
    for (let i = oldest; i < inside.length && (inside[i] as Hour).from + lengthMs < until; i++) {
      const { from, spent: once } = inside[i] as Hour;
      const leavingMs = Math.min(from + HOUR_MS + lengthMs, until) - Math.max(from + lengthMs, at);
      left += (once * scale * leavingMs) / HOUR_MS;
    }
    return left;
  };
}

function drainingOf(limit: MovingLimit) {
  const perMs = limit.amount / movingLength(limit.window);
  return (at: number, until: number) => (until - at) * perMs;
}
