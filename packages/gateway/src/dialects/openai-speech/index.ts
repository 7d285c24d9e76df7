import type { Dialect } from "../dialect.ts";
import { writeError } from "../openai/error.ts";
import { writeModel } from "../openai/model.ts";
import { CHARACTER, countable, inTokens, readCall } from "./read-call.ts";
import { readOther, readPart, readUsage } from "./read-usage.ts";

/** OpenAI's speech, made from a text, and all who speak it: as a sound, or as events. */
export const openaiSpeech: Dialect = {
  name: "openai-speech",
  path: "/audio/speech",
  authHeader: "authorization",
  isFree: false,
  textFields: ["input"],
  usageField: "usage",
  hasOutput: true,
  hidesToolCalls: false,
  measure: CHARACTER,
  readCall,
  inTokens,
  countable,
  writeCall: writeModel,
  readPart,
  readUsage,
  readText: () => "",
  readOther,
  writeError,
};
