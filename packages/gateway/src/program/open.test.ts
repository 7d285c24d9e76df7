import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { LEASE_MS, type PurserError } from "@purser/core";
import { openSqliteStore } from "@purser/core/stores/sqlite";
import { startGateway } from "../app.ts";
import { readConfig } from "../config/read-config.ts";
import { type Answered, JSON_HEADERS, type Json, PLAIN_CALL, readAnswer } from "../conformance/calls.ts";
import { type Answer, answerChat, type RawProvider, startRawProvider } from "../conformance/raw-provider.ts";
import { eventually } from "../conformance/stand.ts";
import { openSwitches } from "../switches/switches.ts";
import type { ProgramFetchOptions } from "./fetch-options.ts";
import { type OpenedPurser, openPurser } from "./open.ts";

/** The larger model costs three times as much as the smaller one. */
const PRICES = `prices:
  - { model: large, input: 3, output: 15, max_output: 8192 }
  - { model: small, input: 1, output: 5, max_output: 8192 }`;
const CALL = { ...PLAIN_CALL, model: "large" };

interface Scene {
  readonly provider: RawProvider;
  readonly file: string;
  readonly data: string;
  readonly notices: string[];
  open(): Promise<OpenedPurser>;
  write(rest: string): Promise<void>;
  /** Makes a call on the budgets of a program. */
  call(purser: OpenedPurser, more?: Json, terms?: ProgramFetchOptions): Promise<Answered>;
  /** The last call as the provider got it. */
  sent(): Json;
}

/** A file whose provider is there, and a folder for its data. */
async function startScene(context: TestContext, rest: string, answer: Answer = answerChat({ input: 12, output: 5 })): Promise<Scene> {
  const directory = await mkdtemp(join(tmpdir(), "purser-open-"));
  const provider = await startRawProvider(context, answer);
  const opened = new Set<OpenedPurser>();
  context.after(async () => {
    for (const purser of opened) await purser.close();
    await rm(directory, { recursive: true, force: true });
  });
  const [file, data] = [join(directory, "purser.yaml"), join(directory, "data")];
  const notices: string[] = [];
  const scene: Scene = {
    provider,
    file,
    data,
    notices,
    async open() {
      const purser = await openPurser({ file, environment: {}, onNotice: (notice) => notices.push(notice) });
      opened.add(purser);
      const close = purser.close.bind(purser);
      return Object.assign(purser, {
        close: () => {
          opened.delete(purser);
          return close();
        },
      });
    },
    write: (text) => writeFile(file, `data: data\n${text.replaceAll("PROVIDER", `${provider.url}/v1`)}`),
    async call(purser, more = {}, terms = {}) {
      const body = JSON.stringify({ ...CALL, ...more });
      const init = { method: "POST", headers: JSON_HEADERS, body };
      return readAnswer(await purser.fetch({ subject: { user: "ann" }, ...terms })(`${provider.url}/v1/chat/completions`, init));
    },
    sent: () => JSON.parse(provider.received.at(-1)?.body ?? "{}"),
  };
  await scene.write(rest);
  return scene;
}

const HOUSE = 'providers: { house: { dialect: openai, base_url: "PROVIDER", models: ["*"], deployments: { ours: large } } }';

function fileOf(budgets: string, more = ""): string {
  return [HOUSE, PRICES, more, `budgets:${budgets}`].join("\n");
}

const EACH_USER = "\n  - { name: each user, per: user, limits: [$1 / year, 10 requests / year] }";

async function spentOf({ budgets }: OpenedPurser): Promise<Json> {
  return Object.fromEntries((await budgets.balances()).map(({ budget, subject, unit, spent }) => [`${budget} ${subject} ${unit}`, spent]));
}

describe("a program with the budgets of a file", () => {
  test("charges by the prices of the file, on budgets that outlive the program and are the gateway's too", async (context) => {
    const { open, call, file } = await startScene(context, fileOf(EACH_USER));
    const first = await open();
    assert.equal((await call(first)).status, 200);
    const spent = { "each user user=ann nanodollars": 12 * 3_000 + 5 * 15_000, "each user user=ann requests": 1 };
    assert.deepEqual(await spentOf(first), spent);
    await first.close();

    const second = await open();
    assert.deepEqual(await spentOf(second), spent);
    await second.close();

    const gateway = await startGateway({ config: readConfig({ file, environment: {}, flags: { port: 0 } }) });
    try {
      const balances = await gateway.budgets.balances();
      assert.deepEqual(
        balances.map(({ unit, spent: used }) => [unit, used]),
        [
          ["nanodollars", 111_000],
          ["requests", 1],
        ],
      );
    } finally {
      await gateway.close();
    }
  });

  test("refuses in the format of the call, and does not ask the provider", async (context) => {
    const { open, call, provider } = await startScene(context, fileOf("\n  - { name: one, limits: [1 request / year] }"));
    const purser = await open();
    assert.equal((await call(purser)).status, 200);
    const { status, json } = await call(purser);
    assert.deepEqual([status, json.error.code, json.error.budget.name], [402, "insufficient_quota", "one"]);
    assert.equal(provider.received.length, 1);
  });

  test("tells what is wrong with a file as the gateway does, and needs one", async (context) => {
    const { open, write, file } = await startScene(context, "budgets: [{ name: a, limit: [$1 / day] }]");
    await assert.rejects(open(), { code: "config_invalid", message: /purser\.yaml:2:\d+ +budgets\[0\]\.limit: .*limits/ });
    await rm(file);
    await assert.rejects(open(), { code: "config_missing", message: /purser\.yaml/ });
    await write("budgets: []");
    await open();
  });

  test("says who has the folder, and how to share with them", async (context) => {
    const { open } = await startScene(context, fileOf(EACH_USER));
    await open();
    await assert.rejects(open(), { code: "store_locked", message: new RegExp(`process ${process.pid}.*connectPurser.*Redis`) });
  });

  test("takes a changed file over, and keeps what it has where that is wrong", async (context) => {
    const { open, call, write, notices } = await startScene(context, fileOf("\n  - { name: all, limits: [0 requests / year] }"));
    const alive = setInterval(() => undefined, 1_000);
    context.after(() => clearInterval(alive));
    const purser = await open();
    assert.equal((await call(purser)).status, 402);
    await write("budgets: [{ name: all, limits: [nothing] }]");
    await eventually("the wrong file to be told", () => notices.find((notice) => notice.includes("Nothing was changed.")));
    assert.equal((await call(purser)).status, 402);
    await write(
      [HOUSE.replace("house:", "other:"), PRICES, "budgets: [{ name: all, for: { provider: other }, limits: [5 requests / year] }]"].join(
        "\n",
      ),
    );
    await eventually("the right file", async () => {
      await call(purser);
      return (await spentOf(purser))["all  requests"] > 0 || undefined;
    });
    await write(fileOf("\n  - { name: all, limits: [5 requests / year] }", "timezone: Europe/Berlin\nstore: { namespace: other }"));
    assert.match(await eventually("the restart", () => notices.find((notice) => notice.includes("restart"))), /needed for store/);
  });

  test("begins a limit that is new with what was used before it was there", async (context) => {
    const { open, call, write } = await startScene(context, fileOf(" []"));
    const first = await open();
    await call(first);
    await first.close();
    await write(fileOf("\n  - { name: new, limits: [1 request / year] }"));
    const second = await open();
    assert.equal((await spentOf(second))["new  requests"], 1);
    assert.equal((await call(second)).status, 402);
  });

  test("stops what is switched off in its folder", async (context) => {
    const { open, call, data } = await startScene(context, fileOf(EACH_USER));
    const purser = await open();
    await openSwitches(data).off({ for: { user: "ann" }, by: "eve", why: "a test" });
    const refused = await eventually("the switch", async () => {
      const answer = await call(purser);
      return answer.status === 402 ? answer : undefined;
    });
    assert.match(refused.json.error.message, /eve/);
    assert.equal((await call(purser, {}, { subject: { user: "bob" } })).status, 200);
  });

  test("gives away what the file says that the provider gives away", async (context) => {
    const allowance = "allowances: [{ name: gift, provider: house, models: [large], limit: 1000 tokens / year }]";
    const { open, call } = await startScene(context, fileOf(EACH_USER, allowance));
    const purser = await open();
    await call(purser);
    assert.equal((await spentOf(purser))["each user user=ann nanodollars"], 0);
    assert.equal((await purser.budgets.allowances())[0]?.spent, 17);
  });

  test("charges holds whose lease ran out, as long as it is open", async (context) => {
    const { open } = await startScene(context, fileOf(EACH_USER));
    context.mock.timers.enable({ apis: ["Date", "setInterval"], now: Date.UTC(2026, 5, 1) });
    const { budgets } = await open();
    const call = { id: "left", subject: { user: "ann", provider: "house", model: "large" }, input: { most: 10 }, output: { most: 10 } };
    assert.equal((await budgets.reserve(call)).outcome, "allowed");
    context.mock.timers.tick(LEASE_MS + 2_000);
    const balance = await eventually("the charge", async () =>
      (await budgets.balances()).find(({ unit, held }) => unit === "nanodollars" && held === 0),
    );
    assert.equal(balance.spent, 10 * 3_000 + 10 * 15_000);
  });

  test("makes no call any more when it is closed", async (context) => {
    const { open, call, provider } = await startScene(context, fileOf(" []"));
    const purser = await open();
    await purser.close();
    const { status, json } = await call(purser);
    assert.deepEqual([status, json.error.code], [503, "shutting_down"]);
    assert.equal(provider.received.length, 0);
  });
});

describe("whose address a call goes to", () => {
  test("is known by the base URLs of the file, and the model by its own name there", async (context) => {
    const { open, call, sent } = await startScene(
      context,
      fileOf("\n  - { name: large, for: { provider: house, model: large }, limits: [10 requests / year] }"),
    );
    const purser = await open();
    assert.equal((await call(purser, { model: "ours" })).status, 200);
    assert.equal(sent().model, "ours");
    assert.equal((await spentOf(purser))["large  requests"], 1);
  });

  test("has to be said where two providers are there, or nobody is known", async (context) => {
    const twins = 'providers: { one: { dialect: openai, base_url: "PROVIDER" }, two: { dialect: openai, base_url: "PROVIDER" } }';
    const { open, call, provider } = await startScene(context, `${twins}\n${PRICES}`);
    const purser = await open();
    const both = await call(purser);
    assert.deepEqual([both.status, provider.received.length], [404, 0]);
    assert.match(both.json.error.message, /one and two .* fetch\(\{ provider: "one" \}\)/);
    assert.equal((await call(purser, {}, { provider: "two" })).status, 200);
    const nobody = await readAnswer(
      await purser.fetch()("https://llm.example/v1/chat/completions", {
        method: "POST",
        headers: JSON_HEADERS,
        body: JSON.stringify(CALL),
      }),
    );
    assert.match(nobody.json.error.message, /llm\.example.*base_url/);
  });

  test("a provider that is written wrong is told when the client is made", async (context) => {
    const { open } = await startScene(context, fileOf(" []"));
    const purser = await open();
    assert.throws(
      () => purser.fetch({ provider: "huose" }),
      (error: PurserError) => error.code === "config_invalid" && /Did you mean "house"\?/.test(error.message),
    );
  });
});

describe("the ladders of a file in a program", () => {
  const step = (rungs: string, at = "0%") => fileOf(`\n  - { name: all, limits: [10 requests / year], ladder: { ${at}: ${rungs} } }`);

  test("use a cheaper model of the client's own provider", async (context) => {
    const { open, call, sent } = await startScene(context, step("use small"));
    const purser = await open();
    const { status, headers } = await call(purser);
    assert.deepEqual([status, sent().model, headers.get("x-purser-rung")], [200, "small", "use small (all 0%)"]);
  });

  test("leave a model out that the client cannot send to, and say why", async (context) => {
    const others = `providers:
  house: { base_url: { openai: "PROVIDER" }, models: [large] }
  other: { base_url: { openai: "https://other.example/v1" }, models: [small] }`;
    const { open, call, sent } = await startScene(context, `${others}\n${step("use small").replace(HOUSE, "")}`);
    const purser = await open();
    const { status, headers } = await call(purser);
    assert.deepEqual([status, sent().model], [200, "large"]);
    assert.equal(headers.get("x-purser-rung"), "use small left out: this client sends to house, and not to other (all 0%)");
  });

  test("leave a model out that is asked for in an address, which the client has made", async (context) => {
    const gemini = `providers: { house: { base_url: { gemini: "PROVIDER" }, models: ["*"] } }`.replace("PROVIDER", "GEMINI");
    const { open, provider, write } = await startScene(context, "", (response) =>
      response.end(JSON.stringify({ candidates: [], usageMetadata: { promptTokenCount: 3, candidatesTokenCount: 2 } })),
    );
    await write(step("use small").replace(HOUSE, gemini.replace("GEMINI", provider.url)));
    const purser = await open();
    const body = JSON.stringify({ contents: [{ role: "user", parts: [{ text: "Ahoy" }] }] });
    const { headers } = await purser.fetch()(`${provider.url}/v1beta/models/large:generateContent`, {
      method: "POST",
      headers: JSON_HEADERS,
      body,
    });
    assert.match(headers.get("x-purser-rung") ?? "", /^use small left out: this client names the model in its address/);
    assert.match(provider.received[0]?.url ?? "", /large/);
  });

  test("shorten answers, and leave the beginning of long conversations out", async (context) => {
    const { open, call, sent } = await startScene(context, step("[shorten 300, trim 200]"));
    const purser = await open();
    const messages = Array.from({ length: 20 }, (_, i) => ({
      role: i % 2 === 0 ? "user" : "assistant",
      content: "words and words ".repeat(20),
    }));
    const { status, headers } = await call(purser, { max_tokens: 900, messages: [...messages, { role: "user", content: "Ahoy" }] });
    assert.equal(status, 200);
    assert.equal(sent().max_tokens, 300);
    assert.ok(sent().messages.length < 10, `${sent().messages.length} messages`);
    assert.equal(headers.get("x-purser-rung"), "shorten 300 (all 0%), trim 200 (all 0%)");
  });

  test("let calls wait, until their caller goes away", async (context) => {
    const { open, call, provider } = await startScene(context, step("slow 50ms"));
    const purser = await open();
    const began = performance.now();
    assert.equal((await call(purser)).status, 200);
    assert.ok(performance.now() - began >= 49);
    const gone = AbortSignal.abort();
    const init = { method: "POST", headers: JSON_HEADERS, body: JSON.stringify(CALL), signal: gone };
    await assert.rejects(purser.fetch()(`${provider.url}/v1/chat/completions`, init), { name: "AbortError" });
    assert.equal(provider.received.length, 1);
    assert.equal((await spentOf(purser))["all  requests"], 1);
  });

  test("answer and refuse by themselves, and write that down", async (context) => {
    const { open, call, write, provider } = await startScene(context, step('answer "Tomorrow again."'));
    const first = await open();
    const answered = await call(first);
    assert.deepEqual([answered.status, answered.json.choices[0].message.content], [200, "Tomorrow again."]);
    assert.equal(answered.headers.get("x-purser-rung"), "answer (all)");
    await first.close();
    await write(step("block"));
    const second = await open();
    const blocked = await call(second);
    assert.deepEqual([blocked.status, blocked.json.error.code], [402, "insufficient_quota"]);
    await second.close();
    assert.equal(provider.received.length, 0);
  });

  test("have a text ready when the budget is used up, and answers of a list", async (context) => {
    const lists = 'answers: { faq: [{ question: "What is a purser?", answer: "An officer." }] }';
    const ladder = '{ 0%: lookup faq, 100%: answer "Tomorrow again." }';
    const { open, call, provider, data } = await startScene(
      context,
      fileOf(`\n  - { name: all, limits: [1 request / year], ladder: ${ladder} }`, lists),
    );
    const purser = await open();
    const known = await call(purser, { messages: [{ role: "user", content: "What is a purser?" }] });
    assert.deepEqual([known.json.choices[0].message.content, provider.received.length], ["An officer.", 0]);
    assert.equal((await call(purser)).json.choices[0].message.content, "Aye.");
    assert.equal((await call(purser)).json.choices[0].message.content, "Tomorrow again.");
    assert.equal(provider.received.length, 1);
    await purser.close();
    const store = await openSqliteStore({ directory: data });
    context.after(() => store.close());
    const kinds = (await store.entries({ kinds: ["answered", "denied", "settled"] })).map(({ kind }) => kind);
    assert.deepEqual(kinds.toSorted(), ["answered", "denied", "settled"]);
  });

  test("have the text ready for a call that does not fit any more, too", async (context) => {
    const budget = '{ name: all, limits: [1000 tokens / year], min_output: 100, ladder: { 100%: answer "Tomorrow again." } }';
    const { open, call, provider } = await startScene(context, fileOf(`\n  - ${budget}`), answerChat({ input: 900, output: 50 }));
    const purser = await open();
    assert.equal((await call(purser)).json.choices[0].message.content, "Aye.");
    const { json, headers } = await call(purser);
    assert.deepEqual([json.choices[0].message.content, headers.get("x-purser-rung")], ["Tomorrow again.", "answer (all)"]);
    assert.equal(provider.received.length, 1);
  });

  test("what only a gateway does is told when the file is opened", async (context) => {
    const budgets = `
  - { name: chatbot, limits: [10 requests / year], ladder: { 0%: [cache, use small] } }
  - { name: agents, per: session, limits: [$1 / year], guard: { repeats: 5 } }`;
    const { open, notices } = await startScene(context, fileOf(budgets));
    await open();
    assert.match(notices.join("\n"), /only a gateway does.*: cache in the ladder of "chatbot"; the guard of "agents"\./);
  });
});
