import type { PlainForm } from "../plain.ts";
import { ContentReader, readAnswer, readError } from "./read-answer.ts";
import { readCall } from "./read-call.ts";
import { ContentWriter, writeAnswer, writeError } from "./write-answer.ts";
import { writeCall } from "./write-call.ts";

/** Google's `generateContent`, there and on Vertex AI. */
export const geminiContentForm: PlainForm = {
  readCall,
  writeCall,
  headers: {},
  streamQuery: "alt=sse",
  readAnswer,
  writeAnswer,
  eventReader: () => new ContentReader(),
  eventWriter: (terms) => new ContentWriter(terms),
  readError,
  writeError,
};
