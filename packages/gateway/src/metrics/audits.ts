import { PurserError, type Store } from "@purser/core";

export interface AuditsOptions {
  readonly store: Pick<Store, "audit">;
  readonly onError: (error: unknown) => void;
  /** Milliseconds that only go on; `performance.now` where it is left out. */
  readonly elapsed?: () => number;
}

/** What the last audit found. */
export interface AuditState {
  /** Balances that are not the sum of their entries. */
  readonly mismatches: number;
  /** Epoch milliseconds: when it ended. */
  readonly at: number;
}

const FIRST_AFTER_MS = 5_000;
const EVERY_MS = 60_000;
/** Audits take at most this part of the time, however large the ledger is. */
const TIME_SHARE = 1 / 100;

/** Compares balances with the ledger again and again while the gateway runs. */
export class Audits {
  readonly #options: AuditsOptions;
  readonly #elapsed: () => number;
  #dueAt: number;
  #running: Promise<void> | undefined;
  #state: AuditState | undefined;

  constructor(options: AuditsOptions) {
    this.#options = options;
    this.#elapsed = options.elapsed ?? (() => performance.now());
    this.#dueAt = this.#elapsed() + FIRST_AFTER_MS;
  }

  /** Nothing before the first audit has ended, or where the store keeps no ledger to compare with. */
  get state(): AuditState | undefined {
    return this.#state;
  }

  /** To be called every second or so. Resolves when the audit that it may have begun has ended. */
  look(): Promise<void> {
    if (this.#elapsed() < this.#dueAt || !this.#options.store.audit) return Promise.resolve();
    this.#running ??= this.#audit().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async close(): Promise<void> {
    this.#dueAt = Number.POSITIVE_INFINITY;
    await this.#running?.catch(() => undefined);
  }

  async #audit(): Promise<void> {
    const { store, onError } = this.#options;
    const began = this.#elapsed();
    try {
      const found = (await store.audit?.()) ?? [];
      this.#state = { mismatches: found.length, at: Date.now() };
      const [first] = found;
      if (first) {
        const { key, balance, ledger } = first;
        onError(
          new PurserError(
            "internal",
            `${found.length} balances are not the sum of their ledger entries. The first is ${key}: ${JSON.stringify({ balance, ledger })}. Keep a copy of the data folder and report it.`,
          ),
        );
      }
    } finally {
      this.#dueAt = Math.max(this.#dueAt, this.#elapsed() + Math.max(EVERY_MS, (this.#elapsed() - began) / TIME_SHARE));
    }
  }
}
