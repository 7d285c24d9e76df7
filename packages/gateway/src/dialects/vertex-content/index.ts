import type { Dialect } from "../dialect.ts";
import { geminiContent, geminiCountTokens, geminiStream } from "../gemini-content/index.ts";

/** Google's `generateContent` as Vertex AI has it: what stands before the publisher is the provider's, and says whose project pays. */
export const vertexContent: Dialect = {
  ...geminiContent,
  name: "vertex-content",
  path: "/publishers/google/models/{model}:generateContent",
};

/** The same as a stream. */
export const vertexStream: Dialect = {
  ...geminiStream,
  name: "vertex-content",
  path: "/publishers/google/models/{model}:streamGenerateContent",
  whole: vertexContent,
};

/** Counts the input of a call without making one. */
export const vertexCountTokens: Dialect = {
  ...geminiCountTokens,
  name: "vertex-content",
  path: "/publishers/google/models/{model}:countTokens",
};
