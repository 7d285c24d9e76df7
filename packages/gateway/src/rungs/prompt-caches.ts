import type { Usage } from "@purser/core";
import { askerOf } from "./answers.ts";
import type { RoutedCall } from "./climb.ts";

/** What providers read from their prompt caches lately is there again this long, and then perhaps not. */
const KEPT_MS = 10 * 60_000;
/** So many callers are remembered; of more, those that called last. */
const CALLERS_MOST = 20_000;

interface Seen {
  readonly share: number;
  readonly at: number;
}

/** How much of each caller's input its provider read from a prompt cache lately. Many cache by themselves, and no call says so. */
export class PromptCaches {
  readonly #seen = new Map<string, Seen>();

  /** Looks at what an answer reports. */
  saw(call: RoutedCall, { inputTokens = 0, cacheReadInputTokens }: Usage, now: number): void {
    if (cacheReadInputTokens === undefined || inputTokens === 0) return;
    const key = keyOf(call);
    this.#seen.delete(key);
    this.#seen.set(key, { share: Math.min(1, cacheReadInputTokens / inputTokens), at: now });
    if (this.#seen.size > CALLERS_MOST) this.#seen.delete(this.#seen.keys().next().value as string);
  }

  /** The share of a call's input that may well be read from a cache, from 0 to 1. */
  share(call: RoutedCall, now: number): number {
    if (call.dialect.usesCache?.(call.call)) return 1;
    const seen = this.#seen.get(keyOf(call));
    return seen && now - seen.at <= KEPT_MS ? seen.share : 0;
  }
}

function keyOf(call: RoutedCall): string {
  return JSON.stringify([call.provider.name, call.model, askerOf(call), call.subject.session]);
}
