import { PurserError, parseDuration } from "@purser/core";
import type { Alert } from "../alerts/alert-book.ts";
import type { Notice } from "../alerts/notice.ts";
import type { AdminRequest } from "./admin.ts";
import { instantJson } from "./balances.ts";
import { checkFields, checkText, readObject } from "./decision-json.ts";

/** Something that people were told, and whether somebody looks after it. */
export interface AlertJson {
  readonly id: string;
  readonly kind: Notice["kind"];
  readonly severity: Notice["severity"];
  readonly title: string;
  readonly text: string;
  readonly owner: string | null;
  readonly at: string;
  /** The channels that it was told to. */
  readonly channels: readonly string[];
  /** `over`: its window has ended, and nobody has to look after it any more. */
  readonly state: "open" | "acknowledged" | "snoozed" | "over";
  /** Who acknowledged it, or put it off, and when; null where nobody did. */
  readonly by: string | null;
  readonly answered_at: string | null;
  readonly snoozed_until: string | null;
}

export function alertJson({ notice, channels, until, answer }: Alert, now: number): AlertJson {
  const { id, kind, severity, title, text, owner = null, at } = notice;
  const isSnoozed = answer?.kind === "snoozed" && (answer.until ?? 0) > now;
  const state = answer?.kind === "acknowledged" ? "acknowledged" : isSnoozed ? "snoozed" : until <= now ? "over" : "open";
  return {
    id,
    kind,
    severity,
    title,
    text,
    owner,
    at: instantJson(at),
    channels,
    state,
    by: answer?.by ?? null,
    answered_at: answer ? instantJson(answer.at) : null,
    snoozed_until: isSnoozed ? instantJson(answer.until ?? now) : null,
  };
}

const MINUTE_MS = 60_000;
const SNOOZED_MOST_MS = 7 * 24 * 60 * MINUTE_MS;

/** Until when an alert is put off, and by whom, from the body of a POST. Throws `body_invalid` with the field that is wrong. */
export function readSnooze(request: AdminRequest, now: number): { readonly until: number; readonly by: string } {
  const fields = readObject(request.body, "The body");
  checkFields(fields, ["for", "by"], "a snooze");
  const ms = typeof fields.for === "string" ? parseDuration(fields.for) : undefined;
  if (ms === undefined || ms < MINUTE_MS || ms > SNOOZED_MOST_MS)
    throw new PurserError("body_invalid", 'Say for how long: "for": "2h". It is a minute at least and 7 days at most.');
  return { until: now + ms, by: byOf(fields.by, request) };
}

/** Who acknowledges an alert. */
export function readAcknowledgement(request: AdminRequest): string {
  const fields = request.body === undefined ? {} : readObject(request.body, "The body");
  checkFields(fields, ["by"], "an acknowledgement");
  return byOf(fields.by, request);
}

/** Whoever says a name is believed, since the key that was used stands in the audit log. */
function byOf(by: unknown, { subject, by: who = "the owner" }: AdminRequest): string {
  if (by === undefined) return subject?.user ?? who;
  checkText('"by"', by);
  return by as string;
}
