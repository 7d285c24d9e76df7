import { createOutputCounter } from "@purser/core/tokens";
import { type Admitted, reserveCall, settleCall } from "./budgeted-call.ts";
import { headerValue } from "./headers.ts";
import { AnswerMeter } from "./metering/answer-meter.ts";
import { answerOutcome, type Outcome, REFUSED_FROM } from "./outcome.ts";
import { type Gateway, observeBalances } from "./pipeline.ts";
import type { RoutedCall } from "./rungs/climb.ts";
import type { Upstream, UpstreamRequest } from "./upstream.ts";
import { type ClientRequest, upstreamRequest } from "./upstream-request.ts";

/** What a provider answered to a call of the gateway's own. */
export interface OwnAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly bytes: Buffer;
}

export interface OwnCallTerms {
  readonly id: string;
  /** Whose headers go along. */
  readonly request: ClientRequest;
}

const NEVER = new AbortController().signal;

/**
 * Makes a whole call that no client waits for: admitted, metered and settled like any other, on the budgets of its subject. Nothing where it is
 * refused or its provider does not answer.
 */
export async function ownCall(gateway: Gateway, routed: RoutedCall, { id, request }: OwnCallTerms): Promise<OwnAnswer | undefined> {
  const decision = await reserveCall(gateway.budgets, id, routed, () => NEVER);
  if (decision.outcome === "denied") return undefined;
  return sendOwnCall(gateway, routed, decision, { id, request: wholeRequest(request) });
}

/** Sends a call of the gateway's own that is admitted. Nothing where its provider does not answer. */
async function sendOwnCall(
  gateway: Gateway,
  routed: RoutedCall,
  decision: Admitted,
  { id, request }: OwnCallTerms,
): Promise<OwnAnswer | undefined> {
  const { dialect, model, subject } = routed;
  const reservation = decision.outcome === "allowed" ? decision.reservation : undefined;
  let prepared: UpstreamRequest;
  try {
    prepared = upstreamRequest(request, routed, decision);
  } catch (error) {
    if (reservation) await gateway.budgets.release(reservation, `not sent: ${(error as Error).message}`);
    throw error;
  }
  // It is whole, so there is nothing to end before its time.
  gateway.inFlight.set(id, { subject, reservation, end: async () => undefined });
  try {
    const { status, contentType, meter, outcome: known } = await answered(gateway.upstream, prepared, dialect);
    const outcome = known ?? answerOutcome(meter, createOutputCounter(model), true);
    if (outcome.kind === "answered" && outcome.usage) gateway.promptCaches.saw(routed, outcome.usage, Date.now());
    if (reservation) await settleCall(gateway.budgets, routed, reservation, outcome).catch(gateway.onError);
    await observeBalances(gateway, subject);
    if (outcome.kind === "not-sent" || outcome.kind === "unknown") return undefined;
    return { status, contentType, bytes: meter.bytes() };
  } finally {
    gateway.inFlight.delete(id);
  }
}

interface Answered {
  readonly status: number;
  readonly contentType: string;
  readonly meter: AnswerMeter;
  /** How the call ended, where its answer does not say. */
  readonly outcome: Outcome | undefined;
}

function answered(upstream: Pick<Upstream, "send">, request: UpstreamRequest, dialect: RoutedCall["dialect"]): Promise<Answered> {
  return new Promise((resolve) => {
    const meter = new AnswerMeter(dialect);
    let status = 0;
    let contentType = "";
    const end = (outcome?: Outcome) => resolve({ status, contentType, meter, outcome });
    const listener = {
      began: (code: number, headers: readonly string[]) => {
        status = code;
        contentType = headerValue(headers, "content-type") ?? "application/json";
      },
      received: (chunk: Buffer) => meter.write(chunk),
      ended: () => end(status >= REFUSED_FROM ? { kind: "refused", status } : undefined),
      failed: (error: Extract<Outcome, { kind: "unknown" }>["error"]) =>
        end(error.wasSent ? { kind: "unknown", error, isClientWaiting: false } : { kind: "not-sent", error }),
    };
    try {
      upstream.send(request, listener);
    } catch (cause) {
      end({ kind: "not-sent", error: { wasSent: false, isTimeout: false, cause: cause as Error } });
    }
  });
}

/** Headers that are about the client's own call: another one must not be taken for its repetition, nor be answered as a stream. */
const OF_ITS_CALL: ReadonlySet<string> = new Set(["idempotency-key", "accept", "x-client-request-id", "x-stainless-retry-count"]);

/** The client's request as that of a call that is answered whole. */
function wholeRequest({ headers, rawHeaders, url = "" }: ClientRequest): ClientRequest {
  const kept = rawHeaders.filter((_, i) => !OF_ITS_CALL.has((rawHeaders[i - (i % 2)] as string).toLowerCase()));
  const [path = "", query = ""] = url.split("?");
  const parameters = new URLSearchParams(query);
  parameters.delete("alt");
  return { headers, rawHeaders: kept, url: parameters.size === 0 ? path : `${path}?${parameters}` };
}
