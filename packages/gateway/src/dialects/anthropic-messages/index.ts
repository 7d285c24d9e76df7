import type { Dialect } from "../dialect.ts";
import { writeMaxTokens } from "../write-max-tokens.ts";
import { finish, turns, usesCache, writeAnswer } from "./conversation.ts";
import { countable, readCall, readQuestion } from "./read-call.ts";
import { readPart, readText, readUsage } from "./read-usage.ts";
import { writeEnd } from "./write-end.ts";
import { writeError } from "./write-error.ts";

/** Anthropic's messages, and all who speak them. */
export const anthropicMessages: Dialect = {
  name: "anthropic-messages",
  path: "/v1/messages",
  authHeader: "authorization",
  isFree: false,
  textFields: ["messages", "system"],
  usageField: "usage",
  hasOutput: true,
  hidesToolCalls: false,
  readCall,
  countable,
  writeCall: writeMaxTokens,
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

/** Counts the input of a message without making one. */
export const anthropicCountTokens: Dialect = {
  ...anthropicMessages,
  path: "/v1/messages/count_tokens",
  isFree: true,
  readCall: readQuestion,
};
