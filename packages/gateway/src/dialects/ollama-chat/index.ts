import type { Dialect } from "../dialect.ts";
import { writeError } from "../ollama/error.ts";
import { writeCall } from "../ollama/options.ts";
import { readPart, readUsage } from "../ollama/usage.ts";
import { messages } from "./messages.ts";
import { countable, readCall } from "./read-call.ts";
import { readText } from "./read-text.ts";

/** Ollama's own chats. */
export const ollamaChat: Dialect = {
  name: "ollama-chat",
  path: "/api/chat",
  authHeader: "authorization",
  isFree: false,
  textFields: ["messages"],
  usageField: "eval_count",
  hasOutput: true,
  hidesToolCalls: false,
  readCall,
  countable,
  writeCall,
  readPart,
  readUsage,
  readText,
  writeError,
  messages,
};
