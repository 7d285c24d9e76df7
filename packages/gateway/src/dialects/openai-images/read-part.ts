import type { AnswerPart } from "../dialect.ts";
import { isRecord, recordOf } from "../json-value.ts";

/** Usage stands in a whole answer, and in the last event of a stream. */
export function readPart(part: unknown): AnswerPart {
  const { type, usage } = recordOf(part);
  return { ...(isRecord(usage) && { usage }), isEnd: type === "image_generation.completed" || type === "image_edit.completed" };
}
