import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, type TestContext, test } from "node:test";
import Anthropic from "@anthropic-ai/sdk";
import { Budgets, createMemoryStore, defineBudget, type Entry, type EntryKind, LEASE_MS, type Store } from "@purser/core";
import { createPriceBook } from "@purser/core/prices";
import OpenAI, { toFile } from "openai";
import { FORMATS, JSON_HEADERS, PLAIN_CALL, readAnswer } from "../conformance/calls.ts";
import { clientsOf, MODELS, type Prompt, REPORTED, startMock } from "../conformance/clients.ts";
import {
  CHAT_DONE,
  chatEvent,
  chatUsageEvent,
  messageEvent,
  type RawProvider,
  STREAM_HEADERS,
  startRawProvider,
  writeJson,
} from "../conformance/raw-provider.ts";
import { wav } from "../conformance/sounds.ts";
import { checkBooks, eventually, readLedger } from "../conformance/stand.ts";
import { createFetch, type FetchOptions } from "./fetch.ts";

type Fetch = typeof globalThis.fetch;

/** Budgets in this process, and what they would have told its owner. */
interface Library {
  readonly budgets: Budgets;
  readonly store: Store;
  readonly errors: readonly unknown[];
  /** The ledger when all is written. */
  entries<Kind extends EntryKind>(...kinds: readonly Kind[]): Promise<readonly (Entry & { kind: Kind })[]>;
}

const LIMITS = ["$10 / month", "1M tokens / month", "100 requests / month", "10 concurrent"];
/** $3 and $15 for a million tokens: 3,000 and 15,000 nano-dollars for one. */
const PRICE = { input: 3_000, output: 15_000 };
const HOUSE = { provider: "house", subject: { team: "crew" } };
const WORDS = ["The officer who keeps", " the accounts of a ship."];

function openLibrary(limits: readonly string[] = LIMITS): Library {
  const store = createMemoryStore();
  const errors: unknown[] = [];
  const budgets = new Budgets({
    store,
    prices: createPriceBook({
      overrides: [
        { provider: "house", model: "*", input: "3", output: "15", max_output: 8_192 },
        { provider: "house", model: "dear", input: "3", output: "20000" },
      ],
    }),
    budgets: [defineBudget({ name: "crew", for: { team: "crew" }, limits })],
    onError: (error) => errors.push(error),
  });
  return {
    budgets,
    store,
    errors,
    async entries<Kind extends EntryKind>(...kinds: readonly Kind[]) {
      await budgets.close();
      return (await readLedger(store, kinds)) as readonly (Entry & { kind: Kind })[];
    },
  };
}

function houseFetch({ budgets }: Library, more: Partial<FetchOptions> = {}): Fetch {
  return createFetch({ budgets, ...HOUSE, ...more });
}

function callOf(more: Record<string, unknown> = {}): RequestInit {
  return { method: "POST", headers: JSON_HEADERS, body: JSON.stringify({ ...PLAIN_CALL, model: "gpt-4o", ...more }) };
}

/** The only call was charged, and nothing is held. */
async function checkCharged(library: Library, certainty: string): Promise<{ readonly input: number; readonly output: number }> {
  const [settled, ...others] = await library.entries("settled", "released");
  assert.deepEqual(others, []);
  assert.ok(settled?.kind === "settled");
  const { usage, cost } = settled.charge;
  assert.equal(settled.charge.certainty, certainty);
  const { inputTokens: input = 0, outputTokens: output = 0 } = usage;
  assert.equal(cost, input * PRICE.input + output * PRICE.output);
  await checkBooks(library.store);
  return { input, output };
}

async function checkReturned(library: Library, why: RegExp): Promise<void> {
  const [released, ...others] = await library.entries("settled", "released");
  assert.deepEqual(others, []);
  assert.ok(released?.kind === "released");
  assert.match(released.why, why);
  await checkBooks(library.store);
  for (const { spent } of await library.budgets.balances()) assert.equal(spent, 0);
}

/** A stream that says its words and then waits. */
function startTalker(context: TestContext): Promise<RawProvider> {
  return startRawProvider(context, (response) => {
    response.writeHead(200, STREAM_HEADERS);
    for (const words of WORDS) response.write(chatEvent(words));
  });
}

describe("the clients of others, with a budget inside", () => {
  test("every client works, plain, streamed and with tools, and the ledger has exactly the usage that the client was told", async (context) => {
    const mock = await startMock(context);
    const library = openLibrary();
    const { budgets, store, errors } = library;
    const subject = () => ({ team: "crew" });
    const by = {
      openai: createFetch({ budgets, subject, provider: "openai" }),
      anthropic: createFetch({ budgets, subject, provider: "anthropic" }),
    };
    let spent = 0;
    let calls = 0;
    for (const client of clientsOf(mock.url, "none", by)) {
      for (const way of ["plain", "streamed"] as const) {
        for (const prompt of Object.keys(REPORTED) as Prompt[]) {
          await context.test(`${client.name}, ${way}: ${prompt}`, async () => {
            const { input, output } = REPORTED[prompt];
            assert.deepEqual(await client[way](prompt), { input, output });
            const [settled] = (await readLedger(store, ["settled"])).slice(calls++);
            assert.ok(settled?.kind === "settled", "the call is settled when its answer was read");
            const cost = input * client.model.input + output * client.model.output;
            spent += cost;
            const usage = { inputTokens: input, outputTokens: output };
            assert.deepEqual(settled.charge, { usage, cost, certainty: "confirmed" });
          });
        }
      }
    }
    assert.equal(mock.getRequests().length, calls, "the provider was called once a call");
    const [money] = await budgets.balances();
    assert.equal(money?.spent, spent, "the budget has spent the sum, to the nano-dollar");
    await checkBooks(store);
    assert.deepEqual(errors, []);
  });

  test("an exhausted budget stops every client at once, by its own error, and the provider is not asked", async (context) => {
    const provider = await startRawProvider(context);
    const library = openLibrary(["0 requests / year"]);
    let sent = 0;
    const counted = (name: string): Fetch => {
      const budgeted = houseFetch(library, { provider: name });
      return (...call) => {
        sent++;
        return budgeted(...call);
      };
    };
    let refused = 0;
    for (const { name, plain } of clientsOf(provider.url, "none", { openai: counted("openai"), anthropic: counted("anthropic") })) {
      await context.test(name, async () => {
        const error = await plain("What is a purser?").then(
          () => assert.fail("the call was not refused"),
          (thrown: unknown) => thrown,
        );
        assert.ok(error instanceof Error);
        assert.match(error.message, /Budget \\?"crew\\?" allows nothing/);
        if (name === "openai") assert.ok(error instanceof OpenAI.APIError && error.status === 402 && error.code === "insufficient_quota");
        if (name === "@anthropic-ai/sdk") assert.ok(error instanceof Anthropic.APIError && error.status === 402);
        assert.equal(sent, ++refused, "it was sent once");
        assert.equal((await library.entries("denied")).length, refused);
      });
    }
    assert.equal(provider.received.length, 0);
  });

  test("a stream that is left in the middle is charged what came of it", async (context) => {
    const provider = await startTalker(context);
    const library = openLibrary();
    const client = new OpenAI({ baseURL: `${provider.url}/v1`, apiKey: "none", fetch: houseFetch(library) });
    const messages = [{ role: "user" as const, content: "Ahoy" }];
    let text = "";
    for await (const { choices } of await client.chat.completions.create({ model: "gpt-4o", stream: true, messages })) {
      text += choices[0]?.delta.content ?? "";
      if (text === WORDS.join("")) break;
    }
    await eventually("the settlement", async () => (await library.entries("settled"))[0]);
    const { input, output } = await checkCharged(library, "estimated");
    assert.ok(input > 1 && input < 20 && output > 5 && output < 15, `${input} tokens in, ${output} out`);
    await eventually("the provider to be left", () => provider.sockets.size === 0 || undefined);
    assert.deepEqual(library.errors, []);
  });
});

describe("a fetch with a budget", () => {
  test("the cap that fits is sent, and nothing else of the body is changed", async (context) => {
    const provider = await startRawProvider(context);
    // Room for 1,000 tokens.
    const library = openLibrary(["1000 tokens / day"]);
    const asked = '{ "model":"m", "seed": 12345678901234567890, "max_tokens": 5000, "messages": [{"role":"user","content":"Ahoy"}] }';
    const response = await houseFetch(library)(`${provider.url}/v1/chat/completions`, {
      ...callOf(),
      headers: { ...JSON_HEADERS, "content-length": String(asked.length) },
      body: asked,
    });
    assert.equal((await readAnswer(response)).status, 200);
    const { body = "" } = provider.received[0] ?? {};
    const cap = Number(/"max_tokens": (\d+)/.exec(body)?.[1]);
    assert.ok(cap > 900 && cap < 1_000, body);
    assert.equal(
      body,
      `{ "model":"m", "seed": 12345678901234567890, "max_tokens": ${cap}, "messages": [{"role":"user","content":"Ahoy"}] }`,
    );
    assert.deepEqual(await checkCharged(library, "confirmed"), { input: 12, output: 5 });
  });

  test("usage is taken out of a stream that did not ask for it, and is charged", async (context) => {
    const provider = await startRawProvider(context, (response) => {
      response.writeHead(200, STREAM_HEADERS);
      response.end(chatEvent("Aye.") + chatUsageEvent({ input: 41, output: 9 }) + CHAT_DONE);
    });
    const library = openLibrary();
    const hidden = await readAnswer(await houseFetch(library)(`${provider.url}/v1/chat/completions`, callOf({ stream: true })));
    assert.equal(hidden.text, chatEvent("Aye.") + CHAT_DONE);
    assert.match(provider.received[0]?.body ?? "", /"stream_options":\{"include_usage":true\}/);
    assert.deepEqual(await checkCharged(library, "confirmed"), { input: 41, output: 9 });
  });

  test("the bytes of a stream are passed on as they come", async (context) => {
    const provider = await startRawProvider(context, (response) => {
      response.writeHead(200, STREAM_HEADERS);
      response.write(messageEvent({ type: "message_start", message: { usage: { input_tokens: 7, output_tokens: 1 } } }));
      provider.answer = () => {
        response.write(messageEvent({ type: "message_delta", delta: {}, usage: { output_tokens: 3 } }));
        response.end(messageEvent({ type: "message_stop" }));
      };
    });
    const library = openLibrary();
    const response = await houseFetch(library)(`${provider.url}/v1/messages`, callOf({ stream: true }));
    const reader = response.body?.getReader() ?? assert.fail();
    const { value } = await reader.read();
    assert.match(Buffer.from(value ?? []).toString(), /^event: message_start/);
    assert.equal((await library.entries("settled")).length, 0);
    // The rest is not written before the beginning was read.
    provider.answer(undefined as never, undefined as never);
    while (!(await reader.read()).done);
    assert.deepEqual(await checkCharged(library, "confirmed"), { input: 7, output: 3 });
  });

  test("an answer without usage is counted by us and charged as an estimate", async (context) => {
    const provider = await startRawProvider(context, (response) =>
      writeJson(response, 200, { choices: [{ message: { content: "Aye, aye." } }] }),
    );
    const library = openLibrary();
    await readAnswer(await houseFetch(library)(`${provider.url}/v1/chat/completions`, callOf()));
    assert.equal((await readLedger(library.store, ["settled"])).length, 1);
    const { input, output } = await checkCharged(library, "estimated");
    assert.ok(input > 1 && input < 20 && output > 1 && output < 8, `${input} tokens in, ${output} out`);
  });

  test("bodies are read in whatever form they are given", async (context) => {
    const provider = await startRawProvider(context);
    const url = `${provider.url}/v1/chat/completions`;
    const bytes = Buffer.from(String(callOf().body));
    const given: readonly Parameters<Fetch>[] = [
      [new URL(url), { ...callOf(), body: bytes }],
      [url, { ...callOf(), body: new Blob([bytes]) }],
      [url, { ...callOf(), body: new Response(bytes).body, duplex: "half" } as RequestInit],
      [new Request(url, callOf())],
    ];
    const library = openLibrary();
    for (const one of given) assert.equal((await readAnswer(await houseFetch(library)(...one))).status, 200);
    for (const { body, headers } of provider.received) {
      assert.deepEqual(JSON.parse(body), { ...PLAIN_CALL, model: "gpt-4o" });
      assert.equal(headers["content-type"], "application/json");
    }
    assert.equal((await library.entries("settled")).length, given.length);
    await checkBooks(library.store);
  });

  test("what the provider refuses costs nothing, and its refusal is passed on", async (context) => {
    const provider = await startRawProvider(context, (response) => writeJson(response, 422, { error: { message: "Too salty." } }));
    const library = openLibrary();
    const client = new OpenAI({ baseURL: `${provider.url}/v1`, apiKey: "none", fetch: houseFetch(library) });
    const call = client.chat.completions.create({ model: "m", messages: [{ role: "user", content: "Ahoy" }] });
    await assert.rejects(call, { status: 422, message: /Too salty/ });
    await checkReturned(library, /^the provider answered 422/);
  });

  test("a call that surely was not sent costs nothing", async (context) => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    server.close();
    await once(server, "close");
    const nobody = openLibrary();
    await assert.rejects(houseFetch(nobody)(`http://127.0.0.1:${port}/v1/chat/completions`, callOf()), /fetch failed/);
    await checkReturned(nobody, /^not sent: /);

    const provider = await startRawProvider(context);
    const aborted = openLibrary();
    const signal = AbortSignal.abort(new Error("changed her mind"));
    await assert.rejects(houseFetch(aborted)(`${provider.url}/v1/chat/completions`, { ...callOf(), signal }), /changed her mind/);
    await checkReturned(aborted, /^not sent: changed her mind/);
    assert.equal(provider.received.length, 0);
  });

  test("a call whose end nobody knows is charged the most that it could have used", async (context) => {
    const provider = await startRawProvider(context, (response) => response.destroy());
    const library = openLibrary();
    await assert.rejects(houseFetch(library)(`${provider.url}/v1/chat/completions`, callOf()), /fetch failed/);
    const { output } = await checkCharged(library, "unconfirmed");
    assert.equal(output, 100);
  });

  test("a stream that breaks off, is cancelled or is aborted and forgotten is charged what came of it", async (context) => {
    const provider = await startTalker(context);
    const ends: readonly ((response: Response, abort: AbortController) => unknown)[] = [
      async (response) => {
        const text = response.text();
        for (const socket of provider.sockets) socket.end();
        await assert.rejects(text);
      },
      async (response) => {
        const reader = response.body?.getReader();
        await reader?.read();
        await reader?.cancel();
      },
      async (response, abort) => {
        await response.body?.getReader().read();
        abort.abort();
      },
    ];
    for (const end of ends) {
      const library = openLibrary();
      const abort = new AbortController();
      const { signal } = abort;
      await end(await houseFetch(library)(`${provider.url}/v1/chat/completions`, { ...callOf({ stream: true }), signal }), abort);
      const { output } = await checkCharged(library, "estimated");
      assert.ok(output > 3 && output < 15, `${output} tokens of output`);
      assert.deepEqual(library.errors, []);
    }
  });

  test("an answer that takes longer than a lease keeps its hold while its bytes flow", async (context) => {
    context.mock.timers.enable({ apis: ["Date"], now: Date.UTC(2026, 5, 1) });
    const provider = await startRawProvider(context, (response) => {
      response.writeHead(200, STREAM_HEADERS).write(chatEvent("Wait"));
      provider.answer = (_, { url }) => response.write(url === "" ? CHAT_DONE : chatEvent(" more"));
    });
    const library = openLibrary();
    const response = await houseFetch(library)(`${provider.url}/v1/chat/completions`, callOf({ stream: true }));
    const reader = response.body?.getReader() ?? assert.fail();
    await reader.read();
    for (let i = 0; i < 3; i++) {
      context.mock.timers.tick(LEASE_MS * 0.75);
      provider.answer(undefined as never, { url: "more" } as never);
      await reader.read();
      await library.budgets.close();
      assert.deepEqual(await library.budgets.expire(), { expired: [] });
    }
    await reader.cancel();
    await checkCharged(library, "estimated");
  });

  test("usage that cannot be charged is told to the owner of the budgets, and the most is charged", async (context) => {
    const provider = await startRawProvider(context, (response) =>
      writeJson(response, 200, { choices: [], usage: { prompt_tokens: 12, completion_tokens: 1e9 } }),
    );
    const library = openLibrary();
    const { status } = await readAnswer(await houseFetch(library)(`${provider.url}/v1/chat/completions`, callOf({ model: "dear" })));
    assert.equal(status, 200);
    const [settled] = await library.entries("settled");
    assert.equal(settled?.charge.certainty, "unconfirmed");
    assert.equal(settled?.charge.usage.outputTokens, 100);
    await checkBooks(library.store);
    assert.deepEqual(
      library.errors.map((error) => (error as { code?: string }).code),
      ["amount_too_large"],
    );
  });

  test("what cannot be metered is refused with what to do, once, and is not sent; what only looks passes untouched", async (context) => {
    const provider = await startRawProvider(context, (response) => writeJson(response, 200, { object: "list", data: [{ id: "m" }] }));
    const library = openLibrary();
    const openai = new OpenAI({ baseURL: `${provider.url}/v1`, apiKey: "none", fetch: houseFetch(library) });
    await assert.rejects(openai.fineTuning.jobs.create({ model: "m", training_file: "file-1" }), {
      status: 404,
      message: /\/v1\/fine_tuning\/jobs, and what cannot be metered/,
    });
    await assert.rejects(openai.batches.cancel("batch_1"), { status: 404 });
    const anthropic = new Anthropic({ baseURL: provider.url, apiKey: "none", fetch: houseFetch(library) });
    await assert.rejects(anthropic.messages.batches.create({ requests: [] }), { status: 404, type: "not_found_error" });
    assert.equal(provider.received.length, 0);
    assert.equal((await openai.models.list()).data[0]?.id, "m");
    assert.equal(provider.received.length, 1);
    assert.deepEqual(await library.entries(), []);
  });

  test("a form is sent as the client wrote it, and charged as it is by the gateway", async (context) => {
    const usage = { type: "tokens", input_tokens: 12, output_tokens: 5 };
    const provider = await startRawProvider(context, (response) => writeJson(response, 200, { text: "Aye.", usage }));
    const library = openLibrary();
    const openai = new OpenAI({ baseURL: `${provider.url}/v1`, apiKey: "none", fetch: houseFetch(library) });
    const file = await toFile(wav(1), "speech.wav");
    assert.equal((await openai.audio.transcriptions.create({ model: "m", file, prompt: "Ahoy" })).text, "Aye.");
    const [{ headers, body } = assert.fail()] = provider.received;
    const form = await new Response(body, { headers: { "content-type": headers["content-type"] ?? "" } }).formData();
    assert.deepEqual([form.get("model"), form.get("prompt"), (form.get("file") as File).name], ["m", "Ahoy", "speech.wav"]);
    const [settled] = await library.entries("settled");
    assert.ok(settled?.kind === "settled" && settled.charge.certainty === "confirmed");
    assert.deepEqual(settled.charge.usage, { inputTokens: 12, outputTokens: 5 });
  });

  test("a body that is wrong is refused in the words of its format, and is not sent", async (context) => {
    const provider = await startRawProvider(context);
    for (const { name, path } of FORMATS) {
      for (const body of ["", "[]", '{"model":"m"}', '{"model":"a","model":"b"}']) {
        const { status, json } = await readAnswer(await houseFetch(openLibrary())(provider.url + path, { ...callOf(), body }));
        assert.equal(status, 400);
        assert.equal(json.error.type, "invalid_request_error", name);
      }
    }
    assert.equal(provider.received.length, 0);
  });

  test("the provider is known by its host, and where it is not, one is told to name it", async () => {
    const asked: string[] = [];
    const answer: Fetch = async (input) => {
      asked.push(String(input));
      return Response.json({ choices: [], usage: { prompt_tokens: 12, completion_tokens: 5 } });
    };
    const library = openLibrary();
    const { budgets } = library;
    const plain = createFetch({ budgets, fetch: answer });
    const model = MODELS.openai.name;
    await readAnswer(await plain("https://api.openai.com/v1/chat/completions", callOf({ model, user: "ann" })));
    await readAnswer(await plain("https://api.groq.com/openai/v1/chat/completions", callOf({ model: "llama-3.3-70b-versatile" })));
    const subjects = (await library.entries("reserved")).map(({ detail }) => detail.subject);
    assert.deepEqual(subjects, [
      { user: "ann", provider: "openai", model, endpoint: "openai-chat" },
      { provider: "groq", model: "llama-3.3-70b-versatile", endpoint: "openai-chat" },
    ]);
    const { status, json } = await readAnswer(await plain("https://models.example/v1/chat/completions", callOf()));
    assert.equal(status, 404);
    assert.match(json.error.message, /which provider is at models\.example.+createFetch\(\{ budgets, provider: "NAME" \}\)/);
    assert.equal(asked.length, 2);
  });
});

test("a fetch without budgets is refused when it is made, and not at its first call", () => {
  for (const options of [{}, undefined, { budgets: {} }])
    assert.throws(() => createFetch(options as unknown as FetchOptions), { code: "config_invalid", message: /new Budgets\(/ });
});
