import { type BoundBudgetLimit, balanceOf, type Pool } from "./counters.ts";
import { type Budget, minOutputOf, type RequestLimits } from "./domain/budget.ts";
import { type Asks, amountOf, type BoundLimit, isEnforced, type OutputRange, type ReserveResult, type Standing } from "./domain/command.ts";
import { type Balance, type Decision, type Denial, type DenialReason, describeRefusal } from "./domain/decision.ts";
import { describeEnded, ONE_LAST_ANSWER } from "./domain/finish.ts";
import { grouped } from "./domain/grouped.ts";
import type { CallDetail } from "./domain/ledger.ts";
import { observes } from "./domain/mode.ts";
import { giverOf } from "./domain/owner.ts";
import { isFree, type RateCard, type ServiceTier } from "./domain/price.ts";
import { asksOf } from "./domain/quote.ts";
import type { Reservation } from "./domain/reservation.ts";
import { type Changeable, refusedUntil } from "./domain/reserve.ts";
import type { Subject } from "./domain/subject.ts";
import { askOn } from "./domain/weights.ts";
import { PurserError } from "./errors.ts";
import type { Store } from "./stores/store.ts";

/** A call that asks to be admitted. `subject.provider` and `subject.model` say where it goes. */
export interface Call {
  /** Unique for each attempt that may reach a provider. Repeating it is answered as before. */
  readonly id: string;
  readonly subject: Subject;
  /** The model whose price holds, where that is another one than `subject.model`: a mode of it that costs more. */
  readonly pricedAs?: string;
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
    /** How much of one answer is held at first, where whoever asks will ask for more while it streams. All of it where it is left out. */
    readonly first?: number | undefined;
    /** Whether the caller itself set a cap, for the ledger. */
    readonly isCapped?: boolean | undefined;
  };
  /** The most calls of tools that the provider charges for. */
  readonly toolCalls?: Readonly<Record<string, number>>;
  readonly service?: ServiceTier;
  /**
   * Whether whoever asks can make it the last call of its task, and asks again then, where the room that is left is kept for that: such a refusal
   * is not written down.
   */
  readonly mayFinish?: boolean | undefined;
  /** The budgets of whose task it is the last call: it gets what they keep for that, and none is admitted after it. */
  readonly finishes?: readonly string[] | undefined;
  /** How many last answers its task has in all, with what was granted. `Budgets` finds it out. */
  readonly lastAnswers?: number;
  /** Budgets that the caller was given, and that hold beside those of the configuration. */
  readonly pools?: readonly Pool[] | undefined;
  /** What ladders did to the call before it asks, for the ledger. */
  readonly rungs?: CallDetail["rungs"];
  readonly insteadOf?: CallDetail["insteadOf"];
  /** What came before the call at other providers, for the ledger. */
  readonly tried?: CallDetail["tried"];
  /** Whose guards stand against the call, for the ledger. */
  readonly guardedBy?: CallDetail["guardedBy"];
  readonly batch?: CallDetail["batch"];
  /** Whether its caller gets the ready text of a rung where the call is refused, and of which, for the ledger. */
  readonly readyText?: ((denial: Denial) => CallDetail["readyText"]) | undefined;
  /** How long the hold lives without being extended. 10 minutes where it is left out. */
  readonly leaseMs?: number;
  /** Whether another process than this one may end the call, where several share a store. */
  readonly isShared?: boolean;
  /** Aborted when the caller goes away, so that its call waits for nothing any more. As a function, it is asked for by a call that has to wait. */
  readonly signal?: AbortSignal | (() => AbortSignal | undefined) | undefined;
}

/** How long a hold lives that nobody extends: longer than a call may be silent. */
export const LEASE_MS = 10 * 60_000;
/** An uncounted bound is good enough while it is less than 1/256 of what every limit has left. */
const ROUGH_SHARE = 256;
/** Refusals that pass by themselves are worth another try after a second, and within a minute. */
const RETRY_MS = 1_000;
const SOON_MS = 60_000;
const STORE_RETRY_MS = 5_000;
/** Bound at the store's own time, a limit is in the right window, unless that ends before the store is asked again. */
const MOVES_MOST = 4;
/** Whoever comes back sooner finds the same line. */
const BEHIND_RETRY_MS = 10_000;
/** English prose has about 4 bytes a token; only said as "about". */
const BYTES_PER_TOKEN = 4;

/** What holds for one call: its budgets, their limits bound to counters, its price. */
export interface Terms {
  readonly budgets: readonly Budget[];
  readonly limits: readonly BoundBudgetLimit[];
  readonly chargedTo: CallDetail["chargedTo"];
  readonly card: RateCard | undefined;
  readonly allowances: readonly BoundLimit[];
  readonly now: number;
}

/** How large the input is, as far as it is known. */
interface InputSize {
  /** The count, or else the bound that the input cannot exceed. */
  readonly inputTokens: number;
  readonly isCounted: boolean;
  /** Where counting stopped because the call is too large anyway. */
  readonly moreThan?: number;
}

/** What the ledger says of a refusal beside its reason. */
type RefusedHow = { readonly [name in "readyText" | "refusedBy"]?: CallDetail[name] | undefined };

/** The limit that refused a call, and until when it does: 0 at any moment, `Infinity` never. */
export interface LimitRefusal {
  readonly bound: BoundBudgetLimit;
  readonly until: number;
}

type Denied = Extract<Decision, { readonly outcome: "denied" }>;
type Reserved = Extract<ReserveResult, { readonly outcome: "reserved" }>;
type Refused = Extract<ReserveResult, { readonly outcome: "refused" }>;

/** The decision about one call: what it asks, what fits, and why not. */
export class Admission {
  readonly #call: Call;
  readonly #termsAt: (now?: number) => Terms;
  readonly #store: Store;
  readonly #copies: number;
  readonly #service: ServiceTier;
  #terms: Terms;
  /** The budgets that refuse calls, at the time of the terms. */
  #enforced: readonly Budget[];
  #size: InputSize;
  /** How the limits stood when the store was last asked. */
  #standings: readonly Standing[] | undefined;
  #refusal: LimitRefusal | undefined;

  /** `termsAt`: what holds for the call now, or at the store's time where that is in another window. */
  constructor(call: Call, termsAt: (now?: number) => Terms, store: Store) {
    this.#call = checked(call);
    this.#termsAt = termsAt;
    this.#terms = termsAt();
    this.#enforced = enforcedOf(this.#terms);
    this.#store = store;
    this.#copies = call.output.copies ?? 1;
    this.#service = call.service ?? "standard";
    this.#size = { inputTokens: call.input.most, isCounted: false };
  }

  /** Holds the call on all its limits, or says why not. */
  async decide(): Promise<Decision> {
    const { count } = this.#call.input;
    const refused = this.#refuseModel();
    if (refused) return refused;
    if (count) {
      const decision = await this.#decideBySize();
      if (decision) return decision;
      this.#standings ??= await this.#store.standings(this.#terms.limits);
    }
    for (;;) {
      if (count) await this.#countInput(count, this.#countLimit());
      const output = this.#refuseInput() ?? this.#outputRange(this.#inputLeast());
      if ("outcome" in output) return output;
      const result = await this.#reserve(output);
      if (result.outcome === "reserved") return this.#allowed(result);
      this.#standings = result.standings;
      // Where counting stopped, and more was granted meanwhile, the rest may fit.
      const { moreThan } = this.#size;
      if (moreThan === undefined) return this.#denied(result);
      if (this.#countLimit() > moreThan) continue;
      // What was not counted was asked for by its bound, which reaches dearer tiers: it is no reason to name another limit.
      return this.#denied(this.#refusalFrom(this.#inputLeast(), result.standings, output) ?? result);
    }
  }

  /** Which limit refused the call; none where it was not one of a budget's limits. */
  get refusal(): LimitRefusal | undefined {
    return this.#refusal;
  }

  /** Refuses the call without asking for it, because so many others wait for the same limit before it. */
  async refuseBehind({ counter }: BoundBudgetLimit, waiting: number): Promise<Decision> {
    const standings = await this.#store.standings(this.#terms.limits);
    const i = this.#terms.limits.findIndex((limit) => limit.counter.series === counter.series);
    const [bound, standing] = [this.#terms.limits[i], standings[i]];
    // A configuration that changed while it waited can have taken the limit away: then there is nobody to be behind of.
    if (!bound || !standing) return this.decide();
    const balance = balanceOf(bound, standing, this.#terms.now);
    const about = { reason: "rate_limited", balance, asked: undefined, retryAfterMs: BEHIND_RETRY_MS } as const;
    const message = describeRefusal({ ...about, giver: giverOf(bound.budget), waiting });
    return { outcome: "denied", denial: { ...about, message }, balances: balancesOf(this.#terms, standings) };
  }

  /** Law: hard limits fail closed. Where no budget asks for that, the call goes on uncounted, but within its request limits. */
  async decideWithoutStore(cause: PurserError): Promise<Decision> {
    if (this.#enforced.some(({ onStoreFailure }) => onStoreFailure === "closed")) {
      const message = "The budget store is unavailable at the moment, so no call can be admitted. Try again in a few seconds.";
      return denied({ reason: "store_unavailable", message, retryAfterMs: STORE_RETRY_MS });
    }
    const { count } = this.#call.input;
    const allowed = inputTokensAllowed(this.#enforced);
    if (count && allowed < Infinity) await this.#countInput(count, allowed);
    const output = this.#refuseInput() ?? this.#outputRange(this.#inputLeast());
    if ("outcome" in output) return output;
    const message = `The store is unavailable, and the budgets of this call say to go on: ${cause.message}`;
    return { outcome: "uncounted", outputTokens: output.most, message };
  }

  #refuseModel(): Denied | undefined {
    const { model = "", provider = "" } = this.#call.subject;
    const forbidding = this.#enforced.find((budget) => !budget.allowsModel(model));
    if (forbidding) {
      const { models = [] } = forbidding.request;
      const instead = models.length === 0 ? "It allows no model." : `Use one that it allows: ${models.join(", ")}.`;
      return denied({
        reason: "model_not_allowed",
        message: `Budget "${forbidding.name}" does not allow the model "${model}". ${instead}`,
      });
    }
    const { limits, now } = this.#terms;
    const paying = limits.find((limit) => limit.counter.unit === "nanodollars" && isEnforced(limit, now));
    if (!paying) return undefined;
    const name = this.#call.pricedAs ?? model;
    const tool = this.#unpricedTool();
    if (this.#terms.card && tool === undefined) return undefined;
    const what = tool === undefined ? `The model "${name}"` : `The tool "${tool}" of the model "${name}"`;
    const where =
      tool === undefined ? "under prices: in purser.yaml" : `to the model's row under prices: in purser.yaml, as tools: { ${tool}: 0.01 }`;
    const message = `${what} of provider "${provider}" has no price, and budget "${paying.budget.name}" limits money. Add it ${where}.`;
    return denied({ reason: "model_unpriced", message });
  }

  /** A tool that the provider runs and nobody priced, unless the model itself is said to cost nothing. */
  #unpricedTool(): string | undefined {
    const { card } = this.#terms;
    const tools = Object.entries(this.#call.toolCalls ?? {}).filter(([, uses]) => uses > 0);
    if (!card || tools.length === 0 || isFree(card)) return undefined;
    return tools.find(([tool]) => !Object.hasOwn(card.toolFees ?? {}, tool))?.[0];
  }

  /** Most calls are small against what is left, and many refusals are plain: then the bound by size decides and nothing is counted. */
  async #decideBySize(): Promise<Decision | undefined> {
    const { most } = this.#call.input;
    if (most > inputTokensAllowed(this.#terms.budgets)) return undefined;
    const output = this.#outputRange(most);
    // A bound is no reason to refuse a call or to shorten its answer.
    if ("outcome" in output || output.most < this.#outputCap(0)) return undefined;
    const result = await this.#reserve(output, ROUGH_SHARE);
    if (result.outcome === "reserved") return this.#allowed(result);
    this.#standings = result.standings;
    const plain = this.#refusalFrom(Math.min(1, most), result.standings, output);
    return plain && this.#denied(plain);
  }

  async #countInput(count: (limit: number) => Promise<number>, limit: number): Promise<void> {
    const counted = await count(limit);
    const { most } = this.#call.input;
    this.#size = counted <= limit ? { inputTokens: Math.min(counted, most), isCounted: true } : { ...this.#size, moreThan: limit };
  }

  /** Where counting stopped because one limit is too small, no more is known than that: it is no reason for another to refuse. */
  #inputLeast(): number {
    const { inputTokens, moreThan } = this.#size;
    return moreThan === undefined ? inputTokens : moreThan + 1;
  }

  #refuseInput(): Denied | undefined {
    const allowed = inputTokensAllowed(this.#enforced);
    if (this.#inputLeast() <= allowed) return undefined;
    const name = this.#enforced.find(({ request }) => request.maxInput === allowed || request.maxTotal === allowed)?.name;
    return this.#tooLarge(`budget "${name}" allows ${grouped(allowed)} in one call. Shorten the conversation or the pasted text.`);
  }

  /** The output cap of one answer: the caller's, or what the request limits leave of it. */
  #outputCap(inputTokens: number): number {
    let most = this.#call.output.most * this.#copies;
    for (const { request } of this.#enforced) most = Math.min(most, outputTokensAllowed(request, inputTokens));
    return Math.floor(most / this.#copies);
  }

  /** From the caller's cap down to what the call needs, and what the budgets call an answer. Refused where the request limits leave less. */
  #outputRange(inputTokens: number): OutputRange | Denied {
    const { most: wanted, least: needed = 1 } = this.#call.output;
    const most = this.#outputCap(inputTokens);
    // A budget that allows only short answers has said that those are answers too.
    const useful = Math.min(this.#outputCap(-Infinity), minOutputOf(this.#enforced));
    const least = Math.min(wanted, Math.max(needed, useful));
    if (most >= least) return { least, most };
    const tight = this.#enforced.find(({ request }) => outputTokensAllowed(request, inputTokens) < least * this.#copies);
    const answer = `an answer that needs ${grouped(least * this.#copies)}`;
    const allowed = (tokens: number) => `budget "${tight?.name}" allows ${grouped(tokens)}`;
    const { maxOutput = Infinity, maxTotal = Infinity } = tight?.request ?? {};
    return maxOutput < least * this.#copies
      ? this.#tooLarge(`${allowed(maxOutput)} output tokens in one call: too few for ${answer}. Ask for fewer or shorter answers.`)
      : this.#tooLarge(`${allowed(maxTotal)} for input and output of one call together: too few for ${answer}. Shorten the input.`);
  }

  /** A store that several gateways share goes by its own clock, and sends back what was bound to a window of another time. */
  async #reserve(output: OutputRange, share?: number): Promise<Reserved | Refused> {
    for (let tries = 0; tries < MOVES_MOST; tries++) {
      const asked = this.#terms.allowances.length > 0 ? this.#tryAllowances(output, share) : this.#ask(output, share, undefined);
      const result = await asked;
      if (result.outcome === "reserved" || result.outcome === "refused") return result;
      if (result.outcome === "ended")
        throw new PurserError("internal", `The call id "${this.#call.id}" was used before. Every attempt needs an id of its own.`);
      this.#terms = this.#termsAt(result.now);
      this.#enforced = enforcedOf(this.#terms);
    }
    throw new PurserError("store_unavailable", "The store takes longer to answer than a window of the call's limits lasts.");
  }

  /**
   * Free allowances are tried first, one by one: a call that fits one whole costs nothing. No answer is shortened for it, and a rough bound is no
   * reason to pay: then the call is counted.
   */
  async #tryAllowances(output: OutputRange, share: number | undefined): Promise<ReserveResult> {
    for (const allowance of this.#terms.allowances) {
      const result = await this.#ask(output, share, allowance);
      if (result.outcome === "reserved" || result.outcome === "moved") return result;
      if (share !== undefined && result.outcome === "refused" && this.#mayFit(result.standings.at(-1), output)) return result;
    }
    return this.#ask(output, share, undefined);
  }

  /** Whether what is left of an allowance could be enough for a call whose input is as small as can be. */
  #mayFit(standing: Standing | undefined, output: OutputRange): boolean {
    const { most } = this.#heldAtFirst(output);
    return standing !== undefined && standing.amount - standing.spent - standing.held > most * this.#copies;
  }

  #ask(output: OutputRange, share: number | undefined, allowance: BoundLimit | undefined): Promise<ReserveResult> {
    const { card, limits } = this.#terms;
    const { id, leaseMs = LEASE_MS, isShared } = this.#call;
    const held = this.#heldAtFirst(output);
    return this.#store.reserve({
      id,
      limits: allowance ? [...limits, allowance] : limits,
      asks: this.#asks(this.#size.inputTokens, output.most, allowance ? undefined : card),
      output: allowance ? { least: held.most, most: held.most } : held,
      share,
      leaseMs,
      isShared,
      detail: allowance ? { ...this.detail(), allowance: allowance.counter.budget } : this.detail(),
    });
  }

  /** Of an answer of which less is held at first, that; never less than what is the least that makes sense. */
  #heldAtFirst({ least, most }: OutputRange): OutputRange {
    const { first = most } = this.#call.output;
    return { least, most: Math.min(most, Math.max(least, first)) };
  }

  #asks(inputTokens: number, outputTokensMost: number, card: RateCard | undefined): Asks {
    const { toolCalls } = this.#call;
    return asksOf({ inputTokens, outputTokensMost, copies: this.#copies, ...(toolCalls && { toolCalls }) }, card, this.#service);
  }

  #allowed({ outputTokens, expiresAt, standings, detail }: Reserved): Decision {
    const reservation: Reservation = {
      id: this.#call.id,
      subject: detail.subject,
      outputTokens,
      copies: this.#copies,
      inputTokens: detail.inputTokens,
      expiresAt,
      card: this.#terms.card,
      service: this.#service,
      free: detail.allowance !== undefined,
      ...this.#more(detail),
    };
    return new Allowed(reservation, detail.wouldRefuse ?? [], this.#terms, standings);
  }

  /**
   * What is asked of which limits to hold more: those of now, and those by which the call was admitted and which are not in force here any more,
   * where they were bound then. Another gateway may still go by them.
   */
  #more({ allowance, inputTokens }: CallDetail): Pick<Reservation, "outputTokensMost" | "more"> | undefined {
    if (this.#call.output.first === undefined) return undefined;
    const output = this.#outputRange(inputTokens);
    if ("outcome" in output) return undefined;
    const { card, now, limits: atFirst } = this.#terms;
    const asks = this.#asks(inputTokens, output.most, allowance === undefined ? card : undefined);
    const limits = () => {
      const terms = this.#termsAt(now);
      const known = new Set(terms.limits.map(({ counter }) => counter.key));
      const former = atFirst.filter(({ counter }) => !known.has(counter.key));
      return [...terms.limits, ...former, ...terms.allowances.filter(({ counter }) => counter.budget === allowance)];
    };
    return { outputTokensMost: output.most, more: () => ({ limits: limits(), asks }) };
  }

  #denied({ failing, asked: least, until, standings }: Refused): Denied {
    const bound = this.#terms.limits[failing];
    const standing = standings[failing];
    if (!bound || !standing) throw new PurserError("internal", `The store refused by limit ${failing}, which the call does not have.`);
    const { isCounted, moreThan } = this.#size;
    const asked = moreThan === undefined ? least : undefined;
    this.#refusal = { bound, until };
    const whole = balanceOf(bound, standing, this.#terms.now);
    const balance = bound.rule && until > 0 && until < Infinity ? { ...whole, resetsAt: until } : whole;
    if (bound.limit === ONE_LAST_ANSWER) return this.#ended(bound, standing, standings);
    const { reason, retryAfterMs } = this.#reasonOf(bound, standing, until);
    const text = describeRefusal({ reason, balance, asked, retryAfterMs, giver: giverOf(bound.budget) });
    const isSizeKnown = isCounted || moreThan !== undefined;
    const message = reason === "request_too_large" && isSizeKnown ? `The input has ${this.#sizeText()}. ${text}` : text;
    return {
      outcome: "denied",
      denial: { reason, balance, asked, retryAfterMs, message, ...(bound.kept && until > 0 && { lastOf: bound.budget.name }) },
      balances: balancesOf(this.#terms, standings),
    };
  }

  /** Two calls cannot both be the last one. */
  #ended(last: BoundBudgetLimit, { spent, amount }: Standing, standings: readonly Standing[]): Denied {
    const balances = balancesOf(this.#terms, standings);
    const balance = balances.find(({ budget }) => budget === last.budget.name);
    return { outcome: "denied", denial: endedDenial(last, balance, { isOver: spent >= amount }), balances };
  }

  /** A retry is worth it only where the refusal passes by itself, and soon. */
  #reasonOf({ counter, rule }: BoundBudgetLimit, { amount }: Standing, until: number): Pick<Denial, "reason" | "retryAfterMs"> {
    const { now } = this.#terms;
    if (until === Infinity) return { reason: amount === 0 ? "budget_exhausted" : "request_too_large", retryAfterMs: undefined };
    if (until > 0) {
      const isSoon = until - now <= SOON_MS;
      return { reason: isSoon ? "rate_limited" : "budget_exhausted", retryAfterMs: isSoon ? until - now : undefined };
    }
    const resetsInMs = rule ? Infinity : (counter.resetsAt ?? Infinity) - now;
    return { reason: counter.unit === "concurrent" ? "rate_limited" : "budget_busy", retryAfterMs: Math.min(RETRY_MS, resetsInMs) };
  }

  /** The refusal of a limit that an input of this size does not fit, whatever calls in flight return: counting more could not change it. */
  #refusalFrom(inputTokens: number, standings: readonly Standing[], { least }: OutputRange): Refused | undefined {
    const { limits, card, allowances, now } = this.#terms;
    const asks = this.#asks(inputTokens, least, card);
    let refusal: Refused | undefined;
    let longest = 0;
    for (const [failing, limit] of limits.entries()) {
      const { unit } = limit.counter;
      const standing = standings[failing] as Standing;
      const asked = amountOf(askOn(asks, limit.counter), least);
      const isPayable = unit === "nanodollars" && allowances.length > 0;
      // When a moving window has room again is known to the store, which was asked about a larger call.
      const isUnknown = limit.rule !== undefined && asked <= standing.amount;
      if (!isEnforced(limit, now) || isPayable || asked === 0 || isUnknown) continue;
      const isFull = unit === "concurrent" && standing.held + asked > standing.amount;
      const refused = refusedUntil(standing, limit.counter, asked);
      const until = Math.max(isFull ? 1 : 0, refused);
      if (until <= longest) continue;
      refusal = { outcome: "refused", failing, asked, until: refused, standings };
      longest = until;
    }
    return refusal;
  }

  #tooLarge(why: string): Denied {
    const message = `The input has ${this.#sizeText()}, and ${why}`;
    const { inputTokens, moreThan } = this.#size;
    return denied({ reason: "request_too_large", message, ...(moreThan === undefined && { asked: inputTokens }) });
  }

  #sizeText(): string {
    const { inputTokens, moreThan } = this.#size;
    if (moreThan === undefined) return `${grouped(inputTokens)} tokens`;
    const about = Math.ceil(inputTokens / BYTES_PER_TOKEN);
    const bySize = about > moreThan ? ` (by its size about ${grouped(about)})` : "";
    return `more than ${grouped(moreThan)} tokens${bySize}`;
  }

  /** Counting beyond what a call may have, or beyond what could fit were nothing spent, cannot change the decision. */
  #countLimit(): number {
    const { card, limits, allowances, now } = this.#terms;
    const [none, one] = [this.#asks(0, 0, card), this.#asks(1, 0, card)];
    let most = inputTokensAllowed(this.#enforced);
    for (const [i, limit] of limits.entries()) {
      const { counter, amount: configured } = limit;
      const { amount } = this.#standings?.[i] ?? { amount: configured };
      const isPayable = counter.unit === "nanodollars" && allowances.length > 0;
      if (!isEnforced(limit, now) || isPayable) continue;
      const [without, ask] = [askOn(none, counter), askOn(one, counter)];
      const perToken = ask.base - without.base;
      if (perToken > 0) most = Math.min(most, Math.ceil((amount / perToken) * ask.scale));
    }
    return most;
  }

  /** The call as far as it is known, for the ledger; and how it was refused, where it was. */
  detail({ readyText, refusedBy }: RefusedHow = {}): CallDetail {
    const { subject, pricedAs, output, rungs = [], insteadOf, tried = [], guardedBy = [], batch } = this.#call;
    const { inputTokens, isCounted } = this.#size;
    const { model = "" } = subject;
    const { now } = this.#terms;
    const refusing = this.#terms.budgets.filter(
      (budget) => observes(budget, now) && (inputTokens > inputTokensAllowed([budget]) || !budget.allowsModel(model)),
    );
    const { chargedTo, card } = this.#terms;
    const outputTokens = output.most * this.#copies;
    const detail: Changeable<CallDetail> = { subject, inputTokens, outputTokens, cost: undefined, counted: isCounted, price: card?.source };
    if (chargedTo) detail.chargedTo = chargedTo;
    if (pricedAs !== undefined && pricedAs !== model) detail.pricedAs = pricedAs;
    if (refusing.length > 0) detail.wouldRefuse = refusing.map(({ name }) => name);
    if (rungs.length > 0) detail.rungs = rungs;
    if (insteadOf) detail.insteadOf = insteadOf;
    if (tried.length > 0) detail.tried = tried;
    if (guardedBy.length > 0) detail.guardedBy = guardedBy;
    if (batch !== undefined) detail.batch = batch;
    if (readyText !== undefined) detail.readyText = readyText;
    if (refusedBy) detail.refusedBy = refusedBy;
    if (output.isCapped !== undefined) detail.isCapped = output.isCapped;
    return detail;
  }
}

/** A call that may go. Few ask how the limits stand after it, so that is worked out when somebody does. */
class Allowed {
  readonly outcome = "allowed";
  readonly reservation: Reservation;
  readonly wouldRefuse: readonly string[];
  readonly #terms: Terms;
  readonly #standings: readonly Standing[];
  #balances: readonly Balance[] | undefined;

  constructor(reservation: Reservation, wouldRefuse: readonly string[], terms: Terms, standings: readonly Standing[]) {
    this.reservation = reservation;
    this.wouldRefuse = wouldRefuse;
    this.#terms = terms;
    this.#standings = standings;
  }

  get isLimited(): boolean {
    return this.#terms.limits.length > 0;
  }

  get tightest(): Balance | undefined {
    const { limits, now } = this.#terms;
    let tightest = 0;
    for (let i = 1; i < limits.length; i++) if (this.#isTighter(i, tightest)) tightest = i;
    const bound = limits[tightest];
    return bound && balanceOf(bound, this.#standings[tightest] as Standing, now);
  }

  get balances(): readonly Balance[] {
    this.#balances ??= balancesOf(this.#terms, this.#standings);
    return this.#balances;
  }

  /** What is used up goes before calls at once, among which is the call itself. */
  #isTighter(one: number, other: number): boolean {
    const isUsedUp = this.#isUsedUp(one);
    if (isUsedUp !== this.#isUsedUp(other)) return isUsedUp;
    return shareLeft(this.#standings[one] as Standing) < shareLeft(this.#standings[other] as Standing);
  }

  #isUsedUp(limit: number): boolean {
    const bound = this.#terms.limits[limit];
    return bound?.counter.unit !== "concurrent" && bound?.limit !== ONE_LAST_ANSWER;
  }
}

function shareLeft({ amount, spent, held }: Standing): number {
  return Math.max(0, amount - spent - held) / Math.max(1, amount);
}

/** The refusal of a call because its task has its last answer, or is about to get it. */
export function endedDenial(
  { budget, counter }: BoundBudgetLimit,
  balance: Balance | undefined,
  { isOver }: { readonly isOver: boolean },
): Denial {
  const message = describeEnded(budget, counter.subject, { isOver, giver: giverOf(budget) });
  return {
    reason: isOver ? "budget_exhausted" : "budget_busy",
    balance,
    asked: undefined,
    retryAfterMs: isOver ? undefined : RETRY_MS,
    message,
  };
}

/** Every limit of a call, the tightest first. */
function balancesOf({ limits, now }: Terms, standings: readonly Standing[]): readonly Balance[] {
  const balances = limits.flatMap((bound, i) => (bound.limit === ONE_LAST_ANSWER ? [] : [balanceOf(bound, standings[i] as Standing, now)]));
  return balances.sort((a, b) => a.left / Math.max(1, a.limit) - b.left / Math.max(1, b.limit));
}

function enforcedOf({ budgets, now }: Terms): readonly Budget[] {
  return budgets.filter((budget) => !observes(budget, now));
}

function inputTokensAllowed(budgets: readonly Budget[]): number {
  let allowed = Infinity;
  for (const { request } of budgets) allowed = Math.min(allowed, request.maxInput ?? Infinity, request.maxTotal ?? Infinity);
  return allowed;
}

function outputTokensAllowed({ maxOutput = Infinity, maxTotal = Infinity }: RequestLimits, inputTokens: number): number {
  return Math.min(maxOutput, Math.max(0, maxTotal - inputTokens));
}

function denied({
  reason,
  message,
  asked,
  retryAfterMs,
}: {
  reason: DenialReason;
  message: string;
  asked?: number;
  retryAfterMs?: number;
}): Denied {
  return { outcome: "denied", denial: { reason, balance: undefined, asked, retryAfterMs, message }, balances: [] };
}

/** An amount below 0 would make room for others. */
function checked(call: Call): Call {
  const { input, output, toolCalls } = call;
  const { most, least = 0, copies = 1 } = output;
  const areCountable =
    isCountable(input.most) && isCountable(most) && isCountable(least) && Object.values(toolCalls ?? {}).every(isCountable);
  if (areCountable && Number.isSafeInteger(copies) && copies >= 1) return call;
  throw new PurserError("amount_invalid", `The call "${call.id}" has a size that is no whole number of 0 or more (copies: of 1 or more).`);
}

function isCountable(amount: number): boolean {
  return Number.isSafeInteger(amount) && amount >= 0;
}
