import { isRecord, recordOf, tokenCount } from "../dialects/json-value.ts";
import { openaiChat } from "../dialects/openai-chat/index.ts";
import { openaiCompletions } from "../dialects/openai-completions/index.ts";
import { openaiEmbeddings } from "../dialects/openai-embeddings/index.ts";
import { openaiImages } from "../dialects/openai-images/index.ts";
import { openaiModerations } from "../dialects/openai-moderations/index.ts";
import { openaiResponses } from "../dialects/openai-responses/index.ts";
import type { BatchForm, BatchResult, BatchStanding } from "./batch-form.ts";

const OVER: ReadonlySet<unknown> = new Set(["completed", "failed", "expired", "cancelled"]);

/** OpenAI's batches (https://platform.openai.com/docs/api-reference/batch), and all who speak them: their calls and results are files. */
export const openaiForm: BatchForm = {
  name: "openai",
  path: "/batches",
  dialects: [openaiChat, openaiResponses, openaiCompletions, openaiEmbeddings, openaiModerations, openaiImages],
  readBatch,
  readResult,
  writeList: (data, has_more) => {
    const ids = data.map((batch) => recordOf(batch).id ?? null);
    return { object: "list", data, first_id: ids[0] ?? null, last_id: ids.at(-1) ?? null, has_more };
  },
};

function readBatch(answer: unknown): BatchStanding | undefined {
  const { id, status, output_file_id, error_file_id, request_counts } = recordOf(answer);
  if (typeof id !== "string" || typeof status !== "string") return undefined;
  const files = [output_file_id, error_file_id].filter((file): file is string => typeof file === "string" && file !== "");
  return {
    id,
    isOver: OVER.has(status),
    // It is what its input is refused with, before anything is made.
    isRefused: status === "failed" && files.length === 0,
    results: files.map((file) => `/files/${encodeURIComponent(file)}/content`),
    files,
    answered: tokenCount(recordOf(request_counts).completed),
  };
}

function readResult(line: unknown): BatchResult | undefined {
  const { custom_id: customId, response, error } = recordOf(line);
  if (typeof customId !== "string") return undefined;
  if (!isRecord(response)) return isRecord(error) ? { customId, refusedAs: 0 } : undefined;
  const { status_code: status, body } = response;
  if (typeof status !== "number") return undefined;
  return status >= 300 ? { customId, refusedAs: status } : { customId, answer: body };
}
