import type { ServiceTier, Usage } from "@purser/core";
import type { AnswerMeter } from "./metering/answer-meter.ts";
import type { StreamReader, TextCounter } from "./metering/stream-account.ts";
import type { UpstreamError } from "./upstream.ts";

/** How a call ended, as far as money is concerned. */
export type Outcome =
  /** The provider never got the call. Nothing was written to the client yet. */
  | { readonly kind: "not-sent"; readonly error: UpstreamError }
  /** The provider refused the call. `retryAfterMs`: how long it asks to be left alone. */
  | { readonly kind: "refused"; readonly status: number; readonly retryAfterMs?: number }
  /** An answer passed, whole or in part. Without `usage` the provider reported none, and `outputTokens` is our own count. */
  | {
      readonly kind: "answered";
      readonly usage: Usage | undefined;
      readonly service: ServiceTier | undefined;
      /** The model that answered, where the provider says so. */
      readonly model?: string | undefined;
      readonly outputTokens: () => number;
      readonly isWhole: boolean;
    }
  /** The provider may have got the call, and nothing is known of what became of it. `isClientWaiting`: nothing was written yet. */
  | { readonly kind: "unknown"; readonly error: UpstreamError; readonly isClientWaiting: boolean };

/** The lowest status of an answer for which nothing was done. A redirect is no answer either. */
export const REFUSED_FROM = 300;

/** An answer passed, and nobody here could read what it used. */
export const UNREADABLE: Outcome = {
  kind: "unknown",
  error: { wasSent: true, isTimeout: false, cause: new Error("the answer cannot be read") },
  isClientWaiting: false,
};

/** What a stream said of its usage, `isWhole`: up to the end of its bytes. */
export function streamOutcome(stream: StreamReader, isWhole: boolean): Outcome {
  const { usage, service, model, isComplete, refusedAs } = stream;
  if (refusedAs !== undefined) return { kind: "refused", status: refusedAs };
  return {
    kind: "answered",
    // What a stream says at its beginning holds for the input. Of the output it then knows no more than the first token.
    usage: isComplete ? usage : usage && inputOf(usage),
    service,
    model,
    outputTokens: () => Math.max(stream.outputTokens(), usage?.outputTokens ?? 0),
    isWhole: isWhole && isComplete,
  };
}

/** What a whole answer said of its usage. */
export function answerOutcome(meter: AnswerMeter, counter: TextCounter, isWhole: boolean): Outcome {
  const answer = meter.read();
  if (!answer) return UNREADABLE;
  const { usage, service, model, text } = answer;
  let isCounted = false;
  const outputTokens = () => {
    if (!isCounted) counter.add(text);
    isCounted = true;
    return counter.tokens();
  };
  return { kind: "answered", usage, service, model, outputTokens, isWhole };
}

function inputOf({ outputTokens: _, reasoningOutputTokens: _r, audioOutputTokens: _a, imageOutputTokens: _i, ...input }: Usage): Usage {
  return input;
}
