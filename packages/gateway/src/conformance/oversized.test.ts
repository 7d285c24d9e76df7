import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { FORMATS, PLAIN_CALL, post } from "./calls.ts";
import { startRawProvider } from "./raw-provider.ts";
import { PRICES, providersAt, startStand } from "./stand.ts";

const DATA = process.env.PURSER_TEST_DATA ?? fileURLToPath(new URL("../../../../../shared/data", import.meta.url));
const NOVEL = join(DATA, "war-and-peace.txt");
const MEGABYTE = 1024 * 1024;

/** What people paste, and what somebody would send to keep a counter busy. All of it has far more than 8,000 tokens. */
const TEXTS: Readonly<Record<string, () => string>> = {
  "1 MB of one letter": () => "a".repeat(MEGABYTE),
  "1 MB of spaces": () => " ".repeat(MEGABYTE),
  "1 MB of line breaks": () => "\n".repeat(MEGABYTE),
  "1 MB of Chinese without a break": () => "预算管理员负责所有的开支和账目".repeat(Math.ceil(MEGABYTE / 45)),
  "1 MB of emoji": () => "👩‍👩‍👧‍👦🏴‍☠️".repeat(Math.ceil(MEGABYTE / 38)),
  "1 MB of digits": () => "0123456789".repeat(MEGABYTE / 10),
  "1 MB of words without a space": () => "antidisestablishmentarianism".repeat(MEGABYTE / 28),
  "1 MB of combining marks": () => "\u0301".repeat(MEGABYTE / 2),
};

async function startScene(context: TestContext) {
  const provider = await startRawProvider(context);
  const budgets = "budgets: [{ name: chatbot, limits: [$1000 / month], request: { max_input: 8000 } }]";
  return { provider, stand: await startStand(context, { config: `${providersAt(provider.url)}\n${PRICES}\n${budgets}` }) };
}

/** The refusal says how large the input is, and nobody was asked. */
async function checkRefused(context: TestContext, model: string, text: string, size: RegExp): Promise<void> {
  const { stand, provider } = await startScene(context);
  for (const { name, path } of FORMATS) {
    const { status, json, headers } = await post(stand.url + path, { ...PLAIN_CALL, model, messages: [{ role: "user", content: text }] });
    assert.equal(status, 413, json?.error?.message);
    assert.match(json.error.message, size);
    assert.match(json.error.message, /budget "chatbot" allows 8,000 in one call\. Shorten/);
    assert.equal(json.error.type, name === "openai" ? "invalid_request_error" : "request_too_large");
    assert.equal(headers.get("x-should-retry"), "false");
    assert.equal((await post(stand.url + path, { ...PLAIN_CALL, model })).status, 200, "a small call works right after");
  }
  assert.equal(provider.received.length, FORMATS.length);
  await stand.entries(FORMATS.length, "denied");
  await stand.checkBooks();
}

describe("input beyond what a budget allows", { timeout: 60_000 }, () => {
  test("War and Peace is refused with its size, and the provider never sees it", async (context) => {
    if (!existsSync(NOVEL)) return context.skip("not run: the novel is not here (PURSER_TEST_DATA)");
    // 3.2 million letters; about 800,000 tokens by their number.
    await checkRefused(
      context,
      "gpt-4o",
      readFileSync(NOVEL, "utf8"),
      /^The input has more than 8,\d{3} tokens \(by its size about 8\d\d,\d{3}\)/,
    );
  });

  for (const [what, text] of Object.entries(TEXTS)) {
    test(`${what} is refused with its size`, (context) =>
      checkRefused(context, "gpt-4o", text(), /^The input has (more than )?[\d,]+ tokens/));
  }

  test("the same by a vocabulary that is not public", (context) =>
    checkRefused(context, "claude-sonnet-4-6", "a".repeat(MEGABYTE), /^The input has (more than )?[\d,]+ tokens/));

  test("what a tool was called with is text, even where it looks like an image or an address", async (context) => {
    const { stand, provider } = await startScene(context);
    const base64 = Buffer.alloc(MEGABYTE / 2, "picture").toString("base64");
    const inputs = [
      { data: base64 },
      { [base64]: true },
      { url: `https://example.com/${base64}` },
      { type: "image", source: { type: "base64", media_type: "image/png", data: base64 } },
      [{ type: "image_url", image_url: { url: `data:image/png;base64,${base64}` } }],
    ];
    for (const input of inputs) {
      const messages = [
        { role: "user", content: "Look." },
        { role: "assistant", content: [{ type: "tool_use", id: "t", name: "look", input }] },
        { role: "user", content: [{ type: "tool_result", tool_use_id: "t", content: "Seen." }] },
      ];
      const { status } = await post(stand.url + FORMATS[1].path, { ...PLAIN_CALL, model: "claude-sonnet-4-6", messages });
      assert.equal(status, 413, JSON.stringify(input).slice(0, 60));
    }
    const image = { type: "image", source: { type: "base64", media_type: "image/png", data: base64 } };
    const seen = { ...PLAIN_CALL, model: "claude-sonnet-4-6", messages: [{ role: "user", content: [image] }] };
    assert.equal((await post(stand.url + FORMATS[1].path, seen)).status, 200, "an image is bounded by itself");
    assert.equal(provider.received.length, 1);
  });

  test("media of a kind that the format does not have is never counted as nothing", async (context) => {
    const { stand, provider } = await startScene(context);
    const data = Buffer.alloc(MEGABYTE / 2, "sound").toString("base64");
    for (const { path } of FORMATS) {
      for (const type of ["audio", "video", "input_file", "file"]) {
        const messages = [{ role: "user", content: [{ type, source: { data }, data }] }];
        assert.equal((await post(stand.url + path, { ...PLAIN_CALL, model: "gpt-4o", messages })).status, 413, `${path} ${type}`);
      }
    }
    assert.equal(provider.received.length, 0);
  });

  test("a text in a field that nobody knows counts as input: some providers read it", async (context) => {
    const { stand, provider } = await startScene(context);
    for (const { path } of FORMATS) {
      for (const field of [{ documents: [{ text: "word ".repeat(20_000) }] }, { chat_template: "word ".repeat(20_000) }]) {
        assert.equal((await post(stand.url + path, { ...PLAIN_CALL, model: "gpt-4o", ...field })).status, 413, path);
      }
    }
    assert.equal(provider.received.length, 0);
  });

  test("a field that is there twice cannot hide one of its two values from the count", async (context) => {
    const { stand, provider } = await startScene(context);
    const long = JSON.stringify("word ".repeat(20_000));
    for (const { path } of FORMATS) {
      const body = `{"model":"gpt-4o","max_tokens":100,"messages":[{"role":"user","content":${long},"content":"Ahoy"}]}`;
      const { status, json } = await post(stand.url + path, body);
      assert.equal(status, 400);
      assert.match(json.error.message, /the same field twice/);
    }
    assert.equal(provider.received.length, 0);
  });

  test("what only looks long passes: 7,000 tokens of words are below 8,000", async (context) => {
    const { stand } = await startScene(context);
    const content = "purse ".repeat(7_000).trim();
    const { status, json } = await post(`${stand.url}/v1/chat/completions`, {
      ...PLAIN_CALL,
      model: "gpt-4o",
      messages: [{ role: "user", content }],
    });
    assert.equal(status, 200, json?.error?.message);
  });
});
