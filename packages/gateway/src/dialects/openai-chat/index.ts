import type { Dialect } from "../dialect.ts";
import { writeError } from "../openai/error.ts";
import { finish, turns, usesCache, writeAnswer } from "./conversation.ts";
import { countable, readCall } from "./read-call.ts";
import { readPart, readText, readUsage } from "./read-usage.ts";
import { writeCall } from "./write-call.ts";
import { writeEnd } from "./write-end.ts";

/** OpenAI's chat completions, and all who speak them. */
export const openaiChat: Dialect = {
  name: "openai-chat",
  path: "/chat/completions",
  authHeader: "authorization",
  isFree: false,
  textFields: ["messages"],
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
  writeEnd,
  turns,
  finish,
  usesCache,
  writeAnswer,
};
