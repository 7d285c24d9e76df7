import { type Denial, PurserError, type Reservation } from "@purser/core";
import { createOutputCounter } from "@purser/core/tokens";
import { reserveCall, settleCall } from "./budgeted-call.ts";
import { headerValue } from "./headers.ts";
import { AnswerMeter } from "./metering/answer-meter.ts";
import { answerOutcome, type Outcome, REFUSED_FROM } from "./outcome.ts";
import { type Gateway, observeBalances } from "./pipeline.ts";
import type { RoutedCall } from "./rungs/climb.ts";
import { translationOf } from "./rungs/other-call.ts";
import type { Upstream, UpstreamRequest } from "./upstream.ts";
import { type ClientRequest, upstreamRequest } from "./upstream-request.ts";

/** What became of a call of the gateway's own. */
export type OwnEnd =
  | { readonly kind: "answered"; readonly status: number; readonly contentType: string; readonly bytes: Buffer }
  /** It never reached its provider, or nobody knows what became of it there. */
  | {
      readonly kind: "unsent" | "unanswered";
      readonly code: "provider_unreachable" | "provider_timeout";
      readonly message: string;
    }
  | { readonly kind: "denied"; readonly denial: Denial };

export interface OwnCallTerms {
  readonly id: string;
  /** Whose headers go along. */
  readonly request: ClientRequest;
  /** What has to be done before it is sent, when it is admitted. Where that fails nothing is sent. */
  readonly willSend?: () => Promise<void>;
}

const NEVER = new AbortController().signal;

/** Makes a whole call that no client waits for: admitted, metered and settled like any other, on the budgets of its subject. */
export async function ownCall(gateway: Gateway, routed: RoutedCall, { id, request, willSend }: OwnCallTerms): Promise<OwnEnd> {
  const beganAt = performance.now();
  gateway.events.began(id, request, routed.dialect, true);
  try {
    return await admit(gateway, routed, { id, request, ...(willSend && { willSend }) }, beganAt);
  } catch (error) {
    gateway.events.rejected(id, error instanceof PurserError ? error.code : "internal");
    throw error;
  } finally {
    gateway.events.ended(id, undefined);
  }
}

async function admit(gateway: Gateway, routed: RoutedCall, { id, request, willSend }: OwnCallTerms, beganAt: number): Promise<OwnEnd> {
  const decision = await reserveCall(gateway.budgets, id, routed, () => NEVER);
  gateway.alerts.decided(decision);
  if (decision.outcome === "denied") return { kind: "denied", denial: decision.denial };
  const sentAt = performance.now();
  gateway.events.admitted(id, routed.dialect.name, routed, decision, (sentAt - beganAt) / 1_000);
  const reservation = decision.outcome === "allowed" ? decision.reservation : undefined;
  let prepared: UpstreamRequest;
  try {
    prepared = upstreamRequest(wholeRequest(request), routed, decision, gateway.traceHeaders?.(id));
    await willSend?.();
  } catch (error) {
    if (reservation) await gateway.budgets.release(reservation, `not sent: ${(error as Error).message}`);
    throw error;
  }
  return send(gateway, routed, { id, reservation, prepared, beganAt, sentAt });
}

interface Prepared {
  readonly id: string;
  readonly reservation: Reservation | undefined;
  readonly prepared: UpstreamRequest;
  /** By the clock of the process: when the call began, and when it was admitted. */
  readonly beganAt: number;
  readonly sentAt: number;
}

async function send(gateway: Gateway, routed: RoutedCall, { id, reservation, prepared, beganAt, sentAt }: Prepared): Promise<OwnEnd> {
  const { model, subject, margin } = routed;
  const { events } = gateway;
  const provider = routed.provider.name;
  // It is whole, so there is nothing to end before its time.
  gateway.inFlight.set(id, { subject, reservation, end: async () => undefined });
  try {
    const {
      status,
      contentType,
      meter,
      outcome: known,
    } = await answered(gateway.upstream, prepared, routed, () => events.answering(id, provider, (performance.now() - sentAt) / 1_000));
    const outcome = known ?? answerOutcome(meter, createOutputCounter(model, margin), true);
    events.over(id, { provider, endpoint: routed.dialect.name, outcome, seconds: (performance.now() - beganAt) / 1_000 });
    if (outcome.kind === "answered" && outcome.usage) {
      gateway.promptCaches.saw(routed, outcome.usage, Date.now());
      gateway.calibration.saw(routed, outcome.usage, Date.now());
    }
    if (reservation) await settleCall(gateway.budgets, routed, reservation, outcome).catch(gateway.onError);
    await observeBalances(gateway, subject);
    if (outcome.kind === "not-sent" || outcome.kind === "unknown") return unanswered(outcome);
    return { kind: "answered", ...written(routed, { status, contentType, bytes: meter.bytes() }, outcome) };
  } finally {
    gateway.inFlight.delete(id);
  }
}

/** The answer in the format in which the call was made. */
function written(routed: RoutedCall, answer: Omit<OwnEnd & { kind: "answered" }, "kind">, outcome: Outcome) {
  const translation = translationOf(routed, Date.now());
  if (!translation) return answer;
  const usage = outcome.kind === "answered" ? outcome.usage : undefined;
  const { status, bytes } =
    outcome.kind === "answered" ? translation.whole(answer.status, answer.bytes, usage) : translation.refusal(answer.status, answer.bytes);
  return { status, contentType: "application/json", bytes };
}

function unanswered({ kind, error }: Extract<Outcome, { kind: "not-sent" | "unknown" }>): OwnEnd {
  const code = error.isTimeout ? "provider_timeout" : "provider_unreachable";
  const what = `${error.isTimeout ? "The provider did not answer in time" : `The provider gave no answer: ${error.cause.message}`}.`;
  if (kind === "not-sent") return { kind: "unsent", code, message: `${what} Nothing was charged.` };
  return { kind: "unanswered", code, message: `${what} Its estimate was charged.` };
}

interface Answered {
  readonly status: number;
  readonly contentType: string;
  readonly meter: AnswerMeter;
  /** How the call ended, where its answer does not say. */
  readonly outcome: Outcome | undefined;
}

function answered(
  upstream: Pick<Upstream, "send">,
  request: UpstreamRequest,
  { dialect, call }: RoutedCall,
  onBegin: () => void,
): Promise<Answered> {
  return new Promise((resolve) => {
    const meter = new AnswerMeter(dialect, undefined, call);
    let status = 0;
    let contentType = "";
    const end = (outcome?: Outcome) => resolve({ status, contentType, meter, outcome });
    const listener = {
      began: (code: number, headers: readonly string[]) => {
        onBegin();
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
const OF_ITS_CALL: ReadonlySet<string> = new Set(["idempotency-key", "accept", "prefer", "x-client-request-id", "x-stainless-retry-count"]);

/** The client's request as that of a call that is answered whole. */
function wholeRequest({ headers, rawHeaders, url = "" }: ClientRequest): ClientRequest {
  const kept = rawHeaders.filter((_, i) => !OF_ITS_CALL.has((rawHeaders[i - (i % 2)] as string).toLowerCase()));
  const [path = "", query = ""] = url.split("?");
  const parameters = new URLSearchParams(query);
  parameters.delete("alt");
  return { headers, rawHeaders: kept, url: parameters.size === 0 ? path : `${path}?${parameters}` };
}
