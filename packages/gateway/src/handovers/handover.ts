import { type Budget, type Budgets, type Subject, type SubjectPath, subjectLabel, subjectValue } from "@purser/core";
import { holderOf } from "../callers/identify.ts";
import type { Dialect } from "../dialects/dialect.ts";
import type { RoutedCall } from "../rungs/climb.ts";
import { takesText } from "../rungs/last-question.ts";

/** What a person wrote. */
export interface HumanAnswer {
  /** Epoch milliseconds. */
  readonly at: number;
  readonly by: string;
  /** None any more, once it was given and nothing is kept. */
  readonly text: string | undefined;
  /** When its conversation got it. */
  readonly givenAt: number | undefined;
}

/** A conversation that a person goes on with, without what was said in it. */
export interface Handover {
  /** `handover_…`: nobody guesses it. */
  readonly id: string;
  /** What all calls of its conversation have in common. */
  readonly name: string;
  readonly budget: string;
  /** Whose balance of the budget it was: `user=ann`; empty for a budget with a single one. */
  readonly label: string;
  /** The key, or what was handed on of it, that its calls come with; none for the owner. */
  readonly holder: string | undefined;
  readonly subject: Subject;
  /** As its calls read it: `hand over (chatbot)`. */
  readonly rung: string;
  /** Why, in sentences. */
  readonly why: string;
  /** Who is told; all channels where it is left out. */
  readonly channel: string | undefined;
  /** What its calls get while nobody has answered. */
  readonly text: string;
  /** How long what was said is kept after the last that happened; nothing is where it is left out. */
  readonly keepMs: number | undefined;
  /** When what is kept is deleted; none where nothing is. */
  readonly keptUntil: number | undefined;
  /** Epoch milliseconds. */
  readonly at: number;
  /** When a call of it came, or somebody did something, for the last time. */
  readonly changedAt: number;
  /** Since when nobody has answered its last call; none where somebody has. */
  readonly waitingSince: number | undefined;
  readonly calls: number;
  readonly taken: { readonly by: string; readonly at: number } | undefined;
  readonly returned: { readonly by: string; readonly at: number } | undefined;
  /** The oldest first. */
  readonly answers: readonly HumanAnswer[];
}

/** An answer has so many characters at most. */
export const ANSWER_MOST = 20_000;

export const HANDOVER_STATUSES = ["waiting", "taken", "returned"] as const;
export type HandoverStatus = (typeof HANDOVER_STATUSES)[number];

export function statusOf({ taken, returned }: Handover): HandoverStatus {
  if (returned) return "returned";
  return taken ? "taken" : "waiting";
}

/** Answers that its conversation has not got yet. */
export function waitingAnswers({ answers }: Handover): readonly HumanAnswer[] {
  return answers.filter(({ givenAt }) => givenAt === undefined);
}

/** `hand over (chatbot)` */
export function handoverRung(budget: string): string {
  return `hand over (${budget})`;
}

/** Whether the next call of a conversation would be handed over anew, were it with nobody: its budget stands where the ladder says so. */
export async function handsOverAgain({ budget: name, subject }: Handover, budgets: Pick<Budgets, "ladder">): Promise<boolean> {
  const { rungs = [] } = (await budgets.ladder(subject)) ?? {};
  return rungs.some(({ rung, budget }) => rung.kind === "handover" && budget.name === name);
}

/** Attributes of which a value stands for many people and conversations, whatever budgets multiply by. */
const OF_MANY: ReadonlySet<SubjectPath> = new Set(["org", "team", "product", "feature", "tier", "provider", "model", "endpoint"]);

/**
 * What a call has in common with all others of its conversation: who makes it, its session, its user, and what its budget multiplies by. None where
 * that could be the conversation of many, because nobody may read what was written to somebody else.
 */
export function conversationName(budget: Budget, { subject, caller }: Pick<RoutedCall, "subject" | "caller">): string | undefined {
  const { session, user } = subject;
  const isOfOne = (path: SubjectPath) => !OF_MANY.has(path) && subjectValue(subject, path) !== undefined;
  if (session === undefined && user === undefined && !budget.per.some(isOfOne)) return undefined;
  return JSON.stringify([budget.name, holderOf(caller) ?? null, subjectLabel(budget, subject), session ?? null, user ?? null]);
}

/** Why a call cannot carry what a person writes, as a part of a sentence. */
export function cannotCarry(dialect: Dialect, { call }: Pick<RoutedCall, "call">): string | undefined {
  if (!dialect.writeAnswer) return `this call (${dialect.name}) has no place for a text that a person writes`;
  return takesText(call)
    ? undefined
    : "this call asks for JSON, for several answers, or for a call of a tool, and gets no text that a person writes";
}
