import { PurserError } from "../errors.ts";
import { type Applied, type BoundLimit, type DistributiveOmit, type Standing, unchanged } from "./command.ts";
import { decideExtend, decideRelease, decideSettle } from "./ending.ts";
import {
  allottedOf,
  coverOpened,
  fairPart,
  type Lease,
  type LeaseCommand,
  type LeaseResult,
  type LeaseStep,
  leaseChange,
  type OpenStep,
  type Portion,
  type Rejected,
  type Want,
} from "./lease.ts";
import type { Entry } from "./ledger.ts";
import { standings } from "./standing.ts";
import { evolve, type State } from "./state.ts";

/** A report and what is wanted after it: the one command of several steps, of which each sees what those before it changed. */
export function applyLease(state: State, command: LeaseCommand, now: number): Applied<LeaseResult> {
  const { id, report, leaseMs, ends } = command;
  checkLease(command);
  const known = state.leases.get(id);
  const wants = distinctWants(command.wants);
  if (known?.end === "returned") return unchanged({ outcome: "ended" });
  if (known && report <= known.reported) return unchanged(leaseResult(state, known, wants, now));
  if (report !== (known?.reported ?? 0) + 1) return unchanged({ outcome: "unknown" });

  const entries: Entry[] = [];
  const add = (entry: DistributiveOmit<Entry, "seq" | "at">) => {
    const numbered = { seq: state.seq + 1, at: now, ...entry };
    evolve(state, numbered);
    entries.push(numbered);
  };
  const isExpired = known?.end === "expired";
  const expiresAt = isExpired ? known.expiresAt : Math.max(known?.expiresAt ?? 0, now + leaseMs);
  let lease: Lease = { id, expiresAt, reported: report, end: known?.end, allotments: known?.allotments ?? [] };
  const change = (next: Lease) => {
    add({ kind: "leased", reservation: id, ...leaseChange(state.leases.get(id), next) });
    lease = next;
  };

  const opened = newCalls(state, command.steps);
  const { left, holds } = coverOpened(lease, opened);
  if (opened.length > 0) change(left);
  const rejected: Rejected[] = [];
  for (const step of command.steps) {
    if (step.kind !== "open") entries.push(...applyStep(state, step, now, rejected));
    else {
      const postings = holds.get(step);
      const { outputCap, detail } = step;
      if (postings) add({ kind: "reserved", reservation: step.id, postings, expiresAt: now + step.leaseMs, outputCap, detail });
    }
  }
  if (ends) {
    change({ ...lease, end: "returned", allotments: [] });
    return { result: { outcome: "ended" }, entries };
  }
  const owns = new Map(lease.allotments.map(({ counter, amount }) => [counter.key, amount]));
  const allotments = wants.map((want) => {
    const { counter } = want.limit;
    const own = owns.get(counter.key) ?? 0;
    if (isExpired) return { counter, amount: Math.min(own, want.amount) };
    const [standing] = standings(state, [want.limit], now);
    return { counter, amount: allottedOf(want, own, fairOf(state, want.limit, standing as Standing, own, now)) };
  });
  change({ ...lease, allotments: allotments.filter(({ amount }) => amount > 0) });
  return { result: leaseResult(state, lease, wants, now, rejected), entries };
}

/** An amount below 0 would make room for others. Checked before anything changes. */
export function checkLease({ id, steps, wants }: Omit<LeaseCommand, "kind">): void {
  const amounts = wants.flatMap(({ amount, least }) => [amount, least]);
  for (const step of steps) if (step.kind === "open") amounts.push(...step.holds.map(({ amount }) => amount));
  if (amounts.every((amount) => Number.isSafeInteger(amount) && amount >= 0)) return;
  throw new PurserError("amount_invalid", `The lease ${id} wants or opens an amount that is no whole number of 0 or more.`);
}

/** One want for each counter: the first. */
export function distinctWants(wants: readonly Want[]): readonly Want[] {
  const keys = new Set<string>();
  return wants.filter(({ limit: { counter } }) => !keys.has(counter.key) && keys.add(counter.key));
}

/** A call whose id was used before is no new one. */
function newCalls(state: State, steps: readonly LeaseStep[]): readonly OpenStep[] {
  const ids = new Set<string>();
  return steps.filter(
    (step): step is OpenStep =>
      step.kind === "open" && !state.holds.has(step.id) && !state.ended.has(step.id) && !ids.has(step.id) && ids.add(step.id) !== undefined,
  );
}

/** A step that cannot be counted must not keep those after it from being counted. */
function applyStep(state: State, step: Exclude<LeaseStep, OpenStep>, now: number, rejected: Rejected[]): readonly Entry[] {
  try {
    const { entries } = decideStep(state, step, now);
    for (const entry of entries) evolve(state, entry);
    return entries;
  } catch (error) {
    if (!(error instanceof PurserError) || error.code === "internal") throw error;
    rejected.push({ id: step.id, message: error.message });
    return [];
  }
}

function decideStep(state: State, step: Exclude<LeaseStep, OpenStep>, now: number): Applied<unknown> {
  if (step.kind === "settle") return decideSettle(state, step, now);
  return step.kind === "extend" ? decideExtend(state, step, now) : decideRelease(state, step, now);
}

function leaseResult(state: State, lease: Lease, wants: readonly Want[], now: number, rejected: readonly Rejected[] = []): LeaseResult {
  const owns = new Map(lease.allotments.map(({ counter, amount }) => [counter.key, amount]));
  const all = standings(
    state,
    wants.map(({ limit }) => limit),
    now,
  );
  const portions = wants.map(({ limit }, i): Portion => {
    const own = owns.get(limit.counter.key) ?? 0;
    const standing = all[i] as Standing;
    return { amount: own, fair: lease.end === undefined ? fairOf(state, limit, standing, own, now) : 0, standing };
  });
  return { outcome: lease.end === "expired" ? "expired" : "leased", expiresAt: lease.expiresAt, portions, rejected };
}

/** A holder that has nothing yet is one more. What is in a moving window changes with the time, so nothing of it is lent. */
function fairOf({ leases }: State, { counter, rule }: BoundLimit, standing: Standing, own: number, now: number): number {
  return rule || leases.isRecalled(counter.key, now) ? 0 : fairPart(standing, own, leases.holders(counter.key) + (own > 0 ? 0 : 1));
}
