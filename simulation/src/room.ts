import { type CounterRef, windowSpan } from "../../packages/core/dist/index.js";
import type { Books, Sum } from "./books.js";
import type { LimitInForce, Moving } from "./plan.js";

/** What there is room for at once: the amount, what is granted, and what the window before left. Reckoned from the books alone. */
export function amountInForce(books: Books, { amount, moving, rollover, placed }: LimitInForce, counter: CounterRef, at: number): number {
  const name = counter.key.slice(0, counter.key.lastIndexOf("|"));
  let granted = 0;
  for (const grant of books.grants.values()) {
    const isOfIt = `${grant.budget}|${grant.limit}|${grant.subject}` === name;
    if (isOfIt && at >= grant.from && at < grant.until) granted += grant.amount;
  }
  if (rollover === undefined) return Math.max(0, (moving?.burst ?? amount) + granted);
  const { spent, held } = books.standing(`${name}|${windowSpan(placed.window, counter.startsAt - 1).startsAt}`);
  return Math.max(0, amount + granted + Math.min(rollover, Math.max(0, amount - spent - held)));
}

/** What there is room for as far as a call goes: what is kept for the last answer of a task is for that alone. */
export function roomFor(books: Books, limit: LimitInForce, counter: CounterRef, at: number, isLast: boolean): number {
  const amount = amountInForce(books, limit, counter, at);
  return isLast ? amount : Math.max(0, amount - limit.kept);
}

/**
 * What is used of a limit at a moment. Of a bucket: the most that any span up to now took in, less what drained in it; that is what stands
 * in it, to a unit.
 */
export function usedOf(books: Books, { amount, moving }: LimitInForce, counter: CounterRef, at: number): number {
  if (!moving || counter.series === undefined) {
    const { spent, held } = books.standing(counter.key);
    return spent + held;
  }
  const slices = books.series.get(counter.series) ?? [];
  if (moving.kind === "bucket") return levelOf(slices, amount, moving, at);
  const sliceMs = sliceOf(moving);
  const reaching = slices.filter(({ ref }) => ref.startsAt + sliceMs > at - moving.lengthMs);
  return reaching.reduce((sum, { spent, held }) => sum + spent + held, 0);
}

/** How long a slice of a moving window is. */
export function sliceOf({ lengthMs }: Moving): number {
  return Math.max(1_000, Math.ceil(lengthMs / 60));
}

function levelOf(slices: readonly Sum[], drains: number, moving: Moving, at: number): number {
  const sliceMs = sliceOf(moving);
  const latestFirst = [...slices].sort((a, b) => b.ref.startsAt - a.ref.startsAt);
  let level = 0;
  let taken = 0;
  for (const { ref, spent, held } of latestFirst) {
    taken += spent + held;
    const since = Math.min(ref.startsAt + sliceMs, at);
    level = Math.max(level, taken - Math.floor((drains * (at - since)) / moving.lengthMs));
  }
  return level;
}
