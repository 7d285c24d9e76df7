import assert from "node:assert/strict";
import { test } from "node:test";
import { PRESETS } from "./presets/index.ts";
import type { DialectName, Provider } from "./provider.ts";
import { type RouteEntry, routeModel } from "./routing.ts";

function preset(name: string, changes: Partial<Provider> = {}): Provider {
  const found = PRESETS.get(name);
  assert.ok(found, name);
  const { baseUrls, authHeader, models } = found;
  return { name, baseUrls, authHeader, apiKey: undefined, models, deployments: {}, headers: {}, timeoutMs: 1000, ...changes };
}

function own(name: string, changes: Partial<Provider> = {}): Provider {
  const baseUrls = { "openai-chat": `http://${name}.test/v1` };
  return {
    name,
    baseUrls,
    authHeader: "authorization",
    apiKey: "k",
    models: [],
    deployments: {},
    headers: {},
    timeoutMs: 1000,
    ...changes,
  };
}

function chosen(model: string, providers: readonly Provider[], routes: readonly { pattern: string; provider: string }[] = []) {
  const configured = routes.map(({ pattern, provider }) => ({ pattern, entries: [{ provider }] }));
  const route = routeModel(model, "openai-chat", { providers, routes: configured });
  return "unknown" in route ? route.unknown : `${route.provider.name}:${route.model}`;
}

const ALL = [...PRESETS.keys()].map((name) => preset(name));

test("every maker's models go to their maker when nothing is configured", () => {
  const expected: Record<string, string> = {
    "gpt-4o-mini": "openai",
    "o3-mini": "openai",
    "chatgpt-4o-latest": "openai",
    "text-embedding-3-small": "openai",
    "gemini-2.5-flash": "google",
    "qwen-plus": "qwen",
    "qwen3-max": "qwen",
    "deepseek-chat": "deepseek",
    "mistral-large-latest": "mistral",
    "codestral-latest": "mistral",
    "grok-4": "xai",
    "kimi-k2.6": "moonshot",
    "glm-5": "zai",
    "sonar-pro": "perplexity",
    "accounts/fireworks/models/llama-v3p1-8b-instruct": "fireworks",
    "gpt-oss-120b": "cerebras",
    "anyone/anything": "openrouter",
  };
  for (const [model, provider] of Object.entries(expected)) assert.equal(chosen(model, ALL), `${provider}:${model}`);
});

test("a configured route wins over everything else", () => {
  const routes = [
    { pattern: "gpt-4o", provider: "azure" },
    { pattern: "gpt-*", provider: "other" },
  ];
  const providers = [preset("openai", { apiKey: "k" }), own("azure"), own("other")];
  assert.equal(chosen("gpt-4o", providers, routes), "azure:gpt-4o");
  assert.equal(chosen("gpt-4o-mini", providers, routes), "other:gpt-4o-mini");
});

test("a route whose provider does not speak the dialect refuses instead of trying another", () => {
  const providers = [preset("openai"), preset("anthropic")];
  assert.match(chosen("gpt-4o", providers, [{ pattern: "gpt-*", provider: "anthropic" }]), /anthropic does not speak openai-chat/);
});

test("a provider's name before the model chooses it and is not sent", () => {
  assert.equal(chosen("groq/llama-3.3-70b-versatile", ALL), "groq:llama-3.3-70b-versatile");
  assert.equal(chosen("openrouter/openai/gpt-4o", ALL), "openrouter:openai/gpt-4o");
  assert.equal(chosen("ollama/qwen3:8b", ALL), "ollama:qwen3:8b");
});

test("a model whose own name begins with its provider's is sent whole", () => {
  assert.equal(chosen("groq/compound-mini", ALL), "groq:groq/compound-mini");
  assert.equal(chosen("openrouter/auto", ALL), "openrouter:openrouter/auto");
});

test("a provider's own name for a model leads to it, budgets see the model, and the provider is told its own name", () => {
  const azure = own("azure", { models: ["our-chat", "gpt-4o"], deployments: { "our-chat": "gpt-4o" } });
  const named = (model: string) => {
    const route = routeModel(model, "openai-chat", { providers: [preset("openai", { apiKey: "k" }), azure], routes: [] });
    return "unknown" in route ? route.unknown : [route.provider.name, route.model, route.sentAs];
  };
  for (const asked of ["our-chat", "gpt-4o", "azure/our-chat", "azure/gpt-4o"])
    assert.deepEqual(named(asked), ["azure", "gpt-4o", "our-chat"], asked);
  assert.deepEqual(named("gpt-4o-mini"), ["openai", "gpt-4o-mini", "gpt-4o-mini"]);
  assert.deepEqual(named("azure/constructor"), ["azure", "constructor", "constructor"]);
});

test("a provider that lists its models comes before presets, and one with a key before one without", () => {
  assert.equal(chosen("gpt-4o", [preset("openai", { apiKey: "k" }), own("mine", { models: ["gpt-*"] })]), "mine:gpt-4o");
  const patterns = { models: ["m-*"] };
  assert.equal(chosen("m-1", [own("a", { ...patterns, apiKey: undefined }), own("b", patterns)]), "b:m-1");
  assert.equal(chosen("m-1", [own("a", patterns), own("b", patterns)]), "a:m-1");
  assert.equal(chosen("m-1", [own("a", patterns), own("b", { models: ["m-1"] })]), "b:m-1");
});

test("the only provider of a dialect takes what nobody else claims", () => {
  assert.equal(chosen("llama3.2", [preset("ollama"), preset("anthropic")]), "ollama:llama3.2");
});

test("a model that nobody serves is unknown, and the message says what to do", () => {
  assert.match(chosen("llama3.2", [own("a"), own("b")]), /Write PROVIDER\/llama3\.2 with one of a, b, or add a route/);
  assert.match(chosen("gpt-4o", []), /Add one under providers/);
});

test("a provider that lacks the dialect is no candidate, and the message names it", () => {
  const route = routeModel("gpt-4o", "anthropic-messages", { providers: ALL, routes: [] });
  assert.ok("unknown" in route);
  assert.match(route.unknown, /goes to openai by what it serves, and openai does not speak anthropic-messages, only openai-chat/);
});

test("every decision says why", () => {
  const route = routeModel("claude-sonnet-4-5", "anthropic-messages", { providers: ALL, routes: [] });
  assert.ok("provider" in route);
  assert.equal(route.why, "anthropic serves claude-*.");
  assert.equal(route.isClaimed, true);
  const only = routeModel("gpt-4o", "gemini-content", { providers: ALL, routes: [] });
  assert.ok("provider" in only);
  assert.deepEqual([only.why, only.isClaimed], ["google is the only provider that speaks gemini-content.", false]);
});

test("the path of a dialect can be appended to every base URL of a preset", () => {
  for (const { name, baseUrls } of PRESETS.values()) {
    for (const [dialect, base] of Object.entries(baseUrls)) {
      const url = new URL(base);
      assert.ok(!base.endsWith("/") && url.search === "" && url.hash === "", `${name}: ${base}`);
      assert.doesNotMatch(base, /\/(chat\/completions|messages)$/, name);
      // /v1/messages is appended for anthropic, so the version must not stand there already.
      if (dialect === "anthropic-messages") assert.doesNotMatch(base, /\/v\d+$/, name);
    }
  }
});

test("presets are named as their file and as an operator can write them", () => {
  for (const [name, preset] of PRESETS) {
    assert.equal(preset.name, name);
    assert.match(name, /^[a-z][a-z0-9]*$/);
    for (const variable of preset.env) assert.match(variable, /^[A-Z][A-Z0-9_]*$/);
  }
});

const RETRY = { attempts: 3, on: new Set(["5xx"]), waitMs: 1_000 };

/** Where a route with several providers leads, in its order: provider, format, what it is told, what budgets and prices know. */
function listed(model: string, dialect: DialectName, entries: readonly RouteEntry[], providers: readonly Provider[] = ALL) {
  const route = routeModel(model, dialect, { providers, routes: [{ pattern: "*", entries, retry: RETRY }] });
  if ("unknown" in route) return route.unknown;
  return route.failover?.targets.map((one) => [
    one.route.provider.name,
    one.dialect,
    one.route.sentAs,
    one.route.model,
    one.route.pricedAs,
  ]);
}

test("each provider of a route is told its own name of the model, and budgets know the same model by one", () => {
  const azure = own("azure", { deployments: { "prod-4o": "gpt-4o" } });
  const entries = [{ provider: "azure" }, { provider: "openrouter", model: "openai/gpt-4o" }, { provider: "groq", model: "llama-x" }];
  assert.deepEqual(listed("gpt-4o", "openai-chat", entries, [azure, ...ALL.filter(({ name }) => name !== "azure")]), [
    ["azure", "openai-chat", "prod-4o", "gpt-4o", undefined],
    ["openrouter", "openai-chat", "openai/gpt-4o", "gpt-4o", "openai/gpt-4o"],
    ["groq", "openai-chat", "llama-x", "llama-x", undefined],
  ]);
  assert.deepEqual(listed("claude-sonnet-4-5", "anthropic-messages", [{ provider: "openrouter", model: "anthropic/*" }]), [
    ["openrouter", "anthropic-messages", "anthropic/claude-sonnet-4-5", "claude-sonnet-4-5", "anthropic/claude-sonnet-4-5"],
  ]);
  assert.deepEqual(
    listed("claude-sonnet-4-5", "openai-chat", [{ provider: "openrouter", model: "anthropic/claude-sonnet-4.5" }])?.[0]?.slice(2),
    ["anthropic/claude-sonnet-4.5", "claude-sonnet-4-5", "anthropic/claude-sonnet-4.5"],
  );
});

test("providers of a route that do not speak the format of a call take it translated, or not at all", () => {
  const entries = [{ provider: "anthropic" }, { provider: "openai" }];
  const formats = (dialect: DialectName) => {
    const found = listed("m", dialect, entries);
    return typeof found === "string" ? found : found?.map(([provider, format]) => `${provider} ${format}`);
  };
  assert.deepEqual(formats("openai-chat"), ["anthropic anthropic-messages", "openai openai-chat"]);
  assert.deepEqual(formats("openai-responses"), ["anthropic anthropic-messages", "openai openai-responses"]);
  assert.deepEqual(formats("openai-embeddings"), ["openai openai-embeddings"]);
  assert.match(String(formats("gemini-content")), /anthropic does not speak gemini-content/);
});
