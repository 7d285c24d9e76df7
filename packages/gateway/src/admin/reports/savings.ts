import {
  type Budget,
  type CallDetail,
  type Charge,
  costOf,
  type Nanodollars,
  type PriceSource,
  type RateCard,
  ratesFor,
  type Usage,
} from "@purser/core";

/** A call that was charged, and the card by which it was. */
export interface PricedCall {
  readonly detail: CallDetail;
  readonly charge: Charge & { readonly cost: Nanodollars };
  readonly card: RateCard;
  readonly at: number;
}

/** What could be saved in one way, with how that was reckoned. Ways overlap, so they do not add up. */
export interface Saving {
  readonly kind: "caching" | "output" | "batch" | "model";
  /** The calls that would have cost less. */
  readonly calls: number;
  readonly nanodollars: Nanodollars;
  /** In a sentence, for people. */
  readonly how: string;
}

/** Adds up, call by call, what one change would have saved. */
export interface SavingSum {
  add(call: PricedCall): void;
  /** None where nothing would have been saved. */
  saving(): Saving | undefined;
}

/** The card by which a call was charged; none where it has changed since, or another one holds. */
export function cardOf(detail: CallDetail, { usage, cost, service }: Charge, at: number, prices: PriceSource): RateCard | undefined {
  const { provider, model = "" } = detail.subject;
  const card = provider === undefined ? undefined : prices.card(provider, detail.pricedAs ?? model, at);
  return card && costOf(card, usage, service) === cost ? card : undefined;
}

function costWith({ charge, card }: PricedCall, change: Partial<Usage>): Nanodollars {
  return costOf(card, { ...charge.usage, ...change }, charge.service);
}

/**
 * The shortest beginning that providers cache, in tokens, as they say it of their models: 1,024 for most, and more for these.
 * https://platform.claude.com/docs/en/build-with-claude/prompt-caching, https://platform.openai.com/docs/guides/prompt-caching,
 * https://ai.google.dev/gemini-api/docs/caching
 */
function cachedLeast(model: string): number {
  return /haiku|opus|gemini/i.test(model) ? 4_096 : 1_024;
}

interface CachingOfSession {
  calls: number;
  saved: Nanodollars;
}

/**
 * What reading unchanged beginnings from the provider's cache would have saved. Where writing there costs more, every call of the session
 * that is long enough is reckoned to write what it does not read: so the first call of a session makes it dearer.
 */
export class CachingSum implements SavingSum {
  readonly #sessions = new Map<string, CachingOfSession>();

  add(call: PricedCall): void {
    const { detail, charge, card } = call;
    const { usage, resent } = charge;
    const { inputTokens = 0, cacheReadInputTokens: read = 0, cacheWriteInputTokens: written = 0 } = usage;
    const unchanged = resent?.unchangedInputTokens;
    const least = cachedLeast(card.model);
    if (unchanged === undefined || inputTokens < least) return;
    const rates = ratesFor(card, inputTokens);
    const isDearToWrite = rates.cacheWrite !== undefined && rates.cacheWrite > rates.input;
    // Who writes to the cache uses it already; who only reads uses it where half of what could be read was.
    if (rates.cacheRead === undefined || rates.cacheRead >= rates.input || written > 0 || (isDearToWrite && read > 0)) return;
    const isMissed = unchanged >= least && read * 2 < unchanged;
    if (!isMissed && !isDearToWrite) return;
    const cached = isMissed ? unchanged : 0;
    const change = {
      cacheReadInputTokens: Math.max(read, cached),
      ...(isDearToWrite && { cacheWriteInputTokens: inputTokens - cached }),
    };
    const saved = charge.cost - costWith(call, change);
    const { provider, model, org, team, key, user, session } = detail.subject;
    const name = JSON.stringify([provider, model, org, team, key, user, session]);
    const known = this.#sessions.get(name) ?? { calls: 0, saved: 0 };
    this.#sessions.set(name, { calls: known.calls + (isMissed ? 1 : 0), saved: known.saved + saved });
  }

  saving(): Saving | undefined {
    // A session that would have become dearer is left as it is.
    const better = [...this.#sessions.values()].filter(({ saved }) => saved > 0);
    const calls = better.reduce((sum, one) => sum + one.calls, 0);
    const nanodollars = better.reduce((sum, { saved }) => sum + saved, 0);
    const sessions = better.length === 1 ? "1 session" : `${better.length.toLocaleString("en-US")} sessions`;
    const how = `Calls of ${sessions} that began as one did within five minutes before, long enough for the provider's prompt cache, and were not read from there: the same calls with that read from the cache and, where writing costs more, the rest written.`;
    return nanodollars > 0 ? { kind: "caching", calls, nanodollars, how } : undefined;
  }
}

/** What it would have saved to make calls that waited in the queue anyway as batches. */
export class BatchSum implements SavingSum {
  #calls = 0;
  #nanodollars = 0;

  add({ detail, charge, card }: PricedCall): void {
    if (card.batchPermille === undefined || charge.service !== undefined || !detail.rungs?.some((rung) => rung.startsWith("queue (")))
      return;
    const saved = charge.cost - costOf(card, charge.usage, "batch");
    if (saved <= 0) return;
    this.#calls++;
    this.#nanodollars += saved;
  }

  saving(): Saving | undefined {
    const how =
      "Calls that waited in the queue at the price of those that do not wait: the same calls at the provider's price for batches.";
    return this.#calls > 0 ? { kind: "batch", calls: this.#calls, nanodollars: this.#nanodollars, how } : undefined;
  }
}

/** What is short needs no large model, where somebody says that another one will do. */
const SHORT_INPUT = 1_000;
const SHORT_OUTPUT = 200;

/** What it would have saved to make short calls with the cheapest model that the ladders of their budgets name. */
export class ModelSum implements SavingSum {
  readonly #prices: PriceSource;
  readonly #budgets: readonly (Pick<Budget, "selects" | "allowsModel"> & { readonly models: readonly string[] })[];
  readonly #used = new Set<string>();
  #calls = 0;
  #nanodollars = 0;

  constructor(prices: PriceSource, budgets: readonly Budget[]) {
    this.#prices = prices;
    this.#budgets = budgets.map((budget) => ({
      selects: (subject) => budget.selects(subject),
      allowsModel: (model) => budget.allowsModel(model),
      models: budget.ladder.flatMap(({ rungs }) => rungs.flatMap((rung) => (rung.kind === "use" ? [rung.model] : []))),
    }));
  }

  add({ detail, charge, at }: PricedCall): void {
    const { usage, cost, service } = charge;
    const { inputTokens = Infinity, outputTokens = Infinity } = usage;
    if (inputTokens > SHORT_INPUT || outputTokens > SHORT_OUTPUT || usage.toolCalls) return;
    const { subject } = detail;
    const own = this.#budgets.filter((budget) => budget.selects(subject));
    let best: { readonly model: string; readonly cost: Nanodollars } | undefined;
    for (const model of own.flatMap(({ models }) => models)) {
      const card = own.every((budget) => budget.allowsModel(model)) ? this.#prices.card(subject.provider ?? "", model, at) : undefined;
      const other = card && costOf(card, usage, service);
      if (other !== undefined && other < (best?.cost ?? cost)) best = { model, cost: other };
    }
    if (!best) return;
    this.#used.add(best.model);
    this.#calls++;
    this.#nanodollars += cost - best.cost;
  }

  saving(): Saving | undefined {
    const how = `Calls of at most ${SHORT_INPUT.toLocaleString("en-US")} tokens with answers of at most ${SHORT_OUTPUT}: as many tokens of the cheapest model that the ladders of their budgets name (${[...this.#used].sort().join(", ")}).`;
    return this.#calls > 0 ? { kind: "model", calls: this.#calls, nanodollars: this.#nanodollars, how } : undefined;
  }
}
