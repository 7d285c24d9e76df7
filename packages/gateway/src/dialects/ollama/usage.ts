import type { Usage } from "@purser/core";
import type { AnswerPart, RawUsage } from "../dialect.ts";
import { recordOf, tokenCount } from "../json-value.ts";

/** The counts stand in the last line of a stream, beside the text. */
export function readPart(part: unknown): AnswerPart {
  const { done, eval_count, prompt_eval_count } = recordOf(part);
  const isCounted = eval_count !== undefined || prompt_eval_count !== undefined;
  return { ...(isCounted && { usage: { eval_count, prompt_eval_count } }), isEnd: done === true };
}

/** Usage as Ollama reports it (https://github.com/ollama/ollama/blob/main/docs/api.md). A prompt that it still had in mind may have none. */
export function readUsage(raw: RawUsage): Usage {
  const inputTokens = tokenCount(raw.prompt_eval_count);
  const outputTokens = tokenCount(raw.eval_count);
  return { ...(inputTokens !== undefined && { inputTokens }), ...(outputTokens !== undefined && { outputTokens }) };
}
