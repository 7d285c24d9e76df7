import { writeError } from "../cohere-chat/write-error.ts";
import type { Dialect } from "../dialect.ts";
import { writeModel } from "../openai/model.ts";
import { countable, readCall } from "./read-call.ts";
import { readPart, readUsage } from "./read-usage.ts";

/** Cohere's embeddings, version 2. */
export const cohereEmbed: Dialect = {
  name: "cohere-embed",
  path: "/v2/embed",
  authHeader: "authorization",
  isFree: false,
  textFields: ["texts", "inputs"],
  usageField: "meta",
  hasOutput: false,
  hidesToolCalls: false,
  readCall,
  countable,
  writeCall: writeModel,
  readPart,
  readUsage,
  readText: () => "",
  writeError,
};
