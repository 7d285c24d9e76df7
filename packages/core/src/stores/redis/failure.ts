import { PurserError } from "../../errors.ts";
import { messageOf } from "./client.ts";
import { ROLL_CALL_MS } from "./scripts/shared.lua.ts";

/** What Redis says first, and what to do about it. */
const ADVICE: readonly (readonly [begin: string, advice: string])[] = [
  ["OOM", "Its memory is full: raise maxmemory, or have the ledger moved to PostgreSQL."],
  ["READONLY", "It is a replica: connect to the primary."],
  ["NOAUTH", "It wants a password: write it into the URL."],
  ["WRONGPASS", "Check the user and the password in the URL."],
  ["NOPERM", "Give its user the rights to run scripts on the keys of this namespace."],
  ["MISCONF", "It cannot write its own file: check its disk."],
  ["LOADING", "It is still reading its file: wait a moment."],
  ["NOREPLICAS", "Fewer replicas follow it than min-replicas-to-write asks for: look after them."],
  ["TRYAGAIN", "Its slot is on the move to another node: calls go on when all of it is there."],
  ["CLUSTERDOWN", "Not all slots of the cluster are served: look after its nodes."],
];

export function unavailable(cause: unknown): PurserError {
  // That the client tried often enough says nothing to whoever looks after the server.
  const hasGivenUp = cause instanceof Error && cause.name === "MaxRetriesPerRequestError";
  const message = hasGivenUp ? "there is no connection to it" : messageOf(cause);
  const [, advice = "Check that it runs and can be reached; every call tries again."] =
    ADVICE.find(([begin]) => message.startsWith(begin)) ?? [];
  return new PurserError("store_unavailable", `Redis cannot be used: ${message}. ${advice}`.replace("..", "."), { cause });
}

/** A Redis that lost what it had acknowledged. */
export function regressed(found: number, seen: number): PurserError {
  return new PurserError(
    "store_unavailable",
    `Redis has lost entries of the ledger that it had acknowledged: it ends at entry ${found}, and ${seen} or more were there. It failed over to a replica that was behind, or restarted without its append-only file. No call is admitted, because money that was spent may be missing. Bring back the server or the file that has them, or accept the loss: purser store accept-loss.`,
  );
}

/** Another server than before, or one that started anew, before all gateways have said what they know. */
export function unsure(awaited: number): PurserError {
  return new PurserError(
    "store_unavailable",
    `Redis failed over or started anew, and may lack what it had acknowledged. No call is admitted until the gateways that know have been heard: ${awaited} more, for at most ${ROLL_CALL_MS / 1_000} seconds. Try again in a moment.`,
  );
}

export function closed(): PurserError {
  return new PurserError("store_unavailable", "The store is closed. Open it again to use it.");
}

export function isUnavailable(error: unknown): error is PurserError {
  return error instanceof PurserError && error.code === "store_unavailable";
}

/** Whether nobody knows if the command was carried out: its answer is missing. What Redis refuses it has not done. */
export function isDoubtful(error: unknown): boolean {
  return isUnavailable(error) && error.cause instanceof Error && error.cause.name !== "ReplyError";
}
