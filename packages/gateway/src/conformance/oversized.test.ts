import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { FORMATS, PLAIN_CALL, post } from "./calls.ts";
import { startRawProvider } from "./raw-provider.ts";
import { PRICES, providersAt, startStand } from "./stand.ts";

const DATA = process.env.PURSER_DATA ?? fileURLToPath(new URL("../../../../../shared/data", import.meta.url));
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
    if (!existsSync(NOVEL)) return context.skip("not run: the novel is not here (PURSER_DATA)");
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
