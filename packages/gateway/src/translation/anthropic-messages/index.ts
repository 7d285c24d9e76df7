import type { PlainForm } from "../plain.ts";
import { MessageReader, readAnswer, readError } from "./read-answer.ts";
import { readCall } from "./read-call.ts";
import { MessageWriter, writeAnswer, writeError } from "./write-answer.ts";
import { writeCall } from "./write-call.ts";

/** Anthropic's messages. */
export const anthropicMessagesForm: PlainForm = {
  readCall,
  writeCall,
  headers: { "anthropic-version": "2023-06-01" },
  streamQuery: "",
  readAnswer,
  writeAnswer,
  eventReader: () => new MessageReader(),
  eventWriter: () => new MessageWriter(),
  readError,
  writeError,
};
