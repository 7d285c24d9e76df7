import type { IncomingHttpHeaders } from "node:http";
import { ERROR_CODES, type ErrorCode, type Subject } from "@purser/core";

/** A request to the admin API, already authenticated as one of the owner. */
export interface AdminRequest {
  readonly method: string;
  /** Without the query: `/api/budgets`. */
  readonly path: string;
  readonly query: URLSearchParams;
  /** Parsed JSON; undefined without a body. */
  readonly body: unknown;
  readonly headers?: IncomingHttpHeaders;
  /** What the credentials and the `x-purser-` headers say about who a call is for. */
  readonly subject?: Subject;
}

/** An answer of the admin API: JSON, or an RFC 9457 problem where the status is 400 or above. */
export interface AdminResponse {
  readonly status: number;
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** Where the answer is no body but goes on and on: begins to send events, and returns what ends it. */
  readonly listen?: (send: (event: string, data: unknown) => void) => () => void;
}

export type Admin = (request: AdminRequest) => Promise<AdminResponse>;

export function ok(body: unknown): AdminResponse {
  return { status: 200, body };
}

/** An RFC 9457 problem with our code. */
export function problem(status: number, code: ErrorCode, detail: string): AdminResponse & { readonly body: object } {
  return { status, body: { type: `urn:purser:error:${code}`, title: ERROR_CODES[code], status, detail, code } };
}
