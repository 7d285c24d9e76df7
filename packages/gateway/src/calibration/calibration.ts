import type { Usage } from "@purser/core";
import {
  COMPARED_FROM_TOKENS,
  type CountError,
  countErrorOf,
  encodingOf,
  learnedMargin,
  type Margin,
  measureTokens,
} from "@purser/core/tokens";
import type { BudgetedCall } from "../budgeted-call.ts";
import type { Provider } from "../providers/provider.ts";
import { countedOf, keyOf, readCounts, writeCounts } from "./counts-file.ts";

/** So many errors are kept of a model: those seen last. */
const ERRORS_MOST = 256;
/** Names of models come from callers, so only so many are compared. */
const MODELS_MOST = 500;
/** The first calls of a model are compared one by one; after that, one in a while shows whether anything changed. */
const FIRST_CALLS = 128;
const COMPARED_EVERY_MS = 10_000;
/** To count a longer call would keep others waiting for what one can learn from a shorter one. */
const BYTES_MOST = 256 * 1_024;

/** An answered call, with what our count of it depends on. */
export type CountedCall = Pick<BudgetedCall, "call" | "dialect" | "model"> & { readonly provider: Pick<Provider, "name"> };

interface Known {
  readonly model: string;
  errors: readonly CountError[];
  /** Those that are not on disk yet. */
  unsaved: CountError[];
  /** None where what was seen changes nothing. */
  margin: Margin | undefined;
  /** How many calls were counted, also where that said nothing. */
  compared: number;
  comparedAt: number;
}

/**
 * Compares our counts of calls with those of their providers, after the answer, and lets the margins follow: a vocabulary that stands in for another is
 * trusted as far as it proved right.
 */
export class Calibration {
  readonly #directory: string;
  readonly #onError: (error: unknown) => void;
  readonly #known = new Map<string, Known>();
  #comparing: Promise<void> | undefined;

  /** `directory`: where what was seen is kept between starts. */
  constructor(directory: string, onError: (error: unknown) => void) {
    this.#directory = directory;
    this.#onError = onError;
  }

  /** Goes on from what was seen before. */
  async open(): Promise<void> {
    this.#adopt(await this.#read());
  }

  /** What to add to a count for a model at a provider, where that was learned. */
  marginOf(provider: string, model: string): Margin | undefined {
    return this.#known.get(countedKey(provider, model))?.margin;
  }

  /** Looks at what an answer reports. Counts some calls in the background, one at a time. */
  saw(counted: CountedCall, usage: Usage, now: number): void {
    const { inputTokens } = usage;
    if (inputTokens === undefined || inputTokens < COMPARED_FROM_TOKENS || this.#comparing || !isPlain(counted, usage)) return;
    const known = this.#find(counted.provider.name, counted.model);
    if (!known || (known.compared >= FIRST_CALLS && now - known.comparedAt < COMPARED_EVERY_MS)) return;
    known.compared++;
    known.comparedAt = now;
    this.#comparing = this.#compare(known, counted, inputTokens)
      .catch(this.#onError)
      .finally(() => {
        this.#comparing = undefined;
      });
  }

  /** Writes down what is new, beside what other processes of the same folder have seen. */
  async flush(): Promise<void> {
    await this.#comparing;
    const fresh = [...this.#known].filter(([, { unsaved }]) => unsaved.length > 0);
    if (fresh.length === 0) return;
    const counts = new Map(await this.#read());
    for (const [key, known] of fresh) {
      counts.set(key, latest([...(counts.get(key) ?? []), ...known.unsaved]));
      known.unsaved = [];
    }
    await writeCounts(this.#directory, counts);
    this.#adopt(counts);
  }

  /** What cannot be read is learned again: no gateway stands still for it. */
  async #read(): Promise<ReadonlyMap<string, readonly CountError[]>> {
    try {
      return await readCounts(this.#directory);
    } catch (error) {
      this.#onError(error);
      return new Map();
    }
  }

  async #compare(known: Known, { call, dialect, model }: CountedCall, inputTokens: number): Promise<void> {
    // Whoever waits for an answer comes first.
    await new Promise((resolve) => setImmediate(resolve));
    const error = countErrorOf(await measureTokens(model, dialect.countable(call)), inputTokens);
    if (!error) return;
    known.unsaved.push(error);
    this.#learn(known, [...known.errors, error]);
  }

  #find(provider: string, model: string, key = countedKey(provider, model)): Known | undefined {
    const found = this.#known.get(key);
    if (found || this.#known.size >= MODELS_MOST) return found;
    const known: Known = { model, errors: [], unsaved: [], margin: undefined, compared: 0, comparedAt: Number.NEGATIVE_INFINITY };
    this.#known.set(key, known);
    return known;
  }

  #adopt(counts: ReadonlyMap<string, readonly CountError[]>): void {
    for (const [key, errors] of counts) {
      const { provider, model, countedAs } = countedOf(key);
      // What was seen of another way of counting says nothing about this one.
      const known = countedAs === encodingOf(model).countedAs ? this.#find(provider, model, key) : undefined;
      if (!known) continue;
      this.#learn(known, errors);
      known.compared = Math.max(known.compared, known.errors.length);
    }
  }

  #learn(known: Known, errors: readonly CountError[]): void {
    const given = encodingOf(known.model);
    known.errors = latest(errors);
    const margin = learnedMargin(given, known.errors);
    const isGiven = margin.marginPermille === given.marginPermille && margin.marginOtherPermille === given.marginOtherPermille;
    known.margin = isGiven ? undefined : margin;
  }
}

/** What is learned of a model is about the way in which it is counted. */
function countedKey(provider: string, model: string): string {
  return keyOf({ provider, model, countedAs: encodingOf(model).countedAs });
}

function latest(errors: readonly CountError[]): readonly CountError[] {
  return errors.slice(-ERRORS_MOST);
}

/** Whether all that a provider counts is text that we see: no images, files, earlier answers or tools of the provider's own. */
function isPlain({ call }: CountedCall, { toolCalls = {} }: Usage): boolean {
  const { body, images, opaqueTokens, hidesInput } = call;
  return body.bytes.length <= BYTES_MOST && images.length === 0 && opaqueTokens === 0 && !hidesInput && Object.keys(toolCalls).length === 0;
}
