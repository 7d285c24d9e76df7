import type { Budget } from "@purser/core";
import type { Config } from "../config/config.ts";
import type { RecordedCall } from "../replay/recorded-call.ts";
import { type CallAsItWas, replay } from "../replay/replay.ts";
import type { WouldRefuse } from "./limit-use.ts";

/**
 * Says which recorded calls budgets would refuse, by making the calls again. Budgets that only observe refuse here too, and ladders and
 * what is shared, which would soften what they do, are left out: it is the amounts that are looked at.
 */
export class Prediction {
  readonly #config: Config;
  readonly #calls: readonly RecordedCall[];
  readonly #asTheyWere: ReadonlyMap<RecordedCall, CallAsItWas>;

  constructor(config: Config, calls: readonly RecordedCall[], asTheyWere: readonly CallAsItWas[]) {
    this.#config = config;
    this.#calls = calls;
    this.#asTheyWere = new Map(calls.map((call, i) => [call, asTheyWere[i] as CallAsItWas]));
  }

  /** What each budget would refuse if it were alone: of several that refuse a call, only one is named. */
  async alone(budgets: readonly Budget[]): Promise<ReadonlyMap<Budget, readonly WouldRefuse[]>> {
    const refusing = await this.#refusing(budgets);
    const refusals = new Map<Budget, readonly WouldRefuse[]>();
    for (const budget of refusing) {
      const selected = this.#calls.filter((call) => budget.selects(this.#asItWas(call).subject));
      refusals.set(budget, await this.#refusals([budget], selected));
    }
    return refusals;
  }

  /** How many calls all of them would refuse together; `alone` says what each of them would. */
  async together(budgets: readonly Budget[], alone: ReadonlyMap<Budget, readonly WouldRefuse[]>): Promise<number> {
    const isSure = alone.size === 0 && [...this.#asTheyWere.values()].every(({ isPriced }) => isPriced);
    return isSure ? 0 : (await this.#refusals(budgets, this.#calls)).length;
  }

  /** Those that refuse anything: what never would, where all of them observe, does not where it is alone. So most need no replay of their own. */
  async #refusing(budgets: readonly Budget[]): Promise<readonly Budget[]> {
    if (budgets.length === 0) return [];
    const names = new Set<string>();
    const wouldRefuse = (_: RecordedCall, named: readonly string[]) => {
      for (const name of named) names.add(name);
    };
    await replay(this.#under(budgets, Number.POSITIVE_INFINITY), this.#calls, { wouldRefuse });
    return budgets.filter(({ name }) => names.has(name));
  }

  async #refusals(budgets: readonly Budget[], calls: readonly RecordedCall[]): Promise<readonly WouldRefuse[]> {
    const refusals: WouldRefuse[] = [];
    await replay(this.#under(budgets, 0), calls, {
      refused: (call, { balance }) => refusals.push({ call: this.#asItWas(call), by: balance }),
    });
    return refusals;
  }

  #under(budgets: readonly Budget[], observesUntil: number): Config {
    return {
      ...this.#config,
      budgets: budgets.map((budget): Budget => ({ ...budget, ladder: [], sharing: undefined, adjusting: undefined, observesUntil })),
    };
  }

  #asItWas(call: RecordedCall): CallAsItWas {
    return this.#asTheyWere.get(call) as CallAsItWas;
  }
}
