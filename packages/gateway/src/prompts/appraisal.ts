import {
  type Balance,
  type Budget,
  Budgets,
  type Call,
  costOf,
  createMemoryStore,
  type Decision,
  formatLimit,
  type Limit,
  observes,
  PurserError,
  type RateCard,
  type Store,
  type Subject,
  type Unit,
  type Usage,
  windowName,
} from "@purser/core";
import { measureTokens } from "@purser/core/tokens";
import { callOf, countedInput } from "../budgeted-call.ts";
import type { Config } from "../config/config.ts";
import { priceBookOf } from "../config/price-book.ts";
import { createRouter } from "../providers/routing.ts";
import { type Climber, climb, type RoutedCall } from "../rungs/climb.ts";
import { PromptCaches } from "../rungs/prompt-caches.ts";
import type { Finding } from "./finding.ts";
import { promptCall } from "./prompt-call.ts";
import type { Prompt } from "./read-prompts.ts";

/** What the calls of one prompt take, by the rules of a configuration. */
export interface Appraisal {
  readonly prompt: Prompt;
  /** None where no call would be made of the prompt. */
  readonly figures: Figures | undefined;
  /** By each limit of the budgets that its calls meet. */
  readonly takes: readonly Take[];
  readonly findings: readonly Finding[];
}

/** Money is in nano-dollars. */
export interface Figures {
  readonly provider: string;
  readonly model: string;
  readonly endpoint: string;
  /** What ladders do to every call, from their first step on. */
  readonly rungs: readonly string[];
  readonly inputTokens: number;
  /** Of the input, what is usually read from the provider's cache. */
  readonly cachedTokens: number;
  /** With the margin that is held for what our count may have missed. */
  readonly inputTokensMost: number;
  readonly outputTokens: number;
  readonly outputTokensMost: number;
  /** None where there is no price. */
  readonly cost: number | undefined;
  readonly costMost: number | undefined;
  readonly card: RateCard | undefined;
}

/** What calls take of one limit. */
export interface Take {
  readonly budget: Budget;
  /** Whose balance it is: `user=one user`; empty where the budget has one only. */
  readonly subject: string;
  readonly limit: Limit;
  /** What the limit has room for. */
  readonly amount: number;
  /** Held for one call. */
  readonly most: number;
  /** Used by a usual call. */
  readonly usual: number;
  /** How many of a day's calls are charged to this balance; none where nobody says. */
  readonly callsADay: number | undefined;
}

const CALL_ID = "prompt";

/** Makes a call of each prompt with what admits calls in the gateway, over balances of which nothing is used. Nothing is sent. */
export class Appraiser {
  readonly #config: Config;
  readonly #now: number;
  readonly #prices: Climber["prices"];
  readonly #route: Climber["route"];

  constructor(config: Config, now: number) {
    this.#config = config;
    this.#now = now;
    this.#prices = priceBookOf(config);
    this.#route = createRouter(config);
  }

  async appraise(prompt: Prompt): Promise<Appraisal> {
    try {
      return await this.#appraise(prompt);
    } catch (error) {
      if (!(error instanceof PurserError) || error.code === "internal") throw error;
      return { prompt, figures: undefined, takes: [], findings: [findingOf(prompt, error.code, error.message)] };
    }
  }

  async #appraise(prompt: Prompt): Promise<Appraisal> {
    const strict = await this.#desk(this.#config.budgets);
    const { call, end } = await climb(this.#climber(strict.budgets), promptCall(this.#climber(strict.budgets), prompt));
    const inputTokensMost = await countedInput(call);
    if (inputTokensMost === undefined) throw new PurserError("body_invalid", "Its texts cannot be read.");
    const asked: Call = { ...callOf(CALL_ID, call), input: { most: inputTokensMost } };
    const decision = end ? strict.budgets.block(asked, end) : await strict.budgets.reserve(asked);
    // What a refused call would have taken, budgets say that only observe.
    const desk = decision.outcome === "denied" ? await this.#desk(this.#config.budgets.map(observing)) : strict;
    const admitted = decision.outcome === "denied" ? await desk.budgets.reserve(asked) : decision;
    if (admitted.outcome !== "allowed") throw new PurserError("internal", "Budgets that only observe refused a call.");
    const { reservation } = admitted;
    const figures = await this.#figures(prompt, call, { inputTokensMost, outputTokensMost: reservation.outputTokens, desk });
    await desk.budgets.settle(reservation, usageOf(figures, call.call));
    const spent = await desk.budgets.balances({ subject: call.subject });
    const takes = admitted.balances.map((held) => this.#take(prompt, call, held, spent));
    const findings = [...refusals(prompt, figures, decision), ...this.#cuts(prompt, call, figures, decision)];
    return { prompt, figures, takes, findings };
  }

  async #desk(budgets: readonly Budget[]): Promise<{ readonly budgets: Budgets; readonly store: Store }> {
    const now = () => this.#now;
    const store = createMemoryStore({ now });
    const desk = new Budgets({ store, budgets, prices: this.#prices, now });
    await desk.adopt();
    return { budgets: desk, store };
  }

  #climber(budgets: Budgets): Climber {
    const [config, prices, route] = [this.#config, this.#prices, this.#route];
    return { config, budgets, prices, route, promptCaches: new PromptCaches(), calibration: NOTHING_LEARNED, asksNobody: true };
  }

  async #figures(
    { answerTokens, cachedShare }: Prompt,
    { dialect, call, model, provider, pricedAs, rungs = [] }: RoutedCall,
    {
      inputTokensMost,
      outputTokensMost,
      desk,
    }: Pick<Figures, "inputTokensMost" | "outputTokensMost"> & { readonly desk: { store: Store } },
  ): Promise<Figures> {
    const { tokens, overhead } = await measureTokens(model, dialect.countable(call));
    const inputTokens = tokens + overhead;
    const answer = dialect.hasOutput ? Math.min(answerTokens ?? outputTokensMost, outputTokensMost) : 0;
    const card = this.#prices.card(provider.name, pricedAs, this.#now);
    const [entry] = await desk.store.entries({ reservation: CALL_ID, kinds: ["reserved"], most: 1 });
    const sizes = {
      inputTokens,
      cachedTokens: Math.floor((inputTokens * cachedShare) / ALL),
      inputTokensMost,
      outputTokens: answer * call.copies,
      outputTokensMost: outputTokensMost * call.copies,
    };
    return {
      provider: provider.name,
      model,
      endpoint: dialect.name,
      rungs,
      ...sizes,
      cost: card && costOf(card, usageOf(sizes, call), call.service),
      costMost: card && entry && "detail" in entry ? entry.detail.cost : undefined,
      card,
    };
  }

  #take({ per, callsADay }: Prompt, { subject }: RoutedCall, held: Balance, spent: readonly Balance[]): Take {
    const { budget, limit } = this.#limitOf(held, subject);
    const used = spent.find((one) => one.budget === held.budget && one.unit === held.unit && one.window === held.window);
    const shares = budget.per.flatMap((path) => per.get(path) ?? []);
    return {
      budget,
      subject: held.subject,
      limit,
      amount: held.limit,
      most: held.held,
      usual: used?.spent ?? 0,
      callsADay: callsADay === undefined ? undefined : Math.min(callsADay, ...shares),
    };
  }

  /** The limit that a balance is kept for, as it holds for a subject. */
  #limitOf({ budget: name, unit, window }: Balance, subject: Subject): { readonly budget: Budget; readonly limit: Limit } {
    const budget = this.#config.budgets.find((one) => one.name === name);
    const exception = budget?.exceptions.find(({ until, isFor }) => this.#now < until && isFor(subject));
    const limits = [...(exception?.limits.values() ?? []), ...(budget?.limits ?? [])];
    const limit = limits.find((one) => one.unit === unit && windowName(one.window) === window);
    if (!budget || !limit) throw new PurserError("internal", `A balance of "${name}" belongs to no limit.`);
    return { budget, limit };
  }

  /** An answer that would end sooner than the prompt means it to. */
  #cuts(prompt: Prompt, routed: RoutedCall, figures: Figures, decision: Decision): readonly Finding[] {
    const { call, dialect } = routed;
    if (decision.outcome !== "allowed" || !dialect.hasOutput) return [];
    const { outputTokens: allowed } = decision.reservation;
    const ownCap = prompt.content.kind === "texts" ? prompt.content.outputCap : call.outputCap;
    // What sounds and images have at most is worked out, and was not asked for.
    const written = (dialect.turns && figures.card?.maxOutputTokens) ?? Number.POSITIVE_INFINITY;
    const why =
      allowed < routed.outputTokensMost
        ? `${this.#loweredBy(routed, figures, decision)}, so the gateway lowers it to ${count(allowed)}`
        : `${figures.model} writes at most ${count(written)}`;
    if (ownCap !== undefined && Math.min(allowed, written) < ownCap)
      return [findingOf(prompt, "output_cap", `Its output cap of ${count(ownCap)} tokens does not fit: ${why}. Ask for no more.`)];
    const { answerTokens = 0 } = prompt;
    if (answerTokens <= allowed) return [];
    const cause = ownCap === allowed ? "its output cap is no more than that" : why;
    return [
      findingOf(prompt, "answer_cut", `An answer of ${count(answerTokens)} output tokens would be cut at ${count(allowed)}: ${cause}.`),
    ];
  }

  /** What lowers the output cap of a call, the beginning of a sentence: a request limit, or else the limit that is the tightest. */
  #loweredBy({ subject, call }: RoutedCall, { inputTokensMost, outputTokensMost }: Figures, decision: Decision): string {
    const isReached = (most: number) => most < outputTokensMost + call.copies;
    const selecting = this.#config.budgets.filter((budget) => !observes(budget, this.#now) && budget.selects(subject));
    for (const { name, request } of selecting) {
      const { maxOutput = Number.POSITIVE_INFINITY, maxTotal = Number.POSITIVE_INFINITY } = request;
      if (isReached(maxOutput)) return `budget "${name}" allows ${count(maxOutput)} output tokens in one call`;
      if (isReached(maxTotal - inputTokensMost))
        return `budget "${name}" allows ${count(maxTotal)} for input and output of one call together`;
    }
    const balances = "balances" in decision ? decision.balances : [];
    const ofOutput = balances.filter(({ unit, budget }) => GROWING.has(unit) && selecting.some(({ name }) => name === budget));
    const [tightest] = ofOutput;
    if (!tightest) return "no more of it fits its budgets";
    return `budget "${tightest.budget}" has no more than ${formatLimit(this.#limitOf(tightest, subject).limit)}`;
  }
}

/** What a longer answer takes more of. */
const GROWING: ReadonlySet<Unit> = new Set<Unit>(["nanodollars", "tokens", "output_tokens"]);

const NOTHING_LEARNED: Climber["calibration"] = { marginOf: () => undefined };

function observing(budget: Budget): Budget {
  return { ...budget, observesUntil: Number.POSITIVE_INFINITY };
}

/** A share of a whole, in hundredths of a per cent. */
const ALL = 10_000;

/** A usual call. */
function usageOf(
  { inputTokens, cachedTokens, outputTokens }: Pick<Figures, "inputTokens" | "cachedTokens" | "outputTokens">,
  { toolCalls }: Pick<RoutedCall["call"], "toolCalls">,
): Usage {
  return {
    inputTokens,
    outputTokens,
    ...(cachedTokens > 0 && { cacheReadInputTokens: cachedTokens }),
    ...(Object.keys(toolCalls).length > 0 && { toolCalls }),
  };
}

function refusals(prompt: Prompt, { provider, model, card, inputTokens }: Figures, decision: Decision): readonly Finding[] {
  const denied = decision.outcome === "denied" ? decision.denial : undefined;
  const isUnsaid = card === undefined && denied?.reason !== "model_unpriced";
  const { contextTokens = Number.POSITIVE_INFINITY } = card ?? {};
  return [
    ...(denied ? [findingOf(prompt, denied.reason, denied.message)] : []),
    ...(isUnsaid
      ? [
          findingOf(
            prompt,
            "model_unpriced",
            `${provider}/${model} has no price. Add it under prices in purser.yaml, or set default_price.`,
          ),
        ]
      : []),
    ...(inputTokens > contextTokens
      ? [
          findingOf(
            prompt,
            "context_exceeded",
            `The input has ${count(inputTokens)} tokens, and ${model} reads and writes at most ${count(contextTokens)}.`,
          ),
        ]
      : []),
  ];
}

export function findingOf({ name, line }: Prompt, kind: Finding["kind"], message: string): Finding {
  return { kind, prompts: [name], line, message };
}

function count(number: number): string {
  return number.toLocaleString("en-US");
}
