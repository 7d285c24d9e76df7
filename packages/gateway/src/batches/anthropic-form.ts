import { anthropicMessages } from "../dialects/anthropic-messages/index.ts";
import { recordOf, tokenCount } from "../dialects/json-value.ts";
import type { BatchForm, BatchResult, BatchStanding } from "./batch-form.ts";

const BATCHES = "/v1/messages/batches";

/** Anthropic's batches (https://platform.claude.com/docs/en/api/creating-message-batches): calls stand in the request, results at an address. */
export const anthropicForm: BatchForm = {
  name: "anthropic",
  path: BATCHES,
  dialects: [anthropicMessages],
  readBatch,
  readResult,
  writeList: (data, has_more) => {
    const ids = data.map((batch) => recordOf(batch).id ?? null);
    return { data, first_id: ids[0] ?? null, last_id: ids.at(-1) ?? null, has_more };
  },
};

function readBatch(answer: unknown): BatchStanding | undefined {
  const { id, processing_status: status, request_counts } = recordOf(answer);
  if (typeof id !== "string" || typeof status !== "string") return undefined;
  const isOver = status === "ended";
  const answered = tokenCount(recordOf(request_counts).succeeded);
  return { id, isOver, isRefused: false, results: isOver ? [`${BATCHES}/${encodeURIComponent(id)}/results`] : [], files: [], answered };
}

function readResult(line: unknown): BatchResult | undefined {
  const { custom_id: customId, result } = recordOf(line);
  const { type, message } = recordOf(result);
  if (typeof customId !== "string" || typeof type !== "string") return undefined;
  if (type === "succeeded") return { customId, answer: message };
  // Neither what failed nor what was not made is charged.
  return { customId, refusedAs: type === "errored" ? 400 : 0 };
}
