import assert from "node:assert/strict";
import { test } from "node:test";
import { RETRIED_ON } from "../failover/retry.ts";
import { examineConfig } from "./read-config.ts";
import { problemText } from "./source.ts";

const PROVIDERS = `providers:
  openai: { api_key: k }
  azure: { base_url: https://x.openai.azure.com/openai/v1, api_key: k }
  anthropic: { api_key: k }
  bedrock: { base_url: https://bedrock-runtime.us-east-1.amazonaws.com, api_key: k }
`;

function read(route: string) {
  const { config, problems, warnings } = examineConfig({ text: `${PROVIDERS}routes: [${route}]\n`, environment: {} });
  const [first] = config?.routes ?? [];
  return { route: first, said: [...problems, ...warnings].map(problemText) };
}

test("one provider is asked once, several once each, unless the route says otherwise", () => {
  const usual = { on: new Set(RETRIED_ON), waitMs: 2_000 };
  assert.deepEqual(read("{ model: a, provider: openai }").route, { pattern: "a", entries: [{ provider: "openai", model: undefined }] });
  assert.deepEqual(read("{ model: a, providers: [azure, openai/b/c] }").route, {
    pattern: "a",
    entries: [
      { provider: "azure", model: undefined },
      { provider: "openai", model: "b/c" },
    ],
    retry: { attempts: 2, ...usual },
  });
  assert.deepEqual(read("{ model: a, provider: openai, retry: { attempts: 3, on: [5xx, 429, Timeout], wait: 500 ms } }").route?.retry, {
    attempts: 3,
    on: new Set(["5xx", "429", "timeout"]),
    waitMs: 500,
  });
});

test("a route that cannot mean anything is told with what to do", () => {
  const cases: readonly [route: string, said: RegExp][] = [
    ["{ model: a }", /provider is missing/],
    [
      "{ model: a, provider: openai, providers: [azure] }",
      /providers: stands beside provider\. Write all of them here, the first choice first/,
    ],
    ["{ model: a, providers: [azure, opnai] }", /no provider "opnai" is configured\. Did you mean "openai"\?/],
    ["{ model: a, providers: [azure, openai/] }", /"openai\/" ends where the name of the model begins/],
    ["{ model: a, providers: [] }", /empty list/],
    [
      "{ model: a, provider: openai, retry: { on: [200] } }",
      /"200" is nothing after which a call can be made again\. Write a status from 400 on, or one of 4xx/,
    ],
    ["{ model: a, provider: openai, retry: { attempts: 11 } }", /from 1 to 10/],
    ["{ model: a, provider: openai, retry: { wait: 5 m } }", /out of range/],
    ["{ model: a, providers: [anthropic, bedrock] }", /bedrock speaks no format that anthropic speaks/],
  ];
  for (const [route, said] of cases) {
    const found = read(route).said;
    assert.equal(found.length, 1, `${route}: ${found.join("; ")}`);
    assert.match(found[0] ?? "", said);
  }
});
