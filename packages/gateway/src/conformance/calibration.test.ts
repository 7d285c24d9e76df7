import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { encodingOf, measureTokens } from "@purser/core/tokens";
import { runCommandLine } from "../cli/command-line.ts";
import { styleFor } from "../cli/style.ts";
import { anthropicMessages } from "../dialects/anthropic-messages/index.ts";
import { readJsonBody } from "../dialects/json-body.ts";
import { answerChat, startRawProvider } from "./raw-provider.ts";
import { eventually, PRICES, providersAt, startStand } from "./stand.ts";

const MODEL = "claude-opus-4-8";
/** About 700 tokens: long enough to say something about the words, and not only about the framing. */
const TEXT = "A purser keeps the accounts of a ship and hands out the money. ".repeat(50);
/** The call is so large a part of it that the bound by size is not good enough, and it is counted. */
const BUDGETS = "budgets: [{ name: all, limits: [20k tokens / day] }]";
const BODY = JSON.stringify({ model: MODEL, max_tokens: 100, messages: [{ role: "user", content: TEXT }] });
const { readCall, countable } = anthropicMessages;
const measured = await measureTokens(MODEL, countable(readCall(readJsonBody(Buffer.from(BODY)), {})));

/** A gateway whose provider counts `permille` thousandths more than we do, and that may have learned something before. */
async function startCounting(context: TestContext, { permille, learned }: { permille: number; learned?: readonly number[] }) {
  const reported = measured.overhead + Math.floor(measured.tokens * (1 + permille / 1_000));
  const provider = await startRawProvider(context, answerChat({ input: reported, output: 5 }));
  const stand = await startStand(context, {
    config: `${providersAt(provider.url)}\n${PRICES}\n${BUDGETS}`,
    adjust: (config) => {
      const models = { [`mock/${MODEL}`]: { latin: learned, other: [] } };
      if (learned) writeFileSync(join(config.dataDir, "counts.json"), JSON.stringify({ version: 1, models }));
      return config;
    },
  });
  const call = async () => {
    const response = await fetch(`${stand.url}/v1/messages`, { method: "POST", body: BODY });
    assert.equal(response.status, 200, await response.text());
  };
  return { stand, call };
}

async function calibrate(directory: string, ...args: readonly string[]) {
  const context = { cwd: directory, env: {}, style: styleFor({}, {}), now: Date.now, print: () => undefined, say: () => undefined };
  return runCommandLine(["calibrate", ...args, "--data", directory], context);
}

test("what a provider counts is compared with our count, kept, and shown by `purser calibrate`", async (context) => {
  const { stand, call } = await startCounting(context, { permille: 250 });
  assert.match((await calibrate(stand.directory)).text, /^Nothing was compared yet\. Calls of a few hundred words/);
  await call();
  await stand.gateway.close();
  const { text, json } = await calibrate(stand.directory);
  const given = encodingOf(MODEL).marginPermille / 1_000;
  assert.deepEqual(json, [
    {
      provider: "mock",
      model: MODEL,
      text: "Latin, code",
      compared: 1,
      error: { median: 0.25, most: 0.25 },
      margin: { given, used: given },
    },
  ]);
  assert.match(text, /mock\/claude-opus-4-8 +Latin, code +1 +25\.0 % +25\.0 % +48\.5 %/);
  assert.deepEqual((await calibrate(stand.directory, "gpt")).json, []);
});

test("once enough is known a call is held at what its provider will count, and no more", async (context) => {
  const learned = Array.from({ length: 100 }, () => 250);
  const heldWith = async (start: Parameters<typeof startCounting>[1]) => {
    const { stand, call } = await startCounting(context, start);
    await call();
    const [reserved] = await stand.entries(1, "reserved");
    await stand.checkBooks();
    assert.equal(reserved?.detail.counted, true);
    return { held: reserved?.detail.inputTokens ?? 0, overruns: await stand.ledger("overrun"), stand };
  };
  const before = await heldWith({ permille: 250 });
  const after = await heldWith({ permille: 250, learned });
  assert.equal(before.held, measured.overhead + Math.ceil((measured.tokens * (1_000 + encodingOf(MODEL).marginPermille)) / 1_000));
  assert.equal(after.held, measured.overhead + Math.ceil((measured.tokens * 1_260) / 1_000));
  assert.deepEqual(after.overruns, []);
  const { text } = await calibrate(after.stand.directory);
  assert.match(text, /48\.5 % → 26\.0 %/);
});

test("a provider that counts more than was held widens the margin for the calls that follow", async (context) => {
  const { stand, call } = await startCounting(context, { permille: 600, learned: Array.from({ length: 19 }, () => 600) });
  const counts = () => JSON.parse(readFileSync(join(stand.directory, "counts.json"), "utf8")).models[`mock/${MODEL}`].latin;
  await eventually("the comparison", async () => {
    await call();
    const last = (await stand.ledger("reserved")).at(-1);
    return last?.kind === "reserved" && last.detail.inputTokens === measured.overhead + Math.ceil((measured.tokens * 1_610) / 1_000)
      ? last
      : undefined;
  });
  await stand.gateway.close();
  assert.ok(counts().length >= 20);
});

test("what was learned and cannot be read any more is told, and learned again", async (context) => {
  const { stand, call } = await startCounting(context, { permille: 250, learned: ["much"] as never });
  assert.match(stand.notices.join(), /counts\.json has another form than this version of Purser reads: .*What it says is learned again\./);
  await call();
  await stand.gateway.close();
  assert.equal(((await calibrate(stand.directory)).json as { compared: number }[])[0]?.compared, 1);
});
