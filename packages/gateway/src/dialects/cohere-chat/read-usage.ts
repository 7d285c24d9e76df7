import type { Usage } from "@purser/core";
import type { AnswerPart, RawUsage } from "../dialect.ts";
import { isRecord, recordOf, tokenCount } from "../json-value.ts";

/** The usage of a stream stands in its last event. */
export function readPart(part: unknown): AnswerPart {
  const { type, delta, usage = recordOf(delta).usage } = recordOf(part);
  return { ...(isRecord(usage) && { usage }), isEnd: type === "message-end" };
}

/**
 * Usage as Cohere reports it (https://docs.cohere.com/v2/reference/chat): `tokens` is what the model read and wrote, with what Cohere adds by
 * itself; `billed_units` is what it takes money for.
 */
export function readUsage(raw: RawUsage): Usage {
  const tokens = recordOf(raw.tokens);
  const billed = recordOf(raw.billed_units);
  const input = counted(tokens.input_tokens, billed.input_tokens);
  const output = counted(tokens.output_tokens, billed.output_tokens);
  const cached = tokenCount(raw.cached_tokens);
  return {
    ...(input.all !== undefined && { inputTokens: input.all }),
    ...(cached && { cacheReadInputTokens: cached }),
    ...(input.unbilled > 0 && { unbilledInputTokens: input.unbilled }),
    ...(output.all !== undefined && { outputTokens: output.all }),
    ...(output.unbilled > 0 && { unbilledOutputTokens: output.unbilled }),
  };
}

/** All tokens, and those that are not billed. Where only one of the counts is there, it is both. */
function counted(all: unknown, billed: unknown): { readonly all: number | undefined; readonly unbilled: number } {
  const [tokens, units] = [tokenCount(all), tokenCount(billed)];
  const most = tokens === undefined ? units : Math.max(tokens, units ?? 0);
  return { all: most, unbilled: (most ?? 0) - (units ?? most ?? 0) };
}

/** What the model wrote: texts, what it thinks and plans, and what it calls tools with. */
export function readText(part: unknown): string {
  const answer = recordOf(part);
  const { content, tool_plan: plan, tool_calls: calls } = recordOf(answer.message ?? recordOf(answer.delta).message);
  const pieces = Array.isArray(content) ? content : [content];
  const called = (Array.isArray(calls) ? calls : [calls]).map((call) => recordOf(recordOf(call).function));
  return [
    ...pieces.flatMap((piece) => [recordOf(piece).thinking, recordOf(piece).text]),
    plan,
    ...called.flatMap(({ name, arguments: given }) => [name, given]),
  ]
    .filter((text) => typeof text === "string")
    .join("");
}
