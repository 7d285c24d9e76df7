import type { IncomingHttpHeaders } from "node:http";
import type { Pool, Subject, SubjectPath } from "@purser/core";
import { isAdminToken } from "./admin-token.ts";
import { DELEGATED_SECRET, type Delegated, delegateOf } from "./delegation.ts";
import type { Key, KeyRole, Keys } from "./key.ts";

/** A subject with the places that its calls go to, by their names: most callers call the same few models. */
export type Places = Map<string, Subject>;

/** Who makes a call. */
export interface Caller {
  /** None for the owner: while no key exists, or with the owner's token. */
  readonly key: Key | undefined;
  /** What the call is charged to, as far as key and headers say. */
  readonly subject: Subject;
  /** Where calls of this subject went, if it is what the key alone says. */
  readonly places?: Places;
  /** The caller's own key for the provider, while every caller is the owner. */
  readonly providerKey?: string;
  /** What was handed on to the caller by others, and the budgets that this makes. */
  readonly delegated?: Delegated;
  readonly pools?: readonly Pool[];
}

/** What a caller may do here: whoever has no key is the owner. */
export function roleOf({ key }: Pick<Caller, "key">): KeyRole | "owner" {
  return key?.role ?? "owner";
}

/** Who somebody is, for the audit log: never a secret. */
export function nameOf({ key }: Pick<Caller, "key">): string {
  return key ? `${key.id} (${key.name})` : "the owner";
}

export type Identified =
  | { readonly ok: true; readonly caller: Caller }
  | { readonly ok: false; readonly code: "key_missing" | "key_invalid" | "attribute_forbidden"; readonly message: string };

export interface IdentifyOptions {
  /** No key was ever made and the server listens on loopback only. */
  readonly ownerMode: boolean;
  readonly now: number;
  /** The token of the data folder; whoever has it is the owner. */
  readonly adminToken?: string;
}

/** Attributes that a caller may name. The others say where a call goes, and are the gateway's to set. */
const CALLER_ATTRIBUTES = ["org", "team", "product", "feature", "user", "tier", "session", "task"] as const;
type CallerAttribute = (typeof CALLER_ATTRIBUTES)[number];
const CALLER_HEADERS = CALLER_ATTRIBUTES.map((attribute) => ({ attribute, header: `x-purser-${attribute}` }));

/** Coding agents name their session in a header of their own. */
const SESSION_HEADERS = ["x-claude-code-session-id", "session-id", "thread-id"];

const VALUE_MOST = 256;
const TAGS_MOST = 32;
/** A secret of ours, which must never reach a provider. */
const OUR_SECRET = /^p[ak]-[\w-]{43}$/;

/** Finds out who calls, from the credentials and the headers of a request. `url` is the request's target: `/v1/messages?beta=true`. */
export function identify(headers: IncomingHttpHeaders, url: string, keys: Keys, options: IdentifyOptions): Identified {
  const credentials = credentialsOf(headers, url);
  const { ownerMode, now, adminToken } = options;
  if (adminToken !== undefined && credentials.some((credential) => isAdminToken(credential, adminToken))) {
    return withAttributes({ key: undefined, subject: {} }, headers);
  }
  if (ownerMode) {
    const providerKey = credentials.find((credential) => !OUR_SECRET.test(credential) && !DELEGATED_SECRET.test(credential));
    return withAttributes({ key: undefined, subject: {}, ...(providerKey !== undefined && { providerKey }) }, headers);
  }
  for (const credential of credentials) {
    const delegate = delegateOf(credential, keys, now);
    if (delegate) return withAttributes(delegate, headers);
    const key = keys.find(credential, now);
    if (key) return withAttributes(callerOf(key), headers);
  }
  return credentials.length === 0
    ? {
        ok: false,
        code: "key_missing",
        message: "This call has no key. Send a Purser key as `Authorization: Bearer pk-…`, or as `x-api-key`.",
      }
    : {
        ok: false,
        code: "key_invalid",
        message: "This key is not known here, or is no longer valid. Ask for a new one: `purser keys create`.",
      };
}

/** By what a caller's own things are known: its key, or what was handed on to it. Nothing of the owner. */
export function holderOf({ key, delegated }: Caller): string | undefined {
  return delegated?.chain.at(-1)?.id ?? key?.id;
}

/** The callers that hold keys, made once for each: most calls add nothing to what their key says. */
const callers = new WeakMap<Key, Caller>();

function callerOf(key: Key): Caller {
  let caller = callers.get(key);
  if (!caller) {
    caller = { key, subject: { ...key.attributes, key: key.id }, places: new Map() };
    callers.set(key, caller);
  }
  return caller;
}

/** What the body of a call says about who it is for: OpenAI's `user` and `metadata`, Anthropic's `metadata.user_id`. */
export interface BodyAttributes {
  readonly user?: string | undefined;
  readonly tags?: Readonly<Record<string, string>> | undefined;
}

/**
 * Adds what the body says to what key and headers said. A body fills gaps only, and only where the key allows it (`key` undefined: the
 * owner): providers define these fields for purposes of their own, so what does not fit is left out, never refused.
 */
export function refine(subject: Subject, key: Key | undefined, fromBody: BodyAttributes): Subject {
  const user = subject.user === undefined && maySet(key, "user") ? cleanValue(fromBody.user) : undefined;
  const tags = fromBody.tags && freeTags(subject, key, fromBody.tags);
  if (user === undefined && !tags) return subject;
  return { ...subject, ...(user !== undefined && { user }), ...(tags && { tags: { ...subject.tags, ...tags } }) };
}

/** The first of a body's tags that may be set: no more than a header may name, since each call keeps its tags in the ledger. */
function freeTags(
  subject: Subject,
  key: Key | undefined,
  fromBody: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> | undefined {
  const tags: [name: string, value: string][] = [];
  let room = TAGS_MOST - Object.keys(subject.tags ?? {}).length;
  for (const [name, text] of Object.entries(fromBody)) {
    const value = room > 0 && isFreeTag(subject, key, name) ? cleanValue(text) : undefined;
    if (value === undefined) continue;
    tags.push([name, value]);
    room--;
  }
  return tags.length > 0 ? Object.fromEntries(tags) : undefined;
}

/** The credentials of a request, in the order in which they are tried. Clients may send a provider's key beside ours. */
function credentialsOf(headers: IncomingHttpHeaders, url: string): readonly string[] {
  const found: string[] = [];
  const bearer = /^bearer +(\S+) *$/i.exec(headers.authorization ?? "")?.[1];
  if (bearer !== undefined) found.push(bearer);
  for (const name of ["x-api-key", "x-goog-api-key", "api-key"]) {
    const value = headers[name];
    if (typeof value === "string" && value !== "") found.push(value);
  }
  const query = url.indexOf("?");
  if (query >= 0 && url.includes("key=", query)) {
    const key = new URLSearchParams(url.slice(query + 1)).get("key");
    if (key) found.push(key);
  }
  return found;
}

function withAttributes(caller: Caller, headers: IncomingHttpHeaders): Identified {
  const draft = new Draft(caller.subject);
  const refusal = readOwnHeaders(draft, caller.key, headers) ?? readTags(draft, caller.key, headers["x-purser-tags"]);
  if (refusal !== undefined) return { ok: false, code: "attribute_forbidden", message: refusal };
  if (headers.baggage !== undefined) readBaggage(draft, caller.key, String(headers.baggage));
  readSession(draft, headers);
  if (!draft.isChanged) return { ok: true, caller };
  const { places: _, ...same } = caller;
  return { ok: true, caller: { ...same, subject: draft.subject } };
}

/** `x-purser-user: ann`. Returns why a header is refused. */
function readOwnHeaders(draft: Draft, key: Key | undefined, headers: IncomingHttpHeaders): string | undefined {
  for (const { attribute, header } of CALLER_HEADERS) {
    const text = headers[header];
    if (text === undefined || text === "") continue;
    const value = headerValue(String(text));
    if (value === undefined) return wrongValue(header);
    const refusal = setOwn(draft, key, attribute, value, header);
    if (refusal !== undefined) return refusal;
  }
  return undefined;
}

/** `x-purser-tags: customer=acme, region=eu`. */
function readTags(draft: Draft, key: Key | undefined, header: string | string[] | undefined): string | undefined {
  if (header === undefined) return undefined;
  const pairs = String(header)
    .split(",")
    .filter((pair) => pair.trim() !== "");
  if (pairs.length > TAGS_MOST) return `x-purser-tags has ${pairs.length} tags, and at most ${TAGS_MOST} are kept. Send fewer.`;
  for (const pair of pairs) {
    const at = pair.indexOf("=");
    const name = pair.slice(0, Math.max(0, at)).trim();
    const value = headerValue(pair.slice(at + 1));
    if (!isTagName(name)) return `x-purser-tags cannot be read at "${printable(pair)}". Write \`name=value, name=value\`.`;
    if (value === undefined) return wrongValue(`x-purser-tags (${name})`);
    const refusal = setOwn(draft, key, `tag.${name}`, value, "x-purser-tags");
    if (refusal !== undefined) return refusal;
  }
  return undefined;
}

function setOwn(
  draft: Draft,
  key: Key | undefined,
  path: CallerAttribute | `tag.${string}`,
  value: string,
  header: string,
): string | undefined {
  const own = draft.value(path);
  if (own === value) return undefined;
  const name = key && `the key "${key.name}" (${key.id})`;
  if (own !== undefined)
    return `The header ${header} says ${path} is "${value}", but ${name ?? "the call"} is for "${own}". Leave the header out.`;
  if (!maySet(key, path))
    return `The header ${header} sets ${path}, which ${name} may not set. Leave it out, or make a key with \`--may-set ${path}\`.`;
  draft.setPath(path, value);
  return undefined;
}

/** W3C baggage: `purser.user=ann,purser.tag.customer=acme`. Other systems set it, so what is not allowed is passed over. */
function readBaggage(draft: Draft, key: Key | undefined, header: string): void {
  for (const member of header.split(",")) {
    const [name = "", text = ""] = (member.split(";", 1)[0] ?? "").split("=", 2).map((part) => part.trim());
    if (!name.startsWith("purser.")) continue;
    const path = name.slice("purser.".length);
    if (!isCallerPath(path) || draft.value(path) !== undefined || !maySet(key, path)) continue;
    const value = cleanValue(percentDecoded(text));
    if (value !== undefined) draft.setPath(path, value);
  }
}

/** A session groups calls; a client that names another one gains nothing, so every key may have it set this way. */
function readSession(draft: Draft, headers: IncomingHttpHeaders): void {
  if (draft.value("session") !== undefined) return;
  for (const name of SESSION_HEADERS) {
    const text = headers[name];
    const value = typeof text === "string" ? headerValue(text) : undefined;
    if (value === undefined) continue;
    draft.set("session", value);
    return;
  }
}

/** A subject while it is put together. */
class Draft {
  #subject: Subject;
  isChanged = false;

  constructor(subject: Subject) {
    this.#subject = subject;
  }

  get subject(): Subject {
    return this.#subject;
  }

  value(path: CallerAttribute | `tag.${string}`): string | undefined {
    if (!path.startsWith("tag.")) return this.#subject[path as CallerAttribute];
    const { tags } = this.#subject;
    const name = path.slice(4);
    return tags && Object.hasOwn(tags, name) ? tags[name] : undefined;
  }

  setPath(path: CallerAttribute | `tag.${string}`, value: string): void {
    if (path.startsWith("tag.")) this.setTag(path.slice(4), value);
    else this.set(path as CallerAttribute, value);
  }

  set(attribute: CallerAttribute, value: string): void {
    this.#subject = Object.assign({}, this.#subject, { [attribute]: value });
    this.isChanged = true;
  }

  setTag(name: string, value: string): void {
    // A computed key defines a property whatever its name, `__proto__` too.
    this.#subject = { ...this.#subject, tags: { ...this.#subject.tags, [name]: value } };
    this.isChanged = true;
  }
}

function maySet(key: Key | undefined, path: SubjectPath): boolean {
  return key === undefined || key.maySet.includes(path) || (path.startsWith("tag.") && key.maySet.includes("tag.*"));
}

function isFreeTag(subject: Subject, key: Key | undefined, name: string): boolean {
  return isTagName(name) && maySet(key, `tag.${name}`) && !(subject.tags && Object.hasOwn(subject.tags, name));
}

function isCallerPath(path: string): path is CallerAttribute | `tag.${string}` {
  return (CALLER_ATTRIBUTES as readonly string[]).includes(path) || (path.startsWith("tag.") && isTagName(path.slice(4)));
}

function isTagName(name: string): boolean {
  return /^[\w.:/-]{1,64}$/.test(name);
}

/** The value of an attribute: trimmed, 1 to 256 characters, none of them a control character. */
function cleanValue(text: unknown): string | undefined {
  if (typeof text !== "string") return undefined;
  const value = text.trim();
  return value === "" || value.length > VALUE_MOST || /\p{Cc}/u.test(value) ? undefined : value;
}

/** Headers arrive as one character a byte. Where the bytes are UTF-8, `JÃ¼rgen` is the Jürgen of the body. */
function headerValue(text: string): string | undefined {
  const isAscii = !/[\u0080-\u00ff]/.test(text);
  const decoded = isAscii ? text : Buffer.from(text, "latin1").toString("utf8");
  return cleanValue(decoded.includes("\ufffd") ? text : decoded);
}

function percentDecoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

function wrongValue(name: string): string {
  return `The value of ${name} is not one that can be kept: write 1 to ${VALUE_MOST} characters without control characters.`;
}

function printable(text: string): string {
  return text
    .trim()
    .slice(0, 40)
    .replace(/\p{Cc}/gu, "?");
}
