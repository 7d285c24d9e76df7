import { recordOf } from "../json-value.ts";

/** What the model wrote: what it says, what it thinks, and what it calls tools with. */
export function readText(part: unknown): string {
  const { content, thinking, tool_calls: calls } = recordOf(recordOf(part).message);
  return [thinking, content, calls && JSON.stringify(calls)].filter((text) => typeof text === "string").join("");
}
