import type { Dialect } from "../dialect.ts";
import { writeError } from "../openai/error.ts";
import { finish, turns, usesCache, writeAnswer } from "./conversation.ts";
import { countable, readCall } from "./read-call.ts";
import { readPart, readText, readUsage } from "./read-usage.ts";
import { writeCall } from "./write-call.ts";

const metered: Dialect = {
  name: "openai-responses",
  path: "/responses",
  authHeader: "authorization",
  isFree: false,
  textFields: ["input", "instructions"],
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
};

/** OpenAI's responses, and all who speak them. */
export const openaiResponses: Dialect = { ...metered, turns, finish, usesCache, writeAnswer };

/** Makes a long conversation short. It takes no cap, so that what the model can write is held. */
export const openaiCompaction: Dialect = {
  ...metered,
  path: "/responses/compact",
  readCall: (body, names) => ({ ...readCall(body, names), outputCap: undefined, outputLeast: Number.MAX_SAFE_INTEGER }),
  writeCall: (call, { model }) => writeCall(call, { model, outputTokens: undefined }),
};

/** Counts the input of a response without making one. */
export const openaiInputTokens: Dialect = { ...metered, path: "/responses/input_tokens", isFree: true };
