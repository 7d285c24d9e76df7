import type { IncomingMessage, ServerResponse } from "node:http";
import { PurserError } from "@purser/core";
import type { Role } from "../admin/admin.ts";
import type { AuditLog } from "../audit-log/audit-log.ts";
import { readBytes } from "../body.ts";
import { type Identified, nameOf, roleOf } from "../callers/identify.ts";
import { sendLinkPage } from "../link-page.ts";
import { NotSignedIn, type Oidc } from "../people/oidc.ts";
import { hashPassword, isPassword, passwordProblem } from "../people/password.ts";
import type { People } from "../people/people.ts";
import type { StoredPerson } from "../people/person.ts";
import type { SignInAttempts } from "./attempts.ts";
import { isSame, type Sessions, type Visitor } from "./sessions.ts";

/** Who looks at the screen, and what the screen needs to know of it. */
export interface SessionJson {
  /** As what: whoever is the owner, or what the key or the person may do. Nothing where one has to sign in first. */
  readonly role: Role | null;
  /** The name of the person, or of the key that was signed in with. */
  readonly name: string | null;
  /** To be sent as `x-purser-csrf` with everything that changes something; none where no session was opened. */
  readonly csrf: string | null;
  /** Whether it can be signed out: no session is needed while every program on this machine is the owner. */
  readonly can_sign_out: boolean;
  /** Whether it was opened with a password that can be changed here. */
  readonly can_change_password: boolean;
  readonly ways: SignInWays;
}

/** How one signs in, besides with a token or key. */
export interface SignInWays {
  /** Whether there are people who do so by name and password. */
  readonly by_name: boolean;
  /** What the provider of identities is called; none where there is none. */
  readonly provider: string | null;
}

export interface SignInParts {
  readonly sessions: Sessions;
  readonly attempts: Pick<SignInAttempts, "begin" | "succeeded">;
  readonly people: Pick<People, "find" | "list" | "replacePassword">;
  /** Whether a person stands in `purser.yaml`, where their password is changed. */
  isConfigured(name: string): boolean;
  readonly oidc: Pick<Oidc, "begin" | "finish" | "forget">;
  readonly log: Pick<AuditLog, "refused" | "write">;
  /** The provider of identities that is asked; none where it is not. */
  provider(): { readonly issuer: string; readonly label: string } | undefined;
  identify(request: IncomingMessage): Identified;
}

const BODY_MOST = 4_096;
const CSRF_HEADER = "x-purser-csrf";
/** Passwords that are checked at a time: each takes memory and a processor for a while. */
const CHECKS_MOST = 4;
let checks = 0;

/** `/session`: says who is signed in, signs in with a name, a token or a key, changes the password of whoever did so by name, and signs out. */
export async function serveSession(parts: SignInParts, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { sessions, log } = parts;
  if (request.method === "GET" || request.method === "HEAD") return answer(response, 200, sessionJson(parts, request));
  if (request.method === "POST") return signIn(parts, request, response);
  if (request.method === "PUT") return changePassword(parts, request, response);
  if (request.method !== "DELETE")
    throw new PurserError("route_unknown", `/session answers GET, POST, PUT and DELETE, not ${request.method}.`);
  const visitor = sessions.find(request.headers);
  if (visitor && !isFromScreen(visitor, request)) throw new PurserError("key_invalid", `Send the ${CSRF_HEADER} that GET /session says.`);
  response.setHeader("set-cookie", sessions.close());
  if (visitor) await log.write({ by: nameOf(visitor.caller), what: "session.closed", from: request.socket.remoteAddress });
  answer(response, 200, { ...NOBODY, ways: waysOf(parts) } satisfies SessionJson);
}

const NOBODY = { role: null, name: null, csrf: null, can_sign_out: false, can_change_password: false } as const;

function sessionJson(parts: SignInParts, request: IncomingMessage): SessionJson {
  const visitor = parts.sessions.find(request.headers);
  if (visitor) return signedIn(parts, visitor);
  const identified = parts.identify(request);
  return { ...NOBODY, role: identified.ok ? roleOf(identified.caller) : null, ways: waysOf(parts) };
}

function waysOf({ people, provider }: SignInParts): SignInWays {
  return { by_name: people.list().length > 0, provider: provider()?.label ?? null };
}

async function signIn(parts: SignInParts, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { log } = parts;
  const shown = await readCredentials(request);
  const address = request.socket.remoteAddress ?? "";
  const name = "name" in shown ? shown.name : undefined;
  const tried = await tryIn(parts, shown, address);
  if ("waitMs" in tried) return slowDown(response, tried.waitMs);
  const { cookie } = tried;
  if (cookie === undefined) {
    // What is no name here may be a password in the wrong field.
    const by = name !== undefined && parts.people.find(name) ? name : "nobody known";
    log.refused({ by, what: "session.refused", from: address, details: { with: name === undefined ? "token" : "password" } });
    if (name === undefined) return problem(response, 401, "key_invalid", "This is neither the owner's token nor a key that is valid here.");
    return problem(response, 401, "sign_in_refused", "This name and this password do not go together here.");
  }
  await parts.attempts.succeeded(address, name);
  const visitor = visitorOf(parts, cookie);
  await log.write({
    by: nameOf(visitor.caller),
    what: "session.opened",
    from: address,
    details: { with: name === undefined ? "token" : "password" },
  });
  response.setHeader("set-cookie", cookie);
  answer(response, 200, signedIn(parts, visitor));
}

/** Somebody who signed in by name takes another password. Every session that began with the old one ends, and this one goes on with the new one. */
async function changePassword(parts: SignInParts, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { sessions, people, attempts, log } = parts;
  const visitor = sessions.find(request.headers);
  if (!visitor) return problem(response, 401, "key_invalid", "Nobody is signed in here. Sign in with your name and your password first.");
  if (!isFromScreen(visitor, request)) throw new PurserError("key_invalid", `Send the ${CSRF_HEADER} that GET /session says.`);
  const { current, next } = await readNewPassword(request);
  const name = visitor.person;
  const person = name === undefined ? undefined : people.find(name);
  if (!person) throw new PurserError("body_invalid", "Whoever signed in with a token, a key or an account elsewhere has no password here.");
  if (parts.isConfigured(person.name))
    return problem(response, 409, "config_fixed", `${person.name} stands in login.people of purser.yaml: the password is changed there.`);
  const address = request.socket.remoteAddress ?? "";
  const checked = await checkPassword(parts, { name: person.name, password: current }, address);
  if ("waitMs" in checked) return slowDown(response, checked.waitMs);
  const by = nameOf(visitor.caller);
  const what = "person.password_changed";
  if (!checked.person) return refusePassword(parts, response, { by, address });
  await attempts.succeeded(address, person.name);
  const password = await hashPassword(next);
  const of = await log.write({ by, what, from: address, details: { name: person.name } });
  const changed = await people.replacePassword(checked.person, password);
  await log.write({ by, what, from: address, of, details: { status: changed ? 200 : 401 } });
  if (!changed) return refusePassword(parts, response, { by, address });
  const cookie = sessions.openFor(changed);
  response.setHeader("set-cookie", cookie);
  answer(response, 200, signedIn(parts, visitorOf(parts, cookie)));
}

/** Whoever sits at the screen of somebody else guesses no more than one who signs in. */
function refusePassword({ log }: SignInParts, response: ServerResponse, { by, address }: { by: string; address: string }): void {
  log.refused({ by, what: "session.refused", from: address, details: { with: "password", for: "another password" } });
  problem(response, 401, "sign_in_refused", "This is not your current password.");
}

function slowDown(response: ServerResponse, waitMs: number): void {
  const seconds = Math.max(1, Math.ceil(waitMs / 1_000));
  response.setHeader("retry-after", seconds);
  const why = waitMs > 0 ? "Too many wrong attempts came from this address or for this name." : "Too many sign in at the moment.";
  problem(response, 429, "sign_in_slowed", `${why} Try again in ${seconds} s.`);
}

/** What was signed in with a moment ago is what the next request brings. */
function visitorOf({ sessions }: SignInParts, cookie: string): Visitor {
  return sessions.find({ cookie: cookie.split(";", 1)[0] ?? "" }) as Visitor;
}

/** The cookie of whoever was let in, none for whoever was not; or how long they have to wait. */
type Tried = { readonly cookie: string | undefined } | { readonly waitMs: number };

async function tryIn(parts: SignInParts, shown: Credentials, address: string): Promise<Tried> {
  const { sessions, attempts } = parts;
  if ("token" in shown) {
    const waitMs = await attempts.begin(address, undefined);
    return waitMs > 0 ? { waitMs } : { cookie: sessions.open(shown.token) };
  }
  const checked = await checkPassword(parts, shown, address);
  if ("waitMs" in checked) return checked;
  return { cookie: checked.person && sessions.openFor(checked.person) };
}

/** Whose name and password these are, where they go together; or how long they have to wait, 0 where too many are checked at the moment. */
type Checked = { readonly person: StoredPerson | undefined } | { readonly waitMs: number };

async function checkPassword({ people, attempts }: SignInParts, { name, password }: ByName, address: string): Promise<Checked> {
  if (checks >= CHECKS_MOST) return { waitMs: 0 };
  checks++;
  try {
    const waitMs = await attempts.begin(address, name);
    if (waitMs > 0) return { waitMs };
    const person = people.find(name);
    return { person: (await isPassword(password, person?.password)) ? person : undefined };
  } finally {
    checks--;
  }
}

function signedIn(parts: SignInParts, { caller, csrf, person }: Visitor): SessionJson {
  const canChange = person !== undefined && !parts.isConfigured(person);
  return {
    role: roleOf(caller),
    name: caller.key?.name ?? null,
    csrf,
    can_sign_out: true,
    can_change_password: canChange,
    ways: waysOf(parts),
  };
}

/** Sends a browser to the provider of identities. */
export async function beginElsewhere(
  parts: SignInParts,
  request: IncomingMessage,
  response: ServerResponse,
  query: URLSearchParams,
): Promise<void> {
  try {
    const { location, cookie } = await parts.oidc.begin(query.get("return_to"));
    redirect(response, location, [cookie]);
  } catch (error) {
    refuse(parts, request, response, error);
  }
}

/** Takes a browser back from there, signed in or not. */
export async function endElsewhere(
  parts: SignInParts,
  request: IncomingMessage,
  response: ServerResponse,
  query: URLSearchParams,
): Promise<void> {
  const { oidc, sessions, log, provider } = parts;
  try {
    const { person, returnTo } = await oidc.finish(query, request.headers);
    const cookie = sessions.openIdentified(person, provider()?.issuer ?? "");
    const by = nameOf(visitorOf(parts, cookie).caller);
    await log.write({ by, what: "session.opened", from: request.socket.remoteAddress, details: { with: "oidc", role: person.role } });
    redirect(response, returnTo, [cookie, oidc.forget()]);
  } catch (error) {
    refuse(parts, request, response, error);
  }
}

function refuse({ oidc, log }: SignInParts, request: IncomingMessage, response: ServerResponse, error: unknown): void {
  if (!(error instanceof NotSignedIn)) throw error;
  const details = { with: "oidc", why: error.why };
  log.refused({ by: "nobody known", what: "session.refused", from: request.socket.remoteAddress, details });
  response.setHeader("set-cookie", oidc.forget());
  sendLinkPage(response, 403, { title: "Not signed in", text: error.message, form: '<p><a href="/">Back to the sign-in</a></p>' });
}

function redirect(response: ServerResponse, location: string, cookies: readonly string[]): void {
  response.writeHead(303, {
    location,
    "set-cookie": cookies,
    "content-length": 0,
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
  } as Parameters<ServerResponse["writeHead"]>[1]);
  response.end();
}

type ByName = { readonly name: string; readonly password: string };
type Credentials = { readonly token: string } | ByName;

async function readCredentials(request: IncomingMessage): Promise<Credentials> {
  const bytes = await readBytes(request, BODY_MOST);
  const { token, name, password } = readFields(bytes);
  if (typeof token === "string") return { token: token.trim() };
  if (typeof name === "string" && typeof password === "string") return { name: name.trim(), password };
  throw new PurserError("body_invalid", 'Send the token as JSON, { "token": "pa-…" }, or { "name": "ann", "password": "…" }.');
}

async function readNewPassword(request: IncomingMessage): Promise<{ readonly current: string; readonly next: string }> {
  const bytes = await readBytes(request, BODY_MOST);
  const { current, next } = readFields(bytes);
  if (typeof current !== "string" || typeof next !== "string")
    throw new PurserError("body_invalid", 'Send both passwords as JSON: { "current": "…", "next": "…" }.');
  const wrong = current === next ? "It is the one that you have." : passwordProblem(next);
  if (wrong !== undefined) throw new PurserError("body_invalid", `This password will not do. ${wrong}`);
  return { current, next };
}

function readFields(bytes: Buffer): { readonly [field: string]: unknown } {
  try {
    return (JSON.parse(bytes.toString("utf8")) ?? {}) as { readonly [field: string]: unknown };
  } catch {
    return {};
  }
}

/** Whether a request of a signed-in browser comes from the screen: other pages cannot know what stands in the header. */
export function isFromScreen({ csrf }: Visitor, { headers }: IncomingMessage): boolean {
  const sent = headers[CSRF_HEADER];
  return typeof sent === "string" && isSame(sent, csrf);
}

function problem(response: ServerResponse, status: number, code: string, detail: string): void {
  answer(response, status, { type: `urn:purser:error:${code}`, title: code.replaceAll("_", " "), status, code, detail });
}

function answer(response: ServerResponse, status: number, body: object): void {
  const bytes = Buffer.from(`${JSON.stringify(body)}\n`);
  response.writeHead(status, {
    "content-type": status >= 400 ? "application/problem+json" : "application/json",
    "content-length": bytes.length,
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
  });
  response.end(bytes);
}
