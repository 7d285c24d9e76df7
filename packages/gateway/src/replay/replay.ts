import {
  type ActiveRung,
  amountsOf,
  type Budget,
  Budgets,
  beyondStep,
  createMemoryStore,
  DEFAULT_MIN_OUTPUT,
  type Denial,
  type DenialReason,
  heldFor,
  type LadderStep,
  PurserError,
  type RateCard,
  type Rung,
  reportLedger,
  type Store,
  type Subject,
  type Usage,
} from "@purser/core";
import { budgetedCall, callOf } from "../budgeted-call.ts";
import type { Config } from "../config/config.ts";
import { priceBookOf } from "../config/price-book.ts";
import { handoverRung } from "../handovers/handover.ts";
import { createRouter, type Route, type Router } from "../providers/routing.ts";
import { answerAfter, type Climber, climb, isLeftOut, type RoutedCall, rungAfter, textOf } from "../rungs/climb.ts";
import { readyRung } from "../rungs/known-answers.ts";
import { PromptCaches } from "../rungs/prompt-caches.ts";
import { reserveOrFinish } from "../rungs/reserve-or-finish.ts";
import { costAsItWas, type RecordedCall, recordedBody, recordedDialect, usageUpTo } from "./recorded-call.ts";
import { VirtualClock } from "./virtual-clock.ts";

/** What became of recorded calls under a configuration. Money is in nano-dollars; calls to models without a price count as nothing. */
export interface Replayed {
  /** What all calls cost as they were made: as the record says, or else by the prices of the configuration. */
  readonly before: Cost;
  /** Of it, those that are answered by a model here too. */
  readonly beforeOfAnswered: Cost;
  readonly answered: number;
  readonly after: Cost;
  /** Given a text that a ladder has ready. */
  readonly readyTexts: number;
  readonly refused: number;
  /** Refused by a budget whose ladder had a rung left that would have changed the call. */
  readonly refusedEarly: number;
  /** How long calls waited, on rungs and in lines, together. */
  readonly waitedMs: number;
  /** How many calls each rung changed: `use gpt-4o-mini (chatbot 85%)`. */
  readonly rungs: ReadonlyMap<string, number>;
  readonly unchanged: number;
  readonly refusals: readonly ReplayedRefusals[];
}

export interface Cost {
  readonly cost: number;
  /** Calls whose cost nobody knows. */
  readonly unpriced: number;
}

/** Refusals of one budget for one reason; of none where calls are refused for what they are. */
export interface ReplayedRefusals {
  readonly budget: string | undefined;
  readonly reason: DenialReason;
  calls: number;
  /** What the first of them was told. */
  readonly message: string;
}

/**
 * Makes recorded calls again, in virtual time and with simulated providers: they are routed, degraded, admitted and settled by what does that in
 * a gateway. Nothing is sent anywhere, and the same calls under the same configuration end the same each time.
 */
export async function replay(config: Config, calls: readonly RecordedCall[], told: ReplayListener = {}): Promise<Replayed> {
  return new Replay(config, calls, told).run();
}

function leastHeld({ inputTokensHeld, outputCap = DEFAULT_MIN_OUTPUT, service }: RecordedCall, card: RateCard | undefined) {
  const outputTokensMost = Math.min(outputCap, DEFAULT_MIN_OUTPUT);
  return heldFor({ inputTokens: inputTokensHeld, outputTokensMost, copies: 1 }, card, service);
}

/** Whoever wants to know what becomes of single calls. */
export interface ReplayListener {
  /** A call is refused, or given a ready text. */
  readonly refused?: (call: RecordedCall, denial: Denial) => void;
  /** Budgets that only observe would have refused a call. */
  readonly wouldRefuse?: (call: RecordedCall, budgets: readonly string[]) => void;
}

/** A recorded call as it was: whom it was charged to, and what it used. */
export interface CallAsItWas {
  readonly at: number;
  /** With where it goes now. */
  readonly subject: Subject;
  readonly amounts: ReturnType<typeof amountsOf>;
  /** By kinds, for limits that weigh them. */
  readonly usage: Usage;
  /** The least that has to be left for it: what is held for it with the shortest answer that it may get. */
  readonly leastHeld: ReturnType<typeof amountsOf>;
  /** Whether its model has a price: else budgets in money refuse it. */
  readonly isPriced: boolean;
}

/** Recorded calls as they were, by the prices of the configuration where the record says nothing else. */
export function callsAsTheyWere(config: Config, calls: readonly RecordedCall[]): readonly CallAsItWas[] {
  const route = createRouter(config);
  const book = priceBookOf(config);
  return calls.map((recorded) => {
    const prices = { card: (provider: string, model: string) => book.card(provider, model, recorded.at) };
    const { provider, pricedAs, subject } = routedCall({ config, prices, route }, recorded);
    const card = prices.card(provider.name, pricedAs);
    const amounts = amountsOf(recorded.usage, costAsItWas(recorded, card));
    return { at: recorded.at, subject, amounts, usage: recorded.usage, leastHeld: leastHeld(recorded, card), isPriced: card !== undefined };
  });
}

/** Recorded calls end when they did: nobody has to renew their leases meanwhile. */
const LEASE_MS = 7 * 86_400_000;

class Replay {
  readonly #calls: readonly RecordedCall[];
  readonly #told: ReplayListener;
  readonly #clock: VirtualClock;
  readonly #store: Store;
  readonly #budgets: Budgets;
  readonly #climber: Climber;
  readonly #rungs = new Map<string, number>();
  readonly #refusals = new Map<string, ReplayedRefusals>();
  readonly #before = { cost: 0, unpriced: 0 };
  readonly #beforeOfAnswered = { cost: 0, unpriced: 0 };
  #readyTexts = 0;
  #refusedEarly = 0;
  #waitedMs = 0;
  #unchanged = 0;
  #failure: unknown;

  constructor(config: Config, calls: readonly RecordedCall[], told: ReplayListener) {
    this.#calls = calls;
    this.#told = told;
    this.#clock = new VirtualClock(calls[0]?.at ?? 0);
    const now = () => this.#clock.now;
    const book = priceBookOf(config);
    // Prices are those of the day on which a call was made.
    const prices = { card: (provider: string, model: string) => book.card(provider, model, now()) };
    this.#store = createMemoryStore({ now });
    const { budgets, allowances } = config;
    const terms = { store: this.#store, budgets, allowances, prices, now, timers: this.#clock, onError: this.#fail };
    this.#budgets = new Budgets(terms);
    const route = createRouter(config);
    const promptCaches = new PromptCaches();
    this.#climber = { config, budgets: this.#budgets, prices, route, promptCaches, calibration: NOTHING_LEARNED, asksNobody: true };
  }

  async run(): Promise<Replayed> {
    const since = this.#clock.now;
    await this.#budgets.adopt();
    for (const [i, call] of this.#calls.entries()) this.#clock.after(call.at - since, () => this.#begin(call, `call_${i}`));
    await this.#clock.run();
    await this.#budgets.close();
    if (this.#failure !== undefined) throw this.#failure;
    const [sums] = await reportLedger(this.#store, { since, until: this.#clock.now + 1 });
    const { calls: answered = 0, cost = 0, unpricedCalls: unpriced = 0 } = sums ?? {};
    const refusals = [...this.#refusals.values()].sort((a, b) => b.calls - a.calls);
    return {
      before: this.#before,
      beforeOfAnswered: this.#beforeOfAnswered,
      answered,
      after: { cost, unpriced },
      readyTexts: this.#readyTexts,
      refused: refusals.reduce((sum, { calls }) => sum + calls, 0),
      refusedEarly: this.#refusedEarly,
      waitedMs: this.#waitedMs,
      rungs: new Map([...this.#rungs].sort(([, a], [, b]) => b - a)),
      unchanged: this.#unchanged,
      refusals,
    };
  }

  readonly #fail = (error: unknown): void => {
    this.#failure ??= error;
  };

  /** A call comes: its ladders say what becomes of it. */
  async #begin(recorded: RecordedCall, id: string): Promise<void> {
    const routed = routedCall(this.#climber, recorded);
    const before = costAsItWas(recorded, this.#climber.prices.card(routed.provider.name, routed.pricedAs, recorded.at));
    addCost(this.#before, before);
    const { call, end, handover, waitMs } = await climb(this.#climber, routed);
    const ends = handover ?? end;
    if (ends) this.#refused(recorded, call, this.#budgets.block(callOf(id, call), ends).denial, readyAt(ends));
    // A call may wait in line, which is no reason for others to wait: so nobody waits for it here.
    else this.#clock.after(waitMs, () => void this.#ask(recorded, call, { id, before }).catch(this.#fail));
  }

  /** It asks its budgets; where they admit it, its provider answers what was recorded, as far as its cap allows. */
  async #ask(recorded: RecordedCall, climbed: RoutedCall, { id, before }: { id: string; before: number | undefined }): Promise<void> {
    const { durationMs, isLost, inputTokensHeld, service } = recorded;
    const leaseMs = isLost ? Math.max(1, durationMs) : LEASE_MS;
    const { call, decision } = await reserveOrFinish(this.#climber, climbed, (asking, terms) =>
      this.#budgets.reserve({ ...callOf(id, asking), ...terms, input: { most: inputTokensHeld }, leaseMs }),
    );
    this.#waitedMs += this.#clock.now - recorded.at;
    if (decision.outcome === "denied")
      return this.#refused(recorded, call, decision.denial, readyAfter(decision.denial, this.#climber.config.budgets));
    if (decision.outcome === "uncounted") throw new PurserError("internal", "A store in memory was away.");
    const { reservation, wouldRefuse } = decision;
    if (wouldRefuse.length > 0) this.#told.wouldRefuse?.(recorded, wouldRefuse);
    this.#changed(call.rungs ?? []);
    addCost(this.#beforeOfAnswered, before);
    if (isLost) {
      this.#clock.after(leaseMs, () => this.#budgets.expire().then(() => undefined));
      return;
    }
    const usage = usageUpTo(recorded, reservation.outputTokens);
    const share = Math.min(1, (usage.outputTokens ?? 0) / Math.max(1, recorded.usage.outputTokens));
    this.#clock.after(durationMs * share, () => this.#budgets.settle(reservation, usage, "confirmed", service).then(() => undefined));
  }

  /** A refusal, or the text that a ladder has in its place: that of this rung. */
  #refused(recorded: RecordedCall, call: RoutedCall, denial: Denial, ready: string | undefined): void {
    const { reason, balance, message } = denial;
    this.#told.refused?.(recorded, denial);
    if (ready !== undefined && call.dialect.writeAnswer) {
      this.#readyTexts++;
      this.#changed([...(call.rungs ?? []), ready]);
      return;
    }
    const budget = this.#climber.config.budgets.find(({ name }) => name === balance?.budget);
    const key = JSON.stringify([budget?.name, reason]);
    const alike = this.#refusals.get(key) ?? { budget: budget?.name, reason, calls: 0, message };
    alike.calls++;
    this.#refusals.set(key, alike);
    const isAhead = (step: LadderStep) => (balance ? beyondStep(step, balance, balance.limit) < 0 : step.from > 0);
    if (budget?.ladder.some((step) => isAhead(step) && step.rungs.some(({ kind }) => SOFTER.has(kind)))) this.#refusedEarly++;
  }

  #changed(rungs: readonly string[]): void {
    if (rungs.every(isLeftOut)) this.#unchanged++;
    for (const rung of rungs) this.#rungs.set(rung, (this.#rungs.get(rung) ?? 0) + 1);
  }
}

function readyAt({ rung, budget }: ActiveRung): string | undefined {
  if (rung.kind === "handover") return handoverRung(budget.name);
  return textOf(rung) === undefined ? undefined : readyRung(budget.name);
}

function readyAfter(denial: Denial, budgets: readonly Budget[]): string | undefined {
  const handover = rungAfter(denial, budgets, "handover");
  if (handover) return handoverRung(handover.budget.name);
  return answerAfter(denial, budgets) === undefined ? undefined : readyRung(denial.balance?.budget ?? "");
}

const NOTHING_LEARNED: Climber["calibration"] = { marginOf: () => undefined };

function addCost(sum: { cost: number; unpriced: number }, cost: number | undefined): void {
  if (cost === undefined) sum.unpriced++;
  else sum.cost += cost;
}

/** Rungs that keep a call from being refused. */
const SOFTER: ReadonlySet<Rung["kind"]> = new Set(["use", "shorten", "trim", "summarise", "slow", "lookup", "cache"]);

/** The call as it comes to the gateway of the configuration. */
function routedCall({ config, prices, route }: Pick<Climber, "config" | "prices" | "route">, recorded: RecordedCall): RoutedCall {
  const { provider, model, sentAs, pricedAs, name } = routeOf(route, config, recorded);
  const dialect = recordedDialect(recorded);
  const call = dialect.readCall(recordedBody(name), {});
  const { defaultMaxOutput, unseenInput } = config;
  const caller = { key: undefined, subject: recorded.subject };
  const who = { subject: recorded.subject, key: undefined, pools: undefined };
  const terms = { dialect, call, provider, model, sentAs, pricedAs, ...who, prices, defaultMaxOutput, unseenInput };
  return { ...budgetedCall(terms), caller, provider, names: {} };
}

/** Where a recorded call goes now: to the provider where it went, if that is there; else where its model leads. */
function routeOf(
  route: Router,
  { providers }: Config,
  { endpoint, provider: wanted, model }: RecordedCall,
): Route & { readonly name: string } {
  const usual = route(model, endpoint);
  const listed = "unknown" in usual ? undefined : usual.failover?.targets.find((one) => one.route.provider.name === wanted);
  if (listed) return { ...listed.route, name: model };
  if (wanted !== undefined && ("unknown" in usual || usual.provider.name !== wanted) && providers.some(({ name }) => name === wanted)) {
    const name = `${wanted}/${model}`;
    const named = route(name, endpoint);
    if (!("unknown" in named) && named.provider.name === wanted) return { ...named, name };
  }
  if ("unknown" in usual) throw new PurserError("provider_unknown", `${usual.unknown} Or replay as another model: --model NAME.`);
  return { ...usual, name: model };
}
