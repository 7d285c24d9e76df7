import type { Grant, GrantInput, ResetInput, Subject } from "@purser/core";
import type { AdminRequest } from "./admin.ts";
import { instantJson } from "./balances.ts";
import { checkFields, checkText, readObject, readSubject } from "./decision-json.ts";

/** A grant as programs read it: amounts are integers, money in nano-dollars. */
export interface GrantJson {
  readonly id: string;
  readonly budget: string;
  readonly subject: string;
  readonly unit: string;
  readonly window: string;
  readonly amount: number;
  readonly from: string;
  readonly until: string;
  readonly giver: string;
  readonly why: string;
}

export function grantJson({ id, budget, limit, subject, amount, from, until, giver, why }: Grant): GrantJson {
  const [unit = "", window = ""] = limit.split(/\/(.*)/s);
  return { id, budget, subject, unit, window: windowName(window), amount, from: instantJson(from), until: instantJson(until), giver, why };
}

/** The window of a limit without its weights, zone and start. */
export function windowName(window: string): string {
  return window.replace(/^\(.*?\) /, "").replace(/@.*$| rollover$/, "");
}

/** What ids of grants begin with, so that none is the id of a call. */
const GRANT_ID = "grant_";

/** Reads the body of `POST /api/grants`. `newId` is for whoever sends no `Idempotency-Key`. Throws `body_invalid` with the field that is wrong. */
export function readNewGrant(request: AdminRequest, newId: () => string): GrantInput {
  const fields = readObject(request.body, "The body");
  checkFields(fields, ["budget", "amount", "for", "from", "until", "giver", "why"], "a grant");
  const { budget, amount, from, until } = fields;
  for (const [name, text] of Object.entries({ budget, amount, until })) checkText(`"${name}"`, text);
  if (from !== undefined) checkText('"from"', from);
  const { "idempotency-key": key } = request.headers ?? {};
  if (key !== undefined) checkText("The Idempotency-Key", key);
  return {
    id: `${GRANT_ID}${key ?? newId()}`,
    budget: budget as string,
    amount: amount as string,
    ...(fields.for !== undefined && { for: readFor(fields.for) }),
    ...(from !== undefined && { from: from as string }),
    until: until as string,
    ...readGiver(fields, request),
  };
}

/** Reads the body of `POST /api/budgets/{name}/reset`. */
export function readReset(request: AdminRequest, budget: string): ResetInput {
  const fields = readObject(request.body, "The body");
  checkFields(fields, ["for", "limit", "giver", "why"], "a reset");
  if (fields.limit !== undefined) checkText('"limit"', fields.limit);
  return {
    budget,
    ...(fields.for !== undefined && { for: readFor(fields.for) }),
    ...(fields.limit !== undefined && { limit: fields.limit as string }),
    ...readGiver(fields, request),
  };
}

/** Reads the body of `DELETE /api/grants/{id}`, which may be left out. */
export function readRevocation(request: AdminRequest): { readonly giver: string; readonly why: string } {
  const fields = { why: "revoked", ...readObject(request.body ?? {}, "The body") };
  checkFields(fields, ["giver", "why"], "a revocation");
  return readGiver(fields, request);
}

/** Who does it, and why: both stay in the ledger. */
function readGiver(fields: Readonly<Record<string, unknown>>, { subject }: AdminRequest): { readonly giver: string; readonly why: string } {
  const { giver = subject?.user ?? subject?.key ?? "the owner", why } = fields;
  checkText('"giver"', giver);
  checkText('"why"', why);
  return { giver: giver as string, why: why as string };
}

function readFor(value: unknown): Subject {
  return readSubject(value, "for");
}
