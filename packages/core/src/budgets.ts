import { Admission, type Call, LEASE_MS, type Terms } from "./admission.ts";
import { Adoption } from "./adoption.ts";
import { Counters } from "./counters.ts";
import { type Budget, subjectLabel } from "./domain/budget.ts";
import type { Balance, Decision, Denial } from "./domain/decision.ts";
import type { ReleaseResult, SettleResult } from "./domain/engine.ts";
import type { CallDetail, Certainty, Charge } from "./domain/ledger.ts";
import type { Limit } from "./domain/limit.ts";
import { costOf, type RateCard, type ServiceTier } from "./domain/price.ts";
import { amountsOf } from "./domain/quote.ts";
import type { Reservation } from "./domain/reservation.ts";
import type { Subject } from "./domain/subject.ts";
import type { Usage } from "./domain/usage.ts";
import { PurserError } from "./errors.ts";
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

/** Budgets over a store: the one path on which every call is admitted, settled and returned. */
export class Budgets {
  readonly #store: Store;
  readonly #now: () => number;
  readonly #onError: (error: unknown) => void;
  readonly #background = new Set<Promise<unknown>>();
  #budgets: readonly Budget[];
  #prices: PriceSource;
  #allowances: readonly Allowance[];
  #counters = new Counters();

  constructor({ store, budgets, prices, allowances = [], now = Date.now, onError = () => undefined }: BudgetsOptions) {
    this.#store = store;
    this.#budgets = budgets;
    this.#prices = prices;
    this.#allowances = allowances;
    this.#now = now;
    this.#onError = onError;
  }

  /** Replaces budgets and prices. What was used stays used: a new limit starts from the ledger of its window. */
  async configure({ budgets, prices, allowances = [] }: Pick<BudgetsOptions, "budgets" | "prices" | "allowances">): Promise<void> {
    this.#budgets = budgets;
    this.#prices = prices;
    this.#allowances = allowances;
    this.#counters = new Counters();
    await this.adopt();
  }

  /** Brings limits that are new to the store up to date from the ledger. To be called once after start. */
  async adopt(): Promise<void> {
    await new Adoption(this.#store, this.#counters, this.#now()).run(this.#budgets);
  }

  /** Holds the most that a call can use on every limit that applies, or on none. A denial is a value. */
  async reserve(call: Call): Promise<Decision> {
    try {
      return await new Admission(call, this.#terms(call.subject), this.#store).decide((denial, detail) =>
        this.#recordDenial(call, denial, detail),
      );
    } catch (error) {
      if (error instanceof PurserError && error.code === "store_unavailable") return this.#withoutStore(call, error);
      throw error;
    }
  }

  /** Replaces the hold by what was used. `certainty` says who counted, `service` at which tier the provider served the call. */
  async settle(
    reservation: Reservation,
    usage: Usage,
    certainty: Certainty = "confirmed",
    service: ServiceTier = reservation.service,
  ): Promise<SettleResult & { readonly charge: Charge }> {
    const { card, free } = reservation;
    const cost = free ? 0 : card && costOf(card, usage, service);
    const charge: Charge = { usage, cost, certainty };
    const result = await this.#store.settle({ id: reservation.id, amounts: amountsOf(usage, cost), charge });
    return { ...result, charge };
  }

  /** Returns the hold of a call that was never sent, or that the provider does not charge. */
  release(reservation: Reservation, why: string): Promise<ReleaseResult> {
    return this.#store.release({ id: reservation.id, why });
  }

  /** Renews the lease of a call that is still in flight. */
  async extend(reservation: Reservation, leaseMs = LEASE_MS): Promise<void> {
    await this.#store.extend({ id: reservation.id, leaseMs });
  }

  /** Charges the holds whose owner died. To be called every second or so by whoever owns the process. */
  expire(): Promise<{ readonly expired: number }> {
    return this.#store.expire();
  }

  /** Every balance as it stands: one for each limit, and for each subject that used it in its window. */
  async balances(filter: { readonly budget?: string; readonly subject?: Subject } = {}): Promise<readonly Balance[]> {
    const { budget, subject } = filter;
    const counters = await this.#store.counters(budget === undefined ? {} : { budget });
    const wanted = this.#budgets.filter(
      (one) => (budget === undefined || one.name === budget) && (subject === undefined || one.selects(subject)),
    );
    return this.#counters.balances(wanted, counters, this.#now(), subject);
  }

  /** Waits for what was written down in the background. */
  async close(): Promise<void> {
    await Promise.allSettled(this.#background);
  }

  #terms(subject: Subject): Terms {
    const now = this.#now();
    const { provider = "", model = "" } = subject;
    const budgets = this.#budgets.filter((budget) => budget.selects(subject));
    return {
      budgets,
      limits: budgets.flatMap((budget) => this.#counters.bind(budget, subjectLabel(budget, subject), now)),
      card: this.#prices.card(provider, model, now),
      allowances: this.#allowances
        .filter((allowance) => allowance.applies(provider, model))
        .map((allowance) => this.#counters.bindAllowance(allowance, now)),
      now,
    };
  }

  #recordDenial(call: Call, { reason, message }: Denial, detail: CallDetail): void {
    const recorded = this.#store.record({ kind: "denied", reservation: call.id, postings: [], reason, message, detail });
    const owned = recorded.catch(this.#onError).finally(() => this.#background.delete(owned));
    this.#background.add(owned);
  }

  /** Law: hard limits fail closed. Only where every budget of the call says so does it go on uncounted, and never silently. */
  #withoutStore(call: Call, error: PurserError): Decision {
    this.#onError(error);
    const budgets = this.#budgets.filter((budget) => budget.selects(call.subject));
    if (budgets.length > 0 && budgets.every((budget) => budget.onStoreFailure === "open")) {
      return { outcome: "uncounted", message: `The store is unavailable, and the budgets of this call say to go on: ${error.message}` };
    }
    const message = "The budget store is unavailable at the moment, so no call can be admitted. Try again in a few seconds.";
    return {
      outcome: "denied",
      denial: { reason: "store_unavailable", balance: undefined, asked: undefined, retryAfterMs: 5_000, message },
      balances: [],
    };
  }
}
