import { type Budgets, PurserError, type Subject } from "@purser/core";
import type { Said } from "../handovers/conversation.ts";
import { ANSWER_MOST, type Handover, type HandoverStatus, handsOverAgain, statusOf, waitingAnswers } from "../handovers/handover.ts";
import type { ReadHandover } from "../handovers/handover-book.ts";
import type { AdminRequest } from "./admin.ts";
import { instantJson } from "./balances.ts";
import { checkFields, checkText, readObject } from "./decision-json.ts";

/** A conversation that a person goes on with, without what was said. */
export interface HandoverJson {
  /** `handover_…` */
  readonly id: string;
  readonly status: HandoverStatus;
  readonly budget: string;
  /** Whose conversation it is. */
  readonly subject: Subject;
  /** The id of the key that its calls come with, or of what was handed on of it; none of the owner's own. */
  readonly key: string | null;
  /** `hand over (chatbot)` */
  readonly rung: string;
  /** What the budget said, in sentences. */
  readonly why: string;
  readonly opened_at: string;
  /** When a call of it came, or somebody did something, for the last time. */
  readonly changed_at: string;
  /** Since when nobody has answered its last call. */
  readonly waiting_since: string | null;
  readonly taken_by: string | null;
  readonly taken_at: string | null;
  readonly returned_by: string | null;
  readonly returned_at: string | null;
  /** Its calls so far. */
  readonly calls: number;
  /** How many answers its next call gets. */
  readonly waiting_answers: number;
  /** When what was said is deleted; null where nothing is kept. */
  readonly kept_until: string | null;
}

/** The first of those that are asked for, and how many there are. */
export interface HandoverListJson {
  readonly data: readonly HandoverJson[];
  readonly total: number;
}

/** The same with what giving it back leads to. */
export interface OneHandoverJson extends HandoverJson {
  /** Whether its next call would be handed over anew, were it with nobody: its budget stands where the ladder says so. */
  readonly hands_over_again: boolean;
}

/** The same with what was said, where that is kept. */
export interface WholeHandoverJson extends OneHandoverJson {
  readonly conversation: readonly Said[] | null;
  readonly answers: readonly {
    readonly by: string;
    readonly answered_at: string;
    /** When the conversation got it. */
    readonly given_at: string | null;
    /** Not kept any more where it is null. */
    readonly text: string | null;
  }[];
}

export function handoverJson(handover: Handover): HandoverJson {
  const { id, budget, subject, holder, rung, why, at, changedAt, waitingSince, taken, returned, calls, keptUntil } = handover;
  return {
    id,
    status: statusOf(handover),
    budget,
    subject,
    key: holder ?? null,
    rung,
    why,
    opened_at: instantJson(at),
    changed_at: instantJson(changedAt),
    waiting_since: waitingSince === undefined ? null : instantJson(waitingSince),
    taken_by: taken?.by ?? null,
    taken_at: taken ? instantJson(taken.at) : null,
    returned_by: returned?.by ?? null,
    returned_at: returned ? instantJson(returned.at) : null,
    calls,
    waiting_answers: waitingAnswers(handover).length,
    kept_until: keptUntil === undefined ? null : instantJson(keptUntil),
  };
}

export async function oneHandoverJson(handover: Handover, budgets: Pick<Budgets, "ladder">): Promise<OneHandoverJson> {
  return { ...handoverJson(handover), hands_over_again: await handsOverAgain(handover, budgets) };
}

export async function wholeHandoverJson({ handover, said }: ReadHandover, budgets: Pick<Budgets, "ladder">): Promise<WholeHandoverJson> {
  const answers = handover.answers.map(({ by, at, text, givenAt }) => ({
    by,
    answered_at: instantJson(at),
    given_at: givenAt === undefined ? null : instantJson(givenAt),
    text: text ?? null,
  }));
  return { ...(await oneHandoverJson(handover, budgets)), conversation: said ?? null, answers };
}

/** What somebody does about a handover. */
export interface HandoverDeed {
  readonly by: string;
  /** Whether it is taken over from whoever has it. */
  readonly over: boolean;
  readonly text: string | undefined;
  /** Whether it is given back at once. */
  readonly isReturned: boolean;
}

/** Reads the body of a deed, which may have these fields beside `by`. Throws `body_invalid` with the field that is wrong. */
export function readHandoverDeed({ body, subject }: AdminRequest, more: readonly ("over" | "text" | "return")[]): HandoverDeed {
  const fields = body === undefined ? {} : readObject(body, "The body");
  checkFields(fields, ["by", ...more], "what is done about a handover");
  const { by = subject?.user ?? subject?.key ?? "the owner", over = false, text, return: isReturned = false } = fields;
  checkText('"by"', by);
  if (typeof over !== "boolean" || typeof isReturned !== "boolean")
    throw new PurserError("body_invalid", `"${typeof over !== "boolean" ? "over" : "return"}" is true or false.`);
  if (more.includes("text") && (typeof text !== "string" || text.trim() === "" || text.length > ANSWER_MOST))
    throw new PurserError("body_invalid", `"text" is what the next call gets: 1 to ${ANSWER_MOST.toLocaleString("en-US")} characters.`);
  return { by: by as string, over, text: text as string | undefined, isReturned };
}
