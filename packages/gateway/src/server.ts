import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { type Balance, type ErrorCode, type Lag, PurserError } from "@purser/core";
import type { Admin, AdminResponse, Role } from "./admin/admin.ts";
import { balanceJson } from "./admin/balances.ts";
import { isAboutDecisions } from "./admin/routes.ts";
import { type AlertPageParts, serveAlert } from "./alerts/page.ts";
import { serveAsk } from "./asks/page.ts";
import type { AuditLog } from "./audit-log/audit-log.ts";
import { findBatchRoute, serveBatches } from "./batches/wire.ts";
import { readBytes } from "./body.ts";
import { type Caller, type Identified, nameOf, roleOf } from "./callers/identify.ts";
import type { Keys } from "./callers/key.ts";
import { anthropicMessages } from "./dialects/anthropic-messages/index.ts";
import type { Dialect, Refusal } from "./dialects/dialect.ts";
import { geminiContent } from "./dialects/gemini-content/index.ts";
import { openaiChat } from "./dialects/openai-chat/index.ts";
import type { Gateway } from "./gateway.ts";
import { serveHandoverPage } from "./handovers/page.ts";
import { handoverId, serveHandover } from "./handovers/wire.ts";
import { EXPOSITION_TYPE } from "./metrics/exposition.ts";
import { listGeminiModels, listModels, listOllamaModels } from "./models.ts";
import { OIDC_CALLBACK_PATH, OIDC_PATH } from "./people/oidc.ts";
import { serveCall } from "./pipeline.ts";
import { queuedId, serveQueue } from "./queue/wire.ts";
import { refusalHead } from "./refusal.ts";
import { findCall, refusedRoute } from "./routes.ts";
import { type ScreenFiles, screenFileFor, serveScreenFile } from "./screen/files.ts";
import type { Visitor } from "./screen/sessions.ts";
import { beginElsewhere, endElsewhere, isFromScreen, type SignInParts, serveSession } from "./screen/sign-in.ts";
import { keyInfo, openRouterKey } from "./self-service/compatible.ts";
import { delegate } from "./self-service/delegate.ts";
import { answerMcp } from "./self-service/mcp.ts";

/** A slow client may take this long to send its request. */
const REQUEST_TIMEOUT_MS = 60_000;
/** Longer than load balancers keep theirs, so that none of them meets a closing connection. */
const KEEP_ALIVE_MS = 75_000;
const KEY_HEADERS = ["authorization", "x-api-key", "x-goog-api-key", "api-key"];
const ADMIN_BODY_MOST = 1024 * 1024;

export interface ServerState {
  /** The gateway as it is configured now. */
  gateway(): Gateway;
  readonly admin: Admin;
  readonly keys: Pick<Keys, "signing">;
  readonly log: Pick<AuditLog, "refused" | "write">;
  /** What the page behind the links in alerts needs. */
  readonly answering: AlertPageParts;
  /** All metrics, as Prometheus reads them. */
  metrics(): Promise<string>;
  /** Requests that are being worked on, their settlement included. */
  readonly calls: Set<Promise<void>>;
  /** Whether new calls are taken. */
  isDraining(): boolean;
  /** Whether no call can be admitted at the moment, because the store cannot be reached. */
  isStoreDown(): boolean;
  /** The screen, and who signed in to it. */
  readonly screen: { readonly files: ScreenFiles } & Omit<SignInParts, "identify" | "log">;
  /** How far the book of record is behind, where there is one. */
  lag?(): Promise<Lag>;
  /** How long a client may take to send its request. A minute where it is left out. */
  readonly requestTimeoutMs?: number;
}

/** The HTTP server: routes to the pipeline, and our own pages. The only file that knows node:http's server. */
export function createHttpServer(state: ServerState): Server {
  const { requestTimeoutMs = REQUEST_TIMEOUT_MS } = state;
  /** What is to be written on a connection. */
  const answers = new WeakMap<Socket, ServerResponse>();
  const server = createServer(
    {
      requestTimeout: requestTimeoutMs,
      connectionsCheckingInterval: requestTimeoutMs / 2,
      keepAliveTimeout: KEEP_ALIVE_MS,
      noDelay: true,
    },
    (request, response) => {
      const { socket } = request;
      answers.set(socket, response);
      response.once("close", () => answers.delete(socket));
      const call = route(state, request, response)
        .catch((error: unknown) => failRoute(state, request, response, error))
        .finally(() => state.calls.delete(call));
      state.calls.add(call);
    },
  );
  // Nobody listens for upgrades, so that a client which offers one (Java's offers h2c with every call) is simply answered.
  server.on("clientError", (error: NodeJS.ErrnoException, socket: Socket) => {
    // An answer that has begun must not get another one into the middle of it.
    if (answers.get(socket)?.headersSent || !socket.writable) socket.destroy();
    else socket.end(notHttp(error.code ?? ""));
  });
  return server;
}

/** The answer to what cannot be read as HTTP, for whichever client it is. */
function notHttp(code: string): string {
  const [status, message] =
    code === "ERR_HTTP_REQUEST_TIMEOUT"
      ? ["408 Request Timeout", "The request did not come to its end in time."]
      : code === "HPE_HEADER_OVERFLOW"
        ? ["431 Request Header Fields Too Large", "The headers of this request are too large."]
        : ["400 Bad Request", "This is no valid HTTP request."];
  const body = JSON.stringify({ type: "error", error: { type: "invalid_request_error", message, param: null, code: "body_invalid" } });
  return `HTTP/1.1 ${status}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`;
}

async function route(state: ServerState, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = request.url ?? "/";
  const path = pathOf(url);
  const call = findCall(path);
  if (request.headers.upgrade?.toLowerCase() === "websocket") return refuseUpgrade(response);
  if (hasTwoHosts(request)) throw new PurserError("body_invalid", "The request names two hosts. Send one Host header.");
  const batch = call ? undefined : findBatchRoute(request.method, path);
  if (batch || (call && request.method === "POST")) {
    if (isForeignPage(request) && !showsKey(request))
      throw new PurserError("key_missing", "A page of another site called, without a key in a header. Its calls would be charged to you.");
    if (state.isDraining())
      throw new PurserError("shutting_down", "This server is shutting down and takes no new calls. Try again in a few seconds.");
    if (batch) return serveBatches(state.gateway(), request, response, batch);
    if (call) return serveCall(state.gateway(), request, response, call);
  }
  if (call) throw unknownRoute(request.method, path);
  if (request.method === "HEAD" && path === "/") return end(response, 200, undefined);
  if (path === "/session") return serveSignIn(state, request, response);
  if (path === OIDC_PATH && request.method === "GET") return beginElsewhere(signInParts(state), request, response, queryOf(url));
  if (path === OIDC_CALLBACK_PATH && request.method === "GET") return endElsewhere(signInParts(state), request, response, queryOf(url));
  const waiting = queuedId(path);
  if (waiting !== undefined && /^(GET|HEAD|DELETE)$/.test(request.method ?? ""))
    return serveQueue(state.gateway(), request, response, waiting);
  const handover = handoverId(path);
  if (handover !== undefined && /^(GET|HEAD)$/.test(request.method ?? ""))
    return serveHandover(state.gateway(), request, response, handover);
  if (path === "/mcp") return serveMcp(state.gateway(), request, response);
  if (path === "/delegations" && request.method === "POST") return serveDelegation(state, request, response);
  if (path === "/acknowledge") return serveAlert(state.answering, request, response, url);
  if (path === "/handovers") return serveHandoverPage(state.gateway(), request, response, url);
  if (path === "/asks") return serveAsk(state.gateway(), request, response, url);
  if (request.method !== "GET" && request.method !== "HEAD" && !path.startsWith("/api/")) throw unknownRoute(request.method, path);
  if (path === "/healthz") return end(response, 200, { status: "ok" });
  if (path === "/readyz") return showReadiness(state, response);
  if (path === "/metrics") return showMetrics(state, request, response);
  if (path === "/budget") return showOwn(state, request, response, (_, balances) => ({ data: balances.map(balanceJson) }));
  if (path === "/key/info" && request.method === "GET") return showOwn(state, request, response, keyInfo);
  if (path === "/api/v1/key" && request.method === "GET") return showOwn(state, request, response, openRouterKey);
  if (path === "/v1/models") return showModels(state.gateway(), request, response, listModels);
  if (path === "/v1beta/models") return showModels(state.gateway(), request, response, listGeminiModels);
  if (path === "/api/tags" && request.method === "GET") return showModels(state.gateway(), request, response, listOllamaModels);
  if (path.startsWith("/api/")) return serveAdmin(state, request, response, url);
  const file = screenFileFor(state.screen.files, request, path);
  if (file) return serveScreenFile(file, request, response, path);
  throw unknownRoute(request.method, path);
}

function unknownRoute(method: string | undefined, path: string): PurserError {
  return new PurserError("route_unknown", refusedRoute(method, path));
}

/** For load balancers: whether calls are better sent elsewhere. Calls go on while the book of record is away, so that is told and does not count. */
async function showReadiness({ isDraining, isStoreDown, lag }: ServerState, response: ServerResponse): Promise<void> {
  const status = isDraining() ? "draining" : isStoreDown() ? "store unavailable" : "ready";
  const behind = await lag?.().catch(() => undefined);
  const archive = behind && {
    status: behind.failure ? "unavailable" : "reachable",
    entries_behind: behind.entries,
    seconds_behind: Math.round(behind.milliseconds / 1_000),
  };
  end(response, status === "ready" ? 200 : 503, { status, ...(archive && { archive }) });
}

/** For a Prometheus that has an admin's key, as for /api: figures say what is spent. */
async function showMetrics(state: ServerState, request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (!identifyReader(state, request, response, ["owner", "admin", "viewer"])) return;
  const text = Buffer.from(await state.metrics());
  response.writeHead(200, { "content-type": EXPOSITION_TYPE, "content-length": text.length }).end(text);
}

/** How the budgets of a caller stand, in a shape that its tools know. */
async function showOwn(
  state: ServerState,
  request: IncomingMessage,
  response: ServerResponse,
  shape: (caller: Caller, balances: readonly Balance[]) => object,
): Promise<void> {
  const identified = identifyUser(state, request);
  if (!identified.ok) throw new PurserError(identified.code, identified.message);
  const { caller } = identified;
  const { subject, pools } = caller;
  end(response, 200, shape(caller, await state.gateway().budgets.balances({ subject, pools })));
}

/** Hands a part of a caller's budgets on to an agent of its own. */
async function serveDelegation({ gateway, keys }: ServerState, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const identified = gateway().identify(request);
  if (!identified.ok) return problem(response, 401, identified.code, identified.message);
  if (isForeignPage(request)) return problem(response, 403, "key_invalid", "Requests from other sites' pages are not taken.");
  const body = jsonOf(await readBytes(request, ADMIN_BODY_MOST));
  if (body === NO_JSON) return problem(response, 400, "body_invalid", "The body is not valid JSON.");
  response.setHeader("cache-control", "no-store");
  end(response, 201, await delegate(gateway(), keys, identified.caller, body, Date.now()));
}

/** Tools for agents, about their own money. It streams nothing, so that there is nothing to listen to with GET. */
async function serveMcp(gateway: Gateway, request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (request.method !== "POST") {
    response.setHeader("allow", "POST");
    return problem(response, 405, "route_unknown", "/mcp answers POST: one JSON-RPC message, and its answer.");
  }
  const identified = gateway.identify(request);
  if (!identified.ok) return problem(response, 401, identified.code, identified.message);
  if (isForeignPage(request)) return problem(response, 403, "key_invalid", "Requests from other sites' pages are not taken.");
  const { status, body } = await answerMcp(gateway, identified.caller, await readBytes(request, ADMIN_BODY_MOST));
  end(response, status, body);
}

function showModels(gateway: Gateway, request: IncomingMessage, response: ServerResponse, list: typeof listModels): void {
  const identified = gateway.identify(request);
  if (!identified.ok) throw new PurserError(identified.code, identified.message);
  end(response, 200, list(gateway.config));
}

async function serveSignIn(state: ServerState, request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (isForeignPage(request)) return problem(response, 403, "key_invalid", "Requests from other sites' pages are not taken.");
  return serveSession(signInParts(state), request, response);
}

function signInParts({ screen, log, gateway }: ServerState): SignInParts {
  return { ...screen, log, identify: (request) => gateway().identify(request) };
}

function queryOf(url: string): URLSearchParams {
  return new URL(url, "http://purser.invalid").searchParams;
}

/** Who uses our own pages: by a key in a header, as a program, or by the cookie of a browser that signed in. */
function identifyUser(state: ServerState, request: IncomingMessage): Identified & { readonly visitor?: Visitor } {
  const visitor = showsKey(request) ? undefined : state.screen.sessions.find(request.headers);
  return visitor ? { ok: true, caller: visitor.caller, visitor } : state.gateway().identify(request);
}

async function serveAdmin(state: ServerState, request: IncomingMessage, response: ServerResponse, url: string): Promise<void> {
  const caller = identifyReader(state, request, response, ["owner", "admin", "viewer", "member"]);
  if (!caller) return;
  response.setHeader("cache-control", "no-store").setHeader("x-content-type-options", "nosniff");
  const { pathname, searchParams } = new URL(url, "http://purser.invalid");
  // A call about which is asked may be as large as one that is made, and takes its room with those.
  const { bodies, config } = state.gateway();
  const isAsked = isAboutDecisions({ path: pathname });
  const bytes = await (isAsked ? bodies.read(request, response, config.server.maxBodyBytes) : readBytes(request, ADMIN_BODY_MOST));
  const body = pathname === "/api/authorize" ? bytes : jsonOf(bytes);
  if (body === NO_JSON) return problem(response, 400, "body_invalid", "The body is not valid JSON.");
  const { method = "GET", headers } = request;
  const { subject } = caller;
  const who = { role: roleOf(caller), by: nameOf(caller), from: request.socket.remoteAddress };
  const answer = await state.admin({ method, path: pathname, query: searchParams, body, headers, subject, ...who });
  for (const [name, value] of Object.entries(answer.headers ?? {})) response.setHeader(name, value);
  if (answer.listen) return sendEvents(state, response, answer.listen);
  if (answer.textType === undefined)
    return end(response, answer.status, answer.body, answer.status >= 400 ? "application/problem+json" : "application/json");
  response.writeHead(answer.status, { "content-type": `${answer.textType}; charset=utf-8` });
  response.end(String(answer.body));
}

/** Who asks, if they have one of these roles; else they are answered, and it is written down. What a role may do is for the admin API to say. */
function identifyReader(
  state: ServerState,
  request: IncomingMessage,
  response: ServerResponse,
  roles: readonly Role[],
): Caller | undefined {
  const identified = identifyUser(state, request);
  const refuse = (status: number, code: ErrorCode, message: string) => {
    const by = identified.ok ? nameOf(identified.caller) : "nobody known";
    const details = { method: request.method, path: pathOf(request.url ?? "/"), status, code };
    state.log.refused({ by, what: "access.refused", from: request.socket.remoteAddress, details });
    problem(response, status, code, message);
  };
  if (!identified.ok) refuse(401, identified.code, identified.message);
  else if (!roles.includes(roleOf(identified.caller)))
    refuse(403, "key_invalid", "This key may make calls, and not use /api. Use an admin key, or the owner's token.");
  else if (isForeignPage(request)) refuse(403, "key_invalid", "Requests from other sites' pages are not taken.");
  else if (identified.visitor && request.method !== "GET" && !isFromScreen(identified.visitor, request))
    refuse(403, "key_invalid", "A browser sends `x-purser-csrf` with what changes something: GET /session says its value.");
  else return identified.caller;
  return undefined;
}

const BEAT_EVERY_MS = 15_000;
const DRAIN_LOOK_MS = 250;
/** A browser that does not read what it is sent comes back and asks again. */
const UNREAD_MOST = 1024 * 1024;

/** Server-sent events, until the browser leaves or the server stops. */
async function sendEvents(state: ServerState, response: ServerResponse, listen: NonNullable<AdminResponse["listen"]>): Promise<void> {
  response.writeHead(200, { "content-type": "text/event-stream", "x-accel-buffering": "no" });
  response.write(": hello\n\n");
  const stop = listen((event, data) => {
    if (response.writableLength > UNREAD_MOST) response.destroy();
    else response.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
  });
  const beat = setInterval(() => response.write(": beat\n\n"), BEAT_EVERY_MS);
  const look = setInterval(() => {
    if (state.isDraining()) response.end();
  }, DRAIN_LOOK_MS);
  await new Promise<void>((resolve) => response.once("close", resolve));
  clearInterval(beat);
  clearInterval(look);
  stop();
}

/** While every caller on this machine is the owner, a page in the browser is one too; so pages of other origins are refused. */
function isForeignPage({ headers }: IncomingMessage): boolean {
  const { origin, host } = headers;
  return (
    (origin !== undefined && origin !== `http://${host}` && origin !== `https://${host}`) || headers["sec-fetch-site"] === "cross-site"
  );
}

/** A page cannot make a browser send a header with a key to another site, unless that site agrees, and this one never does. */
function showsKey({ headers }: IncomingMessage): boolean {
  return KEY_HEADERS.some((name) => headers[name] !== undefined);
}

/** Codex tries a web socket first, and falls back at once when it is told so. */
function refuseUpgrade(response: ServerResponse): void {
  response.writeHead(426, { connection: "close", "content-length": 0 }).end();
}

/** Whoever stands before us may have read the other one (RFC 9112, section 3.2). */
function hasTwoHosts({ rawHeaders }: IncomingMessage): boolean {
  let hosts = 0;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] as string;
    if (name.length === 4 && name.toLowerCase() === "host") hosts++;
  }
  return hosts > 1;
}

function pathOf(url: string): string {
  const queryAt = url.indexOf("?");
  return queryAt < 0 ? url : url.slice(0, queryAt);
}

/** Clients read errors in their own format only. */
function dialectOf({ url = "/", headers }: IncomingMessage): Dialect {
  const path = pathOf(url);
  const call = findCall(path);
  if (call) return call.dialect;
  if (path.startsWith("/v1/messages") || headers["anthropic-version"] !== undefined) return anthropicMessages;
  return path.startsWith("/v1beta/") ? geminiContent : openaiChat;
}

function failRoute(state: ServerState, request: IncomingMessage, response: ServerResponse, error: unknown): void {
  const gateway = state.gateway();
  if (!(error instanceof PurserError)) gateway.onError(error);
  const refusal: Refusal = {
    code: error instanceof PurserError ? error.code : "internal",
    message: error instanceof PurserError ? error.message : "Something is wrong in the gateway itself.",
    requestId: gateway.newId(),
  };
  if (response.headersSent || response.destroyed) return;
  const { status, headers } = refusalHead(refusal);
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  end(response, status, dialectOf(request).writeError(refusal, status));
}

const NO_JSON = Symbol("no JSON");

/** What a small body says; nothing where it is empty. */
function jsonOf(bytes: Buffer): unknown {
  try {
    return bytes.length === 0 ? undefined : JSON.parse(bytes.toString("utf8"));
  } catch {
    return NO_JSON;
  }
}

function problem(response: ServerResponse, status: number, code: string, detail: string): void {
  end(response, status, { type: "about:blank", title: code.replaceAll("_", " "), status, code, detail }, "application/problem+json");
}

function end(response: ServerResponse, status: number, body: unknown, type = "application/json"): void {
  if (body === undefined) {
    response.writeHead(status).end();
    return;
  }
  const bytes = Buffer.from(`${JSON.stringify(body)}\n`);
  response.writeHead(status, { "content-type": type, "content-length": bytes.length });
  response.end(bytes);
}
