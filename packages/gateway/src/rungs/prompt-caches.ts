import type { Subject, Usage } from "@purser/core";
import type { ModelCall } from "../dialects/dialect.ts";
import { askerOf } from "./answers.ts";
import type { RoutedCall } from "./climb.ts";

/** What a provider wrote to or read from its prompt cache is there this long, and then perhaps not. */
const KEPT_MS = 10 * 60_000;
/** So many callers are remembered; of more, those that called last. */
const CALLERS_MOST = 20_000;

/** The last call of a caller of one kind: whole, or cut by a ladder. */
interface Seen {
  /** Of its body: what was sent of it can be read again, and what a client adds cannot. */
  readonly bytes: number;
  /** How much of it was read from the cache, from 0 to 1. */
  readonly share: number;
  /** How it began, where it was cut. */
  readonly beginning: string | undefined;
  readonly at: number;
}

interface Caller {
  readonly whole?: Seen;
  readonly cut?: Seen;
}

/** How much of each caller's input its provider read from a prompt cache lately. Many cache by themselves, and no call says so. */
export class PromptCaches {
  readonly #callers = new Map<string, Caller>();

  /** Looks at what an answer reports. */
  saw(call: RoutedCall, { inputTokens = 0, cacheReadInputTokens = 0 }: Usage, now: number): void {
    const key = keyOf(call);
    const before = this.#callers.get(key);
    // Of most callers there is nothing to remember.
    if (inputTokens === 0 || (!before && cacheReadInputTokens === 0 && call.beginning === undefined)) return;
    const { beginning } = call;
    const seen: Seen = { bytes: call.call.body.bytes.length, share: Math.min(1, cacheReadInputTokens / inputTokens), beginning, at: now };
    this.#callers.delete(key);
    this.#callers.set(key, { ...before, ...(beginning === undefined ? { whole: seen } : { cut: seen }) });
    if (this.#callers.size > CALLERS_MOST) this.#callers.delete(this.#callers.keys().next().value as string);
  }

  /** The share of a whole call's input that may well be read from a cache: at most what was sent of it lately. */
  share(call: RoutedCall, now: number): number {
    if (call.dialect.usesCache?.(call.call)) return 1;
    return shareOf(lately(this.#callers.get(keyOf(call))?.whole, now), call.call);
  }

  /** The same of a call that is cut and begins so: nothing where the last one of its caller was cut elsewhere. */
  shareOfCut(call: RoutedCall, cut: { readonly call: ModelCall; readonly beginning: string }, now: number): number {
    const seen = lately(this.#callers.get(keyOf(call))?.cut, now);
    if (!seen || seen.beginning !== cut.beginning) return 0;
    return call.dialect.usesCache?.(call.call) ? 1 : shareOf(seen, cut.call);
  }
}

function shareOf(seen: Seen | undefined, { body }: ModelCall): number {
  return seen ? seen.share * Math.min(1, seen.bytes / body.bytes.length) : 0;
}

function lately(seen: Seen | undefined, now: number): Seen | undefined {
  return seen && now - seen.at <= KEPT_MS ? seen : undefined;
}

/** By the subjects of callers that call more than once: to put it together anew for each call costs more than to look it up. */
const keys = new WeakMap<Subject, string>();

function keyOf(call: RoutedCall): string {
  const { provider, model, subject, caller } = call;
  const known = caller.providerKey === undefined ? keys.get(subject) : undefined;
  if (known !== undefined) return known;
  const key = JSON.stringify([provider.name, model, askerOf(call), subject.session]);
  if (caller.providerKey === undefined && Object.isFrozen(subject)) keys.set(subject, key);
  return key;
}
