import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { describe, type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { writeRunning } from "../cli/running-gateway.ts";
import { readConfig } from "../config/read-config.ts";
import { type Json, PLAIN_CALL, post } from "./calls.ts";
import { chatAnswer, type RawProvider, startRawProvider, writeJson } from "./raw-provider.ts";
import { PRICES, providersAt, type Stand, startStand } from "./stand.ts";

const MAIN = fileURLToPath(new URL("../cli/main.js", import.meta.url));
/** Counted exactly near a limit: the model's own vocabulary. */
const CALL = { ...PLAIN_CALL, model: "gpt-4o" };
const WEIGHTS = "{ cache_read: 0.1, cache_write: 1.25, output: 4, reasoning: 5 }";

interface Scene {
  readonly stand: Stand;
  readonly provider: RawProvider;
  readonly reload: (budgets: string) => Promise<void>;
  readonly purser: (...words: readonly string[]) => Promise<string>;
}

async function startScene(context: TestContext, budgets: string): Promise<Scene> {
  const provider = await startRawProvider(context);
  const config = (text: string) => `${providersAt(provider.url)}\n${PRICES}\nbudgets: [${text}]`;
  const stand = await startStand(context, { config: config(budgets), store: "sqlite" });
  writeRunning(stand.directory, { pid: process.pid, url: stand.url });
  return {
    stand,
    provider,
    reload: async (text) => {
      const data = `server: { port: ${stand.port} }\ndata: ${JSON.stringify(stand.directory)}\n`;
      await stand.gateway.reload(readConfig({ text: data + config(text), environment: {} }));
    },
    purser: async (...words) => {
      const args = [MAIN, ...words, "--data", stand.directory];
      return (await promisify(execFile)(process.execPath, args, { cwd: stand.directory, env: { ...process.env, NO_COLOR: "1" } })).stdout;
    },
  };
}

/** An answer in which most of the input was read from the cache, and most of the output is reasoning. */
function answerCached(provider: RawProvider, { input = 1_000, cached = 900, output = 20, reasoning = 15 } = {}): void {
  provider.answer = (response) => {
    const answer = chatAnswer("Aye.", { input, output });
    const usage = {
      ...answer.usage,
      prompt_tokens_details: { cached_tokens: cached },
      completion_tokens_details: { reasoning_tokens: reasoning },
    };
    writeJson(response, 200, { ...answer, usage });
  };
}

const call = ({ stand }: Scene, more: object = {}) => post(`${stand.url}/v1/chat/completions`, { ...CALL, ...more });
const balances = async ({ stand }: Scene): Promise<Json> => ((await (await fetch(`${stand.url}/api/budgets`)).json()) as Json).data;

describe("a budget whose tokens weigh", () => {
  test("is charged by the kinds that the provider reports, and says wherever it is shown what it counts", async (context) => {
    const scene = await startScene(context, `{ name: crew, limits: [10k tokens / day, $1 / day], weights: ${WEIGHTS} }`);
    answerCached(scene.provider);
    const { headers } = await call(scene);
    await scene.stand.entries(1, "settled");
    const [tokens, money] = await balances(scene);
    const weights = { cache_read: 0.1, cache_write: 1.25, output: 4, reasoning: 5 };
    // 100 of input, 900 at a tenth, 5 of text and 15 of reasoning.
    assert.deepEqual([tokens.unit, tokens.spent, tokens.left, tokens.weights], ["tokens", 285, 9_715, weights]);
    assert.deepEqual([money.unit, money.spent, "weights" in money], ["nanodollars", 870_000, false]);
    assert.match(await scene.purser("budgets", "crew"), /crew +10,000 weighted tokens \/ day +\S+ +3 % +285 +9,715 /);
    const explained = await scene.purser("explain", headers.get("x-purser-request-id") ?? "");
    assert.match(explained, /crew +day +\d+ weighted tokens +285 weighted tokens/);
    const [{ limits, sentence, balances: shown }] = ((await (await fetch(`${scene.stand.url}/api/budget-tree`)).json()) as Json).data;
    assert.deepEqual([limits[0].weights, limits[1].weights, shown[0].weights], [weights, undefined, weights]);
    assert.match(sentence, /a day, counting cache reads a tenth, cache writes 1\.25 times, output 4 times and reasoning 5 times \(UTC\)/);
    await scene.stand.checkBooks();
  });

  test("lowers the output cap to what fits by weight, and refuses with what the call asks by weight", async (context) => {
    const scene = await startScene(context, `{ name: crew, limits: [1000 tokens / day], weights: ${WEIGHTS}, min_output: 130 }`);
    answerCached(scene.provider, { input: 8, cached: 0, output: 100, reasoning: 0 });
    await call(scene, { max_tokens: 4_000 });
    const [{ detail, postings }] = (await scene.stand.entries(1, "reserved")) as Json;
    const cap = JSON.parse(scene.provider.received[0]?.body ?? "").max_tokens;
    assert.equal(
      cap,
      Math.floor((1_000 - detail.inputTokens * 1.25) / 5),
      "an answer may be all reasoning, and the input all written to the cache",
    );
    assert.equal(postings[0]?.held, Math.ceil(detail.inputTokens * 1.25 + cap * 5));
    await scene.stand.entries(1, "settled");

    const refused = await call(scene, { max_tokens: 200 });
    assert.equal(refused.status, 402);
    assert.match(refused.headers.get("ratelimit-policy") ?? "", /"crew-tokens-day";q=1000;qu="weighted-tokens";w=86400/);
    const { message, budget } = refused.json.error;
    assert.deepEqual(budget.weights, { cache_read: 0.1, cache_write: 1.25, output: 4, reasoning: 5 });
    assert.match(
      message,
      /^Budget "crew" has 592 weighted tokens left of 1,000 weighted tokens today .* This call asks for at least 6\d\d weighted tokens, counting cache reads a tenth, cache writes 1\.25 times, output 4 times and reasoning 5 times\. /,
    );
    await scene.stand.checkBooks();
  });

  test("counts what its window has used anew when its weights change, and every call that is in flight", async (context) => {
    const scene = await startScene(context, "{ name: crew, limits: [100k tokens / day] }");
    answerCached(scene.provider);
    await call(scene);
    await scene.stand.entries(1, "settled");
    assert.equal((await balances(scene))[0].spent, 1_020);
    let finish = () => {};
    const arrived = new Promise<void>((resolve) => {
      scene.provider.answer = async (response) => {
        resolve();
        await new Promise<void>((done) => {
          finish = done;
        });
        const answer = chatAnswer("Aye.", { input: 50, output: 10 });
        writeJson(response, 200, { ...answer, usage: { ...answer.usage, prompt_tokens_details: { cached_tokens: 40 } } });
      };
    });
    const slow = call(scene);
    await arrived;
    await scene.reload("{ name: crew, limits: [100k tokens / day], weights: { cache_read: 0.1, output: 4 } }");
    const [{ spent, held }] = await balances(scene);
    const [, { detail }] = (await scene.stand.entries(2, "reserved")) as Json;
    assert.deepEqual([spent, held], [270, detail.inputTokens + 4 * 100]);
    const lookBack = `${scene.stand.url}/api/budgets/crew/what-if?limit=${encodeURIComponent("200 tokens / day")}&days=7`;
    const { used, refused_calls } = (await (await fetch(lookBack)).json()) as Json;
    assert.deepEqual([used, refused_calls], [270, 1], "calls that were made before are weighed there too");
    finish();
    await slow;
    await scene.stand.entries(2, "settled");
    assert.equal((await balances(scene))[0].spent, 270 + 54);
    await scene.reload("{ name: crew, limits: [100k tokens / day] }");
    assert.equal((await balances(scene))[0].spent, 1_020 + 60);
    await scene.stand.checkBooks();
  });

  test("charges a call whose end is unknown the most that it can count", async (context) => {
    const scene = await startScene(context, `{ name: crew, limits: [10k tokens / day], weights: ${WEIGHTS} }`);
    scene.provider.answer = (response) => response.destroy();
    await call(scene);
    const [{ detail, charge, postings }] = (await scene.stand.entries(1, "settled")) as Json;
    assert.equal(charge.certainty, "unconfirmed");
    assert.equal(postings[0].spent, Math.ceil(detail.inputTokens * 1.25 + 100 * 5));
  });

  test("says to programs and agents what is left by weight, and what another amount would have refused", async (context) => {
    const scene = await startScene(context, `{ name: crew, limits: [10k tokens / day], weights: ${WEIGHTS} }`);
    answerCached(scene.provider);
    for (let i = 0; i < 3; i++) await call(scene);
    await scene.stand.entries(3, "settled");
    const what = await (
      await fetch(`${scene.stand.url}/api/budgets/crew/what-if?limit=${encodeURIComponent("600 tokens / day")}&days=7`)
    ).json();
    assert.deepEqual([(what as Json).used, (what as Json).refused_calls], [855, 1]);
    const own = (await (await fetch(`${scene.stand.url}/budget`)).json()) as Json;
    assert.equal(JSON.stringify(own).includes('"weights":{"cache_read":0.1'), true);
  });
});
