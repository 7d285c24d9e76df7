import { listOf, recordOf } from "../json-value.ts";

/** What the model wrote. */
export function readText(part: unknown): string {
  return listOf(recordOf(part).choices)
    .map((choice) => recordOf(choice).text)
    .filter((text) => typeof text === "string")
    .join("");
}
