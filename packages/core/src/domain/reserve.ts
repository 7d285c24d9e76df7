import {
  type Applied,
  amountOf,
  type BoundLimit,
  isEnforced,
  type ReserveCommand,
  type ReserveResult,
  type Standing,
  type Used,
  unchanged,
} from "./command.ts";
import { type CallDetail, type CounterRef, type Entry, type Posting, seriesOf } from "./ledger.ts";
import { type Bucket, drawTogether, seriesRefusedUntil } from "./slices.ts";
import { arePlain, limitsInForce, standingOf, standingsOf, usageOf } from "./standing.ts";
import { checkCountable, counted, type State } from "./state.ts";
import { askOn } from "./weights.ts";

export function decideReserve(state: State, command: ReserveCommand, now: number): Applied<ReserveResult> {
  const { id, asks, share } = command;
  const isPlain = arePlain(command.limits);
  const bound = isPlain ? command.limits : command.limits.map((limit) => atPresent(limit, now));
  const limits = isPlain && state.grants.size === 0 ? bound : limitsInForce(state, bound, now);
  const used = isPlain ? limits.map(({ counter }) => counted(state, counter)) : limits.map((limit) => usageOf(state, limit, now));
  const open = state.holds.get(id);
  if (open) {
    const { outputCap, expiresAt, detail } = open;
    return unchanged({
      outcome: "reserved",
      outputTokens: outputCap,
      expiresAt,
      standings: standingsOf(state, limits, used),
      wouldRefuse: [],
      detail,
    });
  }
  if (state.ended.has(id)) return unchanged({ outcome: "ended" });

  if (command.patient && state.leases.size > 0) {
    const lacking = heldByLeases(command, standingsOf(state, limits, used), now);
    for (const i of lacking) state.leases.recall((limits[i] as BoundLimit).counter.key, now);
    if (lacking.length > 0) return unchanged(refusal(state, command, { limits, used, first: lacking[0] as number, now }));
  }
  const outputCap = fittingOutput(command, limits, used, now);
  const postings: Posting[] = [];
  const after: Standing[] = [];
  const wouldRefuse: number[] = [];
  for (let i = 0; i < limits.length; i++) {
    const limit = limits[i] as BoundLimit;
    const before = used[i] as Used;
    const asked = amountOf(askOn(asks, limit.counter), outputCap);
    if (!fits(limit, before, asked, share)) {
      if (isEnforced(limit, now) || share !== undefined) return unchanged(refusal(state, command, { limits, used, first: i, now }));
      wouldRefuse.push(i);
    }
    checkCountable(limit.counter, before, asked);
    postings.push({ counter: limit.counter, held: asked, spent: 0 });
    after.push(standingOf(state, limit, before, asked));
  }

  const expiresAt = now + command.leaseMs;
  const detail = heldDetail(command, outputCap, wouldRefuse);
  const drained = isPlain ? undefined : drawnTogether(state, limits, now);
  const seq = state.seq + (drained ? 2 : 1);
  const reserved: Entry = { kind: "reserved", seq, at: now, reservation: id, postings, expiresAt, outputCap, detail };
  return {
    result: { outcome: "reserved", outputTokens: outputCap, expiresAt, standings: after, wouldRefuse, detail },
    entries: drained ? [drained, reserved] : [reserved],
  };
}

/**
 * A limit whose window moves, on the slice of this moment. A call can have been bound to an earlier one, and then counted: held there, it would
 * leave the window before its time.
 */
function atPresent(limit: BoundLimit, now: number): BoundLimit {
  if (!limit.rule) return limit;
  const startsAt = now - (now % limit.rule.sliceMs);
  return startsAt === limit.counter.startsAt ? limit : { ...limit, counter: sliceAt(limit.counter, startsAt) };
}

/**
 * The limits that have no room for the whole call because leases hold some of it. None where the call would be refused whatever they
 * return.
 */
export function heldByLeases(
  { limits, asks, output }: Omit<ReserveCommand, "kind">,
  standings: readonly Standing[],
  now: number,
): readonly number[] {
  const lacking: number[] = [];
  for (const [i, limit] of limits.entries()) {
    const { amount, spent, held, allotted = 0 } = standings[i] as Standing;
    const inForce = { ...limit, amount };
    const ask = askOn(asks, limit.counter);
    if (isEnforced(limit, now) && !fits(inForce, { spent, held: held - allotted }, amountOf(ask, output.least))) return [];
    if (allotted > 0 && !fits(inForce, { spent, held }, amountOf(ask, output.most))) lacking.push(i);
  }
  return lacking;
}

/** The largest output cap that fits every enforced limit, or the least one where none does. */
function fittingOutput({ asks, output }: ReserveCommand, limits: readonly BoundLimit[], used: readonly Used[], now: number): number {
  let tokens = output.most;
  for (let i = 0; i < limits.length; i++) {
    const limit = limits[i] as BoundLimit;
    const ask = askOn(asks, limit.counter);
    const room = roomOf(limit, used[i] as Used);
    if (!isEnforced(limit, now) || amountOf(ask, tokens) <= room) continue;
    // What does not fit asks more than there is room for, so `room * scale` stays below an amount that was exact.
    const fitting = ask.perOutputToken > 0 ? Math.floor((room * ask.scale - ask.base) / ask.perOutputToken) : 0;
    tokens = Math.max(output.least, Math.min(tokens, fitting));
  }
  return tokens;
}

export function fits(limit: BoundLimit, used: Used, asked: number, share = 1): boolean {
  // Calls are counted exactly whatever the estimate, so the share does not concern them. Neither does it what is free.
  const factor = limit.counter.unit === "concurrent" || limit.counter.unit === "requests" ? 1 : share;
  return asked === 0 || asked * factor <= roomOf(limit, used);
}

function roomOf({ amount }: BoundLimit, { spent, held }: Used): number {
  return amount - spent - held;
}

/** The limits of a call that is refused, and the first of them that does so. */
interface Refusing {
  readonly limits: readonly BoundLimit[];
  readonly used: readonly Used[];
  readonly first: number;
  readonly now: number;
}

/** Of all limits that refuse, names the one that keeps refusing for longest: first what can never fit, then what resets last. */
function refusal(state: State, { asks, output, share }: ReserveCommand, { limits, used, first, now }: Refusing): ReserveResult {
  let failing = first;
  let longest = -1;
  let largest = 0;
  for (const [i, limit] of limits.entries()) {
    const asked = amountOf(askOn(asks, limit.counter), output.least);
    if (!isEnforced(limit, now) || fits(limit, used[i] as Used, asked, share)) continue;
    const until = limitRefusedUntil(state, limit, asked, now);
    const part = asked / limit.amount;
    if (until < longest || (until === longest && part <= largest)) continue;
    [failing, longest, largest] = [i, until, part];
  }
  const asked = amountOf(askOn(asks, (limits[failing] as BoundLimit).counter), output.least);
  return { outcome: "refused", failing, asked, until: Math.max(0, longest), standings: standingsOf(state, limits, used) };
}

function limitRefusedUntil(state: State, limit: BoundLimit, asked: number, now: number): number {
  const { counter, amount, rule } = limit;
  if (rule === undefined || asked > amount) return refusedUntil(standingOf(state, limit, usageOf(state, limit, now)), counter, asked);
  return seriesRefusedUntil(rule, state.series.get(counter.series ?? "") ?? [], { unit: counter.unit, amount, asked, now });
}

/**
 * When a refusal by one counter passes: never for what is larger than the limit, at the reset for what is larger than the unspent rest, and
 * at 0, any moment, for what only calls in flight are in the way of.
 */
export function refusedUntil({ amount, spent, held, allotted = 0 }: Standing, { unit, resetsAt }: CounterRef, asked: number): number {
  if (asked > amount) return Number.POSITIVE_INFINITY;
  // A request in flight is used up, whatever it returns of its money and tokens. One that a lease could make is not.
  const used = unit === "requests" ? spent + held - allotted : spent;
  return used + asked > amount ? (resetsAt ?? Number.MAX_SAFE_INTEGER) : 0;
}

/** The entry that draws the past of buckets together, now that more flows into them. */
function drawnTogether(state: State, limits: readonly BoundLimit[], now: number): Entry | undefined {
  const postings: Posting[] = [];
  for (const limit of limits) if (limit.rule?.kind === "bucket") drawSlices(state, limit.rule, limit.counter, now, postings);
  return postings.length === 0 ? undefined : { kind: "drained", seq: state.seq + 1, at: now, reservation: "", postings };
}

function drawSlices({ series }: State, rule: Bucket, counter: CounterRef, now: number, postings: Posting[]): void {
  const drawn = drawTogether(rule, series.get(counter.series ?? "") ?? [], now);
  if (!drawn) return;
  let level = drawn.level;
  for (const { ref, spent } of drawn.slices) {
    if (ref.startsAt === drawn.startsAt) level -= spent;
    else if (spent !== 0) postings.push({ counter: ref, held: 0, spent: 0 - spent });
  }
  if (level !== 0) postings.push({ counter: sliceAt(counter, drawn.startsAt), held: 0, spent: level });
}

function sliceAt(counter: CounterRef, startsAt: number): CounterRef {
  const { series = seriesOf(counter), resetsAt } = counter;
  return { ...counter, key: `${series}|${startsAt}`, startsAt, resetsAt: resetsAt && resetsAt - counter.startsAt + startsAt };
}

/** The detail of a call as it is held. Whoever adds a field to it names it here too. */
export function heldDetail(
  { asks, limits, detail }: Pick<ReserveCommand, "asks" | "limits" | "detail">,
  outputCap: number,
  wouldRefuse: readonly number[],
): CallDetail {
  const isPriced = detail.price !== undefined || detail.allowance !== undefined;
  const outputTokens = amountOf(asks.output_tokens, outputCap);
  const cost = isPriced ? amountOf(asks.nanodollars, outputCap) : undefined;
  const refusing = wouldRefuse.map((i) => (limits[i] as BoundLimit).counter.budget);
  const { subject, chargedTo, inputTokens, counted, price, pricedAs, allowance, rungs, insteadOf, tried, guardedBy, batch, isCapped } =
    detail;
  const held: Changeable<CallDetail> = { subject, inputTokens, outputTokens, cost, counted, price };
  if (chargedTo) held.chargedTo = chargedTo;
  if (pricedAs !== undefined) held.pricedAs = pricedAs;
  if (allowance !== undefined) held.allowance = allowance;
  if (refusing.length > 0) held.wouldRefuse = [...new Set([...(detail.wouldRefuse ?? []), ...refusing])];
  else if (detail.wouldRefuse) held.wouldRefuse = detail.wouldRefuse;
  if (rungs) held.rungs = rungs;
  if (insteadOf) held.insteadOf = insteadOf;
  if (tried) held.tried = tried;
  if (guardedBy) held.guardedBy = guardedBy;
  if (batch !== undefined) held.batch = batch;
  if (isCapped !== undefined) held.isCapped = isCapped;
  return held;
}

/** Made up field by field: an object that begins with the fields of another gets a shape of its own each time, which costs more than the call. */
export type Changeable<Value> = { -readonly [name in keyof Value]: Value[name] };
