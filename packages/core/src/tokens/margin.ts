import type { Measured } from "./count.ts";

/** What is added to a count of text, because the provider may count more. */
export interface Margin {
  /** In thousandths, for Latin text and code. */
  readonly marginPermille: number;
  /** The same for text in other scripts, where an encoding that stands in for another is farther off. */
  readonly marginOtherPermille: number;
}

/** By how much a provider counted more than we did (less, where it is negative), in thousandths of our count. */
export interface CountError {
  readonly permille: number;
  /** Which of the two margins it says something about. */
  readonly script: "latin" | "other";
}

/** The errors that were seen of a model, in order. */
export interface CountErrors {
  readonly count: number;
  readonly medianPermille: number;
  readonly mostPermille: number;
}

/** Of a shorter text, by our count or the provider's, the framing says more than the words. */
export const COMPARED_FROM_TOKENS = 500;
/** A text is of one script when it has so much of it. The others say nothing about either margin. */
const ONE_SCRIPT_SHARE = 0.95;
/** A margin is widened when so many errors are known, and narrowed when many more are: too narrow costs money, too wide only room. */
const WIDENED_FROM = 20;
const NARROWED_FROM = 100;
/** Above the largest error seen: the next may be a little larger. */
const RESERVE_PERMILLE = 10;
/** Whoever counts more than twice of what we do counts something else. */
const WIDEST_PERMILLE = 1_000;

/** What an answer says about our count of its call. Nothing where the text is too short, or in more than one script. */
export function countErrorOf({ tokens, overhead, otherShare }: Measured, inputTokens: number): CountError | undefined {
  if (tokens < COMPARED_FROM_TOKENS || inputTokens < COMPARED_FROM_TOKENS) return undefined;
  const script = otherShare >= ONE_SCRIPT_SHARE ? "other" : otherShare <= 1 - ONE_SCRIPT_SHARE ? "latin" : undefined;
  return script && { permille: Math.ceil(((inputTokens - overhead - tokens) * 1_000) / tokens), script };
}

/**
 * The margin by what was seen: the largest error lately, and a little more. Until enough is known it is the given one, and an encoding that is
 * the model's own keeps at least that.
 */
export function learnedMargin(given: Margin & { readonly exact: boolean }, errors: readonly CountError[]): Margin {
  const of = (script: CountError["script"], permille: number) => {
    const { count, mostPermille } = summariseErrors(errors.filter((error) => error.script === script));
    const seen = Math.max(0, Math.min(mostPermille + RESERVE_PERMILLE, WIDEST_PERMILLE));
    if (seen > permille) return count >= WIDENED_FROM ? seen : permille;
    return count >= NARROWED_FROM && !given.exact ? seen : permille;
  };
  return { marginPermille: of("latin", given.marginPermille), marginOtherPermille: of("other", given.marginOtherPermille) };
}

/** How many errors there are, the one in their middle, and the largest. All 0 where there are none. */
export function summariseErrors(errors: readonly CountError[]): CountErrors {
  const sorted = errors.map(({ permille }) => permille).sort((a, b) => a - b);
  return { count: sorted.length, medianPermille: sorted[sorted.length >> 1] ?? 0, mostPermille: sorted.at(-1) ?? 0 };
}
