import { invalid, optionalObject } from "../body-fields.ts";
import type { ModelCall } from "../dialect.ts";
import { type JsonBody, memberValue } from "../json-body.ts";

/** Whether the caller asked to see usage in the stream. */
export function wantsUsage(body: JsonBody): boolean {
  const wanted = optionalObject(body, "stream_options")?.include_usage ?? false;
  if (typeof wanted !== "boolean") throw invalid('The field "stream_options.include_usage" must be true or false.');
  return wanted;
}

/** Asks for the usage of a stream where the caller did not; it is taken out of the answer again. */
export function askForUsage({ body, stream, wantsUsage }: ModelCall, changes: Map<string, string>): void {
  if (!stream || wantsUsage) return;
  const options = memberValue(body, "stream_options") as Record<string, unknown> | undefined;
  changes.set("stream_options", JSON.stringify({ ...options, include_usage: true }));
}
