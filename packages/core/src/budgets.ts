import { type AdjustedNow, type AdjustingGrant, type AdjustingOutlook, Adjustments, type ReadEvidence } from "./adjustments.ts";
import { Admission, type Call, endedDenial, LEASE_MS, type Terms } from "./admission.ts";
import { Adoption } from "./adoption.ts";
import { allowanceBalance, allowanceName, type BoundBudgetLimit, balanceOf, Counters, type Pool, withKept } from "./counters.ts";
import { type Budget, checkSharing, minOutputOf, subjectLabel } from "./domain/budget.ts";
import {
  type BoundLimit,
  type ExpireResult,
  type ExtendResult,
  isEnforced,
  type OutputRange,
  type ReleaseResult,
  type SettleResult,
  type Standing,
} from "./domain/command.ts";
import type { Balance, Decision, Denial, DenialReason } from "./domain/decision.ts";
import { finishes as canFinish } from "./domain/finish.ts";
import { defineGrant, type GrantInput, subjectOf } from "./domain/grant.ts";
import { changesCalls } from "./domain/ladder.ts";
import {
  type Certainty,
  type Charge,
  type Entry,
  type EntryKind,
  estimatedCharge,
  type Grant,
  type KnownAnswer,
  type Posting,
  type RefusingLimit,
} from "./domain/ledger.ts";
import { LEAKY_WAIT_MS, type Limit, limitId, limitOf, parseLimit } from "./domain/limit.ts";
import { observes } from "./domain/mode.ts";
import { costOf, type RateCard, type ServiceTier } from "./domain/price.ts";
import { amountsOf } from "./domain/quote.ts";
import { resentOf, type Sent } from "./domain/resent.ts";
import type { Reservation } from "./domain/reservation.ts";
import { type PricedModel, type RungEffect, savingsOf } from "./domain/saving.ts";
import type { Subject } from "./domain/subject.ts";
import type { Usage } from "./domain/usage.ts";
import { PurserError } from "./errors.ts";
import { Gate } from "./gate.ts";
import { type ActiveRung, describeBlock, type LadderPlan, Ladders } from "./ladders.ts";
import { type SharedOut, Sharings, type StandingLimit } from "./sharings.ts";
import { LEDGER_PAGE, type Store } from "./stores/store.ts";
import { TIMERS, type Timers } from "./timers.ts";
import { UnpaidCalls } from "./unpaid-calls.ts";
import { type Place, WaitingCalls } from "./waiting-calls.ts";

/** Where prices come from. `undefined`: the model has no price. */
export interface PriceSource {
  card(provider: string, model: string, at: number): RateCard | undefined;
}

/** Tokens that a provider gives away: a call that fits what is left of it costs nothing. */
export interface Allowance {
  readonly name: string;
  readonly limit: Limit;
  /** When it ends, in epoch milliseconds; never where it is left out. */
  readonly until?: number | undefined;
  applies(provider: string, model: string): boolean;
}

export interface BudgetsOptions {
  readonly store: Store;
  readonly budgets: readonly Budget[];
  readonly prices: PriceSource;
  readonly allowances?: readonly Allowance[];
  /** Epoch milliseconds; `Date.now` where it is left out. */
  readonly now?: () => number;
  /** Says why calls of a subject are switched off; nothing where they are not. */
  readonly switchedOff?: (subject: Subject) => string | undefined;
  /** Told what calls are charged, as it is written down. `takenBack` is the estimate in whose place a charge stands. */
  readonly onCharge?: (id: string, subject: Subject, charge: Charge, takenBack?: Charge) => void;
  /** Told of every refusal, with the id of the call. */
  readonly onDenial?: (subject: Subject, denial: Denial, id: string) => void;
  /** What lets calls wait in a leaky bucket; those of the process where it is left out. */
  readonly timers?: Timers;
  /** Told of failures that no caller waits for, such as a refusal that could not be written down. */
  readonly onError?: (error: unknown) => void;
}

/** What is to begin again at nothing. */
export interface ResetInput {
  readonly budget: string;
  /** Whose balance: a value for each of the budget's `per`. */
  readonly for?: Subject;
  /** Which limit, written like one: `$50 / month`. All of the budget where it is left out. */
  readonly limit?: string;
  readonly giver: string;
  readonly why: string;
}

/** How often a call that waits only for calls in flight asks again. */
const BUSY_RETRY_MS = 100;
/** A call that is first in line asks again at least this often, because a hold may be returned before anything drains. */
const FIRST_RETRY_MS = 1_000;

type Configuration = Pick<BudgetsOptions, "budgets" | "prices" | "allowances">;

/** Budgets over a store: the one path on which every call is admitted, settled and returned. */
export class Budgets implements PriceSource {
  readonly #store: Store;
  readonly #now: () => number;
  readonly #onError: (error: unknown) => void;
  /** Says why calls of a subject are switched off; nothing where they are not. */
  readonly switchedOff: (subject: Subject) => string | undefined;
  readonly #onCharge: NonNullable<BudgetsOptions["onCharge"]>;
  readonly #onDenial: NonNullable<BudgetsOptions["onDenial"]>;
  readonly #background = new Set<Promise<unknown>>();
  readonly #gate = new Gate();
  readonly #waiting: WaitingCalls;
  readonly #unpaid = new UnpaidCalls((entry) => void this.background(this.#store.record(entry)));
  #budgets: readonly Budget[] = [];
  #prices: PriceSource;
  #allowances: readonly Allowance[] = [];
  /** Whether limits may be in force in the store that this process does not go by: it was told that they could not be. */
  #isDoubtful = false;
  #counters = new Counters();
  readonly #ladders = new Ladders();
  /** Whether any limit lets calls wait. */
  #isLeaky = false;
  /** Whether any budget keeps room for a last answer. */
  #canFinish = false;
  #hasLadders = false;
  readonly #sharings: Sharings;
  readonly #adjustments: Adjustments;

  constructor(options: BudgetsOptions) {
    const { store, now = Date.now, timers = TIMERS, onError = NEVER, switchedOff = NEVER, ...others } = options;
    const { onCharge = NEVER, onDenial = NEVER, ...configuration } = others;
    this.#store = store;
    this.#now = now;
    this.#waiting = new WaitingCalls(timers);
    this.#onError = onError;
    this.switchedOff = switchedOff;
    this.#onCharge = onCharge;
    this.#onDenial = onDenial;
    this.#prices = configuration.prices;
    const standings = (budgets: readonly Budget[], at: number) => this.#standingsOf(budgets, {}, at);
    this.#sharings = new Sharings({ store, time: () => this.#time(), standings });
    this.#adjustments = new Adjustments({ store, time: () => this.#time(), standings });
    checkBudgets(configuration);
    this.#apply(configuration);
  }

  /**
   * Replaces budgets, prices and allowances. What was used stays used: a new limit starts from the ledger of its window, calls in flight
   * included. Calls are admitted by the old ones until then, and by none of them after.
   *
   * Where several processes share a store, one of them puts limits in force for all: the others pass `untilAdopted`, which is called when
   * they admit no more calls, and resolves when that is done.
   */
  configure(configuration: Configuration, untilAdopted?: () => Promise<void>): Promise<void> {
    checkBudgets(configuration);
    return this.#gate.change(async (close) => {
      if (untilAdopted) {
        await close();
        await untilAdopted();
      } else await this.#alone(() => this.#adopt(configuration, close));
      this.#apply(configuration);
    });
  }

  async #adopt({ budgets }: Configuration, close: () => Promise<void>): Promise<void> {
    const adoption = new Adoption(this.#store, budgets, this.#isDoubtful);
    this.#isDoubtful = true;
    await adoption.read(await this.#time());
    const outdated = await this.#adjustments.outdated(budgets, await this.#time());
    await close();
    // What rules had decided ends with them: no call comes by the new limits and the old decision.
    await this.#adjustments.end(outdated);
    await adoption.finish(await this.#time());
    this.#isDoubtful = false;
  }

  /** Two that take over the same usage at the same time would count it twice. */
  #alone(work: () => Promise<void>): Promise<void> {
    return this.#store.alone ? this.#store.alone(work) : work();
  }

  async #time(): Promise<number> {
    return this.#store.time ? this.#store.time() : this.#now();
  }

  /** Puts the limits in force, from the ledger where they are new to the store. To be called once after start, before the first call. */
  async adopt(): Promise<void> {
    await this.configure({ budgets: this.#budgets, prices: this.#prices, allowances: this.#allowances });
    for (const id of this.#store.expiredAtStart ?? []) void this.background(this.#tellCharge(id, "expired"));
  }

  /**
   * Holds the most that a call can use on every limit that applies, or on none. A denial is a value. A call that only a leaky bucket refuses
   * waits for its turn first; it rejects with the reason of its signal, where that is aborted meanwhile.
   */
  reserve(call: Call): Promise<Decision> {
    const off = this.switchedOff(call.subject);
    if (off !== undefined) return Promise.resolve(this.refuse(call, "switched_off", off));
    return this.#canFinish ? this.#reserveUnlessEnded(call) : this.#admit(call);
  }

  #admit(call: Call): Promise<Decision> {
    const leaky = this.#isLeaky ? this.#leakyOf(call) : [];
    return leaky.length > 0 ? this.#reserveInTurn(call, leaky) : this.#attempt(call, decide, this.#recordDenial);
  }

  #leakyOf(call: Call): readonly BoundBudgetLimit[] {
    const { limits, now } = this.#terms(call);
    return limits.filter((bound) => isLeaky(bound, now));
  }

  /** A task that has its last answer begins no other call, however little that would use. What is granted opens it again, for one more. */
  async #reserveUnlessEnded(call: Call): Promise<Decision> {
    const { finishing } = this.#counters.bindSubject(this.#budgets, call.subject, this.#now());
    let lastAnswers = 1;
    for (const budget of finishing) {
      const { last, spent, isGranted, balance } = await this.#lastAnswerOf(budget, call);
      if (isGranted) lastAnswers = 2;
      if (spent < (isGranted ? 2 : 1)) continue;
      const denial = endedDenial(last, balance, { isOver: true });
      this.#recordDenial(call, denial, this.#unasked(call));
      return { outcome: "denied", denial, balances: balance ? [balance] : [] };
    }
    return this.#admit(finishing.length === 0 ? call : { ...call, lastAnswers });
  }

  async #lastAnswerOf(budget: Budget, { subject }: Call) {
    const now = this.#now();
    const label = subjectLabel(budget, subject);
    const limits = this.#counters.bind(budget, label, now);
    const last = this.#counters.bindLast(budget, label);
    const [standing, ...others] = await this.#standingsOrNone([last, ...limits]);
    const isGranted = others.some(({ amount }, i) => amount > (limits[i] as BoundLimit).amount);
    const balance = limits[0] && others[0] && balanceOf(limits[0], others[0], now);
    return { last, spent: standing?.spent ?? 0, isGranted, balance };
  }

  /** Whether a store that cannot be asked admits calls is decided where they are admitted. */
  async #standingsOrNone(limits: readonly BoundLimit[]): Promise<readonly Standing[]> {
    try {
      return await this.#store.standings(limits);
    } catch (error) {
      if (error instanceof PurserError && error.code === "store_unavailable") return [];
      throw error;
    }
  }

  /** Asks for a call once. `onDenied` is told of a denial. */
  async #attempt(call: Call, ask: (admission: Admission) => Promise<Decision>, onDenied: OnDenied): Promise<Decision> {
    while (this.#gate.closed) await this.#gate.closed;
    const admission = new Admission(call, (now) => this.#terms(call, now), this.#store);
    this.#gate.enter();
    try {
      const decision = await ask(admission);
      if (decision.outcome === "denied") onDenied(call, decision.denial, admission);
      return decision;
    } catch (error) {
      if (!(error instanceof PurserError && error.code === "store_unavailable")) throw error;
      this.#onError(error);
      return await admission.decideWithoutStore(error);
    } finally {
      this.#gate.leave();
    }
  }

  /** The budgets that calls are admitted by. */
  get configured(): readonly Budget[] {
    return this.#budgets;
  }

  /** Whether any budget has a ladder that could change a call. */
  get hasLadders(): boolean {
    return this.#hasLadders;
  }

  /**
   * What the ladders of a subject's budgets say to its next call. Nothing where none of them has a ladder. `ending`: budgets of whose task it is the
   * last call, for want of room for another one.
   */
  async ladder(subject: Subject, ending: readonly string[] = []): Promise<LadderPlan | undefined> {
    const now = this.#now();
    const enforced = this.#budgets.filter((budget) => !observes(budget, now) && budget.selects(subject));
    const laddered = enforced.filter(({ ladder }) => changesCalls(ladder));
    if (laddered.length === 0) return undefined;
    const balances = await this.#balancesOf(laddered, { subject });
    return {
      rungs: this.#ladders.active(laddered, balances, subject, ending),
      outputTokensLeast: minOutputOf(enforced),
      allowsModel: (model) => enforced.every((budget) => budget.allowsModel(model)),
    };
  }

  /** Refuses a call by a rung of a ladder, and writes it down. */
  block(call: Call, active: ActiveRung): Extract<Decision, { outcome: "denied" }> {
    return this.refuse(call, "budget_exhausted", describeBlock(active), active.balance);
  }

  /** Writes down a call that got an answer which was known: it holds nothing and is charged nothing. */
  recordAnswer(call: Call, known: KnownAnswer): void {
    const detail = this.#unasked(call).detail();
    const entry = { kind: "answered", reservation: call.id, postings: [], detail, known } as const;
    this.#unpaid.add([known.rung], entry, this.#now());
  }

  /** Refuses a call for a reason that is no matter of what is left, and writes it down. */
  refuse(call: Call, reason: DenialReason, message: string, balance?: Balance): Extract<Decision, { outcome: "denied" }> {
    const denial: Denial = { reason, balance, asked: undefined, retryAfterMs: undefined, message };
    this.#recordDenial(call, denial, this.#unasked(call));
    return { outcome: "denied", denial, balances: balance ? [balance] : [] };
  }

  /** What is known of a call that nobody asks the store about. */
  #unasked(call: Call): Admission {
    return new Admission(call, (now) => this.#terms(call, now), this.#store);
  }

  /** Calls of one leaky bucket ask one after the other, so that none is overtaken; the first of them asks again until it fits. */
  async #reserveInTurn(call: Call, leaky: readonly BoundBudgetLimit[]): Promise<Decision> {
    const behind = (admission: Admission) => {
      const longest = leaky.reduce((one, other) => (this.#lineLength(other) > this.#lineLength(one) ? other : one));
      return admission.refuseBehind(longest, this.#lineLength(longest));
    };
    const place = this.#waiting.enter(leaky.map(lineOf));
    if (!place) return this.#attempt(call, behind, this.#recordDenial);
    const patient = { ...call, input: countedOnce(call.input) };
    const signal = typeof call.signal === "function" ? call.signal() : call.signal;
    const giveUpAt = this.#now() + Math.min(...leaky.map(({ limit }) => limit.waitMs ?? LEAKY_WAIT_MS));
    try {
      if (!(await this.#turn(place, giveUpAt, signal))) return await this.#attempt(call, behind, this.#recordDenial);
      for (;;) {
        signal?.throwIfAborted();
        let waitMs: number | undefined;
        const decision = await this.#attempt(patient, decide, (_, denial, admission) => {
          waitMs = this.#waitFor(admission, giveUpAt);
          if (waitMs === undefined) this.#recordDenial(call, denial, admission);
        });
        if (waitMs === undefined) return decision;
        await this.#waiting.wait(place, waitMs, signal);
      }
    } finally {
      this.#waiting.leave(place);
    }
  }

  /** When to ask again for a call that was refused; nothing where it was not by a leaky bucket that has room in time. */
  #waitFor({ refusal }: Admission, giveUpAt: number): number | undefined {
    const now = this.#now();
    if (!refusal || !isLeaky(refusal.bound, now)) return undefined;
    const againAt = refusal.until === 0 ? now + BUSY_RETRY_MS : refusal.until;
    return againAt > giveUpAt ? undefined : Math.min(againAt - now, FIRST_RETRY_MS);
  }

  /** Resolves to whether the call is first, at latest when it gives up. */
  async #turn(place: Place, giveUpAt: number, signal: AbortSignal | undefined): Promise<boolean> {
    if (!this.#waiting.isFirst(place)) await this.#waiting.wait(place, Math.max(0, giveUpAt - this.#now()), signal);
    return this.#waiting.isFirst(place);
  }

  #lineLength(bound: BoundBudgetLimit): number {
    return this.#waiting.length(lineOf(bound));
  }

  /**
   * Replaces the hold by what was used. `certainty` says who counted, `service` at which tier the provider served the call, `sent` how
   * much of it its session had sent before, and `effects` what ladders did to it.
   */
  async settle(
    reservation: Reservation,
    usage: Usage,
    certainty: Certainty = "confirmed",
    service: ServiceTier = reservation.service,
    sent?: Sent,
    effects?: readonly RungEffect[],
  ): Promise<SettleResult & { readonly charge: Charge }> {
    const { id, subject, card, free } = reservation;
    const known = completeUsage(usage, reservation);
    const cost = free ? 0 : card && costOf(card, known, service);
    const sure = known === usage ? certainty : "unconfirmed";
    // An estimate of a call whose end is unknown says nothing of what it sent.
    const resent = sent && sure !== "unconfirmed" ? resentOf(sent, known, { card, service, isFree: free }) : undefined;
    const charged: Charge = {
      usage: known,
      cost,
      certainty: sure,
      ...(service !== "standard" && { service }),
      ...(resent && { resent }),
    };
    const charge = effects ? this.#withSavings(charged, reservation, effects) : charged;
    const { outcome } = await this.#store.settle({ id, amounts: amountsOf(known, cost), charge });
    if (outcome === "settled") this.#onCharge(id, subject, charge);
    if (outcome === "corrected") void this.background(this.#tellCharge(id, "corrected"));
    return { outcome, charge };
  }

  #withSavings(charge: Charge, { card, free }: Reservation, effects: readonly RungEffect[]): Charge {
    const { service = "standard" } = charge;
    const now = this.#now();
    const priceOf = ({ provider, pricedAs }: PricedModel) =>
      this.#allowances.some((allowance) => isGiven(allowance, provider, pricedAs, now)) ? undefined : this.card(provider, pricedAs, now);
    return { ...charge, savings: savingsOf(effects, charge, { card, service, isFree: free, priceOf }) };
  }

  /** Returns the hold of a call that was never sent, or that the provider does not charge. */
  async release({ id }: Reservation, why: string): Promise<ReleaseResult> {
    const released = await this.#store.release({ id, why });
    if (released.outcome === "corrected") void this.background(this.#tellCharge(id, "corrected"));
    return released;
  }

  /** Renews the lease of a call that is still in flight. */
  async extend(reservation: Reservation, leaseMs = LEASE_MS): Promise<Exclude<ExtendResult, { readonly outcome: "refused" }>> {
    const extended = await this.#store.extend({ id: reservation.id, leaseMs });
    if (extended.outcome === "refused")
      throw new PurserError("internal", `A lease was refused that asks for nothing more: ${reservation.id}.`);
    return extended;
  }

  /**
   * Holds more of the answer of a call in flight: as much as fits, from `least` to `most` tokens. Nothing where that is refused, or where the store
   * cannot be asked: then the answer has to end with what is held.
   */
  async raise(reservation: Reservation, output: OutputRange): Promise<Reservation | undefined> {
    while (this.#gate.closed) await this.#gate.closed;
    this.#gate.enter();
    try {
      const { id, more } = reservation;
      if (!more) return undefined;
      const result = await this.#store.extend({ id, leaseMs: LEASE_MS, more: { ...more(), output } });
      if (result.outcome !== "extended") return undefined;
      return { ...reservation, expiresAt: result.expiresAt, outputTokens: result.outputTokens ?? reservation.outputTokens };
    } catch (error) {
      this.#onError(error);
      return undefined;
    } finally {
      this.#gate.leave();
    }
  }

  /** Charges the holds whose owner died. To be called every second or so by whoever owns the process. */
  async expire(): Promise<ExpireResult> {
    this.#unpaid.flush(this.#now());
    const result = await this.#store.expire();
    for (const id of result.expired) void this.background(this.#tellCharge(id, "expired"));
    return result;
  }

  /** What a call was charged without its settlement stands in the ledger. */
  async #tellCharge(reservation: string, kind: "expired" | "corrected"): Promise<void> {
    if (this.#onCharge === NEVER) return;
    const [entry] = await this.#store.entries({ reservation, kinds: [kind], newest: true, most: 1 });
    if (entry?.kind !== kind) return;
    const { detail, charge } = entry;
    this.#onCharge(reservation, detail.subject, charge, kind === "corrected" ? estimatedCharge(detail) : undefined);
  }

  /** Every balance as it stands: one for each limit, and for each subject that used it in its window. */
  async balances(filter: BalanceFilter = {}): Promise<readonly Balance[]> {
    const { budget, subject } = filter;
    const wanted = this.#budgets.filter(
      (one) => (budget === undefined || one.name === budget) && (subject === undefined || one.selects(subject)),
    );
    const balances = await this.#balancesOf(wanted, { ...(budget !== undefined && { budget }), ...(subject && { subject }) });
    return filter.pools?.length ? [...balances, ...(await this.#balancesOfPools(filter.pools))] : balances;
  }

  /** What is left of the free allowances: balances that have their names in the place of a budget's. */
  async allowances(): Promise<readonly Balance[]> {
    const now = this.#now();
    const bound = this.#allowances.map((allowance) => this.#counters.bindAllowance(allowance, now));
    const standings = await this.#store.standings(bound);
    return this.#allowances.map((allowance, i) => allowanceBalance(allowance, bound[i] as BoundLimit, standings[i] as Standing, now));
  }

  async #balancesOfPools(pools: readonly Pool[]): Promise<readonly Balance[]> {
    const now = this.#now();
    const limits = pools.flatMap((pool) => this.#counters.bindPool(pool, now));
    const standings = await this.#store.standings(limits);
    return limits.map((bound, i) => balanceOf(bound, standings[i] as Standing, now));
  }

  async #balancesOf(budgets: readonly Budget[], filter: BalanceFilter): Promise<readonly Balance[]> {
    const now = this.#now();
    return (await this.#standingsOf(budgets, filter, now)).map(({ bound, standing }) => balanceOf(bound, standing, now));
  }

  async #standingsOf(budgets: readonly Budget[], { budget, subject }: BalanceFilter, now: number): Promise<readonly StandingLimit[]> {
    // Which balances one subject has is known, and that a budget without `per` has one; who used the others, only the counters say.
    const isKnown = subject !== undefined || budgets.every(({ per }) => per.length === 0);
    const counters = isKnown ? [] : await this.#store.counters(budget === undefined ? {} : { budget });
    const limits = this.#counters.balanced(budgets, counters, now, subject);
    const standings = await this.#store.standings(limits);
    return limits.map((bound, i) => ({ bound, standing: standings[i] as Standing }));
  }

  /**
   * Moves what budgets leave unused to others, where their `share` says so and something is due. To be called now and then, in any number of
   * processes: each amount is moved once. Returns what was decided here.
   */
  async share(): Promise<readonly SharedOut[]> {
    return this.#sharings.share(this.#budgets);
  }

  /**
   * Lets limits follow what is used of them, where `adjust` of their budgets says so and something is due. To be called now and then, in any number
   * of processes: each period has one decision. `read` says what was used.
   */
  async adjust(read: ReadEvidence): Promise<AdjustedNow> {
    return this.#adjustments.adjust(this.#budgets, read);
  }

  /** How rules that adjust stand, and what they would do as things are. Changes nothing. */
  async adjusting(read: ReadEvidence): Promise<readonly AdjustingOutlook[]> {
    return this.#adjustments.outlook(this.#budgets, read);
  }

  /** What such rules had decided for a time. */
  async adjusted(at: number): Promise<readonly AdjustingGrant[]> {
    return this.#adjustments.inForce(this.#budgets, at);
  }

  /** Gives a subject more of a limit for a time. It ends by itself. Repeating an id gives nothing more, and returns what was given. */
  async grant(input: GrantInput): Promise<Grant> {
    const [given] = await this.#store.entries({ reservation: input.id, kinds: ["granted"], most: 1 });
    if (given?.kind === "granted") return given.grant;
    const grant = defineGrant(input, this.#budget(input.budget), this.#now());
    await this.#store.record({ kind: "granted", reservation: grant.id, postings: [], grant });
    return grant;
  }

  /** The grants that are in force or will be, oldest first. One of nothing only says what was decided. */
  async grants({ budget }: { readonly budget?: string } = {}): Promise<readonly Grant[]> {
    const now = this.#now();
    const grants = new Map<string, Grant>();
    for await (const entry of this.#entries(["granted", "revoked"])) {
      if (entry.kind === "granted" && entry.grant.until > now && entry.grant.amount !== 0) grants.set(entry.grant.id, entry.grant);
      if (entry.kind === "revoked") grants.delete(entry.grant.id);
    }
    return [...grants.values()].filter((grant) => budget === undefined || grant.budget === budget);
  }

  /** Ends a grant at once; nothing where there is none with this id, or it has ended. */
  async revoke(id: string, { giver, why }: { readonly giver: string; readonly why: string }): Promise<Grant | undefined> {
    const grant = (await this.grants()).find((one) => one.id === id);
    if (grant) await this.#store.record({ kind: "revoked", reservation: id, postings: [], grant, giver, why });
    return grant;
  }

  /**
   * Lets balances begin again at nothing: what is spent is taken back by an entry that says who did it and why. Calls in flight keep what they
   * hold, and every charge stays in the ledger.
   */
  async reset({ budget: name, for: subject = {}, limit: text, giver, why }: ResetInput): Promise<readonly Balance[]> {
    const budget = this.#budget(name);
    const label = subjectOf(budget, subject);
    const only = text === undefined ? undefined : limitId(limitOf(budget, parseLimit(text, budget.timezone), text));
    const bound = this.#counters.bind(budget, label, this.#now()).filter(({ limit }) => only === undefined || limitId(limit) === only);
    const last = canFinish(budget) && only === undefined ? [this.#counters.bindLast(budget, label)] : [];
    const names = new Set([...bound, ...last].map(({ counter }) => counter.series ?? counter.key));
    const counters = (await this.#store.counters({ budget: name })).filter(({ ref }) => names.has(ref.series ?? ref.key));
    const postings = counters.map(({ ref }): Posting => ({ counter: ref, held: 0, spent: 0 }));
    await this.#store.record({ kind: "adjusted", reservation: "", postings, why, reset: { giver } });
    const standings = await this.#store.standings(bound);
    return bound.map((one, i) => balanceOf(one, standings[i] as Standing, this.#now()));
  }

  #budget(name: string): Budget {
    const budget = this.#budgets.find((one) => one.name === name);
    if (budget) return budget;
    throw new PurserError("budget_unknown", `There is no budget "${name}". Budgets stand in the configuration, each with its name.`);
  }

  async *#entries(kinds: readonly EntryKind[]): AsyncGenerator<Entry> {
    let after = 0;
    for (;;) {
      const page = await this.#store.entries({ kinds, after });
      yield* page;
      const last = page.at(-1);
      if (!last || page.length < LEDGER_PAGE) return;
      after = last.seq;
    }
  }

  /** The price of a model as it stands; nothing where it has none. */
  card(provider: string, model: string, at: number = this.#now()): RateCard | undefined {
    return this.#prices.card(provider, model, at);
  }

  /** Takes care of work that no caller waits for: `close` does, and `onError` is told of its failure. What is returned never fails. */
  async background(work: Promise<unknown>): Promise<void> {
    const owned = work.catch(this.#onError);
    this.#background.add(owned);
    await owned;
    this.#background.delete(owned);
  }

  /** Waits for what was written down in the background. */
  async close(): Promise<void> {
    this.#unpaid.flush();
    await Promise.allSettled(this.#background);
  }

  #apply({ budgets, prices, allowances = [] }: Configuration): void {
    this.#budgets = budgets;
    this.#prices = prices;
    this.#allowances = allowances;
    this.#counters = new Counters();
    this.#adjustments.configured();
    this.#hasLadders = budgets.some(({ ladder }) => changesCalls(ladder));
    this.#canFinish = budgets.some(canFinish);
    this.#isLeaky = budgets.some(({ limits }) => limits.some(({ window }) => window.kind === "bucket" && window.excess === "waits"));
  }

  #terms(call: Call, now = this.#now()): Terms {
    const { subject, pools, pricedAs = subject.model ?? "", finishes } = call;
    const { provider = "" } = subject;
    const configured = this.#counters.bindSubject(this.#budgets, subject, now);
    const { budgets, limits } = pools?.length ? withPools(configured, pools, this.#counters, now) : configured;
    const allowances = this.#allowances.filter((allowance) => isGiven(allowance, provider, pricedAs, now));
    return {
      budgets,
      limits: finishes?.length ? this.#limitsOfLast(limits, configured.finishing, call) : limits,
      chargedTo: configured.chargedTo,
      card: this.#prices.card(provider, pricedAs, now),
      allowances: allowances.map((allowance) => this.#counters.bindAllowance(allowance, now)),
      now,
    };
  }

  /** The limits of a call that is the last one of its task: with all that they keep for it, and once. */
  #limitsOfLast(limits: readonly BoundBudgetLimit[], finishing: readonly Budget[], call: Call): readonly BoundBudgetLimit[] {
    const { subject, finishes = [], lastAnswers = 1 } = call;
    const ending = finishing.filter(({ name }) => finishes.includes(name));
    return [
      ...limits.map((bound) => (ending.includes(bound.budget) ? withKept(bound) : bound)),
      ...ending.map((budget) => ({ ...this.#counters.bindLast(budget, subjectLabel(budget, subject)), amount: lastAnswers })),
    ];
  }

  readonly #recordDenial: OnDenied = (call, denial, admission) => {
    // Who can make it the last call of its task asks again.
    if (call.mayFinish && denial.lastOf !== undefined) return;
    const { reason, message } = denial;
    const detail = admission.detail({ readyText: call.readyText?.(denial), refusedBy: refusingLimit(denial) });
    const entry = { kind: "denied", reservation: call.id, postings: [], reason, message, detail } as const;
    this.#onDenial(call.subject, denial, call.id);
    this.#unpaid.add([reason, denial.balance?.budget], entry, this.#now());
  };
}

const NEVER = () => undefined;

function refusingLimit({ balance }: Denial): RefusingLimit | undefined {
  return balance && { budget: balance.budget, unit: balance.unit, window: balance.window };
}

/** Which balances are asked for: of one budget, of one subject; and of pools besides. */
interface BalanceFilter {
  readonly budget?: string;
  readonly subject?: Subject;
  readonly pools?: readonly Pool[] | undefined;
}

function withPools({ budgets, limits }: Pick<Terms, "budgets" | "limits">, pools: readonly Pool[], counters: Counters, now: number) {
  return {
    budgets: [...budgets, ...pools.map(({ budget }) => budget)],
    limits: [...limits, ...pools.flatMap((pool) => counters.bindPool(pool, now))],
  };
}

type OnDenied = (call: Call, denial: Denial, admission: Admission) => void;

function decide(admission: Admission): Promise<Decision> {
  return admission.decide();
}

function isLeaky(bound: BoundBudgetLimit, now: number): boolean {
  const { window } = bound.limit;
  return isEnforced(bound, now) && window.kind === "bucket" && window.excess === "waits";
}

function lineOf({ counter }: BoundBudgetLimit): string {
  return counter.series ?? counter.key;
}

/** A call that asks again and again is counted once. */
function countedOnce({ most, count }: Call["input"]): Call["input"] {
  if (!count) return { most };
  let counted: { readonly limit: number; readonly tokens: Promise<number> } | undefined;
  return {
    most,
    count: (limit) => {
      if (counted?.limit !== limit) counted = { limit, tokens: count(limit) };
      return counted.tokens;
    },
  };
}

/** A total that nobody knows is charged as it was held: unknown is not nothing. */
function completeUsage(usage: Usage, { inputTokens, outputTokens, copies }: Reservation): Usage {
  const held = { inputTokens, outputTokens: outputTokens * copies };
  const isUnknown =
    (usage.inputTokens === undefined && held.inputTokens > 0) || (usage.outputTokens === undefined && held.outputTokens > 0);
  if (!isUnknown) return usage;
  return { ...usage, inputTokens: usage.inputTokens ?? held.inputTokens, outputTokens: usage.outputTokens ?? held.outputTokens };
}

/** Whether an allowance pays for calls to a model now. */
function isGiven(allowance: Allowance, provider: string, model: string, now: number): boolean {
  return now < (allowance.until ?? Number.POSITIVE_INFINITY) && allowance.applies(provider, model);
}

/** Two budgets of one name would share their counters. */
function checkBudgets({ budgets, allowances = [] }: Configuration): void {
  const names = new Set<string>();
  for (const name of [...budgets.map((budget) => budget.name), ...allowances.map(allowanceName)]) {
    if (names.has(name)) throw new PurserError("config_invalid", `Two budgets have the name "${name}". Give each a name of its own.`);
    names.add(name);
  }
  for (const budget of budgets) checkSharing(budget, budgets);
}
