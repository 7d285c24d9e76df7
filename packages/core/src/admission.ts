import { type BoundBudgetLimit, balanceOf } from "./counters.ts";
import type { Budget } from "./domain/budget.ts";
import { type Balance, type Decision, type Denial, type DenialReason, describeRefusal } from "./domain/decision.ts";
import type { BoundLimit, ReserveResult, Standing } from "./domain/engine.ts";
import type { CallDetail } from "./domain/ledger.ts";
import type { RateCard, ServiceTier } from "./domain/price.ts";
import { asksOf, type CallSize } from "./domain/quote.ts";
import type { Subject } from "./domain/subject.ts";
import { PurserError } from "./errors.ts";
import type { Store } from "./stores/store.ts";

/** A call that asks to be admitted. `subject.provider` and `subject.model` say where it goes. */
export interface Call {
  /** Unique for each attempt that may reach a provider. Repeating it is answered as before. */
  readonly id: string;
  readonly subject: Subject;
  readonly input: {
    /** A bound that the input cannot exceed, in tokens. */
    readonly most: number;
    /** Counts exactly; asked only where it could change the decision. Any result above `limit` means "more than that". */
    readonly count?: (limit: number) => Promise<number>;
  };
  readonly output: {
    /** The caller's cap, or the model's own maximum, for one answer. */
    readonly most: number;
    /** The cap must not be lowered below this, because the call would make no sense or be refused by the provider. */
    readonly least?: number;
    /** How many answers are asked for. 1 where it is left out. */
    readonly copies?: number;
  };
  /** The most calls of tools that the provider charges for. */
  readonly toolCalls?: Readonly<Record<string, number>>;
  readonly service?: ServiceTier;
  /** How long the hold lives without being extended. 10 minutes where it is left out. */
  readonly leaseMs?: number;
}

/** How long a hold lives that nobody extends: longer than a call may be silent. */
export const LEASE_MS = 10 * 60_000;
/** An uncounted bound is good enough while it is less than 1/256 of what every limit has left. */
const ROUGH_SHARE = 256;
/** Refusals that pass by themselves are worth another try after a second, and within a minute. */
const RETRY_MS = 1_000;
const SOON_MS = 60_000;

/** What holds for one call: its budgets, their limits bound to counters, its price. */
export interface Terms {
  readonly budgets: readonly Budget[];
  readonly limits: readonly BoundBudgetLimit[];
  readonly card: RateCard | undefined;
  readonly allowances: readonly BoundLimit[];
  readonly now: number;
}

/** The decision about one call: what it asks, what fits, and why not. */
export class Admission {
  readonly #call: Call;
  readonly #terms: Terms;
  readonly #store: Store;
  readonly #enforced: readonly Budget[];

  constructor(call: Call, terms: Terms, store: Store) {
    this.#call = call;
    this.#terms = terms;
    this.#store = store;
    this.#enforced = terms.budgets.filter((budget) => budget.mode === "enforce");
  }

  async decide(onDenied: (denial: Denial, detail: CallDetail) => void): Promise<Decision> {
    const decision = this.#refuseModel() ?? (await this.#tryRough()) ?? (await this.#tryExact());
    if (decision.outcome === "denied") onDenied(decision.denial, this.#detail(this.#call.input.most, false, this.#terms.card));
    return decision;
  }

  #refuseModel(): Decision | undefined {
    const { model = "", provider = "" } = this.#call.subject;
    const forbidding = this.#enforced.find((budget) => !budget.allowsModel(model));
    if (forbidding) {
      const allowed = forbidding.request.models?.join(", ");
      return denied("model_not_allowed", `Budget "${forbidding.name}" does not allow the model "${model}". It allows: ${allowed}.`);
    }
    const paying = this.#terms.limits.find(({ counter, enforced }) => enforced && counter.unit === "nanodollars");
    if (!this.#terms.card && paying) {
      const message = `The model "${model}" of provider "${provider}" has no price, and budget "${paying.budget.name}" limits money. Add it under prices: in purser.yaml.`;
      return denied("model_unpriced", message);
    }
    return undefined;
  }

  /** Most calls are small against what is left: their bound by size decides, and nothing is counted. */
  async #tryRough(): Promise<Decision | undefined> {
    const { most, count } = this.#call.input;
    if (!count || most > this.#inputTokensAllowed()) return undefined;
    const decision = await this.#hold(most, { counted: false, share: ROUGH_SHARE });
    return decision.outcome === "allowed" ? decision : undefined;
  }

  async #tryExact(): Promise<Decision> {
    const { most, count } = this.#call.input;
    const allowed = this.#inputTokensAllowed();
    const fitting = this.#inputTokensFitting();
    const inputTokens = count ? Math.min(most, await count(Math.min(allowed, fitting))) : most;
    if (inputTokens > allowed) return this.#tooLong(inputTokens, allowed);
    return this.#hold(inputTokens, { counted: count !== undefined });
  }

  async #hold(inputTokens: number, how: { readonly counted: boolean; readonly share?: number }): Promise<Decision> {
    const cap = this.#outputCap(inputTokens);
    if (typeof cap !== "number") return cap;
    for (const allowance of this.#terms.allowances) {
      const result = await this.#ask(inputTokens, cap, { ...how, allowance });
      if (result.outcome === "reserved") return this.#allowed(result, inputTokens, true);
    }
    const result = await this.#ask(inputTokens, cap, how);
    if (result.outcome === "reserved") return this.#allowed(result, inputTokens, false);
    if (result.outcome === "ended")
      throw new PurserError("internal", `The call id "${this.#call.id}" was used before. Every attempt needs an id of its own.`);
    return this.#denied(result, how.counted ? inputTokens : undefined);
  }

  async #ask(
    inputTokens: number,
    cap: number,
    { counted, share, allowance }: { counted: boolean; share?: number; allowance?: BoundLimit },
  ) {
    const { card, limits } = this.#terms;
    const { output, toolCalls, id, leaseMs = LEASE_MS } = this.#call;
    const size: CallSize = { inputTokens, outputTokensMost: cap, copies: output.copies ?? 1, ...(toolCalls && { toolCalls }) };
    const minOutput = Math.max(...this.#enforced.map((budget) => budget.minOutput), 1);
    return this.#store.reserve({
      id,
      limits: allowance ? [...limits, allowance] : limits,
      asks: asksOf(size, allowance ? undefined : card, this.#service()),
      output: { least: Math.min(cap, Math.max(minOutput, output.least ?? 1)), most: cap },
      ...(share !== undefined && { share }),
      leaseMs,
      detail: this.#detail(inputTokens, counted, card, allowance),
    });
  }

  #allowed(result: ReserveResult & { outcome: "reserved" }, inputTokens: number, free: boolean): Decision {
    const { outputTokens, expiresAt, standings, wouldRefuse } = result;
    const { card, limits } = this.#terms;
    return {
      outcome: "allowed",
      reservation: { id: this.#call.id, outputTokens, inputTokens, expiresAt, card, service: this.#service(), free },
      balances: this.#balances(standings),
      wouldRefuse: [...this.#observedRequestLimits(inputTokens), ...wouldRefuse.flatMap((i) => limits[i]?.budget.name ?? [])],
    };
  }

  #denied({ failing, asked, standings }: ReserveResult & { outcome: "refused" }, counted: number | undefined): Decision {
    const bound = this.#terms.limits[failing];
    const standing = standings[failing];
    if (!bound || !standing) throw new PurserError("internal", `The store refused by limit ${failing}, which the call does not have.`);
    const balance = balanceOf(bound, standing);
    const { reason, retryAfterMs } = this.#reasonOf(balance, asked);
    const refusal = describeRefusal(reason, balance, asked);
    const message =
      reason === "request_too_large" && counted !== undefined ? `The input has ${this.#sizeText(counted)}. ${refusal}` : refusal;
    return { outcome: "denied", denial: { reason, balance, asked, retryAfterMs, message }, balances: this.#balances(standings) };
  }

  #reasonOf({ unit, limit, spent, resetsAt }: Balance, asked: number): { reason: DenialReason; retryAfterMs: number | undefined } {
    if (asked > limit && limit > 0) return { reason: "request_too_large", retryAfterMs: undefined };
    if (limit > 0 && unit === "concurrent") return { reason: "rate_limited", retryAfterMs: RETRY_MS };
    const resetsIn = resetsAt === undefined ? Number.POSITIVE_INFINITY : resetsAt - this.#terms.now;
    if (spent + asked <= limit) return { reason: "budget_busy", retryAfterMs: Math.min(RETRY_MS, resetsIn) };
    if (limit > 0 && resetsIn <= SOON_MS) return { reason: "rate_limited", retryAfterMs: resetsIn };
    return { reason: "budget_exhausted", retryAfterMs: undefined };
  }

  #tooLong(inputTokens: number, allowed: number): Decision {
    const budget = this.#enforced.find(({ request }) => Math.min(request.maxInput ?? Infinity, request.maxTotal ?? Infinity) === allowed);
    const most = allowed.toLocaleString("en-US");
    const message = `The input has ${this.#sizeText(inputTokens)}, and budget "${budget?.name}" allows ${most} in one call. Shorten the conversation or the pasted text.`;
    return denied("request_too_large", message, inputTokens);
  }

  /** Counting stops early, so a count beyond what could fit is only "more than": the bound by size then says how large the call is. */
  #sizeText(inputTokens: number): string {
    const { most, count } = this.#call.input;
    const tokens = `${inputTokens.toLocaleString("en-US")} tokens`;
    if (!count || inputTokens <= Math.min(this.#inputTokensAllowed(), this.#inputTokensFitting())) return tokens;
    return `more than ${tokens} (by its size about ${Math.ceil(most / BYTES_PER_TOKEN).toLocaleString("en-US")})`;
  }

  /** The output cap to ask for: the caller's, lowered to what the budgets allow any call. */
  #outputCap(inputTokens: number): number | Decision {
    let cap = this.#call.output.most;
    for (const { name, request } of this.#enforced) {
      cap = Math.min(cap, request.maxOutput ?? cap);
      if (request.maxTotal === undefined) continue;
      const left = request.maxTotal - inputTokens;
      if (left < 1) {
        const message = `The input has ${inputTokens.toLocaleString("en-US")} tokens, and budget "${name}" allows ${request.maxTotal.toLocaleString("en-US")} for input and output of one call. Shorten it.`;
        return denied("request_too_large", message, inputTokens);
      }
      cap = Math.min(cap, left);
    }
    return cap;
  }

  #inputTokensAllowed(): number {
    return Math.min(Infinity, ...this.#enforced.flatMap(({ request }) => [request.maxInput ?? Infinity, request.maxTotal ?? Infinity]));
  }

  /** How much input could fit the limits if nothing were spent: counting beyond that cannot change the decision. */
  #inputTokensFitting(): number {
    const { card, limits } = this.#terms;
    let fitting = Infinity;
    for (const { amount, enforced, counter } of limits) {
      if (!enforced || counter.unit === "requests" || counter.unit === "concurrent" || counter.unit === "output_tokens") continue;
      const one = asksOf({ inputTokens: 1, outputTokensMost: 0, copies: 1 }, card, this.#service())[counter.unit];
      if (one.base > 0) fitting = Math.min(fitting, Math.floor((Math.min(amount, MONEY_EXACT) * one.scale) / one.base));
    }
    return fitting;
  }

  #observedRequestLimits(inputTokens: number): readonly string[] {
    const { model = "" } = this.#call.subject;
    return this.#terms.budgets
      .filter((budget) => budget.mode === "observe" && (inputTokens > (budget.request.maxInput ?? Infinity) || !budget.allowsModel(model)))
      .map((budget) => budget.name);
  }

  #balances(standings: readonly Standing[]): readonly Balance[] {
    const balances = this.#terms.limits.map((bound, i) => balanceOf(bound, standings[i] as Standing));
    return balances.sort((a, b) => a.left / Math.max(1, a.limit) - b.left / Math.max(1, b.limit));
  }

  #detail(inputTokens: number, counted: boolean, card: RateCard | undefined, allowance?: BoundLimit): CallDetail {
    const observed = this.#observedRequestLimits(inputTokens);
    return {
      subject: this.#call.subject,
      inputTokens,
      outputTokens: this.#call.output.most,
      cost: undefined,
      counted,
      price: allowance ? `free: ${allowance.counter.budget}` : card?.source,
      ...(observed.length > 0 && { wouldRefuse: observed }),
    };
  }

  #service(): ServiceTier {
    return this.#call.service ?? "standard";
  }
}

/** English prose has about 4 bytes a token; only said as "about". */
const BYTES_PER_TOKEN = 4;
/** Amounts up to this stay exact when multiplied by the scale of money. */
const MONEY_EXACT = Math.floor(Number.MAX_SAFE_INTEGER / 1000);

function denied(reason: DenialReason, message: string, asked?: number): Decision {
  return { outcome: "denied", denial: { reason, balance: undefined, asked, retryAfterMs: undefined, message }, balances: [] };
}
