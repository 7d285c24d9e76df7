import type { CountBook } from "./count-book.ts";
import { type CountAnswer, type Counted, type CountItem, createCounted } from "./tally.ts";

/** So many subjects are told of in one message. */
const ITEMS_MOST = 500;
/** No more than one message is sent within as long: a call that comes alone is told at once. */
const PAUSE_MS = 50;
/** After a failure. */
const RETRY_MS = 500;
/** What could not be told for so long is let go of. */
const OWED_MOST_MS = 60_000;

/** What is counted, by whom, and what came of it. */
export interface Counting<Subject> {
  /** Nothing where nobody guards it any more. */
  itemOf(subject: Subject, counted: Counted): CountItem | undefined;
  /** `since`: what was counted here since that was told. */
  learnt(subject: Subject, answer: CountAnswer, since: Counted | undefined): void;
  readonly onError: (error: unknown) => void;
}

interface Sent<Subject> {
  readonly number: number;
  readonly subjects: readonly Subject[];
  readonly items: readonly CountItem[];
  readonly at: number;
}

/** Tells others what was counted here, in the background and in few messages: nobody waits for it. */
export class ToldCounts<Subject> {
  readonly #book: CountBook;
  readonly #by: string;
  readonly #counting: Counting<Subject>;
  #waiting = new Map<Subject, Counted>();
  /** What was sent, and of which it is not known yet that it arrived. It is sent again as it was. */
  #sent: Sent<Subject> | undefined;
  #number = 0;
  #telling: Promise<void> | undefined;
  #isPlanned = false;
  #isAway = false;
  #isClosed = false;

  constructor(book: CountBook, by: string, counting: Counting<Subject>) {
    this.#book = book;
    this.#by = by;
    this.#counting = counting;
  }

  /** What is counted of a subject until it is told. */
  of(subject: Subject): Counted {
    let counted = this.#waiting.get(subject);
    if (!counted) {
      counted = createCounted();
      this.#waiting.set(subject, counted);
      if (!this.#isPlanned) this.#plan(0);
    }
    return counted;
  }

  /** What was told last did not arrive. */
  get isAway(): boolean {
    return this.#isAway;
  }

  forget(subject: Subject): void {
    this.#waiting.delete(subject);
  }

  /** Tells all that waits now; what fails is tried again later. */
  async tell(): Promise<void> {
    const last = this.#number + Math.ceil(this.#waiting.size / ITEMS_MOST);
    while (!this.#isClosed && (this.#sent || (this.#waiting.size > 0 && this.#number < last))) await this.#tellSome();
  }

  close(): void {
    this.#isClosed = true;
    this.#waiting.clear();
  }

  #tellSome(): Promise<void> {
    this.#telling ??= this.#tellMost().finally(() => {
      this.#telling = undefined;
    });
    return this.#telling;
  }

  async #tellMost(): Promise<void> {
    const sent = this.#sent ?? this.#next();
    if (sent.items.length === 0) return;
    this.#sent = sent;
    try {
      const answers = await this.#book.count({ by: this.#by, number: sent.number, items: sent.items });
      this.#sent = undefined;
      this.#isAway = false;
      for (const [i, subject] of sent.subjects.entries()) {
        const answer = answers[i];
        if (answer) this.#counting.learnt(subject, answer, this.#waiting.get(subject));
      }
    } catch (error) {
      this.#isAway = true;
      if (performance.now() - sent.at > OWED_MOST_MS) this.#sent = undefined;
      throw error;
    }
  }

  #next(): Sent<Subject> {
    const subjects: Subject[] = [];
    const items: CountItem[] = [];
    for (const [subject, counted] of this.#waiting) {
      if (items.length === ITEMS_MOST) break;
      this.#waiting.delete(subject);
      const item = this.#counting.itemOf(subject, counted);
      if (!item) continue;
      subjects.push(subject);
      items.push(item);
    }
    return { number: ++this.#number, subjects, items, at: performance.now() };
  }

  #plan(afterMs: number): void {
    this.#isPlanned = true;
    if (afterMs === 0) setImmediate(() => void this.#tellAsPlanned());
    else setTimeout(() => void this.#tellAsPlanned(), afterMs).unref();
  }

  async #tellAsPlanned(): Promise<void> {
    if (this.#isClosed) return;
    try {
      await this.#tellSome();
      // What comes meanwhile waits, and is told together.
      setTimeout(() => this.#goOn(), PAUSE_MS).unref();
    } catch (error) {
      this.#counting.onError(error);
      this.#plan(RETRY_MS);
    }
  }

  #goOn(): void {
    this.#isPlanned = false;
    if (this.#waiting.size > 0) this.#plan(0);
  }
}
