import { amountsOf, costOf } from "@purser/core";
import type { PriceBook } from "@purser/core/prices";
import type { Config } from "../config/config.ts";
import { priceBookOf } from "../config/price-book.ts";
import type { RecordedRefusal } from "../replay/ledger-calls.ts";
import type { RecordedCall } from "../replay/recorded-call.ts";
import { type CallAsItWas, callsAsTheyWere } from "../replay/replay.ts";
import { type Day, dayOf, type RecordedTime, wholeDays } from "./days.ts";

/** What was recorded: calls in the order in which they came, never none, and what was refused meanwhile. */
export interface Recorded {
  readonly calls: readonly RecordedCall[];
  readonly refusals: readonly RecordedRefusal[];
  /** Whether it goes on: a ledger does, and a trace ends with its last call. */
  readonly goesOn: boolean;
}

/** A refused call, with the most that it could have used in each unit; without a price, that is any amount of money. */
export interface Refusal extends RecordedRefusal {
  readonly asked: ReturnType<typeof amountsOf>;
}

/** Recorded calls, as whoever proposes or reviews budgets looks at them. */
export class History {
  readonly time: RecordedTime;
  readonly calls: readonly CallAsItWas[];
  readonly refusals: readonly Refusal[];
  readonly #days = new Map<string, readonly Day[]>();

  constructor(config: Config, { calls, refusals, goesOn }: Recorded, now: number) {
    this.calls = callsAsTheyWere(config, calls);
    const book = priceBookOf(config);
    this.refusals = refusals.map((refusal) => ({ ...refusal, asked: askedOf(refusal, book) }));
    const since = calls[0]?.at ?? now;
    const last = calls.reduce((latest, { at, durationMs }) => Math.max(latest, at + durationMs), since);
    // What came after the last day with calls is no use of nothing: nobody was there.
    this.time = { since, until: goesOn ? Math.max(last, Math.min(now, dayOf(config.timezone, last).endsAt)) : last };
  }

  /** The whole days of a zone. */
  days(timeZone: string): readonly Day[] {
    const known = this.#days.get(timeZone) ?? wholeDays(this.time, timeZone);
    this.#days.set(timeZone, known);
    return known;
  }
}

function askedOf({ at, subject, pricedAs, usage }: RecordedRefusal, book: PriceBook): Refusal["asked"] {
  const card = book.card(subject.provider ?? "", pricedAs, at);
  return amountsOf(usage, card ? costOf(card, usage) : Number.POSITIVE_INFINITY);
}
