import { addCounted, answerOf, type CountAnswer, type CountItem, createTally, type Tally } from "./tally.ts";

/** What a process counted since it told of it last. */
export interface CountBatch {
  /** Stands for the process that tells. */
  readonly by: string;
  /** Grows with each batch of a process: what is told twice is counted once. */
  readonly number: number;
  readonly items: readonly CountItem[];
}

/** Where processes count together: those that share a Redis, or a port. */
export interface CountBook {
  /** Counts, and says what all have counted of each item. It may be told again what failed. */
  count(batch: CountBatch): Promise<readonly CountAnswer[]>;
}

/** Of so many subjects is known what all processes counted: of those that were counted last. */
const TALLIES_MOST = 20_000;
/** So many processes are remembered: those that told something last. */
const TELLERS_MOST = 1_000;

/** Counts for several processes, in the memory of one. */
export class OwnCounts implements CountBook {
  readonly #now: () => number;
  readonly #tallies = new Map<string, Tally>();
  /** The last batch of each process. */
  readonly #told = new Map<string, number>();

  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  async count({ by, number, items }: CountBatch): Promise<readonly CountAnswer[]> {
    const now = this.#now();
    const isNew = number > (this.#told.get(by) ?? 0);
    setLast(this.#told, by, number, TELLERS_MOST);
    return items.map((item) => {
      const key = `${item.budget}|${item.label}`;
      const tally = this.#tallies.get(key) ?? createTally();
      setLast(this.#tallies, key, tally, TALLIES_MOST);
      return isNew ? addCounted(tally, item, by, now) : answerOf(tally, item.counted, now);
    });
  }
}

/** Sets a value, and lets go of that which was set longest ago where there are too many. */
function setLast<Value>(map: Map<string, Value>, key: string, value: Value, most: number): void {
  map.delete(key);
  map.set(key, value);
  if (map.size > most) map.delete(map.keys().next().value as string);
}
