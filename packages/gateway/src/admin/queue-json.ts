import type { Subject } from "@purser/core";
import type { QueuedCall } from "../queue/queue-folder.ts";
import { instantJson } from "./balances.ts";

/** A call that waits for its budget, or did, as its operator sees it: without its texts and its answer. */
export interface WaitingCallJson {
  /** `queued_…` */
  readonly id: string;
  readonly status: QueuedCall["state"];
  /** What let it wait: `queue (nightly 100%)`. */
  readonly rung: string;
  /** Whose call it is. */
  readonly subject: Subject;
  /** The id of the key that made it; none of the owner's own. */
  readonly key: string | null;
  /** Where it goes: `/v1/chat/completions`. */
  readonly path: string;
  readonly queued_at: string;
  /** When it asks its budget. */
  readonly runs_at: string;
  /** When it fails, if it finds no room until then. */
  readonly gives_up_at: string;
  /** When it is deleted, if nobody fetches it. */
  readonly kept_until: string;
  /** The status of its answer; none before it has one. */
  readonly answered: number | null;
  /** Why it failed. */
  readonly failure: string | null;
}

export function waitingCallJson(call: QueuedCall): WaitingCallJson {
  const { id, state, rung, subject, key, url, at, runAt, giveUpAt, keptUntil, answer, failure } = call;
  return {
    id,
    status: state,
    rung,
    subject,
    key: key ?? null,
    path: url.split("?", 1)[0] as string,
    queued_at: instantJson(at),
    runs_at: instantJson(runAt),
    gives_up_at: instantJson(giveUpAt),
    kept_until: instantJson(keptUntil),
    answered: answer?.status ?? null,
    failure: failure?.message ?? null,
  };
}
