/** Models whose reasoning is charged and not shown, or shown as a summary. */
const HIDES_REASONING = /^(?:o\d|gpt-(?:[5-9]|\d\d)|codex|gemini-(?:2\.5|[3-9])|grok-(?:3-mini|[4-9]))/;

/** Whether a model thinks where nobody sees it. Its name may begin with a provider's. */
export function hidesReasoning(model: string): boolean {
  return HIDES_REASONING.test(model.slice(model.lastIndexOf("/") + 1));
}
