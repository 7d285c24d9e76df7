import { PurserError } from "../errors.ts";
import type { CallDetail, Charge, CounterRef, Entry, Posting } from "./ledger.ts";
import type { Unit } from "./limit.ts";

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
  /** The output cap may be lowered from `most` to what fits, not below `least`. */
  readonly output: { readonly least: number; readonly most: number };
  /** Refuse an amount above 1/`share` of what is left: for estimates too rough to be held near a limit. */
  readonly share?: number;
  readonly leaseMs: number;
  readonly detail: CallDetail;
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

/** Writes down what is not a call: a refusal, or usage carried into a new window. */
export interface RecordCommand {
  readonly kind: "record";
  readonly entry: Recordable;
}

export type Recordable = DistributiveOmit<Extract<Entry, { kind: "denied" | "adjusted" }>, "seq" | "at">;
type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;

export type Command = ReserveCommand | ExtendCommand | SettleCommand | ReleaseCommand | ExpireCommand | RecordCommand;

/** Spent and held on the counter of one limit, in the order of the command's limits. */
export interface Standing {
  readonly spent: number;
  readonly held: number;
}

export type ReserveResult =
  | {
      readonly outcome: "reserved";
      readonly outputTokens: number;
      readonly expiresAt: number;
      readonly standings: readonly Standing[];
      readonly wouldRefuse: readonly number[];
    }
  /** `failing`: the index of the limit that refuses, `asked`: the least the call asks of it. */
  | { readonly outcome: "refused"; readonly failing: number; readonly asked: number; readonly standings: readonly Standing[] }
  /** The id was used before and its reservation has ended. */
  | { readonly outcome: "ended" };

export type ExtendResult = { readonly outcome: "extended"; readonly expiresAt: number } | { readonly outcome: "unknown" };
export type SettleResult = { readonly outcome: "settled" | "corrected" | "duplicate" | "unknown" };
export type ReleaseResult = { readonly outcome: "released" | "duplicate" | "unknown" };
export type ExpireResult = { readonly expired: number };

export interface Counter extends Standing {
  readonly ref: CounterRef;
  spent: number;
  held: number;
}

interface Hold {
  readonly id: string;
  expiresAt: number;
  readonly outputTokens: number;
  readonly postings: readonly Posting[];
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
  /** Reservations that ended lately, oldest first, so that none ends twice. */
  readonly ended: Set<string>;
  /** Of these, the ones that expired: they can still be corrected. */
  readonly expired: Map<string, Expired>;
}

/** How many ended and how many expired reservations are remembered. What comes later than that many calls is answered `unknown`. */
export const ENDED_MOST = 100_000;

export function createState(): State {
  return { seq: 0, counters: new Map(), holds: new Map(), ended: new Set(), expired: new Map() };
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
}

/** Decides a command and evolves the state by the entries it makes. Deterministic; the time comes in. */
export function apply<Kind extends Command["kind"]>(
  state: State,
  command: Extract<Command, { kind: Kind }>,
  now: number,
): Applied<Results[Kind]> {
  const decided = decide(state, command, now) as Applied<Results[Kind]>;
  for (const entry of decided.entries) evolve(state, entry);
  return decided;
}

function decide(state: State, command: Command, now: number): Applied<Results[Command["kind"]]> {
  if (command.kind === "reserve") return decideReserve(state, command, now);
  if (command.kind === "extend") return decideExtend(state, command, now);
  if (command.kind === "settle") return decideSettle(state, command, now);
  if (command.kind === "release") return decideRelease(state, command, now);
  if (command.kind === "expire") return decideExpire(state, command, now);
  return { result: undefined, entries: [{ ...command.entry, seq: state.seq + 1, at: now }] };
}

function decideReserve(state: State, command: ReserveCommand, now: number): Applied<ReserveResult> {
  const { id, limits, asks, output } = command;
  const open = state.holds.get(id);
  const standings = limits.map(({ counter }) => standing(state, counter));
  if (open)
    return {
      result: { outcome: "reserved", outputTokens: open.outputTokens, expiresAt: open.expiresAt, standings, wouldRefuse: [] },
      entries: [],
    };
  if (state.ended.has(id)) return { result: { outcome: "ended" }, entries: [] };

  const outputTokens = fittingOutput(command, standings);
  const failing = limits.findIndex(
    (limit, i) => limit.enforced && !fits(limit, standings[i] as Standing, asks, outputTokens, command.share),
  );
  if (failing >= 0) {
    const worst = worstFailing(command, standings, failing);
    return {
      result: {
        outcome: "refused",
        failing: worst,
        asked: amountOf(asks[(limits[worst] as BoundLimit).counter.unit], output.least),
        standings,
      },
      entries: [],
    };
  }

  const wouldRefuse = limits.flatMap((limit, i) => (fits(limit, standings[i] as Standing, asks, outputTokens) ? [] : [i]));
  const postings = limits.map(({ counter }) => ({ counter, held: amountOf(asks[counter.unit], outputTokens), spent: 0 }));
  const observed = [...(command.detail.wouldRefuse ?? []), ...wouldRefuse.map((i) => (limits[i] as BoundLimit).counter.budget)];
  const cost = command.detail.price === undefined ? undefined : amountOf(asks.nanodollars, outputTokens);
  const detail: CallDetail = { ...command.detail, outputTokens, cost, ...(observed.length > 0 && { wouldRefuse: observed }) };
  const expiresAt = now + command.leaseMs;
  const after = standings.map(({ spent, held }, i) => ({ spent, held: held + (postings[i] as Posting).held }));
  return {
    result: { outcome: "reserved", outputTokens, expiresAt, standings: after, wouldRefuse },
    entries: [{ kind: "reserved", seq: state.seq + 1, at: now, reservation: id, postings, expiresAt, detail }],
  };
}

/** The largest output cap that fits every enforced limit, or the least one where none does. */
function fittingOutput({ limits, asks, output }: ReserveCommand, standings: readonly Standing[]): number {
  let tokens = output.most;
  for (const [i, limit] of limits.entries()) {
    const ask = asks[limit.counter.unit];
    const { spent, held } = standings[i] as Standing;
    const room = limit.amount - spent - held;
    if (!limit.enforced || amountOf(ask, tokens) <= room) continue;
    // What does not fit asks more than there is room for, so `room * scale` stays below an amount that was exact.
    const fitting = ask.perOutputToken > 0 ? Math.floor((room * ask.scale - ask.base) / ask.perOutputToken) : 0;
    tokens = Math.max(output.least, Math.min(tokens, fitting));
  }
  return tokens;
}

function fits(limit: BoundLimit, { spent, held }: Standing, asks: Asks, outputTokens: number, share = 1): boolean {
  const asked = amountOf(asks[limit.counter.unit], outputTokens);
  // Calls at once are counted exactly whatever the estimate, so the share does not concern them. Neither does it what is free.
  const factor = limit.counter.unit === "concurrent" || limit.counter.unit === "requests" ? 1 : share;
  return asked === 0 || asked * factor <= limit.amount - spent - held;
}

/** Of all limits that refuse, the one that keeps refusing for longest: first what could never fit, then what resets last. */
function worstFailing({ limits, asks, output, share }: ReserveCommand, standings: readonly Standing[], first: number): number {
  let worst = first;
  let worstRank = -1;
  for (let i = first; i < limits.length; i++) {
    const limit = limits[i] as BoundLimit;
    const { spent } = standings[i] as Standing;
    if (!limit.enforced || fits(limit, standings[i] as Standing, asks, output.least, share)) continue;
    const asked = amountOf(asks[limit.counter.unit], output.least);
    const resets = limit.counter.resetsAt ?? Number.MAX_SAFE_INTEGER;
    const rank = asked > limit.amount ? Number.POSITIVE_INFINITY : spent + asked > limit.amount ? resets : 0;
    if (rank > worstRank) {
      worst = i;
      worstRank = rank;
    }
  }
  return worst;
}

function decideExtend(state: State, { id, leaseMs }: ExtendCommand, now: number): Applied<ExtendResult> {
  const hold = state.holds.get(id);
  if (!hold) return { result: { outcome: "unknown" }, entries: [] };
  const expiresAt = Math.max(hold.expiresAt, now + leaseMs);
  return {
    result: { outcome: "extended", expiresAt },
    entries: [{ kind: "extended", seq: state.seq + 1, at: now, reservation: id, postings: [], expiresAt }],
  };
}

function decideSettle(state: State, command: SettleCommand, now: number): Applied<SettleResult> {
  const { id, amounts, charge } = command;
  const hold = state.holds.get(id);
  if (!hold) return settleLate(state, command, now);
  const settled = hold.postings.map(({ counter, held }) => ({ counter, held: -held, spent: Math.min(amounts[counter.unit], held) }));
  const overrun = hold.postings.flatMap(({ counter, held }) =>
    amounts[counter.unit] > held ? [{ counter, held: 0, spent: amounts[counter.unit] - held }] : [],
  );
  const base = { at: now, reservation: id, detail: hold.detail, charge };
  const entries: Entry[] = [{ ...base, kind: "settled", seq: state.seq + 1, postings: settled }];
  if (overrun.length > 0) entries.push({ ...base, kind: "overrun", seq: state.seq + 2, postings: overrun });
  return { result: { outcome: "settled" }, entries };
}

/** A settlement after the hold expired corrects what was charged then; after any other end it changes nothing. */
function settleLate(state: State, { id, amounts, charge }: SettleCommand, now: number): Applied<SettleResult> {
  const expired = state.expired.get(id);
  if (!expired) return { result: { outcome: state.ended.has(id) ? "duplicate" : "unknown" }, entries: [] };
  const postings = expired.postings.map(({ counter, spent }) => ({ counter, held: 0, spent: amounts[counter.unit] - spent }));
  return {
    result: { outcome: "corrected" },
    entries: [{ kind: "corrected", seq: state.seq + 1, at: now, reservation: id, postings, detail: expired.detail, charge }],
  };
}

function decideRelease(state: State, { id, why }: ReleaseCommand, now: number): Applied<ReleaseResult> {
  const hold = state.holds.get(id);
  if (!hold) return { result: { outcome: state.ended.has(id) ? "duplicate" : "unknown" }, entries: [] };
  const postings = hold.postings.map(({ counter, held }) => ({ counter, held: -held, spent: 0 }));
  return {
    result: { outcome: "released" },
    entries: [{ kind: "released", seq: state.seq + 1, at: now, reservation: id, postings, why, detail: hold.detail }],
  };
}

function decideExpire(state: State, { all }: ExpireCommand, now: number): Applied<ExpireResult> {
  const entries: Entry[] = [];
  for (const hold of state.holds.values()) {
    if (!all && hold.expiresAt > now) continue;
    const postings = hold.postings.map(({ counter, held }) => ({ counter, held: -held, spent: counter.unit === "concurrent" ? 0 : held }));
    const usage = { inputTokens: hold.detail.inputTokens, outputTokens: hold.detail.outputTokens };
    const charge: Charge = { usage, cost: hold.detail.cost, certainty: "unconfirmed" };
    entries.push({
      kind: "expired",
      seq: state.seq + entries.length + 1,
      at: now,
      reservation: hold.id,
      postings,
      detail: hold.detail,
      charge,
    });
  }
  return { result: { expired: entries.length }, entries };
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
      outputTokens: entry.detail.outputTokens,
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
    dropOldest(state.expired);
  } else if (entry.kind === "corrected") {
    state.expired.delete(id);
  }
}

function end(state: State, id: string): void {
  state.holds.delete(id);
  state.ended.add(id);
  dropOldest(state.ended);
}

/** Maps and sets keep the order of insertion, so the first is the oldest. */
function dropOldest(remembered: Set<string> | Map<string, unknown>): void {
  if (remembered.size <= ENDED_MOST) return;
  const oldest = remembered.keys().next().value;
  if (oldest !== undefined) remembered.delete(oldest);
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

const NOTHING: Standing = { spent: 0, held: 0 };

function standing(state: State, { key }: CounterRef): Standing {
  const counter = state.counters.get(key);
  return counter ? { spent: counter.spent, held: counter.held } : NOTHING;
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
