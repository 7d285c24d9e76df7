import { type Denial, PurserError } from "@purser/core";
import { createOutputCounter } from "@purser/core/tokens";
import { reserveCall, settleCall } from "./budgeted-call.ts";
import { type Attempt, Attempts } from "./failover/attempts.ts";
import { retryAfterOf } from "./failover/retry-after.ts";
import type { Gateway } from "./gateway.ts";
import { headerValue } from "./headers.ts";
import { AnswerMeter } from "./metering/answer-meter.ts";
import { answerOutcome, type Outcome, REFUSED_FROM } from "./outcome.ts";
import { asItCame, type RoutedCall } from "./rungs/climb.ts";
import { translationOf } from "./rungs/other-call.ts";
import { observeBalances } from "./sending.ts";
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
    return await makeAll(gateway, routed, { id, request, ...(willSend && { willSend }) }, beganAt);
  } catch (error) {
    gateway.events.rejected(id, error instanceof PurserError ? error.code : "internal");
    throw error;
  } finally {
    gateway.events.ended(id, undefined);
  }
}

/** The attempts of a call, one after the other. */
async function makeAll(gateway: Gateway, routed: RoutedCall, { id, request, willSend }: OwnCallTerms, beganAt: number): Promise<OwnEnd> {
  const attempts = new Attempts(gateway, routed);
  const climbed = await attempts.first(asItCame(routed));
  const call = climbed.end ? routed : climbed.call;
  const decision = await reserveCall(gateway.budgets, id, call, () => NEVER);
  gateway.alerts.decided(decision);
  if (decision.outcome === "denied") return { kind: "denied", denial: decision.denial };
  const secondsSinceItBegan = () => (performance.now() - beganAt) / 1_000;
  gateway.events.admitted(id, routed.dialect.name, secondsSinceItBegan());
  let attempt: Attempt = { id, call, decision };
  for (;;) {
    const isFirst = attempts.made === 0;
    const terms = { id, request, secondsSinceItBegan, ...(isFirst && willSend && { willSend }) };
    const { end, outcome, goesOn } = await make(gateway, attempts, attempt, terms);
    const next = goesOn ? await attempts.next(attempt, outcome, () => NEVER) : undefined;
    if (!next) {
      gateway.events.over(id, routed.dialect.name, secondsSinceItBegan());
      return end;
    }
    attempt = next;
  }
}

interface Made {
  readonly end: OwnEnd;
  readonly outcome: Outcome;
  /** Whether it is to be made again elsewhere. */
  readonly goesOn: boolean;
}

interface MakeTerms extends OwnCallTerms {
  readonly secondsSinceItBegan: () => number;
}

/** Makes one attempt, and settles it. */
async function make(
  gateway: Gateway,
  attempts: Attempts,
  attempt: Attempt,
  { id: callId, request, willSend, secondsSinceItBegan }: MakeTerms,
): Promise<Made> {
  const { id, call: routed, decision } = attempt;
  const { model, subject, margin } = routed;
  const { events } = gateway;
  const provider = routed.provider.name;
  const reservation = decision?.outcome === "allowed" ? decision.reservation : undefined;
  const sentAt = performance.now();
  events.sent(callId, attempt, secondsSinceItBegan());
  let prepared: UpstreamRequest;
  try {
    prepared = upstreamRequest(wholeRequest(request), routed, decision, gateway.traceHeaders?.(id));
    await willSend?.();
  } catch (error) {
    if (reservation) await gateway.budgets.release(reservation, `not sent: ${(error as Error).message}`);
    throw error;
  }
  // It is whole, so there is nothing to end before its time.
  gateway.inFlight.set(id, { subject, reservation, end: async () => undefined });
  const onBegin = () => events.answering(callId, provider, (performance.now() - sentAt) / 1_000);
  try {
    attempts.sent(attempt);
    // What is made again elsewhere was sent by this very call.
    const sent = reservation && attempts.made === 1 ? gateway.sentBefore.saw(routed, Date.now()) : undefined;
    const { status, contentType, meter, outcome: known } = await answered(gateway.upstream, prepared, routed, onBegin);
    const outcome = known ?? answerOutcome(meter, createOutputCounter(model, margin), true);
    events.answered(callId, { id, provider, outcome, seconds: secondsSinceItBegan() });
    const goesOn = attempts.ended(attempt, outcome);
    if (outcome.kind === "answered" && outcome.usage) {
      gateway.promptCaches.saw(routed, outcome.usage, Date.now());
      gateway.calibration.saw(routed, outcome.usage, Date.now());
    }
    if (reservation) await settleCall(gateway.budgets, routed, reservation, outcome, sent).catch(gateway.onError);
    await observeBalances(gateway, subject);
    if (outcome.kind === "not-sent" || outcome.kind === "unknown") return { end: unanswered(outcome), outcome, goesOn };
    return { end: { kind: "answered", ...written(routed, { status, contentType, bytes: meter.bytes() }, outcome) }, outcome, goesOn };
  } finally {
    gateway.inFlight.delete(id);
  }
}

/** The answer in the format in which the call was made. */
function written(routed: RoutedCall, answer: Omit<OwnEnd & { kind: "answered" }, "kind">, outcome: Outcome) {
  const translation = translationOf(routed, {}, Date.now());
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
    let retryAfterMs: number | undefined;
    const end = (outcome?: Outcome) => resolve({ status, contentType, meter, outcome });
    const listener = {
      began: (code: number, headers: readonly string[]) => {
        onBegin();
        status = code;
        contentType = headerValue(headers, "content-type") ?? "application/json";
        retryAfterMs = retryAfterOf(headers, Date.now());
      },
      received: (chunk: Buffer) => meter.write(chunk),
      ended: () =>
        end(status >= REFUSED_FROM ? { kind: "refused", status, ...(retryAfterMs !== undefined && { retryAfterMs }) } : undefined),
      failed: (error: Extract<Outcome, { kind: "unknown" }>["error"]) =>
        end(error.wasSent ? { kind: "unknown", error, isClientWaiting: true } : { kind: "not-sent", error }),
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
