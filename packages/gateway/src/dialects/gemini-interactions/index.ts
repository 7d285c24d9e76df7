import type { Dialect } from "../dialect.ts";
import { writeError } from "../gemini/error.ts";
import { messages } from "./messages.ts";
import { countable, readCall } from "./read-call.ts";
import { readPart, readText, readUsage } from "./read-usage.ts";
import { writeCall } from "./write-call.ts";

/** Google's interactions. */
export const geminiInteractions: Dialect = {
  name: "gemini-interactions",
  path: "/{version}/interactions",
  authHeader: "x-goog-api-key",
  isFree: false,
  textFields: ["input", "system_instruction"],
  usageField: "usage",
  hasOutput: true,
  hidesToolCalls: true,
  readCall,
  countable,
  writeCall,
  readPart,
  readUsage,
  readText,
  writeError,
  messages,
};
