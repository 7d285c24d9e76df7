import { costOfInputPart, type RateCard, type ServiceTier } from "./price.ts";
import type { Usage } from "./usage.ts";

/** How much of a call's input its session had sent before: at least so much. */
export interface Resent {
  /** Part of the input that the same session had sent in an earlier call. */
  readonly inputTokens: number;
  /** Part of that which was read from the provider's prompt cache. */
  readonly cacheReadInputTokens: number;
  /** What the resent part cost, in nano-dollars, rounded up; left out for a model without a price. */
  readonly cost?: number;
  /** The input up to where it first differs from an earlier call that the session made to the same model a short time before. */
  readonly unchangedInputTokens: number;
}

/** The same before it is known what the call used. Weights stand in proportion to tokens: bytes, for one. */
export interface Sent {
  /** Of all the input. */
  readonly weight: number;
  /** Of the pieces that were sent before. */
  readonly resent: number;
  /** Of all before the first piece that is another than in an earlier call. */
  readonly unchanged: number;
}

export interface ResentTerms {
  readonly card: RateCard | undefined;
  readonly service: ServiceTier;
  /** Whether an allowance pays for the call. */
  readonly isFree: boolean;
}

/** Shares the input tokens of a call out by weight, rounded down, and prices the part that was sent before. */
export function resentOf(sent: Sent, usage: Usage, { card, service, isFree }: ResentTerms): Resent | undefined {
  if (usage.inputTokens === undefined) return undefined;
  const inputTokens = partOf(usage.inputTokens, sent.resent, sent.weight);
  // Caches hold beginnings, and what was sent before stands at the beginning.
  const cacheReadInputTokens = Math.min(inputTokens, usage.cacheReadInputTokens ?? 0);
  // And what is not read from there before all that is new, so that it is the first to be written.
  const written = Math.min(inputTokens - cacheReadInputTokens, usage.cacheWriteInputTokens ?? 0);
  const part: Usage = {
    inputTokens,
    cacheReadInputTokens,
    cacheWriteInputTokens: written,
    cacheWrite1hInputTokens: Math.min(written, usage.cacheWrite1hInputTokens ?? 0),
  };
  const cost = isFree ? 0 : card && costOfInputPart(card, usage, part, service);
  const unchangedInputTokens = partOf(usage.inputTokens, sent.unchanged, sent.weight);
  return { inputTokens, cacheReadInputTokens, ...(cost !== undefined && { cost }), unchangedInputTokens };
}

function partOf(tokens: number, weight: number, of: number): number {
  return of === 0 ? 0 : Math.floor((tokens * Math.min(weight, of)) / of);
}
