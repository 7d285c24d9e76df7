import type { Dialect } from "../dialect.ts";
import { ollamaChat } from "../ollama-chat/index.ts";
import { countable, readCall } from "./read-call.ts";
import { readText } from "./read-text.ts";

const { messages: _, ...likeChats } = ollamaChat;

/** Ollama's own completions of a text. */
export const ollamaGenerate: Dialect = {
  ...likeChats,
  name: "ollama-generate",
  path: "/api/generate",
  textFields: ["prompt", "system"],
  readCall,
  countable,
  readText,
};
