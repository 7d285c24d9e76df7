import type { Json } from "./calls.ts";
import {
  type Answer,
  CHAT_DONE,
  chatAnswer,
  geminiAnswer,
  messageAnswer,
  messageEvent,
  responseAnswer,
  STREAM_HEADERS,
  writeJson,
} from "./raw-provider.ts";

/** What all of them report, each in its own words: 120 tokens read, 100 of them from a cache, and 30 written. */
const USAGE = { input_tokens: 20, cache_creation_input_tokens: 0, cache_read_input_tokens: 100, output_tokens: 30 };
const CHAT_USAGE = { prompt_tokens: 120, completion_tokens: 30, total_tokens: 150, prompt_tokens_details: { cached_tokens: 100 } };

/** Calls the tool, and then says what it found: in its own format, as a stream where one is asked for. */
export const asAnthropic: Answer = (response, { body }) => {
  const { stream, messages } = JSON.parse(body);
  const result = messages.at(-1).content.find?.(({ type }: Json) => type === "tool_result");
  const block = result
    ? { type: "text", text: `It is ${result.content[0].text}` }
    : { type: "tool_use", id: "toolu_1", name: "look", input: { at: "sea" } };
  const stop_reason = result ? "end_turn" : "tool_use";
  const message = { ...messageAnswer("", { input: 0, output: 0 }), content: [block], stop_reason, usage: USAGE };
  if (!stream) return writeJson(response, 200, message);
  const deltas = result
    ? ["It is ", result.content[0].text].map((text) => ({ type: "text_delta", text }))
    : ['{"at":', '"sea"}'].map((partial_json) => ({ type: "input_json_delta", partial_json }));
  response.writeHead(200, STREAM_HEADERS);
  const begun = { ...message, content: [], stop_reason: null, usage: { ...USAGE, output_tokens: 1 } };
  response.write(messageEvent({ type: "message_start", message: begun }) + messageEvent({ type: "ping" }));
  response.write(messageEvent({ type: "content_block_start", index: 0, content_block: { ...block, text: "", input: {} } }));
  for (const delta of deltas) response.write(messageEvent({ type: "content_block_delta", index: 0, delta }));
  response.write(messageEvent({ type: "content_block_stop", index: 0 }));
  response.write(messageEvent({ type: "message_delta", delta: { stop_reason, stop_sequence: null }, usage: { output_tokens: 30 } }));
  response.end(messageEvent({ type: "message_stop" }));
};

/** The same as a chat completion. */
export const asOpenai: Answer = (response, { body }) => {
  const { stream, messages } = JSON.parse(body);
  const { role, content } = messages.at(-1);
  const answer = chatAnswer("", { input: 0, output: 0 });
  const called = { id: "call_1", type: "function", function: { name: "look", arguments: '{"at":"sea"}' } };
  const message = role === "tool" ? { content: `It is ${content}` } : { content: null, tool_calls: [called] };
  const finish_reason = role === "tool" ? "stop" : "tool_calls";
  if (!stream) {
    const choices = [{ index: 0, message: { role: "assistant", ...message }, finish_reason }];
    return writeJson(response, 200, { ...answer, choices, usage: CHAT_USAGE });
  }
  const chunk = (delta: Json, reason: string | null = null, more: Json = {}) =>
    response.write(
      `data: ${JSON.stringify({ ...answer, object: "chat.completion.chunk", usage: null, choices: [{ index: 0, delta, finish_reason: reason }], ...more })}\n\n`,
    );
  response.writeHead(200, STREAM_HEADERS);
  chunk({ role: "assistant", content: "" });
  if (role === "tool") for (const piece of ["It is ", content]) chunk({ content: piece });
  else {
    chunk({ tool_calls: [{ index: 0, ...called, function: { name: "look", arguments: "" } }] });
    for (const json of ['{"at":', '"sea"}']) chunk({ tool_calls: [{ index: 0, function: { arguments: json } }] });
  }
  chunk({}, finish_reason);
  chunk({}, null, { choices: [], usage: CHAT_USAGE });
  response.end(CHAT_DONE);
};

const GEMINI_USAGE = {
  promptTokenCount: 120,
  cachedContentTokenCount: 100,
  candidatesTokenCount: 20,
  thoughtsTokenCount: 10,
  totalTokenCount: 150,
};

/** The same as content of Google's: of what it wrote 10 tokens are thoughts. */
export const asGoogle: Answer = (response, { url, body }) => {
  const { contents } = JSON.parse(body);
  const result = contents.at(-1).parts.find(({ functionResponse }: Json) => functionResponse)?.functionResponse.response.output;
  const call = { functionCall: { name: "look", args: { at: "sea" } }, thoughtSignature: "c2ln" };
  const texts = ["It is ", result].map((text) => ({ text }));
  const parts = [{ text: "Hm.", thought: true }, ...(result === undefined ? [call] : texts)];
  const answer = { ...geminiAnswer("", { input: 0, output: 0 }), usageMetadata: GEMINI_USAGE };
  const said = (some: readonly unknown[], finishReason?: string) => ({
    ...answer,
    candidates: [{ index: 0, content: { role: "model", parts: some }, ...(finishReason && { finishReason }) }],
  });
  if (!url.includes("alt=sse")) return writeJson(response, 200, said(parts, "STOP"));
  response.writeHead(200, STREAM_HEADERS);
  for (const part of parts) response.write(`data: ${JSON.stringify(said([part]))}\r\n\r\n`);
  response.end(`data: ${JSON.stringify(said([{ text: "" }], "STOP"))}\r\n\r\n`);
};

const RESPONSE_USAGE = {
  input_tokens: 120,
  input_tokens_details: { cached_tokens: 100 },
  output_tokens: 30,
  output_tokens_details: { reasoning_tokens: 10 },
  total_tokens: 150,
};

/** The same as a response. */
export const asResponder: Answer = (response, { body }) => {
  const { stream, input } = JSON.parse(body);
  const result = input.at(-1).output;
  const id = result === undefined ? "fc_1" : "msg_1";
  const pieces = result === undefined ? ['{"at":', '"sea"}'] : ["It is ", result];
  const part = { type: "output_text", text: pieces.join(""), annotations: [] };
  const item =
    result === undefined
      ? { id, type: "function_call", status: "completed", call_id: "call_1", name: "look", arguments: pieces.join("") }
      : { id, type: "message", status: "completed", role: "assistant", content: [part] };
  const thought = { id: "rs_1", type: "reasoning", summary: [] };
  const whole = { ...responseAnswer("", { input: 0, output: 0 }), output: [thought, item], usage: RESPONSE_USAGE };
  if (!stream) return writeJson(response, 200, whole);
  response.writeHead(200, STREAM_HEADERS);
  const event = (type: string, fields: Json) => response.write(messageEvent({ type: `response.${type}`, ...fields }));
  event("created", { response: { ...whole, status: "in_progress", output: [], usage: null } });
  event("output_item.added", { output_index: 0, item: thought });
  event("output_item.done", { output_index: 0, item: thought });
  event("output_item.added", { output_index: 1, item: { ...item, content: [], arguments: "" } });
  const kind = result === undefined ? "function_call_arguments" : "output_text";
  for (const delta of pieces) event(`${kind}.delta`, { item_id: id, output_index: 1, delta });
  event(`${kind}.done`, { item_id: id, output_index: 1, arguments: pieces.join(""), text: pieces.join("") });
  event("output_item.done", { output_index: 1, item });
  response.end(messageEvent({ type: "response.completed", response: whole }));
};
