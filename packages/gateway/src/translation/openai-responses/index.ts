import { readError } from "../openai-chat/read-answer.ts";
import { writeError } from "../openai-chat/write-answer.ts";
import type { PlainForm } from "../plain.ts";
import { ResponseReader, readAnswer } from "./read-answer.ts";
import { readCall } from "./read-call.ts";
import { ResponseWriter, writeAnswer } from "./write-answer.ts";
import { writeCall } from "./write-call.ts";

/** OpenAI's responses. */
export const openaiResponsesForm: PlainForm = {
  readCall,
  writeCall,
  headers: {},
  streamQuery: "",
  readAnswer,
  writeAnswer,
  eventReader: () => new ResponseReader(),
  eventWriter: (terms) => new ResponseWriter(terms),
  readError,
  writeError,
};
