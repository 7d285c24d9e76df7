import type { ToolCall } from "./plain.ts";
import { shown, Untranslatable } from "./untranslatable.ts";

/** What a tool was called with, of formats that have it as an object. */
export function inputOf(call: ToolCall): Readonly<Record<string, unknown>> {
  const input = inputIn(call.input);
  if (input === undefined) throw new Untranslatable(`what the tool ${shown(call.name)} was called with is no JSON object`);
  return input;
}

/** The object that a text is the JSON of; nothing where it is none, because it was cut. No text at all is an empty one. */
export function inputIn(json: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(json === "" ? "{}" : json);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
