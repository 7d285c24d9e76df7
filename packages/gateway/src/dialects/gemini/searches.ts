/** Models before Gemini 3 are charged once for a call that searched; since then each search is (ai.google.dev/gemini-api/docs/pricing). */
const CHARGED_ONCE = /gemini-(?:1|2)(?:\D|$)/;

export function chargesEachSearch(model: unknown): boolean {
  return !CHARGED_ONCE.test(String(model));
}
