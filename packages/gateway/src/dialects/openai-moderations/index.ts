import { optionalText, requiredText } from "../body-fields.ts";
import type { Dialect } from "../dialect.ts";
import { openaiEmbeddings } from "../openai-embeddings/index.ts";
import { readInputCall } from "../openai-embeddings/read-call.ts";

/** The model of a call that names none. */
const MODEL = "omni-moderation-latest";

/** OpenAI's moderations, and all who speak them: what is read is judged, and nothing is written. */
export const openaiModerations: Dialect = {
  ...openaiEmbeddings,
  name: "openai-moderations",
  path: "/moderations",
  readCall: (body) => readInputCall(body, optionalText(body, "model") === undefined ? MODEL : requiredText(body, "model")),
  // What nobody named stays unnamed: the provider has a default of its own.
  writeCall: (call, changes) => (changes.model === call.model ? call.body.bytes : openaiEmbeddings.writeCall(call, changes)),
};
