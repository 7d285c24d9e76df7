import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { type ChatCompletionRequest, LLMock } from "@copilotkit/aimock";
import { AGENTS, AGENTS_FOLDER, type Agent, ANSWER, PROMPT, runAgent } from "./agents.ts";
import { NANODOLLARS, PRICES, providersAt, type Stand, startStand } from "./stand.ts";

/** What the mock reports of the two calls of a turn. The numbers have nothing in common, so that none can be mistaken. */
const ASKED = { input: 9_053, output: 37 };
const ANSWERED = { input: 9_167, output: 11 };

interface Scene {
  readonly folder: string;
  readonly mock: LLMock;
  readonly stand: Stand;
  readonly key: string;
}

/** A folder with a note in it, and a mock that others wrote, which has the agent read the note and then answers. */
async function startScene(context: TestContext, { reads }: Agent, limits: string, configOf = served): Promise<Scene> {
  const folder = await mkdtemp(join(tmpdir(), "purser-agent-"));
  context.after(() => rm(folder, { recursive: true, force: true }));
  const note = join(folder, "note.txt");
  await writeFile(note, "the word is lantern\n");
  const mock = new LLMock({ port: 0, host: "127.0.0.1", chunkSize: 7, journalMaxEntries: 0 });
  const { name, arguments: given } = reads(note);
  const usage = ({ input, output }: typeof ASKED) => ({ prompt_tokens: input, completion_tokens: output });
  mock.on(
    { predicate: (call) => isTurn(call) && !hasRead(call) },
    { toolCalls: [{ name, arguments: JSON.stringify(given) }], usage: usage(ASKED) },
  );
  mock.on({ predicate: (call) => isTurn(call) && hasRead(call) }, { content: ANSWER, usage: usage(ANSWERED) });
  await mock.start();
  context.after(() => mock.stop());
  const stand = await startStand(context, { config: configOf(mock.url, limits) });
  const { secret } = await stand.gateway.keys.create({ name: "crew" });
  return { folder, mock, stand, key: secret };
}

/** Every model in every format. */
function served(url: string, limits: string): string {
  return [providersAt(url), PRICES, `budgets: [{ name: crew, limits: [${limits}], owner: captain@example.com }]`].join("\n");
}

/** Each model in its maker's format only, and a ladder that sends calls to the other maker's. */
function servedByMakers(url: string, limits: string): string {
  return `providers:
  openai: { base_url: { openai: "${url}/v1" }, api_key: secret, models: [gpt-*] }
  anthropic: { base_url: { anthropic: "${url}" }, api_key: secret, models: [claude-*] }
  google: { base_url: { gemini: "${url}" }, api_key: secret, models: [gemini-*] }
prices:
  - { model: [claude-sonnet-*, gpt-4o-mini, gpt-5.4-mini, gemini-2.5-*], input: 3, output: 15, max_output: 8192 }
  - { model: [gpt-cheap, claude-cheap], input: 1, output: 5, max_output: 8192, context: 200000 }
budgets:
  - { name: a, for: { model: claude-* }, limits: [${limits}], ladder: { 0%: use gpt-cheap } }
  - { name: b, for: { model: gpt-* }, limits: [${limits}], ladder: { 0%: use claude-cheap } }
  - { name: c, for: { model: gemini-* }, limits: [${limits}], ladder: { 0%: use gpt-cheap } }`;
}

function isTurn({ messages }: ChatCompletionRequest): boolean {
  return messages.some(({ role, content }) => role === "user" && JSON.stringify(content).includes(PROMPT));
}

function hasRead({ messages }: ChatCompletionRequest): boolean {
  return messages.some(({ role, content }) => role === "tool" && JSON.stringify(content).includes("lantern"));
}

function missing({ program }: Agent): string | false {
  if (existsSync(join(AGENTS_FOLDER, "installed.json")) && existsSync(join(AGENTS_FOLDER, "node_modules/.bin", program))) return false;
  return `not run: ${program} is not in ${AGENTS_FOLDER} (node scripts/install-agents.mjs)`;
}

describe("coding agents that others wrote, before a provider that others wrote", { concurrency: 2 }, () => {
  for (const agent of AGENTS) {
    test(`${agent.name}: a turn with a tool in it is charged exactly what the agent prints`, { skip: missing(agent) }, async (context) => {
      const { folder, mock, stand, key } = await startScene(context, agent, "$100, 10M tokens");
      const { stdout, shown } = await runAgent(agent, folder, stand.url, key);
      assert.ok(shown.includes(ANSWER), shown.slice(-2_000));
      const settled = (await stand.entries(2, "settled")).map(({ charge }) => charge);
      assert.deepEqual(
        settled.map(({ usage, certainty }) => [usage, certainty]),
        [ASKED, ANSWERED].map(({ input, output }) => [{ inputTokens: input, outputTokens: output }, "confirmed"]),
      );
      assert.equal(mock.getRequests().length, 2, "nothing else was asked");
      const { input, output, cost } = agent.printed(stdout);
      assert.deepEqual({ input, output }, { input: ASKED.input + ANSWERED.input, output: ASKED.output + ANSWERED.output });
      const charged = settled.reduce((sum, one) => sum + (one.cost ?? 0), 0);
      assert.equal(charged, input * NANODOLLARS.input + output * NANODOLLARS.output);
      if (cost !== undefined) assert.equal(Math.round(cost * 1e9), charged, "what it prints in dollars, to the nano-dollar");
      await stand.checkBooks();
      assert.deepEqual(stand.notices, []);
    });

    test(`${agent.name}: does a turn with a tool in it with a model of another maker, and is charged what that reports`, {
      skip: missing(agent),
    }, async (context) => {
      const { folder, stand, key } = await startScene(context, agent, "$100", servedByMakers);
      const { stdout, shown } = await runAgent(agent, folder, stand.url, key);
      assert.ok(shown.includes(ANSWER), shown.slice(-2_000));
      for (const { detail, charge } of await stand.entries(2, "settled")) {
        assert.match(detail.subject.model ?? "", /-cheap$/, `${detail.rungs}`);
        assert.equal(charge.certainty, "confirmed");
      }
      const { input, output } = agent.printed(stdout);
      assert.deepEqual({ input, output }, { input: ASKED.input + ANSWERED.input, output: ASKED.output + ANSWERED.output });
      await stand.checkBooks();
    });

    test(`${agent.name}: a budget that is used up ends the turn after one request, and our message is shown`, {
      skip: missing(agent),
    }, async (context) => {
      const { folder, mock, stand, key } = await startScene(context, agent, "$0 / month");
      const { shown } = await runAgent(agent, folder, stand.url, key);
      const [{ message } = assert.fail()] = await stand.entries(1, "denied");
      assert.match(message, /^Budget "crew" allows nothing: its limit is \$0\.00 this month\. Ask captain@example\.com for more\.$/);
      assert.ok(shown.includes(message.slice(0, -1)), shown.slice(-2_000));
      assert.equal(mock.getRequests().length, 0);
    });
  }
});
