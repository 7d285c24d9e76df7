import type { IncomingMessage, ServerResponse } from "node:http";
import type { Dialect } from "./dialects/dialect.ts";
import type { PathNames } from "./dialects/path.ts";

/** One request and what is known about it so far. */
export interface Exchange {
  readonly id: string;
  /** When the request began, by the clock of the process. */
  readonly beganAt: number;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly dialect: Dialect;
  /** What the path of the request names. */
  readonly names: PathNames;
}

export const CALLER_GONE = new Error("The caller went away before its call was admitted.");

/** Aborted when the caller's connection closes. */
export function callerGone(response: ServerResponse): AbortSignal {
  const gone = new AbortController();
  if (response.destroyed) gone.abort(CALLER_GONE);
  else response.once("close", () => gone.abort(CALLER_GONE));
  return gone.signal;
}

/** Whether the caller went away before its answer was written. */
export function isGone({ response }: Exchange): boolean {
  return !response.writableEnded && (response.destroyed || response.req.socket?.destroyed === true);
}
