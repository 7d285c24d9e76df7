import { PurserError } from "@purser/core";
import type { Ask } from "../asks/ask.ts";
import type { AdminRequest } from "./admin.ts";
import { instantJson } from "./balances.ts";
import { checkFields, checkText, readObject } from "./decision-json.ts";

/** More of a budget that is asked for. */
export interface AskJson {
  readonly id: string;
  readonly budget: string;
  /** Whose balance; empty for a budget with a single one. */
  readonly subject: string;
  /** For people: `$10.00`. */
  readonly more: string;
  /** When what is given ends. */
  readonly until: string;
  /** When nobody waits for an answer any more. */
  readonly expires_at: string;
}

export function askJson({ id, budget, label, more, until, expiresAt }: Ask): AskJson {
  return { id, budget, subject: label, more, until: instantJson(until), expires_at: instantJson(expiresAt) };
}

/** Reads the body of `POST /api/asks/{id}`. Throws `body_invalid` with the field that is wrong. */
export function readAskAnswer({ body, subject }: AdminRequest): { readonly isGiven: boolean; readonly giver: string } {
  const fields = readObject(body, "The body");
  checkFields(fields, ["answer", "giver"], "an answer");
  const { answer, giver = subject?.user ?? subject?.key ?? "the owner" } = fields;
  checkText('"giver"', giver);
  if (answer !== "give" && answer !== "decline") throw new PurserError("body_invalid", 'The "answer" is "give" or "decline".');
  return { isGiven: answer === "give", giver: giver as string };
}
