import { Admission, type Call, LEASE_MS, type Terms } from "./admission.ts";
import { Adoption } from "./adoption.ts";
import { allowanceName, type BoundBudgetLimit, balanceOf, Counters } from "./counters.ts";
import { Denials } from "./denials.ts";
import { type Budget, subjectLabel } from "./domain/budget.ts";
import type { Balance, Decision, Denial } from "./domain/decision.ts";
import type { ExtendResult, ReleaseResult, SettleResult, Standing } from "./domain/engine.ts";
import type { CallDetail, Certainty, Charge } from "./domain/ledger.ts";
import type { Limit } from "./domain/limit.ts";
import { costOf, type RateCard, type ServiceTier } from "./domain/price.ts";
import { amountsOf } from "./domain/quote.ts";
import type { Reservation } from "./domain/reservation.ts";
import type { Subject } from "./domain/subject.ts";
import type { Usage } from "./domain/usage.ts";
import { PurserError } from "./errors.ts";
import { Gate } from "./gate.ts";
import type { Store } from "./stores/store.ts";

/** Where prices come from. `undefined`: the model has no price. */
export interface PriceSource {
  card(provider: string, model: string, at: number): RateCard | undefined;
}

/** Tokens that a provider gives away: a call that fits what is left of it costs nothing. */
export interface Allowance {
  readonly name: string;
  readonly limit: Limit;
  applies(provider: string, model: string): boolean;
}

export interface BudgetsOptions {
  readonly store: Store;
  readonly budgets: readonly Budget[];
  readonly prices: PriceSource;
  readonly allowances?: readonly Allowance[];
  /** Epoch milliseconds; `Date.now` where it is left out. */
  readonly now?: () => number;
  /** Told of failures that no caller waits for, such as a refusal that could not be written down. */
  readonly onError?: (error: unknown) => void;
}

type Configuration = Pick<BudgetsOptions, "budgets" | "prices" | "allowances">;

/** Budgets over a store: the one path on which every call is admitted, settled and returned. */
export class Budgets implements PriceSource {
  readonly #store: Store;
  readonly #now: () => number;
  readonly #onError: (error: unknown) => void;
  readonly #background = new Set<Promise<unknown>>();
  readonly #gate = new Gate();
  readonly #denials = new Denials((entry) => void this.background(this.#store.record(entry)));
  #budgets: readonly Budget[] = [];
  #prices: PriceSource;
  #allowances: readonly Allowance[] = [];
  #counters = new Counters();

  constructor({ store, now = Date.now, onError = () => undefined, ...configuration }: BudgetsOptions) {
    this.#store = store;
    this.#now = now;
    this.#onError = onError;
    this.#prices = configuration.prices;
    checkNames(configuration);
    this.#apply(configuration);
  }

  /**
   * Replaces budgets, prices and allowances. What was used stays used: a new limit starts from the ledger of its window, calls in flight
   * included. Calls are admitted by the old ones until then, and by none of them after.
   */
  configure(configuration: Configuration): Promise<void> {
    checkNames(configuration);
    return this.#gate.change(async (close) => {
      const adoption = new Adoption(this.#store, configuration.budgets);
      await adoption.read(this.#now());
      await close();
      await adoption.finish(this.#now());
      this.#apply(configuration);
    });
  }

  /** Puts the limits in force, from the ledger where they are new to the store. To be called once after start, before the first call. */
  adopt(): Promise<void> {
    return this.configure({ budgets: this.#budgets, prices: this.#prices, allowances: this.#allowances });
  }

  /** Holds the most that a call can use on every limit that applies, or on none. A denial is a value. */
  async reserve(call: Call): Promise<Decision> {
    while (this.#gate.closed) await this.#gate.closed;
    const admission = new Admission(call, this.#terms(call), this.#store);
    this.#gate.enter();
    try {
      const decision = await admission.decide();
      if (decision.outcome === "denied") this.#recordDenial(call, decision.denial, admission.detail());
      return decision;
    } catch (error) {
      if (!(error instanceof PurserError && error.code === "store_unavailable")) throw error;
      this.#onError(error);
      return await admission.decideWithoutStore(error);
    } finally {
      this.#gate.leave();
    }
  }

  /** Replaces the hold by what was used. `certainty` says who counted, `service` at which tier the provider served the call. */
  async settle(
    reservation: Reservation,
    usage: Usage,
    certainty: Certainty = "confirmed",
    service: ServiceTier = reservation.service,
  ): Promise<SettleResult & { readonly charge: Charge }> {
    const { id, card, free } = reservation;
    const known = completeUsage(usage, reservation);
    const cost = free ? 0 : card && costOf(card, known, service);
    const charge: Charge = { usage: known, cost, certainty: known === usage ? certainty : "unconfirmed" };
    const { outcome } = await this.#store.settle({ id, amounts: amountsOf(known, cost), charge });
    return { outcome, charge };
  }

  /** Returns the hold of a call that was never sent, or that the provider does not charge. */
  release(reservation: Reservation, why: string): Promise<ReleaseResult> {
    return this.#store.release({ id: reservation.id, why });
  }

  /** Renews the lease of a call that is still in flight. */
  extend(reservation: Reservation, leaseMs = LEASE_MS): Promise<ExtendResult> {
    return this.#store.extend({ id: reservation.id, leaseMs });
  }

  /** Charges the holds whose owner died. To be called every second or so by whoever owns the process. */
  expire(): Promise<{ readonly expired: number }> {
    this.#denials.flush(this.#now());
    return this.#store.expire();
  }

  /** Every balance as it stands: one for each limit, and for each subject that used it in its window. */
  async balances(filter: { readonly budget?: string; readonly subject?: Subject } = {}): Promise<readonly Balance[]> {
    const { budget, subject } = filter;
    const wanted = this.#budgets.filter(
      (one) => (budget === undefined || one.name === budget) && (subject === undefined || one.selects(subject)),
    );
    // Which balances one subject has is known; of all that used a budget, only the counters say it.
    const counters = subject ? [] : await this.#store.counters(budget === undefined ? {} : { budget });
    const now = this.#now();
    const limits = this.#counters.balanced(wanted, counters, now, subject);
    const standings = await this.#store.standings(limits);
    return limits.map((bound, i) => balanceOf(bound, standings[i] as Standing, now));
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
    this.#denials.flush();
    await Promise.allSettled(this.#background);
  }

  #apply({ budgets, prices, allowances = [] }: Configuration): void {
    this.#budgets = budgets;
    this.#prices = prices;
    this.#allowances = allowances;
    this.#counters = new Counters();
  }

  #terms({ subject, pricedAs = subject.model ?? "" }: Call): Terms {
    const now = this.#now();
    const { provider = "" } = subject;
    const budgets = this.#budgets.filter((budget) => budget.selects(subject));
    const limits: BoundBudgetLimit[] = [];
    for (const budget of budgets) limits.push(...this.#counters.bind(budget, subjectLabel(budget, subject), now));
    const allowances = this.#allowances.filter((allowance) => allowance.applies(provider, pricedAs));
    return {
      budgets,
      limits,
      card: this.#prices.card(provider, pricedAs, now),
      allowances: allowances.map((allowance) => this.#counters.bindAllowance(allowance, now)),
      now,
    };
  }

  #recordDenial(call: Call, denial: Denial, detail: CallDetail): void {
    const { reason, message } = denial;
    this.#denials.add(denial, { kind: "denied", reservation: call.id, postings: [], reason, message, detail }, this.#now());
  }
}

/** A total that nobody knows is charged as it was held: unknown is not nothing. */
function completeUsage(usage: Usage, { inputTokens, outputTokens, copies }: Reservation): Usage {
  const held = { inputTokens, outputTokens: outputTokens * copies };
  const isUnknown =
    (usage.inputTokens === undefined && held.inputTokens > 0) || (usage.outputTokens === undefined && held.outputTokens > 0);
  if (!isUnknown) return usage;
  return { ...usage, inputTokens: usage.inputTokens ?? held.inputTokens, outputTokens: usage.outputTokens ?? held.outputTokens };
}

/** Two budgets of one name would share their counters. */
function checkNames({ budgets, allowances = [] }: Configuration): void {
  const names = new Set<string>();
  for (const name of [...budgets.map((budget) => budget.name), ...allowances.map(allowanceName)]) {
    if (names.has(name)) throw new PurserError("config_invalid", `Two budgets have the name "${name}". Give each a name of its own.`);
    names.add(name);
  }
}
