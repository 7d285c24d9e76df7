import type { Entry } from "@purser/core";
import { attemptId, requestOf } from "../failover/attempt-id.ts";
import { type CallOutcome, type CallSummary, detailOf, summariseCall } from "./call-report.ts";

/** One of the attempts of a request that was made at several providers, or several times at one. */
export interface AttemptJson extends Pick<CallSummary, "id" | "at" | "outcome" | "provider" | "model" | "cost_nanodollars" | "certainty"> {
  /** How it ended, as far as the attempt after it or its own entries say. */
  readonly end: string | null;
  /** What was held for it. */
  readonly held_nanodollars: number | null;
}

/** More attempts than this are made for no request, whatever budgets say to some of them. */
const NUMBERS_MOST = 20;
/** Refusals that repeat are written down together, so that a number can be missing. */
const MISSING_MOST = 2;

/** All attempts of the request that an attempt belongs to, in their order; none where there is only one. */
export async function readAttempts(
  entriesOf: (reservation: string) => Promise<readonly Entry[]>,
  id: string,
): Promise<readonly AttemptJson[]> {
  const request = requestOf(id);
  const attempts: (readonly Entry[])[] = [];
  for (let number = 1, missing = 0; number <= NUMBERS_MOST && missing < MISSING_MOST; number++) {
    const entries = await entriesOf(attemptId(request, number));
    if (entries.length > 0) attempts.push(entries);
    else missing++;
  }
  return attempts.length < 2 ? [] : attempts.map((entries, i) => attemptJson(entries, attempts[i + 1]));
}

/** Of these nothing was ever held. */
const UNHELD: ReadonlySet<CallOutcome> = new Set(["denied", "ready text", "known answer"]);

function attemptJson(entries: readonly Entry[], next: readonly Entry[] | undefined): AttemptJson {
  const { id, at, outcome, provider, model, cost_nanodollars, certainty, message } = summariseCall(entries);
  const detail = detailOf(entries);
  const end = next ? endOf(detailOf(next)?.tried ?? [], detail?.tried ?? [], provider) : undefined;
  const why = entries.find((entry) => entry.kind === "released")?.why;
  const held = UNHELD.has(outcome) ? null : (detail?.cost ?? null);
  return {
    id,
    at,
    outcome,
    provider,
    model,
    cost_nanodollars,
    certainty,
    end: end ?? message ?? why ?? null,
    held_nanodollars: held,
  };
}

/** What the attempt after one knows more than that one did begins with how that one ended. */
function endOf(known: readonly string[], before: readonly string[], provider: string | null): string | undefined {
  const end = known[before.length];
  return provider !== null && end?.startsWith(`${provider} `) ? end.slice(provider.length + 1) : end;
}
