import type { IncomingMessage, ServerResponse } from "node:http";
import { PurserError } from "@purser/core";
import type { Role } from "../admin/admin.ts";
import { readBytes } from "../body.ts";
import { type Caller, type Identified, roleOf } from "../callers/identify.ts";
import type { Attempts } from "./attempts.ts";
import { isSame, type Sessions, type Visitor } from "./sessions.ts";

/** Who looks at the screen, and what the screen needs to know of it. */
export interface SessionJson {
  /** As what: whoever is the owner, or what the key may do. Nothing where one has to sign in first. */
  readonly role: Role | null;
  /** The name of the key that was signed in with. */
  readonly name: string | null;
  /** To be sent as `x-purser-csrf` with everything that changes something; none where no session was opened. */
  readonly csrf: string | null;
  /** Whether it can be signed out: no session is needed while every program on this machine is the owner. */
  readonly can_sign_out: boolean;
}

export interface SignInParts {
  readonly sessions: Sessions;
  readonly attempts: Attempts;
  identify(request: IncomingMessage): Identified;
}

const BODY_MOST = 4_096;
const CSRF_HEADER = "x-purser-csrf";

/** `/session`: says who is signed in, signs in with a token or a key, and signs out. */
export async function serveSession(parts: SignInParts, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { sessions } = parts;
  if (request.method === "GET" || request.method === "HEAD") return answer(response, 200, sessionJson(parts, request));
  if (request.method === "POST") return signIn(parts, request, response);
  if (request.method !== "DELETE") throw new PurserError("route_unknown", `/session answers GET, POST and DELETE, not ${request.method}.`);
  const visitor = sessions.find(request.headers);
  if (visitor && !isFromScreen(visitor, request)) throw new PurserError("key_invalid", `Send the ${CSRF_HEADER} that GET /session says.`);
  response.setHeader("set-cookie", sessions.close());
  answer(response, 200, { role: null, name: null, csrf: null, can_sign_out: false } satisfies SessionJson);
}

function sessionJson({ sessions, identify }: SignInParts, request: IncomingMessage): SessionJson {
  const visitor = sessions.find(request.headers);
  if (visitor) {
    const { caller, csrf } = visitor;
    return signedIn(caller, csrf);
  }
  const identified = identify(request);
  return { role: identified.ok ? roleOf(identified.caller) : null, name: null, csrf: null, can_sign_out: false };
}

async function signIn({ sessions, attempts }: SignInParts, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const address = request.socket.remoteAddress ?? "";
  const waitMs = attempts.waitMs(address);
  if (waitMs > 0) {
    const seconds = Math.ceil(waitMs / 1_000);
    response.setHeader("retry-after", seconds);
    return problem(response, 429, "sign_in_slowed", `Too many wrong tokens came from this address. Try again in ${seconds} s.`);
  }
  const cookie = sessions.open(await readToken(request));
  if (cookie === undefined) {
    attempts.failed(address);
    return problem(response, 401, "key_invalid", "This is neither the owner's token nor a key that is valid here.");
  }
  attempts.succeeded(address);
  response.setHeader("set-cookie", cookie);
  // What was signed in with a moment ago is what the next request brings.
  const visitor = sessions.find({ cookie: cookie.split(";", 1)[0] ?? "" }) as Visitor;
  const { caller, csrf } = visitor;
  answer(response, 200, signedIn(caller, csrf));
}

function signedIn(caller: Caller, csrf: string): SessionJson {
  return { role: roleOf(caller), name: caller.key?.name ?? null, csrf, can_sign_out: true };
}

async function readToken(request: IncomingMessage): Promise<string> {
  const bytes = await readBytes(request, BODY_MOST);
  try {
    const { token } = JSON.parse(bytes.toString("utf8")) as { readonly token?: unknown };
    if (typeof token === "string") return token.trim();
  } catch {
    // Said below.
  }
  throw new PurserError("body_invalid", 'Send the token as JSON: { "token": "pa-…" }.');
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
