/** How one of the providers of a call stands, in the order of their priority. */
export interface Candidate {
  /** How often the call was tried there. */
  readonly tries: number;
  /** Whether it fails lately, so that others come before it. */
  readonly isPassedOver: boolean;
  /** Whether the call cannot go there at all. */
  readonly isOut: boolean;
  /** Epoch milliseconds: before this it asked not to be asked again. */
  readonly notBefore: number;
}

export interface Choice {
  readonly index: number;
  /** How long to wait before. */
  readonly waitMs: number;
}

export interface ChoiceTerms {
  readonly now: number;
  /** The longest wait before a provider is asked again; one that asks for a longer one is not. */
  readonly waitMsMost: number;
  /** At least 0 and below 1: spreads calls that failed together. */
  readonly dice: number;
}

const BACKOFF_MS = 250;

/**
 * Where a call goes next: to whom it was sent least often; of those, to the first that does not fail lately; and where all do, to the first of
 * them all the same. Nobody waits for a provider that was not asked yet. One that was is asked again after a while that doubles.
 */
export function nextCandidate(candidates: readonly Candidate[], { now, waitMsMost, dice }: ChoiceTerms): Choice | undefined {
  let best: { readonly index: number; readonly rank: number } | undefined;
  for (const [index, { tries, isPassedOver, isOut, notBefore }] of candidates.entries()) {
    if (isOut || (tries > 0 && notBefore - now > waitMsMost)) continue;
    const rank = tries * 2 + (isPassedOver ? 1 : 0);
    if (!best || rank < best.rank) best = { index, rank };
  }
  if (!best) return undefined;
  const { tries, notBefore } = candidates[best.index] as Candidate;
  if (tries === 0) return { index: best.index, waitMs: 0 };
  const backoffMs = Math.min(waitMsMost, BACKOFF_MS * 2 ** (tries - 1)) * (0.5 + dice / 2);
  return { index: best.index, waitMs: Math.max(notBefore - now, Math.round(backoffMs)) };
}
