import { anthropicCountTokens, anthropicMessages } from "../anthropic-messages/index.ts";
import { readCall } from "../anthropic-messages/read-call.ts";
import { invalid } from "../body-fields.ts";
import type { Dialect, ModelCall } from "../dialect.ts";
import { type JsonBody, memberValue } from "../json-body.ts";
import type { PathNames } from "../path.ts";

/** Anthropic's messages as Vertex AI has them: the model stands in the path, and the body says which version of them it is. */
export const vertexMessages: Dialect = {
  ...anthropicMessages,
  name: "vertex-messages",
  path: "/publishers/anthropic/models/{model}:rawPredict",
  readCall: readRaw,
  // The path names the model.
  writeCall: (call, { outputTokens }) => anthropicMessages.writeCall(call, { model: call.model, outputTokens }),
};

/** The same as a stream. */
export const vertexMessagesStream: Dialect = {
  ...vertexMessages,
  path: "/publishers/anthropic/models/{model}:streamRawPredict",
  readCall: (body, names) => ({ ...readRaw(body, names), stream: true }),
  whole: vertexMessages,
};

/** Counts the input of a message without making one: here the body names the model. */
export const vertexMessagesCount: Dialect = {
  ...anthropicCountTokens,
  name: "vertex-messages",
  path: "/publishers/anthropic/models/count-tokens:rawPredict",
};

function readRaw(body: JsonBody, names: PathNames): ModelCall {
  if (body.members.has("model") && memberValue(body, "model") !== names.model)
    throw invalid('The model stands in the path, and "model" names another one. Remove it.');
  return readCall(body, names);
}
