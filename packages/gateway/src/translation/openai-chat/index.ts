import type { PlainForm } from "../plain.ts";
import { ChunkReader, readAnswer, readError } from "./read-answer.ts";
import { readCall } from "./read-call.ts";
import { ChunkWriter, writeAnswer, writeError } from "./write-answer.ts";
import { writeCall } from "./write-call.ts";

/** OpenAI's chat completions. */
export const openaiChatForm: PlainForm = {
  readCall,
  writeCall,
  headers: {},
  streamQuery: "",
  readAnswer,
  writeAnswer,
  eventReader: () => new ChunkReader(),
  eventWriter: (terms) => new ChunkWriter(terms),
  readError,
  writeError,
};
