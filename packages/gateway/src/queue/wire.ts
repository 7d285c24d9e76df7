import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from "node:http";
import { finished } from "node:stream/promises";
import { PurserError } from "@purser/core";
import { anthropicMessages } from "../dialects/anthropic-messages/index.ts";
import type { Refusal } from "../dialects/dialect.ts";
import type { Gateway } from "../gateway.ts";
import { headerText } from "../headers.ts";
import { refusalHead } from "../refusal.ts";
import { findCall } from "../routes.ts";
import type { QueuedCall } from "./queue-folder.ts";

const PATH = /^\/queue\/(queued_[\w-]+)$/;
/** Nobody has to ask more often, or wait longer between two looks. */
const LOOK_LEAST_S = 1;
const LOOK_MOST_S = 60;

/** The id in the address of a queued call. */
export function queuedId(path: string): string | undefined {
  return PATH.exec(path)?.[1];
}

/** Whether a client says that it can wait: `Prefer: respond-async` (RFC 7240, section 4.1). */
export function prefersAsync({ prefer }: IncomingHttpHeaders): boolean {
  const preferences = String(prefer ?? "").split(",");
  return preferences.some((one) => one.split(";")[0]?.trim().toLowerCase() === "respond-async");
}

export function queuedJson({ id, state, at, runAt, keptUntil }: QueuedCall): unknown {
  return {
    object: "queued_call",
    id,
    status: state,
    url: `/queue/${id}`,
    queued_at: new Date(at).toISOString(),
    runs_at: new Date(runAt).toISOString(),
    kept_until: new Date(keptUntil).toISOString(),
  };
}

export function queuedHeaders({ id, runAt }: QueuedCall, now: number): Record<string, string> {
  const seconds = Math.min(LOOK_MOST_S, Math.max(LOOK_LEAST_S, Math.ceil((runAt - now) / 1000)));
  return { "content-type": "application/json", location: `/queue/${id}`, "retry-after": String(seconds), "cache-control": "no-store" };
}

/** The address of a queued call: how it stands, its answer once, or an end to it. Only for the caller who made it. */
export async function serveQueue(gateway: Gateway, request: IncomingMessage, response: ServerResponse, id: string): Promise<void> {
  const identified = gateway.identify(request);
  if (!identified.ok) throw new PurserError(identified.code, identified.message);
  const call = await gateway.queue.find(id, identified.caller.key?.id);
  if (!call) throw unknownCall();
  if (request.method === "DELETE") {
    if (!(await gateway.queue.remove(id))) return end(response, 409, queuedHeaders(call, Date.now()), json(queuedJson(call)));
    return end(response, 200, { "content-type": "application/json" }, json({ object: "queued_call", id, status: "deleted" }));
  }
  if (call.state === "queued" || call.state === "running")
    return end(response, 202, queuedHeaders(call, Date.now()), json(queuedJson(call)));
  if (call.failure) writeFailure(response, call, call.failure);
  else if (call.answer) {
    const bytes = await gateway.queue.read(id);
    if (!bytes) throw unknownCall();
    const { status, contentType, requestId } = call.answer;
    const headers = { "content-type": contentType, "x-purser-request-id": requestId, "x-purser-rung": headerText(call.rung) };
    end(response, status, { ...headers, "cache-control": "no-store" }, bytes);
  }
  // Whoever broke off may come again.
  const isTaken = await finished(response).then(
    () => true,
    () => false,
  );
  if (isTaken && request.method !== "HEAD") await gateway.queue.remove(id);
}

function unknownCall(): PurserError {
  return new PurserError("queued_call_unknown", "There is no such queued call of yours here. An answer is given once, and kept for a day.");
}

function writeFailure(response: ServerResponse, { id, url }: QueuedCall, { code, message }: Pick<Refusal, "code" | "message">): void {
  const { dialect } = findCall(url.split("?", 1)[0] as string) ?? { dialect: anthropicMessages };
  const refusal: Refusal = { code, message, requestId: id };
  const { status, headers } = refusalHead(refusal);
  end(response, status, headers, json(dialect.writeError(refusal, status)));
}

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}

function end(response: ServerResponse, status: number, headers: Record<string, string>, body: Buffer): void {
  response.writeHead(status, { ...headers, "content-length": body.length }).end(body);
}
