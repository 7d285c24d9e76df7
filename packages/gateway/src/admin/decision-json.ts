import { createHash } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import { ATTRIBUTES, type Call, type Certainty, PurserError, type Subject, type Usage } from "@purser/core";
import { boundTokens, countTokens } from "@purser/core/tokens";
import { callOf, type KnownTerms } from "../budgeted-call.ts";
import type { AdminRequest } from "./admin.ts";
import { usageField } from "./call-report.ts";
import { readWholeCall, type ToldAnswer, type WholeCall } from "./whole-call.ts";

/** A call about which another gateway asks. */
export interface AskedCall {
  /** Chosen by who asks, so that asking again holds nothing twice; else it gets one. */
  readonly id: string | undefined;
  readonly call: Omit<Call, "id">;
  /** The same for the same question, to tell a repetition from another call under a used id. */
  readonly fingerprint: string;
  /** The call itself, where it was sent whole. */
  readonly whole?: WholeCall;
}

/** What a call used, as another gateway says. */
export interface ReportedUsage {
  readonly usage: Usage;
  readonly certainty: Certainty;
}

const SIZES = ["input_tokens", "max_output_tokens", "least_output_tokens", "copies", "lease_seconds"] as const;
const FIELDS = ["id", "subject", "path", "body", "text", "tool_calls", ...SIZES] as const;
/** What the body of a call says itself. */
const IN_BODY = ["text", "tool_calls", "input_tokens", "max_output_tokens", "copies"] as const;
type Field = (typeof FIELDS)[number];

/** More than any model takes, and few enough to be added up exactly. */
const TOKENS_MOST = 1_000_000_000;
const COPIES_MOST = 1_000;
const LEASE_SECONDS_MOST = 86_400;
const TEXT_MOST = 256;
const TAGS_MOST = 32;
/** What ids of the gateway's own calls begin with. */
const OWN_ID = "req_";

/** Reads the body of `POST /api/decisions`. Throws `body_invalid` with the field that is wrong. */
export function readAskedCall({ body, headers = {} }: AdminRequest, known: KnownTerms): AskedCall {
  const fields = readObject(body, "The body");
  checkFields(fields, FIELDS, "a decision");
  const { "idempotency-key": key } = headers;
  // Some clients write the key as a structured field, in quotes.
  const id = fields.id ?? (typeof key === "string" ? key.replace(/^"(.*)"$/, "$1") : undefined);
  const subject = readSubject(fields.subject);
  const named = (field: string) => `"${field}"`;
  if (fields.path === undefined && fields.body === undefined) return askedCall({ ...fields, id, subject }, named);
  const twice = IN_BODY.find((field) => fields[field] !== undefined);
  if (twice !== undefined) throw invalid(`"${twice}" stands in the body of the call. Send "path" and "body", or the sizes of the call.`);
  checkText(named("path"), fields.path);
  const isText = typeof fields.body === "string";
  const bytes = Buffer.from(isText ? (fields.body as string) : JSON.stringify(readObject(fields.body, named("body"))));
  const sent = { path: fields.path as string, bytes, subject, trustsBody: true, hasHeader: () => false };
  return askedWhole({ ...fields, id, subject }, named, known, { ...sent, isText });
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

/** Where proxies say which path their client asked for. */
const PATH_HEADERS = ["x-original-uri", "x-forwarded-uri", "x-envoy-original-path"] as const;

/**
 * Reads the headers of `/api/authorize`, and the body of the call where it has one; who the call is for has been read from the headers before.
 * Who asks this way cannot change the body, so the call is admitted with the output cap that it has, or not at all.
 */
export function readAuthorization({ headers = {}, subject = {}, query, body }: AdminRequest, known: KnownTerms): AskedCall {
  const unknown = Object.keys(headers).find((name) => name.startsWith("x-purser-") && !HEADERS.has(name));
  if (unknown !== undefined) throw invalid(`"${unknown}" is no header of this route. Headers are ${[...HEADERS].join(", ")}.`);
  const { "x-purser-provider": provider, "x-purser-model": model, [ID_HEADER]: id } = headers;
  const sizes = SIZE_HEADERS.map(({ field, header }) => [field, numberIn(headers, header)]);
  const named = (field: string) => (field === "id" ? ID_HEADER : `x-purser-${field.replaceAll("_", "-")}`);
  const fields = { ...Object.fromEntries(sizes), id, subject: { ...subject, provider, ...(model !== undefined && { model }) } } as Fields;
  // Whoever says how large a call is has no need to send it.
  if (!(body instanceof Uint8Array) || body.length === 0 || fields.input_tokens !== undefined) return askedCall(fields, named);
  const alone = IN_BODY.find((field) => fields[field] !== undefined);
  if (alone !== undefined)
    throw invalid(`${named(alone)} is read from the body of the call. Leave it out, or send ${named("input_tokens")} too.`);
  const path = pathIn(query) ?? PATH_HEADERS.map((name) => headers[name]).find((value) => typeof value === "string");
  if (path === undefined)
    throw invalid(`The path of the call is missing: send it as ?path=/v1/chat/completions, or in ${PATH_HEADERS[0]}.`);
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.length);
  const sent = {
    path: String(path),
    bytes,
    subject: fields.subject,
    trustsBody: false,
    hasHeader: (name: string) => headers[name] !== undefined,
  };
  return askedWhole({ least_output_tokens: "all", ...defined(fields) }, named, known, { ...sent, isText: true });
}

/** The path that a proxy wrote behind `path=` as it stands. What an ampersand cuts off of one could name another call. */
function pathIn(query: URLSearchParams): string | undefined {
  const path = query.get("path");
  const isCut = path !== null && !path.includes("?") && [...query.keys()].some((name) => name !== "path" && name !== "status");
  if (isCut) throw invalid("The path of the call has an ampersand. No call of a model has.");
  return path ?? undefined;
}

function askedWhole(
  { id, subject, least_output_tokens, lease_seconds }: Fields,
  named: (field: string) => string,
  known: KnownTerms,
  { isText, ...sent }: Parameters<typeof readWholeCall>[1] & { readonly isText: boolean },
): AskedCall {
  checkText(named("provider"), subject.provider);
  const budgeted = readWholeCall(known, sent);
  const { id: _, ...call } = callOf("", budgeted);
  const { output } = call;
  const least =
    least_output_tokens === "all" ? output.most : sizeOf(named("least_output_tokens"), least_output_tokens ?? output.least, 0, output.most);
  const leaseAsked = lease_seconds === undefined ? undefined : leaseMs(lease_seconds, named("lease_seconds"));
  const asked = [subject, least, leaseAsked ?? null, sent.path];
  return {
    id: readId(id, named("id")),
    call: { ...call, output: { ...output, least }, ...(leaseAsked !== undefined && { leaseMs: leaseAsked }) },
    fingerprint: createHash("sha256").update(JSON.stringify(asked)).update(sent.bytes).digest("base64"),
    whole: { budgeted, isText },
  };
}

function defined(fields: Fields): Fields {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Fields;
}

/** Anything but digits stays a text, which no size is. */
function numberIn(headers: IncomingHttpHeaders, name: string): unknown {
  const text = headers[name];
  return typeof text === "string" && /^\d{1,15}$/.test(text) ? Number(text) : text;
}

type Fields = Readonly<Partial<Record<Field, unknown>>> & { readonly subject: Subject };

function askedCall(fields: Fields, named: (field: string) => string): AskedCall {
  const { subject, text, copies = 1, tool_calls = {} } = fields;
  for (const field of ["provider", "model"] as const) checkText(named(field), subject[field]);
  const { model = "" } = subject;
  const size = (field: Field, value: unknown, least = 0, most = TOKENS_MOST) => sizeOf(named(field), value, least, most);
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

function sizeOf(name: string, value: unknown, least: number, most: number): number {
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= least && value <= most) return value;
  const asked = `${name} is a whole number from ${least} to ${most.toLocaleString("en-US")}`;
  throw invalid(value === undefined ? `${asked}, and it is missing.` : `${asked}.`);
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

const SETTLED_BY_ANSWER = ["answer", "status", "content_type", "path"] as const;
const STATUS_LEAST = 100;
const STATUS_MOST = 599;

/** Reads the body of `POST /api/decisions/{id}/settle`. What is not known of the usage is left out of it. */
export function readSettlement(body: unknown): ReportedUsage | ToldAnswer {
  const fields = readObject(body, "The body");
  checkFields(fields, ["usage", "certainty", ...SETTLED_BY_ANSWER], "a settlement");
  const toldAs = SETTLED_BY_ANSWER.find((field) => fields[field] !== undefined);
  if (toldAs === undefined) return reportedUsage(fields);
  const twice = (["usage", "certainty"] as const).find((field) => fields[field] !== undefined);
  if (twice !== undefined) throw invalid(`"${twice}" and "${toldAs}" do not go together. Send "usage", or the "answer" of the provider.`);
  const { answer = "", status = 200, content_type, path } = fields;
  for (const [field, value] of Object.entries({ content_type, path })) if (value !== undefined) checkText(`"${field}"`, value);
  return {
    status: sizeOf('"status"', status, STATUS_LEAST, STATUS_MOST),
    bytes: Buffer.from(typeof answer === "string" ? answer : JSON.stringify(answer)),
    contentType: content_type as string | undefined,
    path: path as string | undefined,
  };
}

function reportedUsage(fields: Record<string, unknown>): ReportedUsage {
  const { certainty = "confirmed" } = fields;
  if (certainty !== "confirmed" && certainty !== "estimated" && certainty !== "unconfirmed")
    throw invalid('"certainty" is "confirmed" (by the provider), "estimated" or "unconfirmed".');
  return { usage: readUsage(readObject(fields.usage, '"usage"')), certainty };
}

/** Kinds of tokens, each under the total that it is part of. */
const KINDS = {
  inputTokens: ["cacheReadInputTokens", "cacheWriteInputTokens", "audioInputTokens", "imageInputTokens", "unbilledInputTokens"],
  cacheWriteInputTokens: ["cacheWrite1hInputTokens"],
  outputTokens: ["reasoningOutputTokens", "audioOutputTokens", "imageOutputTokens", "unbilledOutputTokens"],
} as const satisfies { readonly [total in keyof Usage]?: readonly (keyof Usage)[] };
const TOKEN_KINDS = [...new Set(Object.entries(KINDS).flat(2))] as readonly Exclude<keyof Usage, "toolCalls">[];

function readUsage(fields: Record<string, unknown>): Usage {
  checkFields(fields, [...TOKEN_KINDS.map(usageField), "tool_calls"], '"usage"');
  const usage: Record<string, number> = {};
  for (const kind of TOKEN_KINDS) {
    const name = usageField(kind);
    const tokens = fields[name] ?? undefined;
    if (tokens === undefined) continue;
    if (typeof tokens !== "number" || !Number.isSafeInteger(tokens) || tokens < 0 || tokens > TOKENS_MOST)
      throw invalid(`"usage.${name}" is a whole number of tokens. Leave out what is not known.`);
    usage[kind] = tokens;
  }
  for (const [total, parts] of Object.entries(KINDS)) {
    const larger = parts.find((part) => (usage[part] ?? 0) > (usage[total] ?? Infinity));
    if (larger !== undefined)
      throw invalid(`"usage.${usageField(larger)}" is part of "${usageField(total)}", and cannot be more than that.`);
  }
  return { ...usage, ...(fields.tool_calls !== undefined && { toolCalls: readToolCalls(fields.tool_calls) }) };
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
