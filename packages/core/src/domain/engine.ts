import { PurserError } from "../errors.ts";
import {
  allottedOf,
  coverOpened,
  expiredLease,
  fairPart,
  type Grant,
  type Lease,
  type LeaseCommand,
  type LeaseResult,
  type LeaseStep,
  Leases,
  leaseChange,
  leaseOf,
  type OpenStep,
  type Rejected,
  type Want,
} from "./lease.ts";
import type { CallDetail, Charge, CounterRef, Entry, Posting } from "./ledger.ts";
import { UNITS, type Unit } from "./limit.ts";
import { Recent } from "./recent.ts";

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
  readonly counter: CounterRef;
  readonly amount: number;
  /** `false` counts without refusing. */
  readonly enforced: boolean;
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

/** Writes down a refusal or an adjustment. What an adjustment holds must belong to a reservation in flight; else nothing is written. */
export interface RecordCommand {
  readonly kind: "record";
  readonly entry: Recordable;
}

export type Recordable = DistributiveOmit<Extract<Entry, { kind: "denied" | "adjusted" }>, "seq" | "at">;
type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;

export type Command = ReserveCommand | ExtendCommand | SettleCommand | ReleaseCommand | ExpireCommand | RecordCommand | LeaseCommand;

/** Spent and held on the counter of one limit, in the order of the command's limits. */
export interface Standing {
  readonly spent: number;
  readonly held: number;
  /** How much of what is held no call uses yet, because it is allotted to leases. Left out where nothing is. */
  readonly allotted?: number;
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
  /** `failing`: the index of the limit that refuses, `asked`: the least the call asks of it. */
  | { readonly outcome: "refused"; readonly failing: number; readonly asked: number; readonly standings: readonly Standing[] }
  /** The id was used before and its reservation has ended. */
  | { readonly outcome: "ended" };

export type ExtendResult = { readonly outcome: "extended"; readonly expiresAt: number } | { readonly outcome: "unknown" };
/** `corrected`: the hold had expired, and its charge was replaced. */
export type SettleResult = { readonly outcome: "settled" | "corrected" | "duplicate" | "unknown" };
export type ReleaseResult = { readonly outcome: "released" | "corrected" | "duplicate" | "unknown" };
export type ExpireResult = { readonly expired: number };

export interface Counter extends Standing {
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
  readonly holds: Map<string, Hold>;
  /** Reservations that ended lately, so that none ends twice. */
  readonly ended: Recent<true>;
  /** Of these, the ones that expired: they can still be corrected. */
  readonly expired: Recent<Expired>;
  readonly leases: Leases;
}

/** How many ended and how many expired reservations are remembered at least. What comes later than that many calls is answered `unknown`. */
export const ENDED_MOST = 100_000;

export function createState(): State {
  return {
    seq: 0,
    counters: new Map(),
    holds: new Map(),
    ended: new Recent(ENDED_MOST),
    expired: new Recent(ENDED_MOST),
    leases: new Leases(),
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
  readonly record: undefined;
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
  const { id, limits, asks, share } = command;
  const standings = limits.map(({ counter }) => standing(state, counter));
  const open = state.holds.get(id);
  if (open) {
    const { outputCap, expiresAt, detail } = open;
    return unchanged({
      outcome: "reserved",
      outputTokens: outputCap,
      expiresAt,
      standings: limits.map(({ counter }) => copyOf(state, counter)),
      wouldRefuse: [],
      detail,
    });
  }
  if (state.ended.has(id)) return unchanged({ outcome: "ended" });

  const outputCap = fittingOutput(command, standings);
  const postings: Posting[] = [];
  const after: Standing[] = [];
  const wouldRefuse: number[] = [];
  for (let i = 0; i < limits.length; i++) {
    const limit = limits[i] as BoundLimit;
    const before = standings[i] as Standing;
    const asked = amountOf(asks[limit.counter.unit], outputCap);
    if (!fits(limit, before, asked, share)) {
      if (limit.enforced || share !== undefined)
        return unchanged(
          refusal(
            command,
            limits.map(({ counter }) => copyOf(state, counter)),
            i,
          ),
        );
      wouldRefuse.push(i);
    }
    checkCountable(limit.counter, before, asked);
    postings.push({ counter: limit.counter, held: asked, spent: 0 });
    after.push({ ...copyOf(state, limit.counter), held: before.held + asked });
  }

  const expiresAt = now + command.leaseMs;
  const detail = heldDetail(command, outputCap, wouldRefuse);
  return {
    result: { outcome: "reserved", outputTokens: outputCap, expiresAt, standings: after, wouldRefuse, detail },
    entries: [{ kind: "reserved", seq: state.seq + 1, at: now, reservation: id, postings, expiresAt, outputCap, detail }],
  };
}

function unchanged<Result>(result: Result): Applied<Result> {
  return { result, entries: [] };
}

/** The largest output cap that fits every enforced limit, or the least one where none does. */
function fittingOutput({ limits, asks, output }: ReserveCommand, standings: readonly Standing[]): number {
  let tokens = output.most;
  for (let i = 0; i < limits.length; i++) {
    const limit = limits[i] as BoundLimit;
    const ask = asks[limit.counter.unit];
    const room = roomOf(limit, standings[i] as Standing);
    if (!limit.enforced || amountOf(ask, tokens) <= room) continue;
    // What does not fit asks more than there is room for, so `room * scale` stays below an amount that was exact.
    const fitting = ask.perOutputToken > 0 ? Math.floor((room * ask.scale - ask.base) / ask.perOutputToken) : 0;
    tokens = Math.max(output.least, Math.min(tokens, fitting));
  }
  return tokens;
}

export function fits(limit: BoundLimit, standing: Standing, asked: number, share = 1): boolean {
  // Calls are counted exactly whatever the estimate, so the share does not concern them. Neither does it what is free.
  const factor = limit.counter.unit === "concurrent" || limit.counter.unit === "requests" ? 1 : share;
  return asked === 0 || asked * factor <= roomOf(limit, standing);
}

function roomOf({ amount }: BoundLimit, { spent, held }: Standing): number {
  return amount - spent - held;
}

/** Of all limits that refuse, names the one that keeps refusing for longest: first what can never fit, then what resets last. */
export function refusal({ limits, asks, output, share }: ReserveCommand, standings: readonly Standing[], first: number): ReserveResult {
  let failing = first;
  let longest = -1;
  let largest = 0;
  for (const [i, limit] of limits.entries()) {
    const asked = amountOf(asks[limit.counter.unit], output.least);
    const standing = standings[i] as Standing;
    if (!limit.enforced || fits(limit, standing, asked, share)) continue;
    const until = refusedUntil(limit, standing, asked);
    const part = asked / limit.amount;
    if (until < longest || (until === longest && part <= largest)) continue;
    [failing, longest, largest] = [i, until, part];
  }
  const asked = amountOf(asks[(limits[failing] as BoundLimit).counter.unit], output.least);
  return { outcome: "refused", failing, asked, standings };
}

/**
 * When a refusal passes: never for what is larger than the limit, at the reset for what is larger than the unspent rest, and at 0, any
 * moment, for what only calls in flight are in the way of.
 */
export function refusedUntil({ amount, counter }: BoundLimit, { spent, held, allotted = 0 }: Standing, asked: number): number {
  if (asked > amount) return Number.POSITIVE_INFINITY;
  // A request in flight is used up, whatever it returns of its money and tokens. One that a lease could make is not.
  const used = counter.unit === "requests" ? spent + held - allotted : spent;
  return used + asked > amount ? (counter.resetsAt ?? Number.MAX_SAFE_INTEGER) : 0;
}

export function heldDetail({ asks, limits, detail }: ReserveCommand, outputCap: number, wouldRefuse: readonly number[]): CallDetail {
  const isPriced = detail.price !== undefined || detail.allowance !== undefined;
  const outputTokens = amountOf(asks.output_tokens, outputCap);
  const cost = isPriced ? amountOf(asks.nanodollars, outputCap) : undefined;
  if (wouldRefuse.length === 0) return { ...detail, outputTokens, cost };
  const refusing = new Set(detail.wouldRefuse);
  for (const i of wouldRefuse) refusing.add((limits[i] as BoundLimit).counter.budget);
  return { ...detail, outputTokens, cost, wouldRefuse: [...refusing] };
}

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
    checkCountable(counter, standing(state, counter), used - held);
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
  const postings = expired.postings.map(({ counter, spent }) => ({ counter, held: 0, spent: amounts[counter.unit] - spent }));
  for (const { counter, spent } of postings) checkCountable(counter, standing(state, counter), spent);
  return {
    result: { outcome: "corrected" },
    entries: [{ kind: "corrected", seq: state.seq + 1, at: now, reservation: id, postings, detail: expired.detail, charge }],
  };
}

const NOTHING_USED: Pick<SettleCommand, "amounts" | "charge"> = {
  amounts: { nanodollars: 0, tokens: 0, input_tokens: 0, output_tokens: 0, requests: 0, concurrent: 0 },
  charge: { usage: { inputTokens: 0, outputTokens: 0 }, cost: 0, certainty: "confirmed" },
};

function decideExpire(state: State, { all }: ExpireCommand, now: number): Applied<ExpireResult> {
  const entries: Entry[] = [];
  for (const hold of state.holds.values()) {
    if (!all && hold.expiresAt > now) continue;
    const { id, detail } = hold;
    const postings = hold.postings.map(({ counter, held }) => ({
      counter,
      held: 0 - held,
      spent: counter.unit === "concurrent" ? 0 : held,
    }));
    const usage = { inputTokens: detail.inputTokens, outputTokens: detail.outputTokens };
    const charge: Charge = { usage, cost: detail.cost, certainty: "unconfirmed" };
    entries.push({ kind: "expired", seq: state.seq + entries.length + 1, at: now, reservation: id, postings, detail, charge });
  }
  const expired = entries.length;
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
  const known = state.leases.get(id);
  const wants = distinct(command.wants);
  if (known?.end === "returned") return unchanged({ outcome: "ended" });
  if (known && report <= known.reported) return unchanged(leaseResult(state, known, wants, []));
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
    return { counter, amount: isExpired ? Math.min(own, want.amount) : allottedOf(want, own, fairOf(state, want, own)) };
  });
  change({ ...lease, allotments: allotments.filter(({ amount }) => amount > 0) });
  return { result: leaseResult(state, lease, wants, rejected), entries };
}

/** One want for each counter: the first. */
function distinct(wants: readonly Want[]): readonly Want[] {
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

function leaseResult(state: State, lease: Lease, wants: readonly Want[], rejected: readonly Rejected[]): LeaseResult {
  const owns = new Map(lease.allotments.map(({ counter, amount }) => [counter.key, amount]));
  const grants = wants.map((want): Grant => {
    const own = owns.get(want.limit.counter.key) ?? 0;
    return { amount: own, fair: fairOf(state, want, own), standing: copyOf(state, want.limit.counter) };
  });
  return { outcome: lease.end === "expired" ? "expired" : "leased", expiresAt: lease.expiresAt, grants, rejected };
}

/** A holder that has nothing yet is one more. */
function fairOf(state: State, { limit }: Want, own: number): number {
  const { key } = limit.counter;
  return fairPart(limit.amount, standing(state, limit.counter), own, state.leases.holders(key) + (own > 0 ? 0 : 1));
}

function decideRecord(state: State, { entry }: RecordCommand, now: number): Applied<undefined> {
  const { postings, reservation } = entry;
  if (postings.some(({ held }) => held !== 0) && !state.holds.has(reservation)) return unchanged(undefined);
  for (const { counter, spent, held } of postings) checkCountable(counter, standing(state, counter), spent + held);
  return { result: undefined, entries: [{ seq: state.seq + 1, at: now, ...entry }] };
}

export function checkAmounts(amounts: Amounts): void {
  for (const unit of UNITS) {
    const used = amounts[unit];
    if (Number.isSafeInteger(used) && used >= 0) continue;
    throw new PurserError("amount_invalid", `A call cannot have used ${used} ${unit}. Settle it with whole numbers of 0 or more.`);
  }
}

/** Keeps spent and held together within what is counted exactly. Checked before anything changes, so that a refusal leaves no trace. */
export function checkCountable({ budget, unit }: CounterRef, { spent, held }: Standing, added: number): void {
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
    const hold = state.holds.get(id);
    const held = entry.postings.filter((posting) => posting.held !== 0);
    if (hold && held.length > 0) hold.postings = [...hold.postings, ...held];
  } else if (entry.kind === "leased") {
    state.leases.set(leaseOf(entry));
  }
}

function end(state: State, id: string): void {
  state.holds.delete(id);
  state.ended.set(id, true);
}

function post(state: State, { counter: ref, held, spent }: Posting): void {
  let counter = state.counters.get(ref.key);
  if (!counter) {
    counter = { ref, spent: 0, held: 0 };
    state.counters.set(ref.key, counter);
  }
  counter.held += held;
  counter.spent += spent;
  if (counter.held < 0 || !Number.isSafeInteger(counter.spent) || !Number.isSafeInteger(counter.held)) {
    throw new PurserError("internal", `Counter ${ref.key} would hold ${counter.held} and have spent ${counter.spent}.`);
  }
}

const UNUSED: Standing = { spent: 0, held: 0 };

/** As it stands: the counter itself, which goes on changing. What leaves the engine is a copy. */
function standing(state: State, { key }: CounterRef): Standing {
  return state.counters.get(key) ?? UNUSED;
}

function copyOf(state: State, counter: CounterRef): Standing {
  const { spent, held } = standing(state, counter);
  const allotted = state.leases.allotted(counter.key);
  return allotted > 0 ? { spent, held, allotted } : { spent, held };
}

/** What a call with this output cap asks of a unit, rounded up to whole units. */
export function amountOf({ base, perOutputToken, scale }: Ask, outputTokens: number): number {
  return Math.ceil((base + perOutputToken * outputTokens) / scale);
}

/** Forgets counters whose window closed before `closedBefore` and on which nothing is held. Their entries stay in the ledger. */
export function compact(state: State, closedBefore: number): readonly string[] {
  const forgotten: string[] = [];
  for (const [key, { ref, held }] of state.counters) {
    if (ref.resetsAt !== undefined && ref.resetsAt < closedBefore && held === 0) {
      state.counters.delete(key);
      forgotten.push(key);
    }
  }
  return forgotten;
}
