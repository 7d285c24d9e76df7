/** A summary of the beginning of somebody's conversation. */
export interface Summary {
  /** None where a model was asked and wrote nothing of use: it is not asked again at once. */
  readonly text: string | undefined;
  readonly tokens: number;
  readonly at: number;
}

/** All together have at most so many characters; those that were read longest ago go first. */
const CHARACTERS_MOST = 16 * 1024 * 1024;
const ENTRY_CHARACTERS = 300;

/** Summaries, in memory only, each by the beginning that it stands for and who said that. */
export class Summaries {
  readonly #summaries = new Map<string, Summary>();
  /** Those that are being written: who asks for the same waits for the same. */
  readonly #writing = new Map<string, Promise<Summary>>();
  #characters = 0;

  find(key: string): Summary | undefined {
    const summary = this.#summaries.get(key);
    if (!summary) return undefined;
    // What is read stays.
    this.#summaries.delete(key);
    this.#summaries.set(key, summary);
    return summary;
  }

  /** The summary that `write` makes, or that somebody is making already. */
  async write(key: string, write: () => Promise<Summary>): Promise<Summary> {
    const writing = this.#writing.get(key) ?? write();
    this.#writing.set(key, writing);
    try {
      const summary = await writing;
      if (this.#summaries.get(key) !== summary) this.#keep(key, summary);
      return summary;
    } finally {
      if (this.#writing.get(key) === writing) this.#writing.delete(key);
    }
  }

  /** Forgets the summaries from before a time. */
  forget(before = Number.POSITIVE_INFINITY): void {
    for (const [key, { at }] of this.#summaries) if (at < before) this.#drop(key);
  }

  #keep(key: string, summary: Summary): void {
    this.#drop(key);
    this.#summaries.set(key, summary);
    this.#characters += sizeOf(summary);
    while (this.#characters > CHARACTERS_MOST) this.#drop(this.#summaries.keys().next().value as string);
  }

  #drop(key: string): void {
    const summary = this.#summaries.get(key);
    if (!summary) return;
    this.#summaries.delete(key);
    this.#characters -= sizeOf(summary);
  }
}

function sizeOf({ text = "" }: Summary): number {
  return text.length + ENTRY_CHARACTERS;
}
