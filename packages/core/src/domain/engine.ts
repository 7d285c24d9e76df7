import { PurserError } from "../errors.ts";
import {
  allottedOf,
  coverOpened,
  expiredLease,
  fairPart,
  type Lease,
  type LeaseCommand,
  type LeaseResult,
  type LeaseStep,
  Leases,
  leaseChange,
  leaseOf,
  type OpenStep,
  type Portion,
  type Rejected,
  type Want,
} from "./lease.ts";
import {
  type CallDetail,
  type Charge,
  type CounterRef,
  type Entry,
  estimatedCharge,
  type Grant,
  grantSeries,
  type Posting,
  seriesOf,
} from "./ledger.ts";
import { rollsOver, UNITS, type Unit } from "./limit.ts";
import { Recent } from "./recent.ts";
import { type Bucket, drawTogether, type Rule, type Slice, seriesRefusedUntil, seriesStanding } from "./slices.ts";
import { isBucketText } from "./window.ts";

/** What a call asks of one unit: `base` plus `perOutputToken` for each token of its output cap, both in 1/`scale` of the unit. */
export interface Ask {
  readonly base: number;
  readonly perOutputToken: number;
  readonly scale: number;
}

export type Asks = Readonly<Record<Unit, Ask>>;

/** What a call really used, by unit. */
export type Amounts = Readonly<Record<Unit, number>>;

/** One limit that applies to a call, with the counter it is kept on. */
export interface BoundLimit {
  /** Of a moving window: the slice that the time falls into. */
  readonly counter: CounterRef;
  /** What there is room for at once, without grants and what is carried over. */
  readonly amount: number;
  /** `false` counts without refusing. */
  readonly enforced: boolean;
  /** How the slices of a moving window add up. */
  readonly rule?: Rule;
  readonly rollover?: Rollover;
}

/** What the window before left unused of its amount is added to this one, up to `most`. What was added there is not passed on again. */
export interface Rollover {
  /** The key of the counter of the window before. One that does not exist has left everything. */
  readonly key: string;
  readonly amount: number;
  readonly most: number;
}

export interface ReserveCommand {
  readonly kind: "reserve";
  readonly id: string;
  readonly limits: readonly BoundLimit[];
  readonly asks: Asks;
  /** The output cap of one answer may be lowered from `most` to what fits, not below `least`. */
  readonly output: OutputRange;
  /** Refuse an amount above 1/`share` of what any limit has left, observed ones too: for estimates too rough to decide near a limit. */
  readonly share?: number | undefined;
  /** Refuse, rather than shorten the answer, where leases hold what the whole call lacks: whoever asks will have it returned and ask again. */
  readonly patient?: boolean;
  /** Another process may end the call, so the store itself has to know it at once. */
  readonly isShared?: boolean | undefined;
  readonly leaseMs: number;
  /** The engine fills in the output and the cost that are held. */
  readonly detail: CallDetail;
}

export interface OutputRange {
  readonly least: number;
  readonly most: number;
}

export interface ExtendCommand {
  readonly kind: "extend";
  readonly id: string;
  readonly leaseMs: number;
}

export interface SettleCommand {
  readonly kind: "settle";
  readonly id: string;
  readonly amounts: Amounts;
  readonly charge: Charge;
}

export interface ReleaseCommand {
  readonly kind: "release";
  readonly id: string;
  readonly why: string;
}

/** Charges every hold whose lease has run out, at its estimate; or all holds, when their owner is known to be dead. */
export interface ExpireCommand {
  readonly kind: "expire";
  readonly all?: boolean;
}

/**
 * Writes down a refusal, an adjustment, a grant or its end. What an adjustment holds must belong to a reservation in flight, and what it
 * charges to one that ended to one whose charge can still be corrected, which then corrects that too; each on a counter that the reservation
 * is not posted to yet. Limits come into force only after those that they follow. A grant that ends must be there and one that begins must
 * not; else nothing is written. A reset takes back what is spent on its counters at that moment.
 */
export interface RecordCommand {
  readonly kind: "record";
  readonly entry: Recordable;
}

export type Recordable = DistributiveOmit<Extract<Entry, { kind: "denied" | "adjusted" | "granted" | "revoked" }>, "seq" | "at">;
type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;

export type Command = ReserveCommand | ExtendCommand | SettleCommand | ReleaseCommand | ExpireCommand | RecordCommand | LeaseCommand;

/** What is used of a limit. */
export interface Used {
  readonly spent: number;
  readonly held: number;
  /** How much of what is held no call uses yet, because it is allotted to leases. Left out where nothing is. */
  readonly allotted?: number;
}

/** How one limit stands, in the order of the command's limits. */
export interface Standing extends Used {
  /** The amount in force: that of the limit, with what is granted and carried over. */
  readonly amount: number;
}

export type ReserveResult =
  | {
      readonly outcome: "reserved";
      /** The output cap for one answer. */
      readonly outputTokens: number;
      readonly expiresAt: number;
      /** After the hold. */
      readonly standings: readonly Standing[];
      /** Indexes of the limits that would refuse, were they enforced. */
      readonly wouldRefuse: readonly number[];
      /** The call as it is held: where an id is repeated, as it was held the first time. */
      readonly detail: CallDetail;
    }
  /**
   * `failing`: the index of the limit that refuses, `asked`: the least the call asks of it, `until`: when that fits, if nothing else is
   * asked: 0 at any moment, `Infinity` never.
   */
  | {
      readonly outcome: "refused";
      readonly failing: number;
      readonly asked: number;
      readonly until: number;
      readonly standings: readonly Standing[];
    }
  /** The id was used before and its reservation has ended. */
  | { readonly outcome: "ended" }
  /**
   * A limit was bound to a window that is not open by the clock of the store: bind the limits anew, at its time, and ask again. Only a
   * store whose clock is not that of its callers answers so.
   */
  | { readonly outcome: "moved"; readonly now: number };

export type ExtendResult = { readonly outcome: "extended"; readonly expiresAt: number } | { readonly outcome: "unknown" };
/** `corrected`: the hold had expired, and its charge was replaced. */
export type SettleResult = { readonly outcome: "settled" | "corrected" | "duplicate" | "unknown" };
export type ReleaseResult = { readonly outcome: "released" | "corrected" | "duplicate" | "unknown" };
/** The ids of the reservations that were charged. */
export type ExpireResult = { readonly expired: readonly string[] };
/** `ignored`: it has no effect any more, and nothing was written. */
export type RecordResult = { readonly outcome: "recorded" | "ignored" };

export interface Counter extends Used, Slice {
  readonly ref: CounterRef;
  spent: number;
  held: number;
}

interface Hold {
  readonly id: string;
  expiresAt: number;
  readonly outputCap: number;
  postings: readonly Posting[];
  readonly detail: CallDetail;
}

/** What a hold was charged when its lease ran out, for a late settlement to correct. */
interface Expired {
  readonly postings: readonly Posting[];
  readonly detail: CallDetail;
}

/** All balances and holds of one store. Always the sum of the entries it was built from. */
export interface State {
  seq: number;
  readonly counters: Map<string, Counter>;
  /** The counters that are slices, by their series, in the order of time. One on which nothing stands is not kept. */
  readonly series: Map<string, Counter[]>;
  /** By the series that they add to. */
  readonly grants: Map<string, readonly Grant[]>;
  readonly holds: Map<string, Hold>;
  /** Reservations that ended lately, so that none ends twice. */
  readonly ended: Recent<true>;
  /** Of these, the ones that expired: they can still be corrected. */
  readonly expired: Recent<Expired>;
  readonly leases: Leases;
  /** The entry that last put limits in force, 0 where none did. */
  adopted: number;
}

/** How many ended and how many expired reservations are remembered at least. What comes later than that many calls is answered `unknown`. */
export const ENDED_MOST = 100_000;

export function createState(): State {
  return {
    seq: 0,
    counters: new Map(),
    series: new Map(),
    grants: new Map(),
    holds: new Map(),
    ended: new Recent(ENDED_MOST),
    expired: new Recent(ENDED_MOST),
    leases: new Leases(),
    adopted: 0,
  };
}

export interface Applied<Result> {
  readonly result: Result;
  /** The entries that the command added, already part of the state. */
  readonly entries: readonly Entry[];
}

/** What each kind of command is answered with. */
export interface Results {
  readonly reserve: ReserveResult;
  readonly extend: ExtendResult;
  readonly settle: SettleResult;
  readonly release: ReleaseResult;
  readonly expire: ExpireResult;
  readonly record: RecordResult;
  readonly lease: LeaseResult;
}

/** Decides a command and evolves the state by the entries it makes. Deterministic; the time comes in. */
export function apply<Kind extends Command["kind"]>(
  state: State,
  command: Extract<Command, { kind: Kind }>,
  now: number,
): Applied<Results[Kind]> {
  if (command.kind === "lease") return applyLease(state, command as LeaseCommand, now) as Applied<Results[Kind]>;
  const decided = decide(state, command as Exclude<Command, LeaseCommand>, now) as Applied<Results[Kind]>;
  for (const entry of decided.entries) evolve(state, entry);
  return decided;
}

function decide(state: State, command: Exclude<Command, LeaseCommand>, now: number): Applied<Results[Command["kind"]]> {
  if (command.kind === "reserve") return decideReserve(state, command, now);
  if (command.kind === "extend") return decideExtend(state, command, now);
  if (command.kind === "settle") return decideSettle(state, command, now);
  if (command.kind === "release") return decideRelease(state, command, now);
  if (command.kind === "expire") return decideExpire(state, command, now);
  return decideRecord(state, command, now);
}

function decideReserve(state: State, command: ReserveCommand, now: number): Applied<ReserveResult> {
  const { id, asks, share } = command;
  const isPlain = arePlain(command.limits);
  const limits = isPlain && state.grants.size === 0 ? command.limits : limitsInForce(state, command.limits, now);
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
    const lacking = heldByLeases(command, standingsOf(state, limits, used));
    for (const i of lacking) state.leases.recall((limits[i] as BoundLimit).counter.key, now);
    if (lacking.length > 0) return unchanged(refusal(state, command, { limits, used, first: lacking[0] as number, now }));
  }
  const outputCap = fittingOutput(command, limits, used);
  const postings: Posting[] = [];
  const after: Standing[] = [];
  const wouldRefuse: number[] = [];
  for (let i = 0; i < limits.length; i++) {
    const limit = limits[i] as BoundLimit;
    const before = used[i] as Used;
    const asked = amountOf(asks[limit.counter.unit], outputCap);
    if (!fits(limit, before, asked, share)) {
      if (limit.enforced || share !== undefined) return unchanged(refusal(state, command, { limits, used, first: i, now }));
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
 * The limits that have no room for the whole call because leases hold some of it. None where the call would be refused whatever they
 * return.
 */
export function heldByLeases({ limits, asks, output }: Omit<ReserveCommand, "kind">, standings: readonly Standing[]): readonly number[] {
  const lacking: number[] = [];
  for (const [i, limit] of limits.entries()) {
    const { amount, spent, held, allotted = 0 } = standings[i] as Standing;
    const inForce = { ...limit, amount };
    const ask = asks[limit.counter.unit];
    if (limit.enforced && !fits(inForce, { spent, held: held - allotted }, amountOf(ask, output.least))) return [];
    if (allotted > 0 && !fits(inForce, { spent, held }, amountOf(ask, output.most))) lacking.push(i);
  }
  return lacking;
}

function unchanged<Result>(result: Result): Applied<Result> {
  return { result, entries: [] };
}

/** Whether each limit is kept on one counter and asks for no other, as most do: then nothing more is to be looked at. */
function arePlain(limits: readonly BoundLimit[]): boolean {
  for (const limit of limits) if (limit.rule !== undefined || limit.rollover !== undefined) return false;
  return true;
}

/** The limits with the amounts that are in force. */
function limitsInForce(state: State, limits: readonly BoundLimit[], now: number): readonly BoundLimit[] {
  return limits.map((limit) => {
    const added = granted(state, limit, now) + carriedOver(state, limit);
    return added === 0 ? limit : { ...limit, amount: Math.min(Number.MAX_SAFE_INTEGER, limit.amount + added) };
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
function usageOf(state: State, { counter, rule }: BoundLimit, now: number): Used {
  if (rule === undefined) return counted(state, counter);
  const slices = state.series.get(counter.series ?? "");
  return slices === undefined ? UNUSED : seriesStanding(rule, slices, now);
}

function standingsOf(state: State, limits: readonly BoundLimit[], used: readonly Used[]): readonly Standing[] {
  return limits.map((limit, i) => standingOf(state, limit, used[i] as Used));
}

/** How a limit stands when a call holds so much more of it. */
function standingOf({ leases }: State, { amount, counter }: BoundLimit, used: Used, asked = 0): Standing {
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

/** The largest output cap that fits every enforced limit, or the least one where none does. */
function fittingOutput({ asks, output }: ReserveCommand, limits: readonly BoundLimit[], used: readonly Used[]): number {
  let tokens = output.most;
  for (let i = 0; i < limits.length; i++) {
    const limit = limits[i] as BoundLimit;
    const ask = asks[limit.counter.unit];
    const room = roomOf(limit, used[i] as Used);
    if (!limit.enforced || amountOf(ask, tokens) <= room) continue;
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
    const asked = amountOf(asks[limit.counter.unit], output.least);
    if (!limit.enforced || fits(limit, used[i] as Used, asked, share)) continue;
    const until = limitRefusedUntil(state, limit, asked, now);
    const part = asked / limit.amount;
    if (until < longest || (until === longest && part <= largest)) continue;
    [failing, longest, largest] = [i, until, part];
  }
  const asked = amountOf(asks[(limits[failing] as BoundLimit).counter.unit], output.least);
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
  const { subject, inputTokens, counted, price, pricedAs, allowance, rungs, insteadOf } = detail;
  const held: Changeable<CallDetail> = { subject, inputTokens, outputTokens, cost, counted, price };
  if (pricedAs !== undefined) held.pricedAs = pricedAs;
  if (allowance !== undefined) held.allowance = allowance;
  if (refusing.length > 0) held.wouldRefuse = [...new Set([...(detail.wouldRefuse ?? []), ...refusing])];
  else if (detail.wouldRefuse) held.wouldRefuse = detail.wouldRefuse;
  if (rungs) held.rungs = rungs;
  if (insteadOf) held.insteadOf = insteadOf;
  return held;
}

/** Made up field by field: an object that begins with the fields of another gets a shape of its own each time, which costs more than the call. */
type Changeable<Value> = { -readonly [name in keyof Value]: Value[name] };

function decideExtend(state: State, { id, leaseMs }: ExtendCommand, now: number): Applied<ExtendResult> {
  const hold = state.holds.get(id);
  if (!hold) return unchanged({ outcome: "unknown" });
  const expiresAt = Math.max(hold.expiresAt, now + leaseMs);
  return {
    result: { outcome: "extended", expiresAt },
    entries: [{ kind: "extended", seq: state.seq + 1, at: now, reservation: id, postings: [], expiresAt }],
  };
}

/** Holds are returned as `0 - held`: the `-held` of nothing is -0, which a ledger cannot keep. */
function decideSettle(state: State, { id, amounts, charge }: SettleCommand, now: number): Applied<SettleResult> {
  const hold = state.holds.get(id);
  if (!hold) return decideCorrection(state, id, { amounts, charge }, now);
  checkAmounts(amounts);
  const settled: Posting[] = [];
  const overrun: Posting[] = [];
  for (const { counter, held } of hold.postings) {
    const used = amounts[counter.unit];
    settled.push({ counter, held: 0 - held, spent: Math.min(used, held) });
    if (used <= held) continue;
    checkCountable(counter, counted(state, counter), used - held);
    overrun.push({ counter, held: 0, spent: used - held });
  }
  const { seq } = state;
  const { detail } = hold;
  const entries: Entry[] = [{ kind: "settled", seq: seq + 1, at: now, reservation: id, postings: settled, detail, charge }];
  if (overrun.length > 0) entries.push({ kind: "overrun", seq: seq + 2, at: now, reservation: id, postings: overrun, detail, charge });
  return { result: { outcome: "settled" }, entries };
}

function decideRelease(state: State, { id, why }: ReleaseCommand, now: number): Applied<ReleaseResult> {
  const hold = state.holds.get(id);
  if (!hold) return decideCorrection(state, id, NOTHING_USED, now);
  const postings = hold.postings.map(({ counter, held }) => ({ counter, held: 0 - held, spent: 0 }));
  return {
    result: { outcome: "released" },
    entries: [{ kind: "released", seq: state.seq + 1, at: now, reservation: id, postings, why, detail: hold.detail }],
  };
}

/** The end of a call whose hold expired corrects what was charged then; after any other end it changes nothing. */
function decideCorrection(
  state: State,
  id: string,
  { amounts, charge }: Pick<SettleCommand, "amounts" | "charge">,
  now: number,
): Applied<{ readonly outcome: "corrected" | "duplicate" | "unknown" }> {
  const expired = state.expired.get(id);
  if (!expired) return unchanged({ outcome: state.ended.has(id) ? "duplicate" : "unknown" });
  checkAmounts(amounts);
  const postings = expired.postings.map(({ counter, spent }) => {
    return { counter, held: 0, spent: correctable(counted(state, counter), counter, amounts[counter.unit] - spent) };
  });
  for (const { counter, spent } of postings) checkCountable(counter, counted(state, counter), spent);
  return {
    result: { outcome: "corrected" },
    entries: [{ kind: "corrected", seq: state.seq + 1, at: now, reservation: id, postings, detail: expired.detail, charge }],
  };
}

/**
 * What a correction takes back was taken back before where the balance was reset meanwhile, so that no more is left of it than that. Slices of
 * a bucket were drawn together, and a correction makes the history of one smaller than nothing.
 */
function correctable({ spent }: Used, { window }: CounterRef, change: number): number {
  return isBucketText(window) ? change : Math.max(change, Math.min(0, 0 - spent));
}

/** What a call that was never sent used. */
export const NOTHING_USED: Pick<SettleCommand, "amounts" | "charge"> = {
  amounts: { nanodollars: 0, tokens: 0, input_tokens: 0, output_tokens: 0, requests: 0, concurrent: 0 },
  charge: { usage: { inputTokens: 0, outputTokens: 0 }, cost: 0, certainty: "confirmed" },
};

function decideExpire(state: State, { all }: ExpireCommand, now: number): Applied<ExpireResult> {
  const entries: Entry[] = [];
  if (all) state.leases.endRecalls();
  for (const hold of state.holds.values()) {
    if (!all && hold.expiresAt > now) continue;
    const { id, detail } = hold;
    const postings = hold.postings.map(({ counter, held }) => ({
      counter,
      held: 0 - held,
      spent: counter.unit === "concurrent" ? 0 : held,
    }));
    entries.push({
      kind: "expired",
      seq: state.seq + entries.length + 1,
      at: now,
      reservation: id,
      postings,
      detail,
      charge: estimatedCharge(detail),
    });
  }
  const expired = entries.map(({ reservation }) => reservation);
  for (const lease of state.leases.values()) {
    if (lease.end !== undefined || (!all && lease.expiresAt > now)) continue;
    entries.push({
      kind: "leased",
      seq: state.seq + entries.length + 1,
      at: now,
      reservation: lease.id,
      ...leaseChange(lease, expiredLease(lease)),
    });
  }
  return { result: { expired }, entries };
}

/** A report and what is wanted after it: the one command of several steps, of which each sees what those before it changed. */
function applyLease(state: State, command: LeaseCommand, now: number): Applied<LeaseResult> {
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
    return apply(state, step, now).entries;
  } catch (error) {
    if (!(error instanceof PurserError) || error.code === "internal") throw error;
    rejected.push({ id: step.id, message: error.message });
    return [];
  }
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

function decideRecord(state: State, { entry }: RecordCommand, now: number): Applied<RecordResult> {
  const recorded = recordable(state, entry);
  if (!recorded) return unchanged({ outcome: "ignored" });
  for (const { counter, spent, held } of recorded.postings) checkCountable(counter, counted(state, counter), spent + held);
  return { result: { outcome: "recorded" }, entries: [{ seq: state.seq + 1, at: now, ...recorded }] };
}

/** The entry as it is to be written; nothing where it has no effect any more. */
function recordable(state: State, entry: Recordable): Recordable | undefined {
  if (entry.kind === "granted" || entry.kind === "revoked") {
    const isGranted = state.grants.get(grantSeries(entry.grant))?.some(({ id }) => id === entry.grant.id) ?? false;
    return isGranted === (entry.kind === "revoked") ? entry : undefined;
  }
  if (entry.kind === "adjusted" && entry.reset) return { ...entry, postings: resetPostings(state, entry.postings) };
  if (entry.kind === "denied") return entry;
  if (entry.adopted?.follows !== undefined && entry.adopted.follows !== state.adopted) return undefined;
  const { reservation } = entry;
  const [hold, expired] = [state.holds.get(reservation), state.expired.get(reservation)];
  if (!hold && (entry.postings.some(({ held }) => held !== 0) || (state.ended.has(reservation) && !expired))) return undefined;
  const known = new Set((hold ?? expired)?.postings.map(({ counter }) => counter.key));
  const postings = entry.postings.filter(({ counter }) => !known.has(counter.key));
  return postings.length === 0 && entry.postings.length > 0 ? undefined : { ...entry, postings };
}

/** Whatever was spent when the reset was asked for, it takes back what is spent when it is made: two at once take it back once. */
function resetPostings(state: State, postings: readonly Posting[]): readonly Posting[] {
  return postings.map(({ counter }) => ({ counter, held: 0, spent: 0 - counted(state, counter).spent })).filter(({ spent }) => spent !== 0);
}

export function checkAmounts(amounts: Amounts): void {
  for (const unit of UNITS) {
    const used = amounts[unit];
    if (Number.isSafeInteger(used) && used >= 0) continue;
    throw new PurserError("amount_invalid", `A call cannot have used ${used} ${unit}. Settle it with whole numbers of 0 or more.`);
  }
}

/** Keeps spent and held together within what is counted exactly. Checked before anything changes, so that a refusal leaves no trace. */
export function checkCountable({ budget, unit }: CounterRef, { spent, held }: Used, added: number): void {
  if (Number.isSafeInteger(added) && Number.isSafeInteger(spent + held + added)) return;
  throw new PurserError("amount_too_large", `${added} ${unit} more on budget "${budget}" are too many to be counted exactly.`);
}

/** Adds one entry to the state: how every change happens, live and when a journal is read back. Entries already known are skipped. */
export function evolve(state: State, entry: Entry): void {
  if (entry.seq <= state.seq) return;
  if (entry.seq !== state.seq + 1)
    throw new PurserError("internal", `Ledger entry ${entry.seq} follows ${state.seq}: entries are missing between them.`);
  state.seq = entry.seq;
  for (const posting of entry.postings) post(state, posting);
  const id = entry.reservation;
  if (entry.kind === "reserved") {
    state.holds.set(id, {
      id,
      expiresAt: entry.expiresAt,
      outputCap: entry.outputCap,
      postings: entry.postings,
      detail: entry.detail,
    });
  } else if (entry.kind === "extended") {
    const hold = state.holds.get(id);
    if (hold) hold.expiresAt = entry.expiresAt;
  } else if (entry.kind === "settled" || entry.kind === "released") {
    end(state, id);
  } else if (entry.kind === "expired") {
    end(state, id);
    state.expired.set(id, { postings: entry.postings, detail: entry.detail });
  } else if (entry.kind === "corrected") {
    state.expired.delete(id);
  } else if (entry.kind === "adjusted") {
    if (entry.adopted) state.adopted = entry.seq;
    // Of what a call holds nothing of, or was charged nothing for, it can still use more than that.
    const hold = state.holds.get(id);
    if (hold) hold.postings = [...hold.postings, ...entry.postings];
    const expired = state.expired.get(id);
    if (expired) state.expired.set(id, { ...expired, postings: [...expired.postings, ...entry.postings] });
  } else if (entry.kind === "leased") {
    state.leases.set(leaseOf(entry));
  } else if (entry.kind === "granted") {
    const series = grantSeries(entry.grant);
    state.grants.set(series, [...(state.grants.get(series) ?? []), entry.grant]);
  } else if (entry.kind === "revoked") {
    keepGrants(state, grantSeries(entry.grant), (grant) => grant.id !== entry.grant.id);
  }
}

function keepGrants({ grants }: State, series: string, isKept: (grant: Grant) => boolean): void {
  const kept = (grants.get(series) ?? []).filter(isKept);
  if (kept.length > 0) grants.set(series, kept);
  else grants.delete(series);
}

function end(state: State, id: string): void {
  const hold = state.holds.get(id);
  // A map in which many come and go leaves outgrown tables to the collector of garbage: nothing large may hang on what was in them.
  if (hold) hold.postings = NO_POSTINGS;
  state.holds.delete(id);
  state.ended.set(id, true);
}

const NO_POSTINGS: readonly Posting[] = [];

function post(state: State, { counter: ref, held, spent }: Posting): void {
  let counter = state.counters.get(ref.key);
  if (!counter) {
    counter = { ref, spent: 0, held: 0 };
    addCounter(state, counter);
  }
  counter.held += held;
  counter.spent += spent;
  if (counter.held < 0 || !Number.isSafeInteger(counter.spent) || !Number.isSafeInteger(counter.held)) {
    throw new PurserError("internal", `Counter ${ref.key} would hold ${counter.held} and have spent ${counter.spent}.`);
  }
  if (ref.series !== undefined && counter.held === 0 && counter.spent === 0) forget(state, counter);
}

/** Adds a counter as it stands, as when a snapshot is read. */
export function addCounter({ counters, series }: State, counter: Counter): void {
  const { key, series: name, startsAt } = counter.ref;
  counters.set(key, counter);
  if (name === undefined) return;
  const slices = series.get(name);
  if (!slices) {
    series.set(name, [counter]);
    return;
  }
  // Time goes on, so a slice nearly always belongs at the end.
  let i = slices.length;
  while (i > 0 && (slices[i - 1] as Counter).ref.startsAt > startsAt) i--;
  slices.splice(i, 0, counter);
}

function forget({ counters, series }: State, { ref }: Counter): void {
  counters.delete(ref.key);
  if (ref.series === undefined) return;
  const slices = (series.get(ref.series) ?? []).filter((slice) => slice.ref.key !== ref.key);
  if (slices.length > 0) series.set(ref.series, slices);
  else series.delete(ref.series);
}

const UNUSED: Used = { spent: 0, held: 0 };

function counted({ counters }: State, { key }: CounterRef): Used {
  return counters.get(key) ?? UNUSED;
}

/** What a call with this output cap asks of a unit, rounded up to whole units. */
export function amountOf({ base, perOutputToken, scale }: Ask, outputTokens: number): number {
  return Math.ceil((base + perOutputToken * outputTokens) / scale);
}

/** Forgets counters whose window closed before `closedBefore` and on which nothing is held. Their entries stay in the ledger. */
export function compact(state: State, closedBefore: number): readonly string[] {
  const forgotten: string[] = [];
  for (const [key, { ref, held }] of state.counters) {
    if (ref.series === undefined && ref.resetsAt !== undefined && keptUntil(ref, ref.resetsAt) < closedBefore && held === 0) {
      state.counters.delete(key);
      forgotten.push(key);
    }
  }
  for (const [series, grants] of state.grants) {
    if (grants.some(({ until }) => until < closedBefore)) keepGrants(state, series, ({ until }) => until >= closedBefore);
  }
  return forgotten;
}

/** What a window left unused is asked for during the next one, which may be a little longer. */
export function keptUntil({ window, startsAt }: CounterRef, resetsAt: number): number {
  return rollsOver(window) ? resetsAt + 2 * (resetsAt - startsAt) : resetsAt;
}

/** Forgets the slices that no window reaches any more: those of a bucket together, when it has been empty since before. */
export function compactSlices(state: State, closedBefore: number): readonly string[] {
  const forgotten: string[] = [];
  for (const slices of state.series.values()) {
    const isClosed = ({ ref, held }: Counter) => held === 0 && (ref.resetsAt ?? Number.POSITIVE_INFINITY) < closedBefore;
    const closed = isBucketText((slices[0] as Counter).ref.window) && !slices.every(isClosed) ? [] : slices.filter(isClosed);
    for (const slice of closed) {
      forget(state, slice);
      forgotten.push(slice.ref.key);
    }
  }
  return forgotten;
}
