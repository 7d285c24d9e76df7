import { hash } from "node:crypto";
import { type ErrorCode, PurserError } from "@purser/core";
import type { AuditLog } from "../audit-log/audit-log.ts";
import { type AdminRequest, type AdminResponse, problem } from "./admin.ts";

/**
 * Does what changes something only when it is written down that it was asked, and then what became of it. A crash in between leaves a line
 * without an outcome, never a change without a line.
 */
export async function writtenDown(
  log: Pick<AuditLog, "write">,
  { method, path, unlogged = [] }: { readonly method: string; readonly path: string; readonly unlogged?: readonly string[] },
  request: AdminRequest,
  run: () => Promise<AdminResponse>,
): Promise<AdminResponse> {
  const { by = "the owner", from, body, query } = request;
  const asked = {
    ...(body !== undefined && { body: loggable(lengthsOf(unlogged, body)) }),
    ...(query.size > 0 && { query: query.toString() }),
  };
  const what = `${method} ${path}`;
  const of = await log.write({ by, what, from, details: { path: request.path, ...asked } });
  const outcome = async (status: number, more: object = {}) => log.write({ by, what, from, of, details: { status, ...more } });
  try {
    const answer = await run();
    const { id, code } = (answer.body ?? {}) as { readonly id?: unknown; readonly code?: unknown };
    await outcome(answer.status, {
      ...(id !== undefined && { id }),
      ...(code !== undefined && { code }),
      ...(answer.logged && { ...(loggable(answer.logged) as object) }),
    });
    return answer;
  } catch (error) {
    const code = error instanceof PurserError ? error.code : "internal";
    await outcome(statusOf(code), { code });
    throw error;
  }
}

const SECRET_FIELD = /secret|token|password|api_?key/i;
const LOGGED_MOST = 16 * 1024;

/** A body as the log keeps it: no secret, and no more than is read. */
function loggable(body: unknown): unknown {
  const text = JSON.stringify(body, (name, value: unknown) => (SECRET_FIELD.test(name) ? "…" : value)) ?? "null";
  return text.length > LOGGED_MOST ? { characters: text.length, sha256: hash("sha256", text, "hex") } : JSON.parse(text);
}

/** A body with how long these texts of it are, in their places. */
function lengthsOf(fields: readonly string[], body: unknown): unknown {
  if (fields.length === 0 || typeof body !== "object" || body === null) return body;
  return Object.fromEntries(
    Object.entries(body).map(([name, value]) => [name, fields.includes(name) ? { characters: String(value).length } : value]),
  );
}

/** An error as the admin API answers it. */
export function errorAnswer({ code, message }: PurserError): AdminResponse {
  return problem(statusOf(code), code, message);
}

const NOT_FOUND: ReadonlySet<ErrorCode> = new Set([
  "reservation_unknown",
  "channel_unknown",
  "alert_unknown",
  "route_unknown",
  "budget_unknown",
  "handover_unknown",
]);

function statusOf(code: ErrorCode): number {
  if (NOT_FOUND.has(code)) return 404;
  if (code === "store_unavailable" || code === "shutting_down") return 503;
  if (code === "store_locked" || code === "config_fixed" || code === "handover_conflict") return 409;
  return code === "internal" ? 500 : 400;
}
