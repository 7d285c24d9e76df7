import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { PurserError } from "@purser/core";
import type { Admin } from "./admin/admin.ts";
import { balanceJson } from "./admin/balances.ts";
import { readBytes } from "./body.ts";
import { anthropicMessages } from "./dialects/anthropic-messages/index.ts";
import type { Dialect } from "./dialects/dialect.ts";
import { openaiChat } from "./dialects/openai-chat/index.ts";
import { listModels } from "./models.ts";
import { type Gateway, serveCall } from "./pipeline.ts";

/** Calls that are metered. A route that is not here is refused: what cannot be metered is never forwarded. */
const CALLS: Readonly<Record<string, Dialect>> = {
  "/v1/chat/completions": openaiChat,
  "/chat/completions": openaiChat,
  "/v1/messages": anthropicMessages,
};

/** A slow client may take this long to send its request. */
const REQUEST_TIMEOUT_MS = 60_000;
/** Longer than load balancers keep theirs, so that none of them meets a closing connection. */
const KEEP_ALIVE_MS = 75_000;
const ADMIN_BODY_MOST = 1024 * 1024;

export interface ServerState {
  /** The gateway as it is configured now. */
  gateway(): Gateway;
  readonly admin: Admin;
  /** Requests that are being worked on, their settlement included. */
  readonly calls: Set<Promise<void>>;
  /** Whether new calls are taken. */
  isDraining(): boolean;
}

/** The HTTP server: routes to the pipeline, and our own pages. The only file that knows node:http's server. */
export function createHttpServer(state: ServerState): Server {
  const server = createServer(
    { requestTimeout: REQUEST_TIMEOUT_MS, keepAliveTimeout: KEEP_ALIVE_MS, noDelay: true },
    (request, response) => {
      const call = route(state, request, response)
        .catch((error: unknown) => failRoute(state, response, error))
        .finally(() => state.calls.delete(call));
      state.calls.add(call);
    },
  );
  server.on("upgrade", (_request, socket: Socket) =>
    socket.end("HTTP/1.1 426 Upgrade Required\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"),
  );
  server.on("clientError", (_error, socket: Socket) => {
    if (socket.writable)
      socket.end(
        'HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n{"error":{"message":"This is no valid HTTP request.","type":"invalid_request_error","code":"body_invalid"}}',
      );
  });
  return server;
}

async function route(state: ServerState, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = request.url ?? "/";
  const queryAt = url.indexOf("?");
  const path = queryAt < 0 ? url : url.slice(0, queryAt);
  const dialect = CALLS[path];
  if (dialect && request.method === "POST") {
    if (!state.isDraining()) return serveCall(state.gateway(), request, response, dialect);
    throw new PurserError("shutting_down", "This server is shutting down and takes no new calls. Try again in a few seconds.");
  }
  if (request.method === "HEAD" && path === "/") return end(response, 200, undefined);
  if (request.method !== "GET" && request.method !== "HEAD" && !path.startsWith("/api/")) throw unknownRoute(request.method, path);
  if (path === "/healthz") return end(response, 200, { status: "ok" });
  if (path === "/readyz") return end(response, state.isDraining() ? 503 : 200, { status: state.isDraining() ? "draining" : "ready" });
  if (path === "/budget") return showBudget(state.gateway(), request, response);
  if (path === "/v1/models") return showModels(state.gateway(), request, response);
  if (path.startsWith("/api/")) return serveAdmin(state, request, response, url);
  throw unknownRoute(request.method, path);
}

function unknownRoute(method: string | undefined, path: string): PurserError {
  const known = Object.keys(CALLS).join(", ");
  return new PurserError(
    "route_unknown",
    `There is no ${method} ${path.slice(0, 200)} here, and what cannot be metered is not forwarded. Calls go to POST ${known}.`,
  );
}

/** What the caller has left, for the holder of a key. */
async function showBudget(gateway: Gateway, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const identified = gateway.identify(request);
  if (!identified.ok) throw new PurserError(identified.code, identified.message);
  const balances = await gateway.budgets.balances({ subject: identified.caller.subject });
  const data = balances.map(balanceJson);
  end(response, 200, { data });
}

function showModels(gateway: Gateway, request: IncomingMessage, response: ServerResponse): void {
  const identified = gateway.identify(request);
  if (!identified.ok) throw new PurserError(identified.code, identified.message);
  end(response, 200, listModels(gateway.config));
}

async function serveAdmin(state: ServerState, request: IncomingMessage, response: ServerResponse, url: string): Promise<void> {
  const identified = state.gateway().identify(request);
  if (!identified.ok) return problem(response, 401, identified.code, identified.message);
  if (!identified.caller.isOwner)
    return problem(response, 403, "key_invalid", "This key may make calls, and not use /api. Use an admin key, or the owner's token.");
  if (isForeignPage(request)) return problem(response, 403, "key_invalid", "Requests from other sites' pages are not taken.");
  const bytes = await readBytes(request, ADMIN_BODY_MOST);
  let body: unknown;
  try {
    body = bytes.length === 0 ? undefined : JSON.parse(bytes.toString("utf8"));
  } catch {
    return problem(response, 400, "body_invalid", "The body is not valid JSON.");
  }
  const { pathname, searchParams } = new URL(url, "http://purser.invalid");
  const answer = await state.admin({ method: request.method ?? "GET", path: pathname, query: searchParams, body });
  end(response, answer.status, answer.body, answer.status >= 400 ? "application/problem+json" : "application/json");
}

/** While every caller on this machine is the owner, a page in the browser is one too; so pages of other origins are refused. */
function isForeignPage({ headers }: IncomingMessage): boolean {
  const { origin, host } = headers;
  return (
    (origin !== undefined && origin !== `http://${host}` && origin !== `https://${host}`) || headers["sec-fetch-site"] === "cross-site"
  );
}

function failRoute(state: ServerState, response: ServerResponse, error: unknown): void {
  if (!(error instanceof PurserError)) state.gateway().onError(error);
  const code = error instanceof PurserError ? error.code : "internal";
  const message = error instanceof PurserError ? error.message : "Something is wrong in the gateway itself.";
  const status =
    {
      route_unknown: 404,
      key_missing: 401,
      key_invalid: 401,
      attribute_forbidden: 403,
      shutting_down: 503,
      body_too_large: 413,
      body_invalid: 400,
    }[code as string] ?? 500;
  if (response.headersSent || response.destroyed) return;
  if (status === 503) response.setHeader("retry-after", "5");
  else response.setHeader("x-should-retry", "false");
  end(response, status, { error: { message, type: status >= 500 ? "server_error" : "invalid_request_error", param: null, code } });
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
