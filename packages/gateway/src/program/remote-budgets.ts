import {
  type Call,
  type Decision,
  ERROR_CODES,
  type ErrorCode,
  LEASE_MS,
  type PriceSource,
  PurserError,
  type Reservation,
} from "@purser/core";
import { usageJson } from "../admin/call-report.ts";
import type { CallBudgets } from "../budgeted-call.ts";
import { type AdminClient, AdminProblem, createAdminClient } from "../client/admin-client.ts";
import { Ends } from "./ends.ts";
import { wasNeverConnected } from "./never-connected.ts";
import { balanceOf, deniedBy } from "./remote-denial.ts";

export interface RemoteBudgetsOptions {
  /** Where the gateway is, and an admin key of it. */
  readonly url: string;
  readonly key: string | undefined;
  /** Whether calls are refused while the gateway cannot be asked, or made uncounted. */
  readonly failMode: "closed" | "open";
  /** What is known of models: how long their answers can be, and what they can read. What calls cost is the gateway's to say. */
  readonly prices: PriceSource;
  readonly onError: (error: unknown) => void;
  /** What asks the gateway. */
  readonly fetch: typeof globalThis.fetch;
}

/** A call may wait its turn at the gateway for as long as a leaky limit lets it. */
const DECIDED_WITHIN_MS = 60_000;
const ENDED_WITHIN_MS = 10_000;
const RETRY_MS = 5_000;
const WHY_MOST = 256;

/** The budgets of a gateway, which is asked about every call. */
export class RemoteBudgets implements CallBudgets {
  readonly #options: RemoteBudgetsOptions;
  readonly #client: Pick<AdminClient, "reserveCall" | "settleCall" | "releaseCall" | "extendCall">;
  readonly #ends: Ends;
  readonly #background = new Set<Promise<unknown>>();
  #isClosed = false;

  constructor(options: RemoteBudgetsOptions) {
    const { url, key, fetch, onError } = options;
    this.#options = options;
    this.#client = createAdminClient({ url, fetch, ...(key !== undefined && { key }) });
    this.#ends = new Ends({ isAway, isUnreachable, onError });
  }

  card(...model: Parameters<PriceSource["card"]>) {
    return this.#options.prices.card(...model);
  }

  async reserve(call: Call): Promise<Decision> {
    if (this.#isClosed)
      throw new PurserError("shutting_down", "This program has let go of the gateway, so it makes no calls on its budgets any more.");
    const body = await askedJson(call);
    const signal = typeof call.signal === "function" ? call.signal() : call.signal;
    try {
      const within = AbortSignal.timeout(DECIDED_WITHIN_MS);
      const ask = () => this.#client.reserveCall({ body, signal: signal ? AbortSignal.any([signal, within]) : within });
      return decisionOf(call, await twice(ask));
    } catch (error) {
      const denied = deniedBy(error);
      if (denied) return denied;
      if (!isAway(error)) throw this.#problem(error);
      // It may have been admitted all the same, and nobody would send it. Its lease ends that too.
      if (!wasNeverConnected(error)) this.#ends.tellLater(call.id, () => this.#undo(call.id), LEASE_MS);
      signal?.throwIfAborted();
      return this.#decideAlone(call, this.#away(error));
    }
  }

  async settle(...[reservation, usage, certainty = "confirmed", service]: Parameters<CallBudgets["settle"]>) {
    const { id } = reservation;
    const body = { usage: usageJson(usage), certainty, service: service ?? reservation.service };
    const answer = await this.#tell(id, (signal) => this.#client.settleCall({ path: { id }, body, signal }));
    const { outcome: told, cost_nanodollars: cost, certainty: sure } = answer;
    // Only what is told with the answer of a provider is released by it.
    const outcome = told === "released" ? "settled" : told;
    return { outcome, charge: { usage, cost: cost ?? undefined, certainty: sure ?? certainty } };
  }

  async release({ id }: Reservation, why: string) {
    const { outcome } = await this.#tell(id, (signal) => this.#release(id, why, signal));
    return { outcome };
  }

  async extend({ id }: Reservation, leaseMs = LEASE_MS) {
    const body = { lease_seconds: Math.ceil(leaseMs / 1_000) };
    try {
      const answer = await twice(() => this.#client.extendCall({ path: { id }, body, signal: AbortSignal.timeout(ENDED_WITHIN_MS) }));
      return { outcome: answer.outcome, expiresAt: Date.parse(answer.expires_at) };
    } catch (error) {
      throw isAway(error) ? this.#away(error) : this.#problem(error);
    }
  }

  async background(work: Promise<unknown>): Promise<void> {
    const owned = work.catch(this.#options.onError);
    this.#background.add(owned);
    await owned;
    this.#background.delete(owned);
  }

  /** Waits for calls that are being settled, and tells the gateway what it has not heard yet, if it can be reached now. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.allSettled(this.#background);
    const untold = await this.#ends.close();
    if (untold === 0) return;
    const calls = untold === 1 ? "1 call" : `${untold.toLocaleString("en-US")} calls`;
    const message = `The gateway at ${this.#options.url} was not told how ${calls} ended. They are charged at their estimate when their leases run out.`;
    this.#options.onError(new PurserError("store_unavailable", message));
  }

  async #tell<Answer>(id: string, end: (signal: AbortSignal) => Promise<Answer>): Promise<Answer> {
    try {
      return await this.#ends.tell(id, () => twice(() => end(AbortSignal.timeout(ENDED_WITHIN_MS))));
    } catch (error) {
      throw isAway(error) ? this.#away(error) : this.#problem(error);
    }
  }

  #release(id: string, why: string, signal: AbortSignal) {
    const text = why.replace(/\p{Cc}+/gu, " ").slice(0, WHY_MOST);
    return this.#client.releaseCall({ path: { id }, body: text.trim() === "" ? {} : { why: text }, signal });
  }

  async #undo(id: string): Promise<void> {
    try {
      await this.#release(id, "not sent: its decision was lost on the way", AbortSignal.timeout(ENDED_WITHIN_MS));
    } catch (error) {
      if (!(error instanceof AdminProblem && error.code === "reservation_unknown")) throw error;
    }
  }

  #decideAlone({ output }: Call, away: PurserError): Decision {
    const { failMode, onError } = this.#options;
    onError(away);
    if (failMode === "open") return { outcome: "uncounted", outputTokens: output.most, message: away.message };
    const message = `${away.message} No call is admitted meanwhile.`;
    const denial = { reason: "store_unavailable", balance: undefined, asked: undefined, retryAfterMs: RETRY_MS, message } as const;
    return { outcome: "denied", denial, balances: [] };
  }

  #away(cause: unknown): PurserError {
    const why = cause instanceof AdminProblem ? cause.message : reasonOf(cause);
    const message = `The gateway at ${this.#options.url}, which keeps the budgets, cannot be asked: ${why.replace(/\.$/, "")}. Is it running, and is the URL right?`;
    return new PurserError("store_unavailable", message, { cause });
  }

  #problem(cause: unknown): unknown {
    if (!(cause instanceof AdminProblem)) return cause;
    const code: ErrorCode = cause.code in ERROR_CODES ? (cause.code as ErrorCode) : "internal";
    return new PurserError(code, `The gateway at ${this.#options.url} refuses what this program asks: ${cause.message}`, { cause });
  }
}

/** Connections that were kept may be closed just as they are used again. What is asked here can be asked twice. */
async function twice<Answer>(ask: () => Promise<Answer>): Promise<Answer> {
  try {
    return await ask();
  } catch (first) {
    if (!(first instanceof TypeError)) throw first;
    return ask().catch((second: unknown) => {
      // The first may have been heard, also where the second surely was not.
      throw isUnreachable(second) && !wasNeverConnected(first) ? first : second;
    });
  }
}

/** Whether a gateway could not be asked: it did not answer, or somebody before it answered, or it is not ready. */
function isAway(error: unknown): boolean {
  return isUnreachable(error) || (error as AdminProblem).status >= 500;
}

function isUnreachable(error: unknown): boolean {
  return !(error instanceof AdminProblem);
}

/** What `fetch` says is in the cause of its error. */
function reasonOf(error: unknown): string {
  const { message, cause } = error instanceof Error ? error : new Error(String(error));
  return cause instanceof Error ? cause.message || String((cause as NodeJS.ErrnoException).code) : message;
}

type AskedJson = Parameters<AdminClient["reserveCall"]>[0]["body"];
type DecisionJson = Awaited<ReturnType<AdminClient["reserveCall"]>>;

/** What is asked about a call. Its input is counted here: its text stays where it is. */
async function askedJson({ id, subject, pricedAs, input, output, toolCalls, service }: Call): Promise<AskedJson> {
  return {
    id,
    subject,
    input_tokens: (await counted(input)) ?? input.most,
    max_output_tokens: output.most,
    // Of an answer that cannot be capped, it is more than the most.
    ...(output.least !== undefined && { least_output_tokens: Math.min(output.least, output.most) }),
    ...(output.copies !== undefined && { copies: output.copies }),
    ...(toolCalls && { tool_calls: toolCalls }),
    ...(pricedAs !== undefined && pricedAs !== subject.model && { priced_as: pricedAs }),
    ...(service && { service }),
  };
}

/** The exact size of the input. Nothing where its body is one that a provider may read and we cannot. */
async function counted({ count }: Call["input"]): Promise<number | undefined> {
  try {
    return await count?.(Number.POSITIVE_INFINITY);
  } catch (error) {
    if (error instanceof PurserError && error.code === "body_invalid") return undefined;
    throw error;
  }
}

function decisionOf({ id, subject, output, service = "standard" }: Call, answer: DecisionJson): Decision {
  const {
    outcome,
    output_tokens: outputTokens = output.most,
    input_tokens: inputTokens = 0,
    expires_at = "",
    balances = [],
    message = "",
  } = answer;
  if (outcome === "uncounted") return { outcome, outputTokens, message };
  const { copies = 1 } = output;
  const expiresAt = Date.parse(expires_at);
  const reservation = { id, subject, outputTokens, copies, inputTokens, expiresAt, card: undefined, service, free: false };
  const standing = balances.map(balanceOf);
  return { outcome: "allowed", reservation, isLimited: standing.length > 0, balances: standing, tightest: standing[0], wouldRefuse: [] };
}
