import type { Attributes, Counter, Histogram, Meter } from "@opentelemetry/api";
import { type Charge, chargeAmounts, type RungSaving, savedNet } from "@purser/core";
import { ATTRIBUTE, METRIC } from "./names.ts";

type CounterName = "cost" | "costTakenBack" | "tokensTakenBack" | "refusals" | "knownAnswers" | "savedCost" | "spentOnSaving";

/** The metrics of `METRIC`, and how a charge is added to them. */
export class Instruments {
  readonly duration: Histogram;
  readonly firstChunk: Histogram;
  readonly refusals: Counter;
  readonly knownAnswers: Counter;
  readonly #savedCost: Counter;
  readonly #spentOnSaving: Counter;
  readonly #tokens: Histogram;
  readonly #cost: Counter;
  readonly #costTakenBack: Counter;
  readonly #tokensTakenBack: Counter;

  constructor(meter: Meter) {
    const histogram = ({ name, unit, what, bounds }: (typeof METRIC)["tokens" | "duration" | "firstChunk"]) =>
      meter.createHistogram(name, { unit, description: what, advice: { explicitBucketBoundaries: [...bounds] } });
    const counter = ({ name, unit, what }: (typeof METRIC)[CounterName]) => meter.createCounter(name, { unit, description: what });
    this.duration = histogram(METRIC.duration);
    this.firstChunk = histogram(METRIC.firstChunk);
    this.refusals = counter(METRIC.refusals);
    this.knownAnswers = counter(METRIC.knownAnswers);
    this.#savedCost = counter(METRIC.savedCost);
    this.#spentOnSaving = counter(METRIC.spentOnSaving);
    this.#tokens = histogram(METRIC.tokens);
    this.#cost = counter(METRIC.cost);
    this.#costTakenBack = counter(METRIC.costTakenBack);
    this.#tokensTakenBack = counter(METRIC.tokensTakenBack);
  }

  /** Adds a charge, and takes back the estimate in whose place it stands. */
  charged(call: Attributes, charge: Charge, takenBack: Charge | undefined): void {
    const { inputTokens, outputTokens, cost } = chargeAmounts(charge);
    const of = (type: string) => ({ ...call, [ATTRIBUTE.tokenType.name]: type });
    this.#tokens.record(inputTokens, of("input"));
    this.#tokens.record(outputTokens, of("output"));
    this.#cost.add(cost, { ...call, [ATTRIBUTE.certainty.name]: charge.certainty });
    for (const saving of charge.savings ?? []) this.saved(call, saving);
    if (!takenBack) return;
    const estimate = chargeAmounts(takenBack);
    this.#tokensTakenBack.add(estimate.inputTokens, of("input"));
    this.#tokensTakenBack.add(estimate.outputTokens, of("output"));
    this.#costTakenBack.add(estimate.cost, call);
  }

  /** A counter never falls: what a call became dearer is counted with what rungs spent. */
  saved(call: Attributes, saving: RungSaving): void {
    const net = savedNet([saving]);
    const attributes = { ...call, [ATTRIBUTE.savingBudget.name]: saving.budget, [ATTRIBUTE.savingRung.name]: saving.rung };
    (net < 0 ? this.#spentOnSaving : this.#savedCost).add(Math.abs(net), attributes);
  }
}
