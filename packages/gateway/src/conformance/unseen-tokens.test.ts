import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { type Json, post } from "./calls.ts";
import { chatAnswer, type RawProvider, startRawProvider, writeJson } from "./raw-provider.ts";
import { PRICES, providersAt, type Stand, startStand } from "./stand.ts";

const MESSAGES = [{ role: "user", content: "Ahoy" }];
const CHAT = { model: "gpt-4o", max_tokens: 100, messages: MESSAGES };
const MESSAGE = { model: "claude-sonnet-4-6", max_tokens: 100, messages: MESSAGES };
const INTERACTION = { model: "gemini-2.5-flash", input: "Ahoy", generation_config: { max_output_tokens: 100 } };

interface Scene {
  readonly stand: Stand;
  readonly provider: RawProvider;
  /** What is held of a call. */
  held(path: string, call: Json): Promise<{ readonly inputTokens: number; readonly outputTokens: number }>;
}

async function startScene(context: TestContext, limits = "1M tokens"): Promise<Scene> {
  const provider = await startRawProvider(context, (response) => writeJson(response, 429, { error: { message: "not now" } }));
  const config = [providersAt(provider.url), PRICES, "unseen_input: 77k", `budgets: [{ name: all, limits: [${limits}], min_output: 1 }]`];
  const stand = await startStand(context, { config: config.join("\n") });
  let calls = 0;
  return {
    stand,
    provider,
    async held(path, call) {
      await post(stand.url + path, call);
      return ((await stand.entries(++calls, "reserved")).at(-1) ?? assert.fail()).detail;
    },
  };
}

describe("tokens of a call that stand nowhere in it", () => {
  test("what tools at the provider, servers of others and skills may bring is held: 8,000 tokens a use, of five where no number is named", async (context) => {
    const { held } = await startScene(context);
    const cases: readonly (readonly [string, Json, number])[] = [
      ["/v1/messages", { ...MESSAGE, tools: [{ type: "web_search_20250305", name: "web_search", max_uses: 3 }] }, 24_000],
      ["/v1/messages", { ...MESSAGE, tools: [{ type: "web_fetch_20250910", name: "web_fetch" }] }, 40_000],
      ["/v1/messages", { ...MESSAGE, mcp_servers: [{ type: "url", name: "logs", url: "https://example.com/mcp" }] }, 40_000],
      ["/v1/messages", { ...MESSAGE, container: { skills: [{ type: "anthropic", skill_id: "pdf" }] } }, 40_000],
      ["/v1/messages", MESSAGE, 0],
      ["/v1/chat/completions", { ...CHAT, web_search_options: {} }, 40_000],
      ["/v1/chat/completions", { ...CHAT, plugins: [{ id: "web" }] }, 40_000],
      ["/v1/chat/completions", CHAT, 0],
    ];
    for (const [path, call, least] of cases) {
      const { inputTokens } = await held(path, call);
      assert.ok(inputTokens >= least && inputTokens < least + 1_000, `${JSON.stringify(call)}: ${inputTokens}`);
    }
  });

  test("contents that are cached at Google and only named are held as input that nobody sees", async (context) => {
    const { held } = await startScene(context);
    const cached_content = "cachedContents/log";
    for (const [path, call] of [
      ["/v1beta/interactions", { ...INTERACTION, cached_content }],
      ["/v1beta/models/gemini-2.5-flash:generateContent", { contents: [{ parts: [{ text: "Ahoy" }] }], cachedContent: cached_content }],
      ["/v1/chat/completions", { ...CHAT, model: "gemini-2.5-flash", extra_body: { google: { cached_content } } }],
      ["/v1/chat/completions", { ...CHAT, model: "gemini-2.5-flash", google: { cached_content } }],
    ] as const) {
      const { inputTokens } = await held(path, call);
      assert.ok(inputTokens >= 77_000 && inputTokens < 77_500, `${path}: ${inputTokens}`);
    }
  });

  test("a prediction that may turn out wrong is held as output, on top of the cap", async (context) => {
    const { held, provider } = await startScene(context);
    const prediction = { type: "content", content: "word ".repeat(1_000) };
    const { outputTokens } = await held("/v1/chat/completions", { ...CHAT, prediction });
    assert.ok(outputTokens >= 1_100 && outputTokens < 6_000, String(outputTokens));
    assert.equal(JSON.parse(provider.received[0]?.body ?? "").max_tokens, 100, "the cap stays as it came");
    const { held: heldOfLittle, provider: other, stand } = await startScene(context, "$10, 5800 output tokens");
    assert.equal((await heldOfLittle("/v1/chat/completions", { ...CHAT, max_tokens: 4_000, prediction })).outputTokens, 5_800);
    const lowered = JSON.parse(other.received[0]?.body ?? "").max_tokens;
    assert.ok(lowered >= 1 && lowered <= 4_700, `of the rest: ${lowered}`);
    await stand.checkBooks();
  });

  test("a whole answer without usage, of a model that thinks where nobody sees it, is charged at the most it can have cost", async (context) => {
    const { stand, provider } = await startScene(context);
    provider.answer = (response) => writeJson(response, 200, { ...chatAnswer("Aye.", { input: 0, output: 0 }), usage: undefined });
    for (const model of ["o3-mini", "gpt-4o"]) await post(`${stand.url}/v1/chat/completions`, { ...CHAT, model, max_tokens: 900 });
    const [hidden, shown] = await stand.entries(2, "settled");
    assert.deepEqual([hidden?.charge.usage.outputTokens, hidden?.charge.certainty], [900, "unconfirmed"]);
    assert.equal(shown?.charge.certainty, "estimated");
    assert.ok((shown?.charge.usage.outputTokens ?? 0) < 10);
    await stand.checkBooks();
  });
});
