import { ATTRIBUTES, isSubjectPath, PurserError, type Selector } from "@purser/core";
import { isInForce, type Switch } from "../switches/switch.ts";
import type { NewSwitch } from "../switches/switches.ts";
import { instantJson } from "./balances.ts";

/** A switch as programs read it. */
export interface SwitchJson {
  readonly id: string;
  /** Attribute and values, as in a budget's `for:`. */
  readonly for: Selector;
  readonly in_force: boolean;
  readonly at: string;
  readonly by: string;
  readonly why: string;
  readonly until: string | null;
  readonly ended: { readonly at: string; readonly by: string; readonly why: string } | null;
}

export function switchJson(thrown: Switch, now: number): SwitchJson {
  const { id, for: selector, at, by, why, until, ended } = thrown;
  return {
    id,
    for: selector,
    in_force: isInForce(thrown, now),
    at: instantJson(at),
    by,
    why,
    until: until === undefined ? null : instantJson(until),
    ended: ended ? { ...ended, at: instantJson(ended.at) } : null,
  };
}

const FIELDS = ["for", "why", "until", "by"];
const TEXT_MOST = 256;
const VALUES_MOST = 1_000;

/** Reads and checks what is to be switched off. `key` is the key of whoever asks. Throws `body_invalid` with what to do. */
export function readNewSwitch(body: unknown, key: string | undefined, now: number): NewSwitch {
  const fields = recordOf(body);
  const unknown = Object.keys(fields).find((field) => !FIELDS.includes(field));
  if (unknown !== undefined) throw invalid(`"${unknown}" is not a field of a switch. Fields are ${FIELDS.join(", ")}.`);
  if (fields.for === undefined) throw invalid('Say what is switched off: `"for": { "feature": "chatbot" }`. `"for": {}` is everything.');
  const until = fields.until === undefined || fields.until === null ? undefined : readUntil(fields.until, now);
  return { for: readSelector(fields.for), why: readReason(fields.why), by: readBy(fields.by, key), until };
}

/** Who ends a switch or a guard and why, from the query of a DELETE. */
export function readEnding(query: URLSearchParams, key: string | undefined): { readonly by: string; readonly why: string } {
  const why = query.get("why");
  return { by: readBy(query.get("by") ?? undefined, key), why: why === null ? "" : readReason(why) };
}

function readSelector(value: unknown): Selector {
  const entries = Object.entries(recordOf(value)).map(([path, wanted]) => {
    if (!isSubjectPath(path))
      throw invalid(`"${path}" is not an attribute of a call. Attributes are ${ATTRIBUTES.join(", ")} and tag.NAME.`);
    const values = [wanted].flat();
    if (values.length === 0 || values.length > VALUES_MOST || !values.every(isText))
      throw invalid(`The ${path} of a switch is a text or a list of texts.`);
    return [path, wanted] as const;
  });
  return Object.fromEntries(entries) as Selector;
}

function readReason(value: unknown): string {
  if (isText(value)) return value.trim();
  throw invalid('Say why: `"why": "bug 123"`. Whoever is refused reads it.');
}

/** Whoever says a name is believed, since the key that was used stands beside it. */
function readBy(value: unknown, key: string | undefined): string {
  if (value !== undefined && !isText(value)) throw invalid('"by" is a name: `"by": "ann"`.');
  const name = value?.trim() ?? (key === undefined ? "the owner" : undefined);
  return [name, key].filter((one) => one !== undefined).join(" with ");
}

function readUntil(value: unknown, now: number): number {
  const instant = typeof value === "string" ? Date.parse(value) : Number.NaN;
  if (Number.isNaN(instant)) throw invalid('"until" is a moment such as "2027-01-31T18:00:00Z".');
  if (instant <= now) throw invalid(`"until" is in the past: ${value}.`);
  return instant;
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value.trim() !== "" && value.length <= TEXT_MOST && !/\p{Cc}/u.test(value);
}

function recordOf(value: unknown): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw invalid("This is no JSON object.");
  return value as Record<string, unknown>;
}

function invalid(message: string): PurserError {
  return new PurserError("body_invalid", message);
}
