import { type Budget, type Rung, subjectLabel } from "@purser/core";
import { holderOf } from "../callers/identify.ts";
import type { RoutedCall } from "../rungs/climb.ts";
import { saidIn } from "./conversation.ts";
import { cannotCarry, conversationName } from "./handover.ts";
import type { HandoverBookPort, Heard, Turn } from "./handover-book.ts";
import type { OpenHandover, OpenHandovers } from "./open-handovers.ts";

export type HandoverRung = Extract<Rung, { readonly kind: "handover" }>;

export interface HandoversOptions {
  /** What is known of each: of this process, or of the one that started it. */
  readonly book: HandoverBookPort;
  readonly open: OpenHandovers;
  readonly budgets: readonly Budget[];
}

/** A call whose conversation is to go on with a person. */
export interface ToHandOver {
  /** As its client made it. */
  readonly call: RoutedCall;
  readonly budget: Budget;
  readonly rung: HandoverRung;
  /** What the budget says, in sentences. */
  readonly why: string;
}

/** So many are open at a time. Calls that would be more are refused, as they would be without a ladder. */
const OPEN_MOST = 10_000;

/** Finds the calls of conversations that people go on with, and hands conversations over. */
export class Handovers {
  readonly book: HandoverBookPort;
  readonly #open: OpenHandovers;
  #budgets: readonly Budget[];

  constructor({ book, open, budgets }: HandoversOptions) {
    this.book = book;
    this.#open = open;
    this.#budgets = budgets;
  }

  /** Budgets as they are from now on. */
  configure(budgets: readonly Budget[]): void {
    this.#budgets = budgets;
  }

  /** The conversation of a call, if a person goes on with it. */
  of(call: RoutedCall): OpenHandover | undefined {
    if (this.#open.size === 0) return undefined;
    for (const budget of this.#budgets) {
      if (!this.#open.hasOf(budget.name) || !budget.selects(call.subject)) continue;
      const name = conversationName(budget, call);
      const open = name === undefined ? undefined : this.#open.find(name);
      if (open) return open;
    }
    return undefined;
  }

  /** Why nobody can go on with the conversation of a call, as a part of a sentence. */
  cannot(call: RoutedCall, budget: Budget): string | undefined {
    if (conversationName(budget, call) === undefined)
      return "it names neither a session nor a user, so that nobody would know whom to answer (send x-purser-session or x-purser-user)";
    if (this.#open.size >= OPEN_MOST) return "too many conversations wait for people";
    return cannotCarry(call.dialect, call);
  }

  /** Lets a person go on with the conversation of a call, and has people told. Resolves when that is on disk, with what the call gets. */
  begin({ call, budget, rung: { channel, text, keepMs }, why }: ToHandOver): Promise<Turn> {
    const { provider: _, model: _m, endpoint: _e, ...subject } = call.subject;
    return this.book.begin({
      name: conversationName(budget, call) ?? "",
      budget: budget.name,
      label: subjectLabel(budget, call.subject),
      holder: holderOf(call.caller),
      subject,
      rung: { channel, text, keepMs },
      why,
      heard: keepMs === undefined ? undefined : heardIn(call),
    });
  }

  /** What a call gets whose conversation is with a person; nothing where it is not any more. Resolves when that is on disk. */
  goOn({ id, isKept }: OpenHandover, call: RoutedCall): Promise<Turn | undefined> {
    return this.book.goOn(id, isKept ? heardIn(call) : undefined);
  }

  /** Notes whether the answers of a turn have gone out whole. Whoever broke off may come again. */
  async ended(turn: Turn, isTaken: () => Promise<boolean>): Promise<void> {
    if (turn.answers.length > 0) await this.book.ended(turn, await isTaken());
  }
}

function heardIn({ dialect, call }: RoutedCall): Heard {
  return { said: saidIn(dialect, call), hidesEarlier: call.hidesInput };
}
