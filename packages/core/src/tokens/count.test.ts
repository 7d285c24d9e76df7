import assert from "node:assert/strict";
import { test } from "node:test";
import { boundTokens, countTokens, createOutputCounter, encodingOf, loadEncoding } from "./index.ts";
import { LANGUAGES, randomFrom, soup } from "./texts.test.data.ts";

const MODELS = [
  "gpt-4o",
  "gpt-4",
  "gpt-5.2",
  "claude-sonnet-4-5",
  "claude-opus-4-8",
  "gemini-2.5-flash",
  "qwen-flash",
  "deepseek-chat",
  "mistral-small-latest",
  "llama-3.3-70b",
  "a-model-nobody-knows",
];

test("a short chat costs its text, three tokens, and four for each message, before any margin", async () => {
  const encoding = await loadEncoding("o200k");
  const texts = ["You are terse.", "What is the capital of France?"];
  const text = texts.reduce((sum, each) => sum + encoding.count(each), 0);
  const { callTokens, marginPermille } = encodingOf("gpt-4o");
  assert.equal(await countTokens("gpt-4o", { texts, messages: 2 }), Math.ceil(text * (1 + marginPermille / 1000)) + 3 + 8 + callTokens);
});

test("no count of text exceeds one token a byte before its margin, whatever the model and the text", async () => {
  const random = randomFrom(23);
  for (const model of MODELS) {
    const { encoding: name, growth } = encodingOf(model);
    const encoding = await loadEncoding(name);
    const hard = [
      "gq".repeat(500),
      "a1".repeat(500),
      "\u0001".repeat(500),
      "\u{1d160}".repeat(99),
      "\u0958".repeat(99),
      "\ufdfa".repeat(99),
    ];
    for (const text of [...hard, ...Object.values(LANGUAGES), ...Array.from({ length: 300 }, () => soup(random, 40))]) {
      assert.ok(encoding.count(text) <= Buffer.byteLength(text) * growth, `${model}: ${JSON.stringify(text)}`);
    }
  }
});

test("the bound is above the count of every ordinary call", async () => {
  for (const model of MODELS) {
    for (const text of Object.values(LANGUAGES)) {
      const tools = ['{"name":"f","parameters":{"type":"object","properties":{"a":{"type":"string"}}}}'];
      const images = [{ detail: "auto" as const }, { width: 640, height: 480 }];
      const count = await countTokens(model, { texts: [text, text], messages: 2, names: 2, tools, images });
      const textBytes = 2 * Buffer.byteLength(text) + Buffer.byteLength(tools[0] ?? "");
      assert.ok(count <= boundTokens(model, { textBytes, messages: 2, tools: 1, images: 2 }), `${model}: ${text}`);
    }
  }
});

test("a call above its limit is known to be above it, and one at its limit is not", async () => {
  for (const model of MODELS) {
    for (const text of Object.values(LANGUAGES)) {
      const call = { texts: [text.repeat(30), text], messages: 2, opaqueTokens: 5 };
      const all = await countTokens(model, call);
      assert.equal(await countTokens(model, call, all), all);
      assert.ok((await countTokens(model, call, all - 1)) > all - 1);
      assert.ok((await countTokens(model, call, Math.floor(all / 3))) > all / 3);
      assert.ok((await countTokens(model, call, 0)) > 0);
    }
  }
});

test("a call that is too long is refused without reading it", async () => {
  const encoding = await loadEncoding("o200k");
  const text = LANGUAGES.english?.repeat(30_000) ?? "";
  const before = encoding.effort().bytes;
  assert.ok((await countTokens("gpt-4o", { texts: [text], messages: 1 }, 8_000)) > 8_000);
  assert.ok(encoding.effort().bytes - before < 100_000);
});

test("counting a long text lets other work run in between", async () => {
  let turns = 0;
  let counting = true;
  const turn = () => {
    turns++;
    if (counting) setImmediate(turn);
  };
  setImmediate(turn);
  await countTokens("gpt-4o", { texts: [LANGUAGES.chinese?.repeat(20_000) ?? ""], messages: 1 });
  counting = false;
  assert.ok(turns >= 5, `${turns} turns`);
});

test("two long counts at once do not disturb each other", async () => {
  const one = { texts: [LANGUAGES.russian?.repeat(3_000) ?? ""], messages: 1 };
  const other = { texts: [LANGUAGES.code?.repeat(5_000) ?? "", LANGUAGES.hindi?.repeat(500) ?? ""], messages: 2 };
  const apart = [await countTokens("gpt-4o", one), await countTokens("gpt-4o", other)];
  assert.deepEqual(await Promise.all([countTokens("gpt-4o", one), countTokens("gpt-4o", other)]), apart);
});

test("Claude's margin grows with the share of other scripts", async () => {
  const [latin, chinese] = [LANGUAGES.english ?? "", LANGUAGES.chinese ?? ""];
  const encoding = await loadEncoding("o200k");
  const ratio = async (text: string) =>
    ((await countTokens("claude-sonnet-4-5", { texts: [text], messages: 0 })) - 3) / encoding.count(text);
  assert.ok(Math.abs((await ratio(latin.repeat(50))) - 1.1) < 0.01);
  assert.ok(Math.abs((await ratio(chinese.repeat(50))) - 1.35) < 0.03);
  const both = await ratio((latin + chinese).repeat(50));
  assert.ok(both > 1.12 && both < 1.33, `${both}`);
});

test("a dated, prefixed or regional name finds the vocabulary of its model", () => {
  const expected: Record<string, [string, boolean]> = {
    "openai/gpt-4o-2024-08-06": ["o200k", true],
    "ft:gpt-4o-mini:acme::1": ["o200k", true],
    "gpt-4-turbo": ["cl100k", true],
    "gpt-35-turbo-16k": ["cl100k", true],
    "text-embedding-3-small": ["cl100k", true],
    o3: ["o200k", true],
    "us.anthropic.claude-sonnet-4-5-20250929-v1:0": ["o200k", false],
    "models/gemini-2.5-pro": ["tekken", false],
    "Qwen/Qwen3-8B": ["qwen", true],
    "dashscope/qwen-flash": ["qwen", true],
    "deepseek-r1-distill-llama-70b": ["cl100k", false],
    "deepseek-r1-distill-qwen-7b": ["qwen", true],
    "deepseek-reasoner": ["deepseek", true],
    "mistralai/Mistral-Nemo-Instruct-2407": ["tekken", true],
    "mixtral-8x7b": ["cl100k", false],
    "grok-4": ["cl100k", false],
  };
  for (const [model, [encoding, exact]] of Object.entries(expected)) {
    assert.deepEqual([encodingOf(model).encoding, encodingOf(model).exact], [encoding, exact], model);
  }
});

test("Claude since 4.7 has the larger margin, and so has any Claude that is not known to be older", () => {
  for (const model of [
    "claude-opus-4-7",
    "claude-opus-4.8",
    "claude-sonnet-5",
    "claude-fable-5",
    "claude-opus-4-10",
    "anthropic/claude-next",
  ]) {
    assert.equal(encodingOf(model).marginPermille, 485, model);
  }
  for (const model of [
    "claude-3-5-haiku-latest",
    "claude-sonnet-4-20250514",
    "claude-opus-4-1",
    "claude-haiku-4-5@20251001",
    "claude-sonnet-4.6",
  ]) {
    assert.equal(encodingOf(model).marginPermille, 100, model);
  }
});

test("an answer counted as it streams is within one in a hundred of the whole", async () => {
  const encoding = await loadEncoding("o200k");
  const unbroken = { emojiAlone: "😀".repeat(200), letters: "abcdefgh".repeat(30) };
  for (const [language, text] of Object.entries({ ...LANGUAGES, ...unbroken })) {
    const whole = text.repeat(60);
    const counter = createOutputCounter("gpt-4o");
    await loadEncoding("o200k");
    const random = randomFrom(5);
    for (let at = 0; at < whole.length; ) {
      const size = 1 + Math.floor(random() * 9);
      counter.add(whole.slice(at, at + size));
      at += size;
    }
    const exact = encoding.count(whole);
    assert.ok(Math.abs(counter.tokens() - exact) <= Math.max(2, exact / 100), `${language}: ${counter.tokens()} for ${exact}`);
  }
});

test("an answer that ends before its vocabulary is read still has a count", () => {
  const counter = createOutputCounter("mistral-small");
  counter.add("Hello, world");
  assert.ok(counter.tokens() >= 3);
});
