import type { Dialect } from "../dialect.ts";
import { writeError } from "../gemini/error.ts";
import { readUsage } from "../gemini/usage.ts";
import { finish, turns } from "./conversation.ts";
import { countable, readCall, readQuestion } from "./read-call.ts";
import { readPart, readText } from "./read-part.ts";
import { writeCall } from "./write-call.ts";

/** Google's `generateContent`, and all who speak it. */
export const geminiContent: Dialect = {
  name: "gemini-content",
  path: "/{version}/models/{model}:generateContent",
  authHeader: "x-goog-api-key",
  isFree: false,
  textFields: ["contents", "systemInstruction", "system_instruction"],
  usageField: "usageMetadata",
  hasOutput: true,
  hidesToolCalls: false,
  readCall: (body, names) => readCall(body, names, false),
  countable,
  writeCall,
  readPart,
  readUsage,
  readText,
  writeError,
  turns,
  finish,
};

/** The same as a stream: of events with `?alt=sse`, and else of the elements of a list. */
export const geminiStream: Dialect = {
  ...geminiContent,
  path: "/{version}/models/{model}:streamGenerateContent",
  readCall: (body, names) => readCall(body, names, true),
  whole: geminiContent,
};

/** Counts the input of a call without making one. */
export const geminiCountTokens: Dialect = {
  ...geminiContent,
  path: "/{version}/models/{model}:countTokens",
  isFree: true,
  readCall: (body, names) => readQuestion(body, names, false),
};
