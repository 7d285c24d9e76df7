import { createHash } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import { ATTRIBUTES, type Call, type Certainty, PurserError, type ServiceTier, type Subject, type Usage } from "@purser/core";
import { boundTokens, countTokens } from "@purser/core/tokens";
import type { AdminRequest } from "./admin.ts";
import { usageField } from "./call-report.ts";

/** A call about which another gateway asks. */
export interface AskedCall {
  /** Chosen by who asks, so that asking again holds nothing twice; else it gets one. */
  readonly id: string | undefined;
  readonly call: Omit<Call, "id">;
  /** The same for the same question, to tell a repetition from another call under a used id. */
  readonly fingerprint: string;
}

/** What a call used, as another gateway says. */
export interface ReportedUsage {
  readonly usage: Usage;
  readonly certainty: Certainty;
  /** The tier at which the provider served the call; the one that was asked for where it is left out. */
  readonly service?: ServiceTier | undefined;
}

const SIZES = ["input_tokens", "max_output_tokens", "least_output_tokens", "copies", "lease_seconds"] as const;
const FIELDS = ["id", "subject", "text", "tool_calls", "priced_as", "service", ...SIZES] as const;
type Field = (typeof FIELDS)[number];

/** More than any model takes, and few enough to be added up exactly. */
const TOKENS_MOST = 1_000_000_000;
const COPIES_MOST = 1_000;
const SERVICES: readonly ServiceTier[] = ["standard", "batch", "flex", "priority"];
const LEASE_SECONDS_MOST = 86_400;
const TEXT_MOST = 256;
const TAGS_MOST = 32;
/** What ids of the gateway's own calls begin with. */
const OWN_ID = "req_";

/** Reads the body of `POST /api/decisions`. Throws `body_invalid` with the field that is wrong. */
export function readAskedCall({ body, headers = {} }: AdminRequest): AskedCall {
  const fields = readObject(body, "The body");
  checkFields(fields, FIELDS, "a decision");
  const { "idempotency-key": key } = headers;
  // Some clients write the key as a structured field, in quotes.
  const id = fields.id ?? (typeof key === "string" ? key.replace(/^"(.*)"$/, "$1") : undefined);
  return askedCall({ ...fields, id, subject: readSubject(fields.subject) }, (field) => `"${field}"`);
}

const SIZE_HEADERS = SIZES.map((field) => ({ field, header: `x-purser-${field.replaceAll("_", "-")}` }));
const ID_HEADER = "x-purser-decision-id";
const HEADERS = new Set([
  ...["org", "team", "product", "feature", "user", "tier", "session", "task", "tags", "provider", "model"].map(
    (name) => `x-purser-${name}`,
  ),
  ...SIZE_HEADERS.map(({ header }) => header),
  ID_HEADER,
]);

/** Reads the headers of `/api/authorize`; who the call is for has been read from them before. */
export function readAuthorization({ headers = {}, subject = {} }: AdminRequest): AskedCall {
  const unknown = Object.keys(headers).find((name) => name.startsWith("x-purser-") && !HEADERS.has(name));
  if (unknown !== undefined) throw invalid(`"${unknown}" is no header of this route. Headers are ${[...HEADERS].join(", ")}.`);
  const { "x-purser-provider": provider, "x-purser-model": model, [ID_HEADER]: id } = headers;
  const sizes = SIZE_HEADERS.map(({ field, header }) => [field, numberIn(headers, header)]);
  return askedCall({ ...Object.fromEntries(sizes), id, subject: { ...subject, provider, model } }, (field) =>
    field === "id" ? ID_HEADER : `x-purser-${field.replaceAll("_", "-")}`,
  );
}

/** Anything but digits stays a text, which no size is. */
function numberIn(headers: IncomingHttpHeaders, name: string): unknown {
  const text = headers[name];
  return typeof text === "string" && /^\d{1,15}$/.test(text) ? Number(text) : text;
}

type Fields = Readonly<Partial<Record<Field, unknown>>> & { readonly subject: Subject };

function askedCall(fields: Fields, named: (field: string) => string): AskedCall {
  const { subject, text, copies = 1, tool_calls = {}, priced_as: pricedAs, service } = fields;
  for (const field of ["provider", "model"] as const) checkText(named(field), subject[field]);
  if (pricedAs !== undefined) checkText(named("priced_as"), pricedAs);
  const { model = "" } = subject;
  const size = (field: Field, value: unknown, least = 0, most = TOKENS_MOST) => {
    if (typeof value === "number" && Number.isSafeInteger(value) && value >= least && value <= most) return value;
    const asked = `${named(field)} is a whole number from ${least} to ${most.toLocaleString("en-US")}`;
    throw invalid(value === undefined ? `${asked}, and it is missing.` : `${asked}.`);
  };
  const outputMost = size("max_output_tokens", fields.max_output_tokens);
  const inputTokens = text === undefined || fields.input_tokens !== undefined ? size("input_tokens", fields.input_tokens) : undefined;
  const asked = {
    subject,
    output: {
      most: outputMost,
      ...(fields.least_output_tokens !== undefined && {
        least: size("least_output_tokens", fields.least_output_tokens, 0, outputMost),
      }),
      copies: size("copies", copies, 1, COPIES_MOST),
    },
    toolCalls: readToolCalls(tool_calls),
    ...(pricedAs !== undefined && { pricedAs: pricedAs as string }),
    ...(service !== undefined && { service: readService(service) }),
    ...(fields.lease_seconds !== undefined && { leaseMs: leaseMs(fields.lease_seconds, named("lease_seconds")) }),
  };
  return {
    id: readId(fields.id, named("id")),
    call: { ...asked, input: readInput(model, text, inputTokens) },
    fingerprint: createHash("sha256")
      .update(JSON.stringify([asked, inputTokens ?? null, text ?? null]))
      .digest("base64"),
  };
}

function readInput(model: string, text: unknown, inputTokens: number | undefined): Call["input"] {
  if (text === undefined) return { most: inputTokens ?? 0 };
  if (inputTokens !== undefined) throw invalid('Send "input_tokens" or "text", not both.');
  if (typeof text !== "string") throw invalid('"text" is the text of the call\'s input.');
  return {
    most: boundTokens(model, { textBytes: Buffer.byteLength(text), messages: 1 }),
    count: (limit) => countTokens(model, { texts: [text], messages: 1 }, limit),
  };
}

/** Reads the body of `POST /api/decisions/{id}/settle`. What is not known of the usage is left out of it. */
export function readReportedUsage(body: unknown): ReportedUsage {
  const fields = readObject(body, "The body");
  checkFields(fields, ["usage", "certainty", "service"], "a settlement");
  const { certainty = "confirmed", service } = fields;
  if (certainty !== "confirmed" && certainty !== "estimated" && certainty !== "unconfirmed")
    throw invalid('"certainty" is "confirmed" (by the provider), "estimated" or "unconfirmed".');
  const usage = readUsage(readObject(fields.usage, '"usage"'), "usage");
  return { usage, certainty, service: service === undefined ? undefined : readService(service) };
}

function readService(value: unknown): ServiceTier {
  const service = SERVICES.find((one) => one === value);
  if (service) return service;
  throw invalid(`"service" is the tier at which the provider serves the call: ${SERVICES.join(", ")}.`);
}

/** Kinds of tokens, each under the total that it is part of. */
const KINDS = {
  inputTokens: ["cacheReadInputTokens", "cacheWriteInputTokens", "audioInputTokens", "imageInputTokens", "unbilledInputTokens"],
  cacheWriteInputTokens: ["cacheWrite1hInputTokens"],
  outputTokens: ["reasoningOutputTokens", "audioOutputTokens", "imageOutputTokens", "unbilledOutputTokens"],
} as const satisfies { readonly [total in keyof Usage]?: readonly (keyof Usage)[] };
const TOKEN_KINDS = [...new Set(Object.entries(KINDS).flat(2))] as readonly Exclude<keyof Usage, "toolCalls" | "besides">[];

function readUsage(fields: Record<string, unknown>, named: string): Usage {
  checkFields(fields, [...TOKEN_KINDS.map(usageField), "tool_calls", "besides"], `"${named}"`);
  const usage: Record<string, number> = {};
  for (const kind of TOKEN_KINDS) {
    const name = usageField(kind);
    const tokens = fields[name] ?? undefined;
    if (tokens === undefined) continue;
    if (typeof tokens !== "number" || !Number.isSafeInteger(tokens) || tokens < 0 || tokens > TOKENS_MOST)
      throw invalid(`"${named}.${name}" is a whole number of tokens. Leave out what is not known.`);
    usage[kind] = tokens;
  }
  for (const [total, parts] of Object.entries(KINDS)) {
    const larger = parts.find((part) => (usage[part] ?? 0) > (usage[total] ?? Infinity));
    if (larger !== undefined)
      throw invalid(`"${named}.${usageField(larger)}" is part of "${usageField(total)}", and cannot be more than that.`);
  }
  const { tool_calls: toolCalls, besides } = fields;
  return {
    ...usage,
    ...(toolCalls !== undefined && { toolCalls: readToolCalls(toolCalls) }),
    ...(besides !== undefined && { besides: readBesides(besides, `${named}.besides`) }),
  };
}

/** What was done besides an answer was done for nothing else besides. */
function readBesides(value: unknown, named: string): Usage {
  const fields = readObject(value, `"${named}"`);
  if (fields.besides !== undefined) throw invalid(`"${named}" has no "besides" of its own. Add up what was done besides the answer.`);
  return readUsage(fields, named);
}

/** Reads the body of `POST /api/decisions/{id}/release`. */
export function readRelease(body: unknown): string {
  const fields = readObject(body ?? {}, "The body");
  checkFields(fields, ["why"], "a release");
  const { why = "not sent" } = fields;
  checkText('"why"', why);
  return why as string;
}

/** Reads the body of `POST /api/decisions/{id}/extend`, in milliseconds. */
export function readExtension(body: unknown): number {
  const fields = readObject(body, "The body");
  checkFields(fields, ["lease_seconds"], "an extension");
  return leaseMs(fields.lease_seconds, '"lease_seconds"');
}

/** The ids of calls that came to this gateway itself, which it settles itself. */
export function isOwnId(id: string): boolean {
  return id.startsWith(OWN_ID);
}

function leaseMs(seconds: unknown, name: string): number {
  if (typeof seconds === "number" && Number.isSafeInteger(seconds) && seconds >= 1 && seconds <= LEASE_SECONDS_MOST) return seconds * 1000;
  throw invalid(`${name} is a whole number of seconds from 1 to ${LEASE_SECONDS_MOST.toLocaleString("en-US")}.`);
}

function readId(id: unknown, name: string): string | undefined {
  if (id === undefined) return undefined;
  if (typeof id !== "string" || !/^[\w.:-]{1,128}$/.test(id))
    throw invalid(`${name} is 1 to 128 letters, digits and the signs "_", "-", "." and ":".`);
  if (isOwnId(id)) throw invalid(`${name} begins with "${OWN_ID}", as only the ids of this gateway's own calls do. Choose another.`);
  return id;
}

/** Reads who something is for, from the field of this name. */
export function readSubject(value: unknown, field = "subject"): Subject {
  const fields = readObject(value, `"${field}"`);
  checkFields(fields, [...ATTRIBUTES, "tags"], `"${field}"`);
  const subject: Record<string, unknown> = {};
  for (const attribute of ATTRIBUTES) {
    if (fields[attribute] === undefined) continue;
    checkText(`"${field}.${attribute}"`, fields[attribute]);
    subject[attribute] = fields[attribute];
  }
  return { ...subject, ...(fields.tags !== undefined && { tags: readTags(fields.tags, field) }) };
}

function readTags(value: unknown, field: string): Readonly<Record<string, string>> {
  const tags = Object.entries(readObject(value, `"${field}.tags"`));
  if (tags.length > TAGS_MOST) throw invalid(`"${field}.tags" has ${tags.length} tags, and at most ${TAGS_MOST} are kept. Send fewer.`);
  for (const [name, text] of tags) {
    if (!/^[\w.:/-]{1,64}$/.test(name))
      throw invalid('The name of a tag is 1 to 64 letters, digits and the signs "_", "-", ".", ":" and "/".');
    checkText(`"${field}.tags.${name}"`, text);
  }
  return Object.fromEntries(tags.sort(([a], [b]) => (a < b ? -1 : 1))) as Record<string, string>;
}

function readToolCalls(value: unknown): Readonly<Record<string, number>> {
  const tools = Object.entries(readObject(value, '"tool_calls"'));
  for (const [tool, calls] of tools) {
    if (typeof calls !== "number" || !Number.isSafeInteger(calls) || calls < 0 || calls > TOKENS_MOST || tool.length > TEXT_MOST)
      throw invalid('"tool_calls" has a whole number of calls for each tool: `{ "web_search": 2 }`.');
  }
  return Object.fromEntries(tools.sort(([a], [b]) => (a < b ? -1 : 1))) as Record<string, number>;
}

export function checkText(name: string, text: unknown): void {
  const asked = `${name} is a text of 1 to ${TEXT_MOST} characters`;
  if (text === undefined) throw invalid(`${asked}, and it is missing.`);
  if (typeof text !== "string" || text.trim() === "" || text.length > TEXT_MOST || /\p{Cc}/u.test(text)) throw invalid(`${asked}.`);
}

export function checkFields(fields: Record<string, unknown>, known: readonly string[], what: string): void {
  const unknown = Object.keys(fields).find((field) => !known.includes(field));
  if (unknown !== undefined) throw invalid(`"${unknown.slice(0, 64)}" is not a field of ${what}. Fields are ${known.join(", ")}.`);
}

export function readObject(value: unknown, name: string): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw invalid(`${name} is not a JSON object.`);
  return value as Record<string, unknown>;
}

function invalid(message: string): PurserError {
  return new PurserError("body_invalid", message);
}
