import type { IncomingHttpHeaders } from "node:http";
import { ERROR_CODES, type ErrorCode, type Subject } from "@purser/core";
import type { KeyRole } from "../callers/key.ts";

/** What somebody may do here. `owner`: this machine's folder, its token, or anybody while there is no key; the others are those of keys. */
export type Role = "owner" | KeyRole;

/** A request to the admin API, of somebody who is known. */
export interface AdminRequest {
  readonly method: string;
  /** Without the query: `/api/budgets`. */
  readonly path: string;
  readonly query: URLSearchParams;
  /** Parsed JSON, or of `/api/authorize` the bytes as they came; undefined without a body. */
  readonly body: unknown;
  readonly headers?: IncomingHttpHeaders;
  /** As what; the owner where it is left out. */
  readonly role?: Role;
  /** Who asks, for the audit log: the owner's own commands where it is left out. */
  readonly by?: string;
  /** The address that it came from. */
  readonly from?: string | undefined;
  /** What the credentials and the `x-purser-` headers say about who a call is for. */
  readonly subject?: Subject;
}

/** An answer of the admin API: JSON, or an RFC 9457 problem where the status is 400 or above. */
export interface AdminResponse {
  readonly status: number;
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** The media type of a body that is a text to be sent as it is: `text/csv`. */
  readonly textType?: string;
  /** What the audit log says of it besides its status. */
  readonly logged?: Readonly<Record<string, unknown>>;
  /** Where the answer is no body but goes on and on: begins to send events, and returns what ends it. */
  readonly listen?: (send: (event: string, data: unknown) => void) => () => void;
}

export type Admin = (request: AdminRequest) => Promise<AdminResponse>;

export function ok(body: unknown): AdminResponse {
  return { status: 200, body };
}

/** A text as a file of its own: a table, a page. */
export function file(textType: string, name: string, body: string): AdminResponse {
  return { status: 200, body, textType, headers: { "content-disposition": `inline; filename="${name}"` } };
}

/** An RFC 9457 problem with our code. */
export function problem(status: number, code: ErrorCode, detail: string): AdminResponse & { readonly body: object } {
  return { status, body: { type: `urn:purser:error:${code}`, title: ERROR_CODES[code], status, detail, code } };
}
