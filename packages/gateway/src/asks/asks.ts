import type { Balance, Budgets, Subject } from "@purser/core";
import type { Ask } from "./ask.ts";
import type { Answered, AskBookPort, AskedBudget, AskRung } from "./ask-book.ts";

export interface AsksOptions {
  /** What was asked for: of this process, or of all on its port. */
  readonly book: AskBookPort;
  readonly budgets: Pick<Budgets, "balances">;
  readonly onError: (error: unknown) => void;
}

/** How long a call waits, and what ends when its client leaves. */
export interface Patience {
  readonly waitMs: number;
  readonly gone: AbortSignal;
}

const LOOK_EVERY_MS = 1_000;

/** Asks owners for more, and lets calls wait for what they say. */
export class Asks {
  readonly #options: AsksOptions;
  /** By ask: the calls that wait for it. */
  readonly #waiting = new Map<string, Set<(isGiven: boolean) => void>>();

  constructor(options: AsksOptions) {
    this.#options = options;
  }

  /** Asks the owner of a budget that refused a call, if nobody did before. Nothing where the balance is that of nobody in particular. */
  ask({ name, per, owner }: AskedBudget, balance: Balance, subject: Subject, rung: AskRung, reason?: string): Promise<Ask | undefined> {
    return this.#options.book.ask({ name, per, owner }, balance, subject, rung, reason);
  }

  /**
   * Waits until more is left of a balance than when the call was refused, or the owner declines; not longer than the call can, nor when its
   * client left. More may be given by the link, by hand, or through another gateway: so it is the balance that is looked at.
   */
  async wait({ id }: Ask, balance: Balance, subject: Subject, { waitMs, gone }: Patience): Promise<boolean> {
    const { book, budgets, onError } = this.#options;
    if (waitMs === 0 || (await book.isDeclined(id)) || gone.aborted) return false;
    return new Promise((resolve) => {
      const end = (isGiven: boolean) => {
        clearTimeout(timer);
        clearInterval(looking);
        gone.removeEventListener("abort", left);
        this.#waiting.get(id)?.delete(end);
        resolve(isGiven);
      };
      const left = () => end(false);
      const look = async () => {
        // Whoever declined may have told another process.
        if (await book.isDeclined(id)) return end(false);
        const balances = await budgets.balances({ budget: balance.budget, subject });
        if (balances.some((one) => isSame(one, balance) && one.left > balance.left)) end(true);
      };
      const timer = setTimeout(left, waitMs);
      const looking = setInterval(() => void look().catch(onError), LOOK_EVERY_MS);
      gone.addEventListener("abort", left, { once: true });
      const waiting = this.#waiting.get(id) ?? new Set();
      this.#waiting.set(id, waiting.add(end));
    });
  }

  /** What a link is for, and whether it is still good. Changes nothing: programs look at links before people do. */
  look(token: string): Promise<Answered> {
    return this.#options.book.look(token);
  }

  /** Gives what was asked for, once, or declines it. */
  async answer(token: string, isGiven: boolean, giver: string): Promise<Answered> {
    return this.#wake(await this.#options.book.answer(token, isGiven, giver));
  }

  /** What is asked for and not answered yet, the newest first. */
  list(): Promise<readonly Ask[]> {
    return this.#options.book.list();
  }

  /** Gives what was asked for, or declines it, by the id of an ask that `list` has. Nothing for one that it has not. */
  async answerById(id: string, isGiven: boolean, giver: string): Promise<Answered | undefined> {
    const answered = await this.#options.book.answerById(id, isGiven, giver);
    return answered && this.#wake(answered);
  }

  /** To be called every minute or so. */
  forget(): void {
    for (const [id, waiting] of this.#waiting) if (waiting.size === 0) this.#waiting.delete(id);
  }

  /** Calls that wait here go on at once; those that wait elsewhere look by themselves. */
  #wake(answered: Answered): Answered {
    const { kind } = answered;
    if (kind === "given" || kind === "declined") for (const end of [...(this.#waiting.get(answered.ask.id) ?? [])]) end(kind === "given");
    return answered;
  }
}

function isSame(one: Balance, other: Balance): boolean {
  return one.subject === other.subject && one.unit === other.unit && one.window === other.window;
}
