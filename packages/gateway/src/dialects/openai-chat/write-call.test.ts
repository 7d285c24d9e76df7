import assert from "node:assert/strict";
import { test } from "node:test";
import { readJsonBody } from "../json-body.ts";
import { openaiChat } from "./index.ts";

function written(fields: string, changes: { readonly model?: string; readonly outputTokens?: number }) {
  const call = openaiChat.readCall(readJsonBody(Buffer.from(`{${fields},"messages":[{"role":"user","content":"x"}]}`)), {});
  return JSON.parse(openaiChat.writeCall(call, { model: changes.model ?? call.model, outputTokens: changes.outputTokens }).toString());
}

test("the cap goes into the field that the model understands", () => {
  for (const model of ["o3-mini", "gpt-5", "gpt-5.4-mini", "openai/o4-mini", "gpt-10"]) {
    assert.equal(written(`"model":"${model}"`, { outputTokens: 7 }).max_completion_tokens, 7, model);
  }
  for (const model of ["gpt-4o", "gpt-4.1-mini", "llama-3.3-70b", "mistral-large", "gpt-oss-120b"]) {
    assert.equal(written(`"model":"${model}"`, { outputTokens: 7 }).max_tokens, 7, model);
  }
});

test("the cap is lowered in the field that the caller used, and no other appears", () => {
  const older = written('"model":"o3-mini","max_tokens":500', { outputTokens: 7 });
  assert.deepEqual([older.max_tokens, older.max_completion_tokens], [7, undefined]);
  const newer = written('"model":"gpt-4o","max_completion_tokens":500', { outputTokens: 7 });
  assert.deepEqual([newer.max_tokens, newer.max_completion_tokens], [undefined, 7]);
});

test("a stream is asked for its usage, and the caller's other options stay", () => {
  const body = written('"model":"gpt-4o","stream":true,"stream_options":{"include_obfuscation":false}', {});
  assert.deepEqual(body.stream_options, { include_obfuscation: false, include_usage: true });
});

test("a cap is never left in a field that the model passes over", () => {
  for (const model of ["deepseek-chat", "deepseek-ai/DeepSeek-V3", "qwen-plus", "mistral-large"]) {
    const body = written(`"model":"${model}","max_completion_tokens":5`, { outputTokens: 5 });
    assert.deepEqual([body.max_tokens, body.max_completion_tokens], [5, null], model);
  }
});
