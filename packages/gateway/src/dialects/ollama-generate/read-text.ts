import { recordOf } from "../json-value.ts";

/** What the model wrote. */
export function readText(part: unknown): string {
  const { response, thinking } = recordOf(part);
  return [thinking, response].filter((text) => typeof text === "string").join("");
}
