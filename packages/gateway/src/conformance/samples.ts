import type { Json } from "./calls.ts";
import { COHERE, COHERE_EMBED, CONVERSE, CONVERSE_STREAM, INVOKE, INVOKE_STREAM } from "./cloud-samples.ts";
import {
  CHAT_DONE,
  chatAnswer,
  chatEvent,
  chatUsageEvent,
  completionAnswer,
  embeddingAnswer,
  geminiAnswer,
  geminiEvent,
  LINES_HEADERS,
  type MockUsage,
  messageAnswer,
  messageEvent,
  moderationAnswer,
  ollamaAnswer,
  ollamaPart,
  responseAnswer,
} from "./raw-provider.ts";
import { wav } from "./sounds.ts";

/** What a call by one route looks like, and what a provider answers. */
export interface Sample {
  /** A call of the model `m` with this text, with an output cap of 100 where the format has one. */
  readonly call: (text: string) => Json;
  readonly answer: (usage: MockUsage) => unknown;
  /** Whether the call is sent as a form. */
  readonly isForm?: true;
  /** The same as a stream, where the format has streams: what is to be added to the call, and what comes. */
  readonly stream?: {
    readonly asked: Json;
    readonly query?: string;
    readonly events: (usage: MockUsage) => string | Buffer;
    /** Those of server-sent events where they are left out. */
    readonly headers?: Record<string, string>;
  };
  /** The output cap of a call as it reached the provider. */
  readonly capOf?: (call: Json) => unknown;
  /** Whether its text is read by the model; it is where it is left out. */
  readonly hasText?: false;
  /** The words of a refusal. */
  readonly refusal: (body: Json) => unknown;
}

/** The body of a call as it is sent. */
export function sentBody({ isForm }: Sample, call: Json): string | FormData {
  if (!isForm) return JSON.stringify(call);
  const form = new FormData();
  for (const [name, value] of Object.entries(call)) form.append(name, value instanceof File ? value : String(value));
  return form;
}

/** A call as its provider got it: of a form, its fields. */
export function receivedCall({ isForm }: Sample, body: string): Json {
  if (!isForm) return JSON.parse(body);
  const fields = [...body.matchAll(/name="(\w+)"\r\n\r\n(.*)\r\n/g)].map(([, name = "", text]) => [name, text === "true" ? true : text]);
  return Object.fromEntries(fields);
}

const messages = (content: string) => [{ role: "user", content }];
const openaiRefusal = (body: Json) => body.error.message;

const CHAT: Sample = {
  call: (text) => ({ model: "m", max_tokens: 100, messages: messages(text) }),
  answer: (usage) => chatAnswer("Aye.", usage),
  stream: {
    asked: { stream: true, stream_options: { include_usage: true } },
    events: (usage) => chatEvent("Aye.") + chatUsageEvent(usage) + CHAT_DONE,
  },
  capOf: (call) => call.max_tokens,
  refusal: openaiRefusal,
};

const RESPONSES: Sample = {
  call: (input) => ({ model: "m", max_output_tokens: 100, input }),
  answer: (usage) => responseAnswer("Aye.", usage),
  stream: {
    asked: { stream: true },
    events: (usage) =>
      messageEvent({
        type: "response.created",
        response: { ...responseAnswer("", usage), status: "in_progress", output: [], usage: null },
      }) +
      messageEvent({ type: "response.output_text.delta", item_id: "msg_1", output_index: 0, content_index: 0, delta: "Aye." }) +
      messageEvent({ type: "response.completed", response: responseAnswer("Aye.", usage) }),
  },
  capOf: (call) => call.max_output_tokens,
  refusal: openaiRefusal,
};

const COMPACTION: Sample = {
  call: (input) => ({ model: "m", input }),
  answer: (usage) => ({ ...responseAnswer("Aye.", usage), object: "response.compaction" }),
  refusal: openaiRefusal,
};

const INPUT_TOKENS: Sample = {
  call: (input) => ({ model: "m", input }),
  answer: ({ input }) => ({ object: "response.input_tokens", input_tokens: input }),
  refusal: openaiRefusal,
};

const COMPLETIONS: Sample = {
  call: (prompt) => ({ model: "m", max_tokens: 100, prompt }),
  answer: (usage) => completionAnswer("Aye.", usage),
  stream: {
    asked: { stream: true, stream_options: { include_usage: true } },
    events: (usage) =>
      `data: ${JSON.stringify({ ...completionAnswer("Aye.", usage), usage: null })}\n\n` +
      `data: ${JSON.stringify({ ...completionAnswer("", usage), choices: [] })}\n\n${CHAT_DONE}`,
  },
  capOf: (call) => call.max_tokens,
  refusal: openaiRefusal,
};

const EMBEDDINGS: Sample = {
  call: (input) => ({ model: "m", input }),
  answer: embeddingAnswer,
  refusal: openaiRefusal,
};

const MODERATIONS: Sample = {
  call: (input) => ({ model: "m", input }),
  answer: moderationAnswer,
  refusal: openaiRefusal,
};

const imageUsage = ({ input, output }: MockUsage) => ({ input_tokens: input, output_tokens: output, total_tokens: input + output });

const IMAGES: Sample = {
  call: (prompt) => ({ model: "m", prompt }),
  answer: (usage) => ({ created: 1, data: [{ b64_json: "iVBORw0KGgo=" }], usage: imageUsage(usage) }),
  stream: {
    asked: { stream: true },
    events: (usage) =>
      messageEvent({ type: "image_generation.partial_image", partial_image_index: 0, b64_json: "iVBORw0KGgo=" }) +
      messageEvent({ type: "image_generation.completed", b64_json: "iVBORw0KGgo=", usage: imageUsage(usage) }),
  },
  refusal: openaiRefusal,
};

const PICTURE = new File(
  [Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgYGBgAAAABQABh6FO1AAAAABJRU5ErkJggg==", "base64")],
  "ship.png",
);

const IMAGE_EDITS: Sample = {
  ...IMAGES,
  isForm: true,
  call: (prompt) => ({ model: "m", prompt, image: PICTURE }),
  stream: {
    asked: { stream: true },
    events: (usage) => messageEvent({ type: "image_edit.completed", b64_json: "iVBORw0KGgo=", usage: imageUsage(usage) }),
  },
};

/** Nothing says in words what an image is to be like. */
const { stream: _, ...WHOLE_IMAGES } = IMAGES;
const IMAGE_VARIATIONS: Sample = { ...WHOLE_IMAGES, isForm: true, hasText: false, call: () => ({ model: "m", image: PICTURE }) };

const SPEECH: Sample = {
  call: (input) => ({ model: "m", voice: "coral", input }),
  answer: (usage) => ({ usage: imageUsage(usage) }),
  stream: {
    asked: { stream_format: "sse" },
    events: (usage) =>
      messageEvent({ type: "speech.audio.delta", audio: "AAAA" }) + messageEvent({ type: "speech.audio.done", usage: imageUsage(usage) }),
  },
  refusal: openaiRefusal,
};

const TRANSCRIPTIONS: Sample = {
  isForm: true,
  call: (prompt) => ({ model: "m", prompt, file: new File([wav(2)], "speech.wav") }),
  answer: (usage) => ({ text: "Aye.", usage: { type: "tokens", ...imageUsage(usage) } }),
  stream: {
    asked: { stream: true },
    events: (usage) =>
      messageEvent({ type: "transcript.text.delta", delta: "Aye." }) +
      messageEvent({ type: "transcript.text.done", text: "Aye.", usage: { type: "tokens", ...imageUsage(usage) } }),
  },
  refusal: openaiRefusal,
};

const ANTHROPIC: Sample = {
  call: (text) => ({ model: "m", max_tokens: 100, messages: messages(text) }),
  answer: (usage) => messageAnswer("Aye.", usage),
  stream: {
    asked: { stream: true },
    events: (usage) =>
      messageEvent({ type: "message_start", message: { ...messageAnswer("", { ...usage, output: 1 }), content: [] } }) +
      messageEvent({ type: "content_block_delta", index: 0, delta: { type: "text_delta", text: "Aye." } }) +
      messageEvent({ type: "message_delta", delta: { stop_reason: "end_turn" }, usage: { output_tokens: usage.output } }) +
      messageEvent({ type: "message_stop" }),
  },
  capOf: (call) => call.max_tokens,
  refusal: (body) => (body.type === "error" ? body.error.message : undefined),
};

const COUNT_TOKENS: Sample = {
  call: (text) => ({ model: "m", messages: messages(text) }),
  answer: ({ input }) => ({ input_tokens: input }),
  refusal: ANTHROPIC.refusal,
};

/** Where the model stands in the path. */
function withoutModel({ model: _, ...call }: Json): Json {
  return { anthropic_version: "vertex-2023-10-16", ...call };
}

const RAW_PREDICT: Sample = { ...ANTHROPIC, call: (text) => withoutModel(ANTHROPIC.call(text)) };

const GEMINI: Sample = {
  call: (text) => ({ contents: [{ role: "user", parts: [{ text }] }], generationConfig: { maxOutputTokens: 100 } }),
  answer: (usage) => geminiAnswer("Aye.", usage),
  capOf: (call) => call.generationConfig.maxOutputTokens,
  refusal: (body) => (typeof body.error.status === "string" ? body.error.message : undefined),
};

const GEMINI_STREAM: Sample = {
  ...GEMINI,
  answer: (usage) => [geminiAnswer("Ay", { ...usage, output: 1 }, null), geminiAnswer("e.", usage)],
  stream: {
    asked: {},
    query: "?alt=sse",
    events: (usage) => geminiEvent("Ay", { ...usage, output: 1 }, null) + geminiEvent("e.", usage),
  },
};

const GEMINI_COUNT: Sample = {
  ...GEMINI,
  answer: ({ input }) => ({ totalTokens: input }),
};

const GEMINI_EMBEDDING: Sample = {
  call: (text) => ({ content: { parts: [{ text }] } }),
  answer: ({ input }) => ({ embedding: { values: [0.25, -0.5, 1] }, usageMetadata: { promptTokenCount: input, totalTokenCount: input } }),
  refusal: GEMINI.refusal,
};

const GEMINI_EMBEDDINGS: Sample = {
  call: (text) => ({ requests: [{ model: "models/m", content: { parts: [{ text }] } }] }),
  answer: ({ input }) => ({
    embeddings: [{ values: [0.25, -0.5, 1] }],
    usageMetadata: { promptTokenCount: input, totalTokenCount: input },
  }),
  refusal: GEMINI.refusal,
};

const interaction = (usage: MockUsage) => ({
  id: "v1_1",
  object: "interaction",
  status: "completed",
  model: "m",
  usage: { total_input_tokens: usage.input, total_output_tokens: usage.output, total_tokens: usage.input + usage.output },
});

const INTERACTIONS: Sample = {
  call: (input) => ({ model: "m", input, generation_config: { max_output_tokens: 100 } }),
  answer: (usage) => ({ ...interaction(usage), steps: [{ type: "model_output", content: [{ type: "text", text: "Aye." }] }] }),
  stream: {
    asked: { stream: true },
    events: (usage) =>
      [
        { event_type: "interaction.created", interaction: { ...interaction(usage), status: "in_progress", usage: undefined } },
        { event_type: "step.delta", index: 0, delta: { type: "text", text: "Aye." } },
        { event_type: "interaction.completed", interaction: interaction(usage) },
      ]
        .map((event) => `event: ${event.event_type}\ndata: ${JSON.stringify(event)}\n\n`)
        .join(""),
  },
  capOf: (call) => call.generation_config.max_output_tokens,
  refusal: GEMINI.refusal,
};

const line = (value: unknown) => `${JSON.stringify(value)}\n`;

const OLLAMA: Sample = {
  call: (text) => ({ model: "m", stream: false, messages: messages(text), options: { num_predict: 100 } }),
  answer: (usage) => ollamaAnswer("Aye.", usage),
  stream: {
    asked: { stream: true },
    events: (usage) => line(ollamaPart("Ay")) + line(ollamaPart("e.")) + line(ollamaAnswer("", usage)),
    headers: LINES_HEADERS,
  },
  capOf: (call) => call.options.num_predict,
  refusal: (body) => body.error,
};

const OLLAMA_GENERATE: Sample = {
  ...OLLAMA,
  call: (prompt) => ({ model: "m", stream: false, prompt, options: { num_predict: 100 } }),
  answer: ({ input, output }) => ({ model: "m", response: "Aye.", done: true, prompt_eval_count: input, eval_count: output }),
};

const OLLAMA_EMBEDDINGS: Sample = {
  call: (input) => ({ model: "m", input }),
  answer: ({ input }) => ({ model: "m", embeddings: [[0.25, -0.5, 1]], total_duration: 1, prompt_eval_count: input }),
  refusal: OLLAMA.refusal,
};

/** By route, as the server knows it. */
export const SAMPLES: Readonly<Record<string, Sample>> = {
  "/v1/chat/completions": CHAT,
  "/chat/completions": CHAT,
  "/v1/responses": RESPONSES,
  "/responses": RESPONSES,
  "/v1/responses/compact": COMPACTION,
  "/v1/responses/input_tokens": INPUT_TOKENS,
  "/responses/compact": COMPACTION,
  "/responses/input_tokens": INPUT_TOKENS,
  "/v1/completions": COMPLETIONS,
  "/completions": COMPLETIONS,
  "/v1/embeddings": EMBEDDINGS,
  "/embeddings": EMBEDDINGS,
  "/v1/moderations": MODERATIONS,
  "/moderations": MODERATIONS,
  ...Object.fromEntries(
    ["/v1", "", "/openai/v1", "/openai/deployments/{deployment}"].flatMap((base) => [
      [`${base}/images/edits`, IMAGE_EDITS],
      ...(base.endsWith("}") ? [] : [[`${base}/images/variations`, IMAGE_VARIATIONS] as const]),
      [`${base}/audio/speech`, SPEECH],
      [`${base}/audio/transcriptions`, TRANSCRIPTIONS],
      [`${base}/audio/translations`, TRANSCRIPTIONS],
    ]),
  ),
  "/v1/images/generations": IMAGES,
  "/images/generations": IMAGES,
  "/openai/v1/images/generations": IMAGES,
  "/openai/deployments/{deployment}/images/generations": IMAGES,
  "/openai/v1/chat/completions": CHAT,
  "/openai/v1/responses": RESPONSES,
  "/openai/v1/responses/compact": COMPACTION,
  "/openai/v1/responses/input_tokens": INPUT_TOKENS,
  "/openai/v1/completions": COMPLETIONS,
  "/openai/v1/embeddings": EMBEDDINGS,
  "/openai/v1/moderations": MODERATIONS,
  "/openai/deployments/{deployment}/chat/completions": CHAT,
  "/openai/deployments/{deployment}/completions": COMPLETIONS,
  "/openai/deployments/{deployment}/embeddings": EMBEDDINGS,
  "/openai/responses": RESPONSES,
  "/openai/responses/compact": COMPACTION,
  "/openai/responses/input_tokens": INPUT_TOKENS,
  "/v1/messages": ANTHROPIC,
  "/v1/messages/count_tokens": COUNT_TOKENS,
  "/api/chat": OLLAMA,
  "/api/generate": OLLAMA_GENERATE,
  "/api/embed": OLLAMA_EMBEDDINGS,
  "/v2/chat": COHERE,
  "/v2/embed": COHERE_EMBED,
  ...Object.fromEntries(
    ["/{version}", "/{version}/projects/{project}/locations/{location}"].flatMap((base) => [
      [`${base}/publishers/anthropic/models/{model}:rawPredict`, RAW_PREDICT],
      [`${base}/publishers/anthropic/models/{model}:streamRawPredict`, RAW_PREDICT],
      [`${base}/publishers/anthropic/models/count-tokens:rawPredict`, COUNT_TOKENS],
    ]),
  ),
  "/model/{model}/converse": CONVERSE,
  "/model/{model}/converse-stream": CONVERSE_STREAM,
  "/model/{model}/invoke": INVOKE,
  "/model/{model}/invoke-with-response-stream": INVOKE_STREAM,
  "/{version}/models/{model}:generateContent": GEMINI,
  "/{version}/models/{model}:streamGenerateContent": GEMINI_STREAM,
  "/{version}/models/{model}:countTokens": GEMINI_COUNT,
  "/{version}/publishers/google/models/{model}:generateContent": GEMINI,
  "/{version}/publishers/google/models/{model}:streamGenerateContent": GEMINI_STREAM,
  "/{version}/publishers/google/models/{model}:countTokens": GEMINI_COUNT,
  "/{version}/projects/{project}/locations/{location}/publishers/google/models/{model}:generateContent": GEMINI,
  "/{version}/projects/{project}/locations/{location}/publishers/google/models/{model}:streamGenerateContent": GEMINI_STREAM,
  "/{version}/projects/{project}/locations/{location}/publishers/google/models/{model}:countTokens": GEMINI_COUNT,
  "/{version}/interactions": INTERACTIONS,
  "/{version}/models/{model}:embedContent": GEMINI_EMBEDDING,
  "/{version}/models/{model}:batchEmbedContents": GEMINI_EMBEDDINGS,
};
