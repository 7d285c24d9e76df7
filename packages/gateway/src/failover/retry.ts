import type { Outcome } from "../outcome.ts";

/** What can become of a connection that gives no answer: none was made, nothing came in time, or it broke. */
export const FAILURES = ["unreachable", "timeout", "broken"] as const;

/** After which ends a call is made again, and how often. */
export interface RetryPolicy {
  /** How many attempts there are in all. */
  readonly attempts: number;
  /** Statuses such as `429`, classes of them such as `5xx`, and the words of `FAILURES`. */
  readonly on: ReadonlySet<string>;
  /** The longest that a provider is waited for that was asked before. */
  readonly waitMs: number;
}

/** What is the provider's trouble, and not the call's: another provider may well answer it. 529 is Anthropic's word for overloaded. */
export const RETRIED_ON: readonly string[] = ["408", "429", "500", "502", "503", "504", "529", ...FAILURES];
export const RETRY_WAIT_MS = 2_000;
/** No call is made more often than this, whatever the configuration says. */
export const ATTEMPTS_MOST = 10;

/** Whether a call that was refused with a status is made again. */
export function isRetriedOn({ on }: RetryPolicy, status: number): boolean {
  return on.has(String(status)) || on.has(`${Math.floor(status / 100)}xx`);
}

/** Whether a call that ended so is made again. One that anything was passed on of never is. */
export function isRetriedAfter(policy: RetryPolicy, outcome: Outcome): boolean {
  if (outcome.kind === "refused") return isRetriedOn(policy, outcome.status);
  if (outcome.kind === "not-sent") return policy.on.has("unreachable");
  if (outcome.kind === "unknown" && outcome.isClientWaiting) return policy.on.has(outcome.error.isTimeout ? "timeout" : "broken");
  return false;
}

/** The end of an attempt as the rest of a sentence that begins with its provider: `answered 503`. */
export function endText(outcome: Outcome): string {
  if (outcome.kind === "answered") return "answered";
  if (outcome.kind === "refused") return `answered ${outcome.status}`;
  if (outcome.kind === "not-sent") return `was not reached: ${outcome.error.cause.message}`;
  return outcome.error.isTimeout ? "did not answer in time" : `broke off: ${outcome.error.cause.message}`;
}
