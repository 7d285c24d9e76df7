import { writeError } from "../openai-chat/write-answer.ts";
import type { ClientForm } from "../plain.ts";
import { readCall } from "./read-call.ts";
import { ResponseWriter, writeAnswer } from "./write-answer.ts";

/** OpenAI's responses, as clients speak them. Models that are served as responses are served as chat completions too. */
export const openaiResponsesForm: ClientForm = {
  readCall,
  writeAnswer,
  eventWriter: (terms) => new ResponseWriter(terms),
  writeError,
};
