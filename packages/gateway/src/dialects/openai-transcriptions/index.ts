import type { Dialect } from "../dialect.ts";
import { writeError } from "../openai/error.ts";
import { writeModel } from "../openai/model.ts";
import { AUDIO_SECOND, countable, FORM, inTokens, readCall } from "./read-call.ts";
import { readOther, readPart, readText, readUsage } from "./read-usage.ts";

/** OpenAI's transcriptions, and all who speak them: a sound is heard, and its words are written. */
export const openaiTranscriptions: Dialect = {
  name: "openai-transcriptions",
  path: "/audio/transcriptions",
  authHeader: "authorization",
  isFree: false,
  textFields: ["prompt"],
  usageField: "usage",
  hasOutput: true,
  hidesToolCalls: false,
  form: FORM,
  measure: AUDIO_SECOND,
  readCall,
  inTokens,
  countable,
  writeCall: writeModel,
  readPart,
  readUsage,
  readText,
  readOther,
  writeError,
};

/** The same, whose words are written in English. */
export const openaiTranslations: Dialect = { ...openaiTranscriptions, path: "/audio/translations" };
