/** The JSON of an event; nothing where it is none. */
export function eventOf(data: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(data);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

export function textField(value: unknown): string {
  return typeof value === "string" ? value : "";
}
