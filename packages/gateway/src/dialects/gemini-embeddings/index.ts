import type { Dialect } from "../dialect.ts";
import { writeError } from "../gemini/error.ts";
import { geminiContent } from "../gemini-content/index.ts";
import { countable, readCall } from "./read-call.ts";
import { readPart, readText, readUsage } from "./read-usage.ts";

/** Google's `embedContent`, and all who speak it. */
export const geminiEmbedding: Dialect = {
  ...geminiContent,
  name: "gemini-embeddings",
  path: "/{version}/models/{model}:embedContent",
  textFields: ["content", "requests"],
  hasOutput: false,
  readCall,
  countable,
  readPart,
  readUsage,
  readText,
  writeError,
};

/** The same of several contents. */
export const geminiEmbeddings: Dialect = { ...geminiEmbedding, path: "/{version}/models/{model}:batchEmbedContents" };
