import type { BoundLimit, Standing, Used } from "./command.ts";
import { seriesOf } from "./ledger.ts";
import { seriesStanding } from "./slices.ts";
import { counted, type State, UNUSED } from "./state.ts";

/** Whether each limit is kept on one counter and asks for no other, as most do: then nothing more is to be looked at. */
export function arePlain(limits: readonly BoundLimit[]): boolean {
  for (const limit of limits) if (limit.rule !== undefined || limit.rollover !== undefined) return false;
  return true;
}

/** The limits with the amounts that are in force. */
export function limitsInForce(state: State, limits: readonly BoundLimit[], now: number): readonly BoundLimit[] {
  return limits.map((limit) => {
    const added = granted(state, limit, now) + carriedOver(state, limit);
    return added === 0 ? limit : { ...limit, amount: Math.max(0, Math.min(Number.MAX_SAFE_INTEGER, limit.amount + added)) };
  });
}

function granted({ grants }: State, { counter }: BoundLimit, now: number): number {
  if (grants.size === 0) return 0;
  let added = 0;
  for (const { amount, from, until } of grants.get(counter.series ?? seriesOf(counter)) ?? [])
    if (from <= now && now < until) added += amount;
  return added;
}

function carriedOver({ counters }: State, { rollover }: BoundLimit): number {
  if (!rollover) return 0;
  const { spent, held } = counters.get(rollover.key) ?? UNUSED;
  return Math.min(rollover.most, Math.max(0, rollover.amount - spent - held));
}

/** What is used of a limit: the counter itself, which goes on changing, or what its slices add up to. What leaves the engine is a copy. */
export function usageOf(state: State, { counter, rule }: BoundLimit, now: number): Used {
  if (rule === undefined) return counted(state, counter);
  const slices = state.series.get(counter.series ?? "");
  return slices === undefined ? UNUSED : seriesStanding(rule, slices, now);
}

export function standingsOf(state: State, limits: readonly BoundLimit[], used: readonly Used[]): readonly Standing[] {
  return limits.map((limit, i) => standingOf(state, limit, used[i] as Used));
}

/** How a limit stands when a call holds so much more of it. */
export function standingOf({ leases }: State, { amount, counter }: BoundLimit, used: Used, asked = 0): Standing {
  const { spent } = used;
  const held = used.held + asked;
  const allotted = leases.size > 0 ? leases.allotted(counter.key) : 0;
  return allotted > 0 ? { amount, spent, held, allotted } : { amount, spent, held };
}

/** How limits stand, with the amounts in force. Changes nothing. */
export function standings(state: State, limits: readonly BoundLimit[], now: number): readonly Standing[] {
  const inForce = limitsInForce(state, limits, now);
  return standingsOf(
    state,
    inForce,
    inForce.map((limit) => usageOf(state, limit, now)),
  );
}
