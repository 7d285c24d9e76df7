/** The version of one of Google's own models: 2.5 of `gemini-2.5-flash-lite`. Nothing where the name does not say it. */
export function versionOf(model: string): number | undefined {
  const named = /gemini-(\d)(?:\.(\d))?(?!\d)/.exec(model);
  return named ? Number(named[1]) + Number(named[2] ?? 0) / 10 : undefined;
}

/** Models from here on sign what they call, and refuse a conversation in which a call of theirs has no signature. */
const SIGNS_FROM = 3;
/** What Google has in the place of a signature for calls that another model made (https://ai.google.dev/gemini-api/docs/thought-signatures). */
const UNSIGNED = "skip_thought_signature_validator";

/** What stands beside the first call of a tool in a message that no model of Google's wrote. */
export function signatureFor(model: string): { readonly thoughtSignature?: string } {
  return (versionOf(model) ?? SIGNS_FROM) >= SIGNS_FROM ? { thoughtSignature: UNSIGNED } : {};
}
