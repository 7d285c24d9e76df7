import { writeError } from "../bedrock/error.ts";
import type { Dialect } from "../dialect.ts";
import { messages } from "./messages.ts";
import { countable, readCall } from "./read-call.ts";
import { readHeaders, readPart, readText, readUsage } from "./read-usage.ts";
import { writeCall } from "./write-call.ts";

/** Amazon Bedrock's InvokeModel: every maker's own format. Those are known that write text; Converse has all of them. */
export const bedrockInvoke: Dialect = {
  name: "bedrock-invoke",
  path: "/model/{model}/invoke",
  authHeader: "authorization",
  isFree: false,
  textFields: ["messages", "system", "prompt", "inputText", "message", "chat_history", "texts", "inputs"],
  usageField: "usage",
  hasOutput: true,
  hidesToolCalls: false,
  refusedHeaders: {
    names: ["x-amzn-bedrock-guardrailidentifier", "x-amzn-bedrock-performanceconfig-latency", "x-amzn-bedrock-service-tier"],
    instead: "Converse says the same in its body",
  },
  readCall: (body, names) => readCall(body, names, false),
  countable,
  writeCall,
  readPart,
  readHeaders,
  readUsage,
  readText,
  writeError,
  messages,
};

/** The same as a stream of AWS' own frames. */
export const bedrockInvokeStream: Dialect = {
  ...bedrockInvoke,
  path: "/model/{model}/invoke-with-response-stream",
  readCall: (body, names) => readCall(body, names, true),
};
