import type { CounterRef, Entry, Posting } from "../../packages/core/dist/index.js";
import type { Books } from "./books.js";
import type { Dice } from "./dice.js";
import { type Configuration, counterSubject, isFor, type PlannedBudget, type PlannedLimit, refuses } from "./plan.js";
import { hold } from "./violation.js";

type Reserved = Extract<Entry, { readonly kind: "reserved" }>;

/** Tasks that end with a last answer: a few calls' worth for each, of which something is kept. */
export function finishingPlan(plan: readonly PlannedBudget[], dice: Dice): readonly PlannedBudget[] {
  const [like] = plan as readonly [PlannedBudget, ...PlannedBudget[]];
  const { isOpen, minOutput, timezone } = like;
  const limits: readonly PlannedLimit[] = dice.pick([
    [{ unit: "nanodollars", window: "lifetime", amount: 3_000_000 * dice.magnitude(2, 40) }],
    [{ unit: "tokens", window: "lifetime", amount: 900 * dice.magnitude(2, 40) }],
    [
      { unit: "output_tokens", window: "lifetime", amount: 500 * dice.magnitude(2, 40) },
      { unit: "requests", window: "lifetime", amount: dice.between(2, 30) },
    ],
  ] as const);
  const per = dice.pick([["task"], ["task"], ["team", "task"]] as const);
  const task: PlannedBudget = {
    ...{ name: "each task", selects: {}, per, limits, timezone, isEnforced: true, isOpen, minOutput },
    ...{ maxInput: undefined, maxOutput: undefined, models: undefined, finishAt: dice.pick([10, 50, 75, 90]) },
  };
  return [...plan.filter(({ name }) => name !== task.name), task];
}

/** Whether a budget can end its tasks as it is planned: what resets cannot. */
export function canFinish({ finishAt, limits }: PlannedBudget): boolean {
  const measured = limits.filter(({ unit }) => unit !== "concurrent");
  return finishAt !== undefined && measured.length > 0 && measured.every(({ window }) => window === "lifetime");
}

/** How it is written in a configuration. */
export function finishInput({ finishAt }: PlannedBudget): Readonly<Record<string, string>> {
  return { [`${finishAt}%`]: "finish" };
}

/** What of a limit is there for the last answer alone. */
export function keptOf({ finishAt, isEnforced }: PlannedBudget, { unit, amount }: PlannedLimit): number {
  return finishAt === undefined || !isEnforced || unit === "concurrent" ? 0 : amount - Math.floor((amount * finishAt) / 100);
}

/** Whether it is where the last answer of a task is counted. */
export function isLastAnswer({ window }: CounterRef): boolean {
  return window === "last answer";
}

/** Whether a call, by all counters that it is held on, is the last one by a budget. */
export function endsTask(counters: readonly CounterRef[], budget: string): boolean {
  return counters.some((counter) => isLastAnswer(counter) && counter.budget === budget);
}

/** When a call was begun: what was in the ledger by then, and what its gateway went by. */
interface Begun {
  readonly seq: number;
  readonly configuration: Configuration;
}

/** A task has one last answer, and begins no call after it; until its owner gives more. */
export class LastAnswerLaw {
  readonly #books: Books;
  readonly #begun = new Map<string, Begun>();
  /** Since which entry each task has ended, by the key of its counter. */
  readonly #ended = new Map<string, number>();
  /** The calls that asked to be the last one, by the key of their task's counter. */
  readonly #asked = new Map<string, Set<string>>();
  /** Tasks that were ever given more, which opens them for one more. */
  readonly #granted = new Set<string>();

  constructor(books: Books) {
    this.#books = books;
  }

  begins(id: string, configuration: Configuration): void {
    if (!this.#begun.has(id)) this.#begun.set(id, { seq: this.#books.seq, configuration });
  }

  /** A call is held, or refused, as the last one: what a store decided a moment ago may not be on its disk yet. */
  asks(id: string, counters: readonly CounterRef[]): void {
    for (const { key } of counters.filter(isLastAnswer)) this.#asked.set(key, (this.#asked.get(key) ?? new Set()).add(id));
  }

  /** An entry was posted. */
  entered(entry: Entry): void {
    if (entry.kind === "granted") this.#granted.add(taskOf(entry.grant));
    for (const { counter } of entry.postings) {
      if (!isLastAnswer(counter)) continue;
      if (this.#books.standing(counter.key).spent === 0) this.#ended.delete(counter.key);
      else if (!this.#ended.has(counter.key)) this.#ended.set(counter.key, entry.seq);
    }
  }

  /** Law 1: of two calls at once only one can be the last. */
  isOne({ counter, held }: Posting, reservation: string): void {
    const { spent, held: before } = this.#books.standing(counter.key);
    const most = this.#granted.has(taskOf(counter)) ? 2 : 1;
    hold(1, spent + before + held <= most, () => `${reservation} is one more last answer on ${counter.key}, of ${most}.`);
  }

  /** Law 1: no call begins in a task that has ended. */
  isNotOver({ reservation, at, detail }: Reserved, configuration: Configuration): void {
    const begun = this.#begun.get(reservation);
    if (begun?.configuration !== configuration) return;
    for (const budget of configuration.planned) {
      if (budget.finishAt === undefined || !refuses(budget, at) || !isFor(budget, detail.subject)) continue;
      const subject = counterSubject(budget, detail.subject);
      const endedAt = this.#ended.get(keyOf(budget.name, subject)) ?? Number.POSITIVE_INFINITY;
      const isOver = endedAt <= begun.seq && !this.#granted.has(taskOf({ budget: budget.name, subject }));
      hold(1, !isOver, () => `${reservation} was begun after entry ${begun.seq}, and ${subject} has its last answer since ${endedAt}.`);
    }
  }

  /** Law 10: a call is told that its task ends only where another one is the last. */
  isEnding(id: string, { budget, subject }: { readonly budget: string; readonly subject: string }): void {
    const others = [...(this.#asked.get(keyOf(budget, subject)) ?? [])].filter((other) => other !== id);
    hold(10, others.length > 0, () => `${id} is told that ${subject} has ended, and that had no last answer.`);
  }
}

function keyOf(budget: string, subject: string): string {
  return `${budget}|requests/last answer|${subject}|0`;
}

function taskOf({ budget, subject }: { readonly budget: string; readonly subject: string }): string {
  return `${budget}|${subject}`;
}
