import type { Dialect } from "../dialect.ts";
import { writeError } from "../openai/error.ts";
import { writeModel } from "../openai/model.ts";
import { countable, readCall } from "./read-call.ts";
import { readPart, readText, readUsage } from "./read-usage.ts";

/** OpenAI's embeddings, and all who speak them. */
export const openaiEmbeddings: Dialect = {
  name: "openai-embeddings",
  path: "/embeddings",
  authHeader: "authorization",
  isFree: false,
  textFields: ["input"],
  usageField: "usage",
  hasOutput: false,
  hidesToolCalls: false,
  readCall,
  countable,
  writeCall: writeModel,
  readPart,
  readUsage,
  readText,
  writeError,
};
