import {
  amountOf,
  type BoundLimit,
  type ExtendResult,
  type ReleaseResult,
  type ReserveCommand,
  type ReserveResult,
  type SettleResult,
  type Standing,
} from "../../domain/command.ts";
import { checkAmounts, usedOn } from "../../domain/ending.ts";
import type { Allotment, LeaseCommand, LeaseResult, LeaseStep, OpenStep } from "../../domain/lease.ts";
import type { CallDetail, Entry } from "../../domain/ledger.ts";
import { Recent } from "../../domain/recent.ts";
import { heldByLeases, heldDetail } from "../../domain/reserve.ts";
import { type Counter, checkCountable, ENDED_MOST } from "../../domain/state.ts";
import { askOn } from "../../domain/weights.ts";
import { PurserError } from "../../errors.ts";
import type { Timers } from "../../timers.ts";
import type { CounterFilter, LeasingStore, LedgerQuery, Store } from "../store.ts";
import { Demand } from "./demand.ts";
import { holdsOf, Rooms, type Sent } from "./rooms.ts";

export interface LeasedStoreSettings {
  readonly store: LeasingStore;
  readonly now: () => number;
  readonly timers: Timers;
  readonly newId: () => string;
  readonly onError: (error: unknown) => void;
  readonly leaseMs: number;
  readonly reportMs: number;
  readonly clockAllowanceMs: number;
}

/** A store over allotments of another one. */
export interface LeasedStore extends Store {
  /** Reports all that was done so far, so that the other store knows it. */
  report(): Promise<void>;
}

/** A call that was admitted here. */
interface OwnCall {
  readonly id: string;
  readonly holds: readonly Allotment[];
  readonly outputCap: number;
  expiresAt: number;
  readonly standings: readonly Standing[];
  readonly detail: CallDetail;
  /** Whether the store was told of it, or is being told. */
  isReported: boolean;
}

/** What is still to be reported. */
type Step = { readonly kind: "open"; readonly call: OwnCall } | Exclude<LeaseStep, OpenStep>;

/** A report on its way, until it is answered. */
interface Report {
  readonly command: Omit<LeaseCommand, "kind">;
  readonly steps: readonly Step[];
  readonly sent: Sent;
  readonly sentAt: number;
}

/** A report has at most so many steps, so that it does not keep others waiting for the store. */
const STEPS_MOST = 250;
/** A call that finds no room asks for more, this many times between two reports at most. */
const EARLY_REPORTS = 8;
/** A call waits for what other holders return for so many times the span between two reports. */
const PATIENCE = 1.5;
const PATIENT_LOOKS = 4;
/** What was wanted in vain is not wanted again for so many times the span between two reports. */
const PAUSE = 5;

/**
 * A store that decides what it can from allotments of another store, and asks that one for the rest. A call is decided here only if all
 * its limits have room here, whole; any other is decided there, with all its limits: so none is refused or shortened for want of an
 * allotment, and none is held in two places.
 */
export class AllottedStore implements LeasedStore {
  readonly time?: NonNullable<Store["time"]>;
  readonly alone?: NonNullable<Store["alone"]>;
  readonly #store: LeasingStore;
  readonly #settings: LeasedStoreSettings;
  readonly #now: () => number;
  readonly #demand = new Demand();
  readonly #rooms = new Rooms();
  readonly #calls = new Map<string, OwnCall>();
  /** Whether a call ended here, or is one that the store knows and has to be asked about. */
  readonly #known = new Recent<"ended" | "asked">(ENDED_MOST);
  #steps: Step[] = [];
  #stepsAdded = 0;
  #stepsReported = 0;
  #lease: { readonly id: string; reported: number; usableUntil: number; hasRunOut: boolean } | undefined;
  #report: Report | undefined;
  #reporting: Promise<void> | undefined;
  #reportedAt = Number.NEGATIVE_INFINITY;
  #measuredAt: number;
  #callOff: (() => void) | undefined;
  #hasFailed = false;
  #closed: Promise<void> | undefined;
  #isShut = false;

  constructor(settings: LeasedStoreSettings) {
    this.#settings = settings;
    this.#store = settings.store;
    this.#now = settings.now;
    this.#measuredAt = settings.now();
    const { time, alone } = settings.store;
    if (time) this.time = () => time.call(settings.store);
    if (alone) this.alone = (work) => alone.call(settings.store, work) as ReturnType<typeof work>;
  }

  async reserve(command: Omit<ReserveCommand, "kind">): Promise<ReserveResult> {
    if (this.#closed) throw closedError();
    const { id, limits, asks, output } = command;
    const own = this.#calls.get(id);
    if (own) return reservedOf(own);
    const known = this.#known.get(id);
    if (known === "ended") return { outcome: "ended" };
    const asked = limits.map(({ counter }) => amountOf(askOn(asks, counter), output.most));
    const areBusy = this.#demand.note(limits, asked);
    this.#wake();
    if (known === undefined && !command.isShared) {
      const call = this.#admit(command, asked);
      if (call) return reservedOf(call);
      if (areBusy && this.#rooms.couldGrow(limits, asked)) this.#reportEarly();
    }
    return this.#ask(command);
  }

  async extend(command: Parameters<Store["extend"]>[0]): Promise<ExtendResult> {
    const { id, leaseMs, more } = command;
    const call = this.#calls.get(id);
    // More is held where all that is held is known: the store takes the call over.
    if (!call || more || !this.#isInTime(call)) return this.#passOn(id, () => this.#store.extend(command));
    call.expiresAt = Math.max(call.expiresAt, this.#now() + leaseMs);
    if (call.isReported) this.#add({ kind: "extend", id, leaseMs });
    return { outcome: "extended", expiresAt: call.expiresAt };
  }

  async settle(command: Parameters<Store["settle"]>[0]): Promise<SettleResult> {
    const { id } = command;
    const call = this.#calls.get(id);
    if (!call || !this.#isInTime(call)) return this.#endElsewhere(id, () => this.#store.settle(command));
    checkAmounts(command.amounts);
    for (const [i, { counter, amount }] of call.holds.entries()) {
      checkCountable(counter, call.standings[i] as Standing, Math.max(0, usedOn(counter, command) - amount));
    }
    this.#end(id, { kind: "settle", ...command });
    return { outcome: "settled" };
  }

  async release(command: Parameters<Store["release"]>[0]): Promise<ReleaseResult> {
    const { id } = command;
    const call = this.#calls.get(id);
    if (!call || !this.#isInTime(call)) return this.#endElsewhere(id, () => this.#store.release(command));
    this.#end(id, { kind: "release", ...command });
    return { outcome: "released" };
  }

  async expire(): ReturnType<Store["expire"]> {
    for (const call of this.#calls.values()) if (call.isReported && !this.#isInTime(call)) this.#forget(call.id);
    return this.#store.expire();
  }

  async record(entry: Parameters<Store["record"]>[0]): ReturnType<Store["record"]> {
    // What is held for a call in flight, or taken back of what was spent, has to meet what is not reported yet.
    if (entry.kind === "adjusted") await this.#reportAll();
    return this.#store.record(entry);
  }

  async counters(filter?: CounterFilter): Promise<readonly Readonly<Counter>[]> {
    await this.#reportAll();
    return this.#store.counters(filter);
  }

  async standings(limits: readonly BoundLimit[]): Promise<readonly Standing[]> {
    await this.#reportAll();
    return this.#store.standings(limits);
  }

  async entries(query: LedgerQuery): Promise<readonly Entry[]> {
    await this.#reportAll();
    return this.#store.entries(query);
  }

  report(): Promise<void> {
    return this.#reportAll();
  }

  failure(): PurserError | undefined {
    return this.#store.failure?.();
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#callOff?.();
    try {
      await this.#reporting?.catch(() => undefined);
      while (this.#lease || this.#report || this.#steps.length > 0) await this.#reportNow();
    } catch (error) {
      // What could not be reported is charged when the lease runs out.
      this.#settings.onError(error);
    }
    this.#isShut = true;
    await this.#store.close();
  }

  /** Admits a call inside the allotments, whole. */
  #admit(command: Omit<ReserveCommand, "kind">, asked: readonly number[]): OwnCall | undefined {
    const { id, limits, output, leaseMs, share } = command;
    const now = this.#now();
    if (!this.#lease || now >= this.#lease.usableUntil || limits.length === 0) return undefined;
    const standings = this.#rooms.use(limits, asked, share);
    if (!standings) return undefined;
    const detail = heldDetail(command, output.most, []);
    const expiresAt = now + leaseMs;
    const call = { id, holds: holdsOf(limits, asked), outputCap: output.most, expiresAt, standings, detail, isReported: false };
    this.#calls.set(id, call);
    this.#add({ kind: "open", call });
    return call;
  }

  /** Asks the store, and again when leases have returned what they hold of what the call lacks. */
  async #ask(command: Omit<ReserveCommand, "kind">): Promise<ReserveResult> {
    const { id, limits, share } = command;
    this.#known.set(id, "asked");
    const until = this.#now() + PATIENCE * this.#settings.reportMs;
    let result = await this.#store.reserve(share === undefined ? { ...command, patient: true } : command);
    while (result.outcome === "refused" && share === undefined && heldByLeases(command, result.standings, this.#now()).length > 0) {
      const isLast = this.#now() >= until;
      if (!isLast) await this.#recall(limits);
      result = await this.#store.reserve(isLast ? command : { ...command, patient: true });
      if (isLast) break;
    }
    // A call that is refused may ask again, for another size or without an allowance; so may one whose limits have to be bound anew.
    if (result.outcome === "refused" || result.outcome === "moved") this.#known.delete(id);
    return result;
  }

  /** Returns what is at hand of these limits, or waits for others to do so. */
  async #recall(limits: readonly BoundLimit[]): Promise<void> {
    const { reportMs, timers } = this.#settings;
    if (this.#rooms.recall(limits, this.#now() + reportMs)) {
      await this.#reporting?.catch(() => undefined);
      await this.#reportNow();
    } else {
      await new Promise<void>((resolve) => timers.after(reportMs / PATIENT_LOOKS, resolve));
    }
  }

  /** After its lease has run out the store may have charged a call, and says itself what became of it. */
  #isInTime({ expiresAt }: OwnCall): boolean {
    return this.#now() < expiresAt;
  }

  async #passOn<Result>(id: string, ask: () => Promise<Result>): Promise<Result> {
    if (this.#calls.has(id)) {
      await this.#reportAll();
      this.#forget(id);
    }
    return ask();
  }

  async #endElsewhere<Result extends SettleResult | ReleaseResult>(
    id: string,
    ask: () => Promise<Result>,
  ): Promise<Result | { readonly outcome: "duplicate" }> {
    return this.#known.get(id) === "ended" ? { outcome: "duplicate" } : this.#passOn(id, ask);
  }

  #forget(id: string): void {
    this.#calls.delete(id);
    this.#known.set(id, "asked");
  }

  #end(id: string, step: Step): void {
    this.#calls.delete(id);
    this.#known.set(id, "ended");
    this.#add(step);
  }

  #add(step: Step): void {
    if (this.#isShut) throw closedError();
    this.#steps.push(step);
    this.#stepsAdded++;
    this.#wake();
    if (this.#steps.length >= STEPS_MOST) this.#reportEarly();
  }

  /** Sees to it that there is a report soon. */
  #wake(): void {
    if (this.#closed) return;
    this.#callOff ??= this.#settings.timers.after(this.#settings.reportMs, () => this.#look());
  }

  #look(): void {
    this.#callOff = undefined;
    const now = this.#now();
    this.#demand.measure(now - this.#measuredAt);
    this.#measuredAt = now;
    const isBusy = !this.#demand.busy().next().done;
    if (this.#lease || this.#report || this.#steps.length > 0 || isBusy) this.#reportInBackground();
    if (this.#lease || this.#report || this.#steps.length > 0 || !this.#demand.isEmpty) this.#wake();
  }

  #reportEarly(): void {
    if (this.#reporting || this.#now() - this.#reportedAt < this.#settings.reportMs / EARLY_REPORTS) return;
    this.#reportInBackground();
  }

  #reportInBackground(): void {
    this.#reportNow().catch((error) => {
      if (!this.#hasFailed) this.#settings.onError(error);
      this.#hasFailed = true;
    });
  }

  /** Reports all that was done so far. */
  async #reportAll(): Promise<void> {
    const all = this.#stepsAdded;
    while (this.#stepsReported < all) await this.#reportNow();
  }

  /** Sends one report, the last one again where it was not answered. */
  #reportNow(): Promise<void> {
    this.#reporting ??= this.#exchange().finally(() => {
      this.#reporting = undefined;
    });
    return this.#reporting;
  }

  async #exchange(): Promise<void> {
    this.#report ??= this.#compose();
    const report = this.#report;
    if (!report) return;
    this.#reportedAt = this.#now();
    const result = await this.#store.lease(report.command);
    this.#report = undefined;
    this.#hasFailed = false;
    const isUrgent = this.#take(report, result);
    if ((isUrgent || this.#steps.length >= STEPS_MOST) && !this.#closed) this.#settings.timers.after(0, () => this.#reportInBackground());
  }

  /** What was done and what is wanted; nothing where there is neither. A lease without either ends. */
  #compose(): Report | undefined {
    const { newId, leaseMs, reportMs } = this.#settings;
    const sentAt = this.#now();
    const wantsNone = this.#lease?.hasRunOut || this.#closed !== undefined;
    const sent = this.#rooms.resize(wantsNone ? [] : this.#demand.busy(), sentAt, reportMs);
    if (!this.#lease && sent.wants.length === 0 && this.#steps.length === 0) return undefined;
    this.#lease ??= { id: newId(), reported: 0, usableUntil: Number.NEGATIVE_INFINITY, hasRunOut: false };
    const { id, reported } = this.#lease;
    const steps = this.#steps.splice(0, STEPS_MOST);
    const ends = sent.wants.length === 0 && this.#steps.length === 0;
    const command = { id, report: reported + 1, steps: steps.map((step) => written(step, sentAt)), wants: sent.wants, leaseMs, ends };
    return { command, steps, sent, sentAt };
  }

  /** Takes over what the store answered. Whether another report should follow at once. */
  #take({ command, steps, sent, sentAt }: Report, result: LeaseResult): boolean {
    const { leaseMs, clockAllowanceMs, onError } = this.#settings;
    const lease = this.#lease;
    if (!lease || result.outcome === "unknown") {
      // The store lost the lease. What was admitted under it is reported under another: counted, though nothing is held for it.
      this.#lease = undefined;
      this.#rooms.clear();
      this.#steps.unshift(...steps);
      onError(
        new PurserError("store_unavailable", `The store has lost the lease ${command.id}. What was admitted under it is counted again.`),
      );
      return false;
    }
    this.#stepsReported += steps.length;
    if (result.outcome === "ended") {
      this.#lease = undefined;
      this.#rooms.clear();
      return false;
    }
    for (const { id, message } of result.rejected)
      onError(new PurserError("internal", `The end of call ${id} cannot be counted: ${message}`));
    lease.reported = command.report;
    if (result.outcome === "expired") {
      lease.hasRunOut = true;
      lease.usableUntil = Number.NEGATIVE_INFINITY;
      this.#rooms.clear();
      return true;
    }
    lease.usableUntil = sentAt + leaseMs - 2 * clockAllowanceMs;
    return this.#rooms.take(sent, result.portions, this.#now() + PAUSE * this.#settings.reportMs);
  }
}

/** A step as the store takes it, its times as they stand when it is sent. */
function written(step: Step, now: number): LeaseStep {
  if (step.kind !== "open") return step;
  const { id, holds, outputCap, expiresAt, detail } = step.call;
  step.call.isReported = true;
  return { kind: "open", id, holds, outputCap, leaseMs: Math.max(0, expiresAt - now), detail };
}

function reservedOf({ outputCap, expiresAt, standings, detail }: OwnCall): ReserveResult {
  return { outcome: "reserved", outputTokens: outputCap, expiresAt, standings, wouldRefuse: [], detail };
}

function closedError(): PurserError {
  return new PurserError("store_unavailable", "The store is closed. Open it again to use it.");
}
