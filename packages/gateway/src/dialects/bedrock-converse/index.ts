import { writeError } from "../bedrock/error.ts";
import type { Dialect } from "../dialect.ts";
import { turns } from "./conversation.ts";
import { countable, readCall } from "./read-call.ts";
import { readPart, readText, readUsage } from "./read-usage.ts";
import { writeCall } from "./write-call.ts";
import { writeEnd } from "./write-end.ts";

/** Amazon Bedrock's Converse: one format for all of its models. */
export const bedrockConverse: Dialect = {
  name: "bedrock-converse",
  path: "/model/{model}/converse",
  authHeader: "authorization",
  isFree: false,
  textFields: ["messages", "system"],
  usageField: "usage",
  hasOutput: true,
  hidesToolCalls: true,
  readCall: (body, names) => readCall(body, names, false),
  countable,
  writeCall,
  readPart,
  readUsage,
  readText,
  writeError,
  turns,
};

/** The same as a stream of AWS' own frames. */
export const bedrockConverseStream: Dialect = {
  ...bedrockConverse,
  path: "/model/{model}/converse-stream",
  readCall: (body, names) => readCall(body, names, true),
  writeEnd,
  whole: bedrockConverse,
};
