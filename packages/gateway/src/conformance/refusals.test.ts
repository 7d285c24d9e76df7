import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import Anthropic from "@anthropic-ai/sdk";
import type { Entry } from "@purser/core";
import { APICallError, generateText, RetryError } from "ai";
import OpenAI from "openai";
import { FORMATS, PLAIN_CALL, post } from "./calls.ts";
import { answerChat, type RawProvider, startRawProvider } from "./raw-provider.ts";
import { eventually, PRICES, providersAt, type Stand, startStand } from "./stand.ts";

interface Client {
  readonly name: string;
  readonly call: () => Promise<string | null | undefined>;
}

/** One call each, with the retries that the client makes by default. */
function clientsOf({ url }: Stand): readonly Client[] {
  const openai = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none" });
  const anthropic = new Anthropic({ baseURL: url, apiKey: "none" });
  const messages = [{ role: "user" as const, content: "Ahoy" }];
  const viaAi = (model: Parameters<typeof generateText>[0]["model"]) => async () =>
    (await generateText({ model, prompt: "Ahoy", maxOutputTokens: 100 })).text;
  return [
    {
      name: "openai",
      call: async () => (await openai.chat.completions.create({ model: "m", max_tokens: 100, messages })).choices[0]?.message.content,
    },
    {
      name: "@anthropic-ai/sdk",
      call: async () => {
        const [block] = (await anthropic.messages.create({ model: "m", max_tokens: 100, messages })).content;
        return block?.type === "text" ? block.text : undefined;
      },
    },
    { name: "ai with @ai-sdk/openai", call: viaAi(createOpenAI({ baseURL: `${url}/v1`, apiKey: "none" }).chat("m")) },
    { name: "ai with @ai-sdk/anthropic", call: viaAi(createAnthropic({ baseURL: `${url}/v1`, apiKey: "none" })("m")) },
  ];
}

async function startScene(context: TestContext, budget: string): Promise<{ stand: Stand; provider: RawProvider }> {
  const provider = await startRawProvider(context);
  return { provider, stand: await startStand(context, { config: `${providersAt(provider.url)}\n${PRICES}\nbudgets: [${budget}]` }) };
}

async function thrownBy(call: () => Promise<unknown>): Promise<unknown> {
  try {
    await call();
  } catch (error) {
    return error;
  }
  return assert.fail("the call was not refused");
}

type Denied = Entry & { readonly kind: "denied" };

/** What the error says. Anthropic's client quotes the whole body in it. */
function wordsOf(error: unknown): string {
  assert.ok(error instanceof Error);
  return error.message.replaceAll('\\"', '"');
}

describe("refusals, as clients take them", () => {
  test("an exhausted budget stops every client after one request, and its error carries our message", async (context) => {
    const { stand, provider } = await startScene(context, "{ name: crew, timezone: Europe/Berlin, limits: [1 requests / year] }");
    assert.equal((await post(`${stand.url}/v1/chat/completions`, PLAIN_CALL)).status, 200);
    let refused = 0;
    for (const { name, call } of clientsOf(stand)) {
      await context.test(name, async () => {
        const error = await thrownBy(call);
        const [{ message } = assert.fail()] = (await stand.entries(++refused, "denied")).slice(-1);
        assert.match(message, /^Budget "crew" .+ \d{4}-01-01 00:00 Europe\/Berlin\b/, "it says which budget, and when it resets");
        assert.ok(wordsOf(error).includes(message), wordsOf(error));
        if (name === "openai") {
          assert.ok(error instanceof OpenAI.APIError);
          assert.deepEqual([error.status, error.code, error.type], [402, "insufficient_quota", "insufficient_quota"]);
          assert.equal((error.error as { budget: { name: string } }).budget.name, "crew");
        } else if (name === "@anthropic-ai/sdk") {
          assert.ok(error instanceof Anthropic.APIError);
          assert.deepEqual([error.constructor.name, error.status, error.type], ["PaymentRequiredError", 402, "billing_error"]);
          assert.equal((error as unknown as { errorCode: string }).errorCode, "budget_exceeded");
        } else {
          assert.ok(APICallError.isInstance(error), "no RetryError: there was no retry");
          assert.deepEqual([error.statusCode, error.isRetryable], [402, false]);
        }
      });
    }
    assert.equal(provider.received.length, 1);
    await stand.checkBooks();
  });

  test("a refusal for good says what is left and never how long to wait", async (context) => {
    const { stand } = await startScene(context, "{ name: crew, limits: [$0 / day, 5 requests / day] }");
    for (const { name, path } of FORMATS) {
      const { status, headers, json } = await post(stand.url + path, PLAIN_CALL);
      assert.equal(status, 402, name);
      assert.equal(headers.get("retry-after"), null);
      assert.equal(headers.get("retry-after-ms"), null);
      assert.equal(headers.get("x-should-retry"), "false");
      assert.match(
        String(headers.get("ratelimit-policy")),
        /^"crew-nanodollars-day";q=0;qu="usd-micros";w=86400, "crew-requests-day";q=5;/,
      );
      assert.match(String(headers.get("ratelimit")), /^"crew-nanodollars-day";r=0;t=\d+, "crew-requests-day";r=5;t=\d+$/);
      const budget = name === "openai" ? json.error.budget : json.error.details.budget;
      const { asked, resets_at, ...rest } = budget;
      assert.deepEqual(rest, {
        name: "crew",
        subject: null,
        unit: "nanodollars",
        limit: 0,
        spent: 0,
        held: 0,
        left: 0,
        window: "day",
        reason: "budget_exhausted",
        request_url: null,
      });
      assert.ok(asked > 0 && Date.parse(resets_at) > Date.now());
    }
  });

  test("a limit that frees itself is waited for by every client, which then succeeds", async (context) => {
    const succeeds = async (index: number) => {
      const { stand, provider } = await startScene(context, "{ name: crew, limits: [1 concurrent] }");
      const { name, call } = clientsOf(stand)[index] as Client;
      let release = () => {};
      provider.answer = (response, received) => {
        provider.answer = answerChat();
        release = () => void answerChat()(response, received);
      };
      const first = post(`${stand.url}/v1/chat/completions`, PLAIN_CALL);
      await eventually("the first call to reach the provider", () => provider.received[0]);
      const second = call();
      await stand.entries(1, "denied");
      release();
      assert.equal((await first).status, 200);
      assert.equal(await second, "Aye.", name);
      assert.equal(provider.received.length, 2, name);
      assert.equal((await stand.ledger("denied")).length, 1, `${name} asked once more, when it was told to`);
      await stand.checkBooks();
    };
    // All at once: each of them waits for the second that it is told to wait.
    await Promise.all([0, 1, 2, 3].map(succeeds));
  });

  test("a limit that does not free itself in time ends the retries with our message", async (context) => {
    const { stand, provider } = await startScene(context, "{ name: crew, limits: [1 concurrent] }");
    provider.answer = () => {};
    const abort = new AbortController();
    const held = fetch(`${stand.url}/v1/chat/completions`, {
      method: "POST",
      body: JSON.stringify({ ...PLAIN_CALL, stream: true }),
      signal: abort.signal,
    }).catch(() => undefined);
    await eventually("the call to reach the provider", () => provider.received[0]);
    const { status, headers, json } = await post(`${stand.url}/v1/chat/completions`, PLAIN_CALL);
    assert.equal(status, 429);
    assert.deepEqual([headers.get("retry-after-ms"), headers.get("retry-after"), headers.get("x-should-retry")], ["1000", "1", null]);
    assert.deepEqual([json.error.type, json.error.code], ["rate_limit_error", "rate_limit_exceeded"]);
    const error = await thrownBy(() =>
      generateText({ model: createOpenAI({ baseURL: `${stand.url}/v1`, apiKey: "none" }).chat("m"), prompt: "Ahoy", maxRetries: 1 }),
    );
    assert.ok(RetryError.isInstance(error));
    const [{ message } = assert.fail()] = (await stand.ledger("denied")).slice(-1) as readonly Denied[];
    assert.match(message, /^Budget "crew" allows 1 call/);
    assert.ok(wordsOf(error.lastError).includes(message), wordsOf(error.lastError));
    abort.abort();
    await held;
    await stand.checkBooks();
  });

  test("Codex is refused in the words that it stops at", async (context) => {
    const { stand, provider } = await startScene(context, "{ name: crew, limits: [$0 / month] }");
    const resets = Date.UTC(new Date().getUTCFullYear(), new Date().getUTCMonth() + 1) / 1000;
    for (const codex of [{ originator: "codex_cli_rs" }, { "user-agent": "codex_exec/0.169.0 (Debian 12)" }]) {
      const { status, headers, json } = await post(`${stand.url}/v1/chat/completions`, PLAIN_CALL, codex as Record<string, string>);
      assert.equal(status, 429);
      const { type, code, message, resets_at } = json.error;
      assert.deepEqual({ type, code, resets_at }, { type: "usage_limit_reached", code: "insufficient_quota", resets_at: resets });
      assert.match(message, /^Budget "crew" .*\$0\.00/);
      assert.equal(`${headers.get("x-codex-promo-message")}.`, message, "of all that it is told it shows this");
      assert.equal(headers.get("retry-after"), null);
    }
    assert.equal(provider.received.length, 0);
  });

  test("calls that can never fit are final for every client", async (context) => {
    const { stand, provider } = await startScene(context, "{ name: crew, limits: [$1], request: { models: [gpt-*] } }");
    let refused = 0;
    for (const { name, call } of clientsOf(stand)) {
      const words = wordsOf(await thrownBy(call));
      const [{ message, reason } = assert.fail()] = (await stand.entries(++refused, "denied")).slice(-1);
      assert.equal(reason, "model_not_allowed", name);
      assert.ok(words.includes(message), words);
    }
    assert.equal(provider.received.length, 0);
  });
});
