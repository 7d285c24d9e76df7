import type { BudgetedCall } from "../budgeted-call.ts";
import type { Outcome } from "../outcome.ts";
import { readLengths, writeLengths } from "./lengths-file.ts";

/** So many lengths are kept of a model and feature: those seen last. */
const LENGTHS_MOST = 200;
/** With fewer nothing is known, and all that an answer can have is held. */
const LENGTHS_LEAST = 50;
/** Names of models and features come from callers, so only so many pairs are kept: those that answered last. */
const KEYS_MOST = 2_000;

interface Known {
  lengths: number[];
  /** Those that are not on disk yet. */
  unsaved: number[];
  /** Worked out when somebody asks. */
  p95: number | undefined;
}

/** How long the answers of each model and feature are, in output tokens: nearly all of them, 95 of 100. */
export class UsualAnswers {
  readonly #directory: string;
  readonly #onError: (error: unknown) => void;
  /** In the order in which they were seen last. */
  readonly #known = new Map<string, Known>();

  /** `directory`: where what was seen is kept between starts. */
  constructor(directory: string, onError: (error: unknown) => void) {
    this.#directory = directory;
    this.#onError = onError;
  }

  /** Goes on from what was seen before. */
  async open(): Promise<void> {
    this.#adopt(await this.#read());
  }

  /** The length that 95 of 100 answers do not exceed; none while too few were seen. */
  p95({ subject, model }: Pick<BudgetedCall, "subject" | "model">): number | undefined {
    const known = this.#known.get(keyOf(subject.provider, model, subject.feature));
    if (!known || known.lengths.length < LENGTHS_LEAST) return undefined;
    known.p95 ??= known.lengths.toSorted((a, b) => a - b)[Math.ceil(known.lengths.length * 0.95) - 1];
    return known.p95;
  }

  /** Looks at an answer. One that was ended before its time was at least so long. */
  saw({ subject, model, call, dialect }: Pick<BudgetedCall, "subject" | "model" | "call" | "dialect">, outcome: Outcome): void {
    if (outcome.kind !== "answered" || !dialect.hasOutput || call.copies !== 1) return;
    const length = outcome.usage?.outputTokens || outcome.outputTokens();
    const key = keyOf(subject.provider, model, subject.feature);
    const known = this.#known.get(key) ?? { lengths: [], unsaved: [], p95: undefined };
    this.#known.delete(key);
    this.#known.set(key, known);
    for (const lengths of [known.unsaved, known.lengths]) {
      lengths.push(length);
      if (lengths.length > LENGTHS_MOST) lengths.shift();
    }
    known.p95 = undefined;
    if (this.#known.size > KEYS_MOST) this.#known.delete(this.#known.keys().next().value as string);
  }

  /** Writes down what is new, beside what other processes of the same folder have seen. */
  async flush(): Promise<void> {
    const fresh = [...this.#known].filter(([, { unsaved }]) => unsaved.length > 0);
    if (fresh.length === 0) return;
    const lengths = new Map(await this.#read());
    for (const [key, known] of fresh) {
      const before = lengths.get(key) ?? [];
      lengths.delete(key);
      lengths.set(key, [...before, ...known.unsaved].slice(-LENGTHS_MOST));
      known.unsaved = [];
    }
    const kept = new Map([...lengths].slice(-KEYS_MOST));
    await writeLengths(this.#directory, kept);
    this.#adopt(kept);
  }

  /** What cannot be read is learned again: no gateway stands still for it. */
  async #read(): Promise<ReadonlyMap<string, readonly number[]>> {
    try {
      return await readLengths(this.#directory);
    } catch (error) {
      this.#onError(error);
      return new Map();
    }
  }

  #adopt(all: ReadonlyMap<string, readonly number[]>): void {
    for (const [key, lengths] of all) {
      const known = this.#known.get(key) ?? { lengths: [], unsaved: [], p95: undefined };
      this.#known.set(key, known);
      known.lengths = [...lengths, ...known.unsaved].slice(-LENGTHS_MOST);
      known.p95 = undefined;
    }
  }
}

function keyOf(provider: string | undefined, model: string, feature: string | undefined): string {
  return JSON.stringify([provider, model, feature ?? null]);
}
