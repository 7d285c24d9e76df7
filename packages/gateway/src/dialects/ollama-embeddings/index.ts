import type { Dialect } from "../dialect.ts";
import { writeError } from "../ollama/error.ts";
import { readPart, readUsage } from "../ollama/usage.ts";
import { openaiEmbeddings } from "../openai-embeddings/index.ts";

/** Ollama's own embeddings. */
export const ollamaEmbeddings: Dialect = {
  ...openaiEmbeddings,
  name: "ollama-embeddings",
  path: "/api/embed",
  usageField: "prompt_eval_count",
  readPart,
  readUsage: (raw) => ({ ...readUsage(raw), outputTokens: 0 }),
  writeError,
};
