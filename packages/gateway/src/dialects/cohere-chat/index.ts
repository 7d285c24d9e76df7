import type { Dialect } from "../dialect.ts";
import { writeMaxTokens } from "../write-max-tokens.ts";
import { finish, turns, writeAnswer } from "./conversation.ts";
import { countable, readCall } from "./read-call.ts";
import { readPart, readText, readUsage } from "./read-usage.ts";
import { writeEnd } from "./write-end.ts";
import { writeError } from "./write-error.ts";

/** Cohere's chat, version 2. */
export const cohereChat: Dialect = {
  name: "cohere-chat",
  path: "/v2/chat",
  authHeader: "authorization",
  isFree: false,
  textFields: ["messages", "documents"],
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
  writeAnswer,
};
