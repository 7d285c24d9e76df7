import type { Dialect } from "../dialect.ts";
import { writeError } from "../gemini/error.ts";
import { writeCall } from "../gemini-content/write-call.ts";
import { countable, readCall } from "./read-call.ts";
import { readPart, readText, readUsage } from "./read-usage.ts";

/** Google's `embedContent`, and all who speak it. */
export const geminiEmbedding: Dialect = {
  name: "gemini-embeddings",
  path: "/{version}/models/{model}:embedContent",
  authHeader: "x-goog-api-key",
  isFree: false,
  textFields: ["content", "requests"],
  usageField: "usageMetadata",
  hasOutput: false,
  hidesToolCalls: false,
  readCall,
  countable,
  writeCall,
  readPart,
  readUsage,
  readText,
  writeError,
};

/** The same of several contents. */
export const geminiEmbeddings: Dialect = { ...geminiEmbedding, path: "/{version}/models/{model}:batchEmbedContents" };
