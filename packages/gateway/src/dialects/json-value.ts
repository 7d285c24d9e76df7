/** A value as a list; anything else is an empty one. */
export function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** A value as an object; anything else has no fields. */
export function recordOf(value: unknown): Record<string, unknown> {
  return isRecord(value) ? value : {};
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The texts of parts that have one, as one text. */
export function textOfParts(parts: readonly unknown[]): string {
  return parts
    .map((part) => recordOf(part).text)
    .filter((text) => typeof text === "string")
    .join("");
}

/** No call has more tokens. */
const TOKENS_MOST = 1e9;

/** A number of tokens as a provider reports it. What cannot be one counts as unknown, and is estimated. */
export function tokenCount(value: unknown): number | undefined {
  return typeof value === "number" && value >= 0 && value <= TOKENS_MOST ? Math.round(value) : undefined;
}
