import assert from "node:assert/strict";
import { test } from "node:test";
import { readConfig } from "../config/read-config.ts";
import { missingKey } from "./routing.ts";

function provider(text: string, environment: NodeJS.ProcessEnv = {}) {
  const [found] = readConfig({ text: `providers: { ${text} }`, environment }).providers;
  assert.ok(found);
  return found;
}

test("a provider that needs a key and has none is refused with what to set, before anything is sent", () => {
  assert.match(missingKey(provider("openai: {}")) ?? "", /Set OPENAI_API_KEY/);
  assert.equal(missingKey(provider("openai: {}", { OPENAI_API_KEY: "sk-1" })), undefined);
});

test("a provider that may do without a key is asked without one", () => {
  assert.equal(missingKey(provider("ollama: {}")), undefined);
  assert.equal(missingKey(provider("mine: { dialect: openai, base_url: 'http://127.0.0.1:1/v1' }")), undefined);
});
