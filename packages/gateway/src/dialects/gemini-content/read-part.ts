import type { AnswerPart } from "../dialect.ts";
import { isRecord, listOf, recordOf, tokenCount } from "../json-value.ts";
import { toolUses } from "./tool-uses.ts";

/** Usage so far stands in every part, and the reason to end in the last. A stream without `alt=sse` is a list of parts. */
export function readPart(part: unknown): AnswerPart {
  if (Array.isArray(part)) return part.map(readPart).reduce(together, {});
  const answer = recordOf(part);
  const { usageMetadata, candidates, promptFeedback, error } = answer;
  const isEnd =
    listOf(candidates).some((candidate) => recordOf(candidate).finishReason !== undefined) ||
    recordOf(promptFeedback).blockReason !== undefined;
  const uses = toolUses(answer);
  const refusedAs = tokenCount(recordOf(error).code);
  return {
    ...(isRecord(usageMetadata) && { usage: { ...usageMetadata, ...(uses && { toolUses: uses }) } }),
    isEnd,
    ...(refusedAs !== undefined && { refusedAs }),
  };
}

function together(before: AnswerPart, after: AnswerPart): AnswerPart {
  return { ...before, ...after, isEnd: before.isEnd === true || after.isEnd === true, usage: { ...before.usage, ...after.usage } };
}

/** What the model wrote: texts, thoughts that are shown, code, and what it calls functions with. */
export function readText(part: unknown): string {
  const answers = Array.isArray(part) ? part : [part];
  return answers
    .flatMap((answer) => listOf(recordOf(answer).candidates))
    .flatMap((candidate) => listOf(recordOf(recordOf(candidate).content).parts))
    .flatMap((piece) => {
      const { text, functionCall, executableCode } = recordOf(piece);
      return [text, functionCall && JSON.stringify(functionCall), recordOf(executableCode).code];
    })
    .filter((text) => typeof text === "string")
    .join("");
}
