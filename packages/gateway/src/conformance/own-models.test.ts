import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { countTokens, encodingOf } from "@purser/core/tokens";
import { readConfig } from "../config/read-config.ts";
import { openPurser } from "../program/open.ts";
import { answerChat, startRawProvider } from "./raw-provider.ts";
import { PRICES, providersAt, startStand } from "./stand.ts";
import { tokenizerJson } from "./tokenizer.ts";

const MODEL = "acme-support-v3";
/** A token and a blank each, and 1,999 in all: the call is so large a part of its budget that it is counted. */
const TEXT = Array.from({ length: 1_000 }, () => "ahoy").join(" ");
const TEXT_TOKENS = 1_999;
/** With the role, whose letters are a token each. */
const TOKENS = TEXT_TOKENS + "user".length;
const CALL = { method: "POST", headers: { "content-type": "application/json" } };
const BODY = JSON.stringify({ model: MODEL, max_tokens: 100, messages: [{ role: "user", content: TEXT }] });
const BUDGETS = "budgets: [{ name: all, limits: [50k tokens / day] }]";
const withMargin = (tokens: number) => Math.ceil(tokens * 1.01);

interface Scene {
  /** The tokens that are held for the input of a call. */
  held(body?: string): Promise<number>;
  reload(models: string): Promise<void>;
  write(file: string, text: string): void;
  readonly stand: Awaited<ReturnType<typeof startStand>>;
}

/** A gateway whose models are counted as `models` says, with files in its folder. */
async function startScene(context: TestContext, models: string, files: Readonly<Record<string, string>> = {}): Promise<Scene> {
  const folder = mkdtempSync(join(tmpdir(), "purser-models-"));
  context.after(() => rmSync(folder, { recursive: true }));
  const write = (file: string, text: string) => writeFileSync(join(folder, file), text);
  for (const [file, text] of Object.entries(files)) write(file, text);
  const provider = await startRawProvider(context, answerChat({ input: 2_000, output: 5 }));
  const textOf = (said: string) => `${providersAt(provider.url)}\n${PRICES}\n${BUDGETS}\n${said}`;
  const read = (said: string) => readConfig({ text: textOf(said), environment: {}, cwd: folder });
  const stand = await startStand(context, {
    config: textOf(models),
    adjust: (config) => ({ ...config, models: read(models).models }),
  });
  return {
    stand,
    write,
    reload: (said) => stand.gateway.reload(read(said)),
    async held(body = BODY) {
      const response = await fetch(`${stand.url}/v1/chat/completions`, { ...CALL, body });
      assert.equal(response.status, 200, await response.text());
      const last = (await stand.ledger("reserved")).at(-1);
      assert.ok(last?.kind === "reserved" && last.detail.counted);
      return last.detail.inputTokens;
    },
  };
}

const OWN = `models: [{ model: "acme-*", vocabulary: tokenizer.json, overhead: { call: 3, message: 4 } }]`;

test("a call to somebody's own model is held by the vocabulary of its file, with the overhead that was said", async (context) => {
  const { held, stand } = await startScene(context, OWN, { "tokenizer.json": tokenizerJson() });
  assert.equal(await held(), withMargin(TOKENS) + 3 + 4);
  await stand.checkBooks();
  await stand.gateway.close();
  // The gateway is gone, and so is what it said.
  assert.equal(encodingOf(MODEL).countedAs, undefined);
});

test("a model is counted as another one, also as one that has a file, and the first that matches counts", async (context) => {
  const models = `models:
  - { model: acme-base, vocabulary: tokenizer.json }
  - { model: ACME-Support-v3, count_as: acme-base, overhead: { call: 10 } }
  - { model: "*", count_as: qwen3 }`;
  const { held } = await startScene(context, models, { "tokenizer.json": tokenizerJson() });
  assert.equal(await held(), withMargin(TOKENS) + 10 + 5);
  assert.equal(await held(BODY.replace(MODEL, "somebody-else")), await countTokens("qwen-max", { texts: ["user", TEXT], messages: 1 }));
});

test("a vocabulary that changed is taken over with the configuration, and one that is wrong changes nothing", async (context) => {
  const { held, reload, write } = await startScene(context, OWN, { "tokenizer.json": tokenizerJson() });
  const before = await held();
  write("tokenizer.json", tokenizerJson({ word: "aho" }));
  await reload(OWN);
  // Every `ahoy` is `aho` and `y` now.
  assert.equal(await held(), withMargin(TOKENS + 1_000) + 7);
  write("tokenizer.json", tokenizerJson({ normalizer: { type: "Lowercase" } }));
  await assert.rejects(reload(`${OWN}\n`), {
    code: "config_invalid",
    message: /models\[0\]\.vocabulary: tokenizer\.json cannot be counted exactly: its normalizer is Lowercase/,
  });
  assert.equal(await held(), withMargin(TOKENS + 1_000) + 7);
  write("tokenizer.json", tokenizerJson());
  await reload(OWN);
  assert.equal(await held(), before);
  // Without the setting the model is one that nobody knows.
  await reload("");
  assert.equal(encodingOf(MODEL).countedAs, undefined);
  assert.equal(await held(), await countTokens("nobody-knows", { texts: ["user", TEXT], messages: 1 }));
});

test("calls that are counted while their vocabulary is read again are all counted by one of both", async (context) => {
  const { held, reload, write, stand } = await startScene(context, OWN, { "tokenizer.json": tokenizerJson() });
  const right = [withMargin(TOKENS) + 7, withMargin(TOKENS + 1_000) + 7];
  write("tokenizer.json", tokenizerJson({ word: "aho" }));
  let isOver = false;
  const reloaded = reload(OWN).then(() => {
    isOver = true;
  });
  let calls = 0;
  while (!isOver && calls < 15) {
    assert.ok(right.includes(await held()));
    calls++;
  }
  await reloaded;
  assert.equal(await held(), right[1]);
  await stand.checkBooks();
});

test("a gateway does not start with a vocabulary that cannot be counted, and says where it is named", async (context) => {
  await assert.rejects(startScene(context, OWN, { "tokenizer.json": tokenizerJson({ model: { type: "Unigram" } }) }), {
    code: "config_invalid",
    message:
      /^The configuration has a problem:\n {2}models\[0\]\.vocabulary: tokenizer\.json cannot be counted exactly: its model is Unigram/,
  });
  await assert.rejects(startScene(context, OWN), /tokenizer\.json cannot be counted exactly: it cannot be read \(ENOENT\)/);
  assert.equal(encodingOf(MODEL).countedAs, undefined);
});

test("what was learned of a model while it was counted otherwise says nothing any more", async (context) => {
  const learned = { latin: Array.from({ length: 100 }, () => 400), other: [] };
  const folder = mkdtempSync(join(tmpdir(), "purser-models-"));
  context.after(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, "tokenizer.json"), tokenizerJson());
  const provider = await startRawProvider(context, answerChat({ input: 2_000, output: 5 }));
  const text = `${providersAt(provider.url)}\n${PRICES}\n${BUDGETS}\n${OWN}`;
  const stand = await startStand(context, {
    config: text,
    adjust(config) {
      const models = { [`mock/${MODEL}`]: learned };
      writeFileSync(join(config.dataDir, "counts.json"), JSON.stringify({ version: 1, models }));
      return { ...config, models: readConfig({ text, environment: {}, cwd: folder }).models };
    },
  });
  await fetch(`${stand.url}/v1/chat/completions`, { ...CALL, body: BODY });
  const [reserved] = await stand.entries(1, "reserved");
  assert.equal(reserved?.detail.inputTokens, withMargin(TOKENS) + 7);
});

test("a program that opens the file counts as the gateway does", async (context) => {
  const folder = mkdtempSync(join(tmpdir(), "purser-models-"));
  context.after(() => rmSync(folder, { recursive: true }));
  const provider = await startRawProvider(context, answerChat({ input: 2_000, output: 5 }));
  writeFileSync(join(folder, "tokenizer.json"), tokenizerJson());
  const file = join(folder, "purser.yaml");
  writeFileSync(file, `data: data\n${providersAt(provider.url)}\n${PRICES}\n${BUDGETS}\n${OWN}\n`);
  const purser = await openPurser({ file, environment: {}, onNotice: () => undefined });
  try {
    assert.equal(await countTokens(MODEL, { texts: [TEXT], messages: 1 }), withMargin(TEXT_TOKENS) + 7);
    const response = await purser.fetch()(`${provider.url}/v1/chat/completions`, { ...CALL, body: BODY });
    assert.equal(response.status, 200, await response.text());
  } finally {
    await purser.close();
  }
  assert.equal(encodingOf(MODEL).countedAs, undefined);
});
