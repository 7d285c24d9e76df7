import type { Budgets, Store, Subject } from "@purser/core";
import type { Alerts } from "./alerts.ts";

export interface HindsightOptions {
  readonly store: Pick<Store, "entries">;
  readonly budgets: Pick<Budgets, "balances">;
  readonly alerts: Pick<Alerts, "watches" | "observe">;
}

/** How many entries at once are read, and how many of the newest where nobody knows where to begin. */
const PAGE = 1_000;
const CHARGES = ["settled", "expired", "corrected"] as const;

/**
 * Sees what nobody looked at when it happened: a process can die between the settlement of a call and the look at its balances, and holds end
 * without a call.
 */
export class Hindsight {
  readonly #options: HindsightOptions;
  #isClosed = false;

  constructor(options: HindsightOptions) {
    this.#options = options;
  }

  /** Looks at the balances of all that was charged since a time; of the newest charges where it is not known. Whether all was looked at. */
  async lookBack(since: number | undefined): Promise<boolean> {
    if (since === undefined) await this.#look({ newest: true });
    else for (let after: number | undefined = 0; after !== undefined; ) after = await this.#look({ since, after });
    return !this.#isClosed;
  }

  /** Stops looking. */
  close(): void {
    this.#isClosed = true;
  }

  /** Looks at the balances of holds that have just ended by themselves. */
  async expired(count: number): Promise<void> {
    if (count > 0) await this.#look({ kinds: ["expired"], newest: true, most: Math.min(count, PAGE) });
  }

  /** Returns where there is more to be read. */
  async #look(query: Parameters<Store["entries"]>[0]): Promise<number | undefined> {
    const { store, budgets, alerts } = this.#options;
    if (this.#isClosed) return undefined;
    const entries = await store.entries({ kinds: CHARGES, most: PAGE, ...query });
    const subjects = new Map<string, Subject>();
    for (const entry of entries) if ("charge" in entry) subjects.set(JSON.stringify(entry.detail.subject), entry.detail.subject);
    for (const subject of subjects.values())
      if (!this.#isClosed && alerts.watches(subject)) alerts.observe(await budgets.balances({ subject }));
    return entries.length < PAGE ? undefined : entries.at(-1)?.seq;
  }
}
