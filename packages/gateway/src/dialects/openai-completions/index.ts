import type { Dialect } from "../dialect.ts";
import { writeError } from "../openai/error.ts";
import { readPart, readUsage } from "../openai-chat/read-usage.ts";
import { countable, readCall } from "./read-call.ts";
import { readText } from "./read-text.ts";
import { writeCall } from "./write-call.ts";

/** OpenAI's completions of a text, which came before chats, and all who still speak them. */
export const openaiCompletions: Dialect = {
  name: "openai-completions",
  path: "/completions",
  authHeader: "authorization",
  isFree: false,
  textFields: ["prompt"],
  usageField: "usage",
  hasOutput: true,
  hidesToolCalls: false,
  readCall,
  countable,
  writeCall,
  readPart,
  readUsage,
  readText,
  writeError,
};
