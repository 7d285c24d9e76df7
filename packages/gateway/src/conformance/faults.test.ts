import assert from "node:assert/strict";
import type { ServerResponse } from "node:http";
import { connect, createServer } from "node:net";
import { before, describe, type TestContext, test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import type { Entry } from "@purser/core";
import { openSqliteStore } from "@purser/core/stores/sqlite";
import { loadEncoding } from "@purser/core/tokens";
import { get_encoding } from "tiktoken";
import { Upstream, type UpstreamError } from "../upstream.ts";
import { FORMATS, type Format, JSON_HEADERS, PLAIN_CALL, post } from "./calls.ts";
import {
  type Answer,
  answerChat,
  CHAT_DONE,
  chatEvent,
  chatUsageEvent,
  messageEvent,
  type RawProvider,
  STREAM_HEADERS,
  startRawProvider,
} from "./raw-provider.ts";
import { eventually, NANODOLLARS, PRICES, providersAt, type Stand, type StandOptions, startStand } from "./stand.ts";

/** A model whose vocabulary is known, so that others can count too. */
const CALL = { ...PLAIN_CALL, model: "gpt-4o" };
const STREAM = { ...CALL, stream: true };
const CHAT: Format = FORMATS[0];
const WORDS = ["The officer who keeps", " the accounts of a ship", " and hands out", " the money."];

interface Scene {
  readonly stand: Stand;
  readonly provider: RawProvider;
}

async function startScene(context: TestContext, answer: Answer, { config = "", ...options }: Partial<StandOptions> = {}): Promise<Scene> {
  const provider = await startRawProvider(context, answer);
  const budgets = "budgets: [{ name: all, limits: [$1, 1M tokens, 100 requests, 10 concurrent] }]";
  const stand = await startStand(context, { config: [providersAt(provider.url), PRICES, budgets, config].join("\n"), ...options });
  return { provider, stand };
}

/** What another package counts. */
const O200K = get_encoding("o200k_base");

function tokensOf(text: string): number {
  return O200K.encode(text).length;
}

/** The hold of a call was returned, and nothing was charged. */
async function checkReturned(stand: Stand, why: RegExp): Promise<void> {
  const [released] = await stand.entries(1, "released");
  assert.match(released?.why ?? "", why);
  await stand.checkBooks();
  for (const balance of await stand.gateway.budgets.balances()) assert.equal(balance.spent, 0, balance.unit);
}

/** A call was charged the most that it could have used, because nobody knows what became of it. */
async function checkUnconfirmed(stand: Stand): Promise<void> {
  const [settled] = await stand.entries(1, "settled");
  const [reserved] = await stand.entries(1, "reserved");
  assert.equal(settled?.charge.certainty, "unconfirmed");
  const { inputTokens, outputTokens } = reserved?.detail ?? assert.fail();
  assert.deepEqual(settled?.charge.usage, { inputTokens, outputTokens });
  assert.equal(outputTokens, 100);
  assert.equal(settled?.charge.cost, inputTokens * NANODOLLARS.input + outputTokens * NANODOLLARS.output);
  await checkSpent(stand, settled);
}

/** A call was charged by our own count of what passed. */
async function checkEstimated(stand: Stand, output: number): Promise<void> {
  const [settled] = await stand.entries(1, "settled");
  const { usage, cost, certainty } = settled?.charge ?? assert.fail();
  assert.equal(certainty, "estimated");
  assert.equal(usage.outputTokens, output);
  const { inputTokens = 0 } = usage;
  assert.ok(inputTokens > tokensOf("Ahoy") && inputTokens < 20, `${inputTokens} tokens of input`);
  assert.equal(cost, inputTokens * NANODOLLARS.input + output * NANODOLLARS.output);
  await checkSpent(stand, settled);
}

async function checkConfirmed(stand: Stand, input: number, output: number): Promise<void> {
  const [settled] = await stand.entries(1, "settled");
  assert.deepEqual(settled?.charge, {
    usage: { inputTokens: input, outputTokens: output },
    cost: input * NANODOLLARS.input + output * NANODOLLARS.output,
    certainty: "confirmed",
  });
  await checkSpent(stand, settled);
}

async function checkSpent(stand: Stand, settled: (Entry & { kind: "settled" }) | undefined): Promise<void> {
  await stand.checkBooks();
  const { usage, cost } = settled?.charge ?? assert.fail();
  const spent = Object.fromEntries((await stand.gateway.budgets.balances()).map((balance) => [balance.unit, balance.spent]));
  const tokens = (usage.inputTokens ?? 0) + (usage.outputTokens ?? 0);
  assert.deepEqual(spent, { nanodollars: cost, tokens, requests: 1, concurrent: 0 });
}

/** A stream that says its words and then waits for `finish`. */
function heldStream(): { readonly answer: Answer; finish: (end: (response: ServerResponse) => void) => void } {
  let opened: ServerResponse | undefined;
  return {
    answer: (response) => {
      opened = response;
      response.writeHead(200, STREAM_HEADERS);
      for (const words of WORDS) response.write(chatEvent(words));
    },
    finish: (end) => end(opened ?? assert.fail("the call did not come")),
  };
}

/** Calls, and reads the stream until all words were there; then the caller may read on or leave. */
async function openStream(stand: Stand, { path }: Format = CHAT) {
  const abort = new AbortController();
  const response = await fetch(stand.url + path, {
    method: "POST",
    headers: JSON_HEADERS,
    body: JSON.stringify(STREAM),
    signal: abort.signal,
  });
  const reader = (response.body ?? assert.fail()).pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  const read = async () => {
    const { done, value = "" } = await reader.read();
    text += value;
    return !done;
  };
  while (!text.includes("the money.")) assert.ok(await read(), text);
  return {
    leave: () => abort.abort(),
    rest: async () => {
      while (await read());
      return text;
    },
  };
}

describe("providers on bad days", () => {
  before(() => loadEncoding("o200k"));

  for (const { name, path } of FORMATS) {
    test(`${name}: nobody listens there: 502, and the hold is returned`, async (context) => {
      const { stand, provider } = await startScene(context, answerChat());
      await provider.close();
      const { status, json } = await post(stand.url + path, CALL);
      assert.equal(status, 502);
      assert.match(json.error.message, /could not be reached: connect ECONNREFUSED .*\. Nothing was charged\./);
      await checkReturned(stand, /ECONNREFUSED/);
    });

    test(`${name}: the connection is cut before the answer: 502, charged at the estimate`, async (context) => {
      const { stand } = await startScene(context, (response) => void response.socket?.destroy());
      const { status, json } = await post(stand.url + path, CALL);
      assert.equal(status, 502);
      assert.match(json.error.message, /its estimate was charged/);
      await checkUnconfirmed(stand);
    });

    test(`${name}: no answer in time: 504, charged at the estimate`, async (context) => {
      const { stand } = await startScene(context, () => {}, {
        adjust: (config) => ({ ...config, providers: config.providers.map((provider) => ({ ...provider, timeoutMs: 50 })) }),
      });
      const { status, json } = await post(stand.url + path, CALL);
      assert.equal(status, 504);
      assert.match(json.error.message, /did not answer in time/);
      await checkUnconfirmed(stand);
    });
  }

  for (const status of [400, 401, 404, 429, 500, 503, 529]) {
    test(`the provider answers ${status}: passed on byte for byte, and nothing is charged`, async (context) => {
      const body = '{ "type":"error",\n "error": {"type":"x","message":"Grüße \\u00e9 12345678901234567890"} }\n';
      const { stand } = await startScene(context, (response) => {
        response.writeHead(status, {
          "content-type": "application/problem+json; charset=utf-8",
          "request-id": "req_provider",
          "x-ratelimit-remaining-tokens": "17",
          "anthropic-ratelimit-unified-status": "rejected",
          "retry-after": "7",
          "x-should-retry": "true",
        });
        response.end(body);
      });
      const answer = await post(stand.url + CHAT.path, CALL);
      assert.equal(answer.status, status);
      assert.equal(answer.text, body);
      const headers = Object.fromEntries(answer.headers);
      assert.equal(headers["content-type"], "application/problem+json; charset=utf-8");
      assert.equal(headers["request-id"], "req_provider");
      assert.equal(headers["x-ratelimit-remaining-tokens"], "17");
      assert.equal(headers["anthropic-ratelimit-unified-status"], "rejected");
      assert.equal(headers["retry-after"], "7");
      assert.equal(headers["x-should-retry"], "true");
      await checkReturned(stand, new RegExp(`answered ${status}`));
    });
  }

  test("an error's body that breaks off is still passed on, and nothing is charged", async (context) => {
    const { stand } = await startScene(context, (response) => {
      response.writeHead(500, { "content-length": "100" });
      response.write("half an er", () => response.socket?.destroy());
    });
    await assert.rejects(post(stand.url + CHAT.path, CALL));
    await checkReturned(stand, /answered 500/);
  });

  test("a whole answer without usage is counted by us", async (context) => {
    const { stand } = await startScene(context, (response) => {
      response.setHeader("content-type", "application/json");
      response.end(JSON.stringify({ choices: [{ message: { role: "assistant", content: WORDS.join("") } }] }));
    });
    assert.equal((await post(stand.url + CHAT.path, CALL)).status, 200);
    await checkEstimated(stand, tokensOf(WORDS.join("")));
  });

  test("an answer that breaks off before it was passed on: 502, charged at the estimate", async (context) => {
    const { stand } = await startScene(context, (response) => {
      response.writeHead(200, { "content-type": "application/json", "content-length": "1000" });
      response.write('{"choices": [', () => response.socket?.destroy());
    });
    const { status, json } = await post(stand.url + CHAT.path, CALL);
    assert.equal(status, 502);
    assert.match(json.error.message, /its estimate was charged/);
    await checkUnconfirmed(stand);
  });

  test("a stream without any usage is counted by us", async (context) => {
    const stream = heldStream();
    const { stand } = await startScene(context, stream.answer);
    const { rest } = await openStream(stand);
    stream.finish((response) => response.end(CHAT_DONE));
    assert.match(await rest(), /\[DONE\]\n\n$/);
    await checkEstimated(stand, tokensOf(WORDS.join("")));
  });

  test("a stream that is cut breaks off for the caller too, and what passed is charged", async (context) => {
    const stream = heldStream();
    const { stand } = await startScene(context, stream.answer);
    const { rest } = await openStream(stand);
    stream.finish((response) => response.socket?.destroy());
    await assert.rejects(rest(), "a caller must not take half an answer for a whole one");
    await checkEstimated(stand, tokensOf(WORDS.join("")));
  });

  test("a stream of messages that is cut keeps what its beginning said about the input", async (context) => {
    let opened: ServerResponse | undefined;
    const { stand } = await startScene(context, (response) => {
      opened = response;
      response.writeHead(200, STREAM_HEADERS);
      const usage = { input_tokens: 4, cache_read_input_tokens: 5, cache_creation_input_tokens: 0, output_tokens: 1 };
      response.write(messageEvent({ type: "message_start", message: { id: "msg_1", role: "assistant", content: [], usage } }));
      for (const text of WORDS)
        response.write(messageEvent({ type: "content_block_delta", index: 0, delta: { type: "text_delta", text } }));
    });
    const { rest } = await openStream(stand, FORMATS[1]);
    opened?.socket?.destroy();
    await assert.rejects(rest());
    const [settled] = await stand.entries(1, "settled");
    const output = tokensOf(WORDS.join(""));
    assert.deepEqual(settled?.charge, {
      usage: { inputTokens: 9, cacheReadInputTokens: 5, cacheWriteInputTokens: 0, outputTokens: output },
      cost: 4 * NANODOLLARS.input + 5 * NANODOLLARS.cacheRead + output * NANODOLLARS.output,
      certainty: "estimated",
    });
    await checkSpent(stand, settled);
  });

  test("a stream of messages that ends too early, however politely, is charged for what passed and not for its first token", async (context) => {
    const { stand } = await startScene(context, (response) => {
      response.writeHead(200, STREAM_HEADERS);
      const usage = { input_tokens: 9, output_tokens: 1 };
      response.write(messageEvent({ type: "message_start", message: { id: "msg_1", role: "assistant", content: [], usage } }));
      for (const text of WORDS)
        response.write(messageEvent({ type: "content_block_delta", index: 0, delta: { type: "text_delta", text } }));
      response.end();
    });
    assert.equal((await post(stand.url + FORMATS[1].path, STREAM)).status, 200);
    const [settled] = await stand.entries(1, "settled");
    assert.deepEqual([settled?.charge.usage.outputTokens, settled?.charge.certainty], [tokensOf(WORDS.join("")), "estimated"]);
    await checkSpent(stand, settled);
  });

  test("a stream that reports its usage and leaves out the end is charged as reported", async (context) => {
    const { stand } = await startScene(context, (response) => {
      response.writeHead(200, STREAM_HEADERS);
      response.end(chatEvent("Aye.") + chatUsageEvent({ input: 8, output: 3 }));
    });
    assert.equal((await post(stand.url + CHAT.path, STREAM)).status, 200);
    await checkConfirmed(stand, 8, 3);
  });

  test("an error inside a stream passes, and what passed before it is charged", async (context) => {
    const { stand } = await startScene(context, (response) => {
      response.writeHead(200, STREAM_HEADERS);
      for (const words of WORDS) response.write(chatEvent(words));
      response.end('data: {"error":{"message":"The server had an error","type":"server_error"}}\n\n');
    });
    const { text } = await post(stand.url + CHAT.path, STREAM);
    assert.match(text, /"type":"server_error"/);
    await checkEstimated(stand, tokensOf(WORDS.join("")));
  });

  test("a stream that falls silent is cut when its time is over, and what passed is charged", async (context) => {
    const stream = heldStream();
    const { stand } = await startScene(context, stream.answer, {
      adjust: (config) => ({ ...config, providers: config.providers.map((provider) => ({ ...provider, timeoutMs: 200 })) }),
    });
    const { rest } = await openStream(stand);
    await assert.rejects(rest());
    await checkEstimated(stand, tokensOf(WORDS.join("")));
  });

  test("an answer that cannot be read passes as it came, and is charged at the estimate", async (context) => {
    const text = JSON.stringify({ choices: [], usage: { prompt_tokens: 1, completion_tokens: 1 } });
    const answers: readonly Answer[] = [
      (response) => response.writeHead(200, { "content-type": "application/json", "content-encoding": "gzip" }).end(gzipSync(text)),
      (response) => response.writeHead(200, { ...STREAM_HEADERS, "content-encoding": "gzip" }).end(gzipSync(text)),
      (response) => response.writeHead(200, { "content-type": "text/html" }).end(text.slice(1)),
    ];
    for (const answer of answers) {
      const { stand } = await startScene(context, answer);
      const answered = await post(stand.url + CHAT.path, CALL);
      assert.equal(answered.status, 200);
      assert.ok(text.endsWith(answered.text) && answered.text.length >= text.length - 1);
      await checkUnconfirmed(stand);
    }
  });

  test("a redirect is passed on, not followed, and nothing is charged", async (context) => {
    const { stand } = await startScene(context, (response) => response.writeHead(307, { location: "http://127.0.0.1:1/v1" }).end());
    const answered = await fetch(stand.url + CHAT.path, { method: "POST", body: JSON.stringify(CALL), redirect: "manual" });
    assert.equal(answered.status, 307);
    await checkReturned(stand, /answered 307/);
  });

  test("usage that no call can have is not believed", async (context) => {
    for (const wrong of [-5, 1e300, "12", Number.NaN, { tokens: 5 }]) {
      const { stand } = await startScene(context, (response) => {
        response.setHeader("content-type", "application/json");
        const usage = { prompt_tokens: wrong, completion_tokens: wrong, total_tokens: wrong };
        response.end(JSON.stringify({ choices: [{ message: { role: "assistant", content: WORDS.join("") } }], usage }));
      });
      assert.equal((await post(stand.url + CHAT.path, CALL)).status, 200);
      await checkEstimated(stand, tokensOf(WORDS.join("")));
    }
  });

  test("a body that only the provider can read, answered without usage, is charged by its bound", async (context) => {
    const { stand } = await startScene(context, (response) => {
      response.setHeader("content-type", "application/json");
      response.end(JSON.stringify({ choices: [{ message: { role: "assistant", content: "Aye." } }] }));
    });
    const body = JSON.stringify({ ...CALL, max_tokens: 10 }).replace("Ahoy", "\\q");
    assert.equal((await post(stand.url + CHAT.path, body)).status, 200);
    const [settled] = await stand.entries(1, "settled");
    const [reserved] = await stand.entries(1, "reserved");
    assert.equal(settled?.charge.usage.inputTokens, reserved?.detail.inputTokens);
    await checkSpent(stand, settled);
  });

  test("a call that is given up before it was written is known not to have been made", async (context) => {
    const provider = await startRawProvider(context);
    const upstream = new Upstream();
    context.after(() => upstream.destroy());
    const failed = await new Promise<UpstreamError>((resolve, reject) => {
      const abort = upstream.send(
        { origin: provider.url, path: "/v1/chat/completions", headers: [], body: Buffer.from("{}"), timeoutMs: 1_000 },
        { began: reject, received: reject, ended: reject as () => void, failed: resolve },
      );
      abort();
    });
    assert.equal(failed.wasSent, false);
    assert.equal(provider.received.length, 0);
  });

  test("an answer that is no HTTP: 502, charged at the estimate", async (context) => {
    const server = createServer((socket) => {
      socket.on("error", () => {});
      socket.once("data", () => socket.end("SSH-2.0-OpenSSH_9.9\r\n"));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    context.after(() => server.close());
    const { port } = server.address() as { port: number };
    const budgets = "budgets: [{ name: all, limits: [$1, 1M tokens, 100 requests, 10 concurrent] }]";
    const stand = await startStand(context, { config: [providersAt(`http://127.0.0.1:${port}`), PRICES, budgets].join("\n") });
    assert.equal((await post(stand.url + CHAT.path, CALL)).status, 502);
    await checkUnconfirmed(stand);
  });
});

describe("callers who leave", () => {
  before(() => loadEncoding("o200k"));

  test("a stream that nobody reads is given up at the provider, and what was delivered is charged", async (context) => {
    const stream = heldStream();
    const { stand, provider } = await startScene(context, stream.answer);
    const { leave } = await openStream(stand);
    assert.equal(provider.sockets.size, 1);
    leave();
    await eventually("the provider's connection to be closed", () => provider.sockets.size === 0 || undefined);
    await checkEstimated(stand, tokensOf(WORDS.join("")));
  });

  test("with on_disconnect: drain the provider is heard to its end, and its own usage is charged", async (context) => {
    const stream = heldStream();
    const { stand, provider } = await startScene(context, stream.answer, { config: "on_disconnect: drain" });
    const { leave } = await openStream(stand);
    leave();
    for (let turn = 0; turn < 20; turn++) await setImmediate();
    assert.equal(provider.sockets.size, 1, "the provider is not disturbed");
    assert.deepEqual(await stand.ledger("settled"), []);
    stream.finish((response) => response.end(chatUsageEvent({ input: 8, output: 40 }) + CHAT_DONE));
    await checkConfirmed(stand, 8, 40);
  });

  test("with drain a caller who left does not stop a long answer half way, however slowly it read", async (context) => {
    const flood = chatEvent("blah ".repeat(10_000));
    const { stand, provider } = await startScene(
      context,
      (response) => {
        response.writeHead(200, STREAM_HEADERS);
        for (let i = 0; i < 400; i++) response.write(flood);
        response.end(chatUsageEvent({ input: 8, output: 77 }) + CHAT_DONE);
      },
      { config: "on_disconnect: drain" },
    );
    const abort = new AbortController();
    const response = await fetch(stand.url + CHAT.path, { method: "POST", body: JSON.stringify(STREAM), signal: abort.signal });
    assert.equal(response.status, 200);
    // Nobody reads, so the 20 MB stop on their way; then the caller leaves.
    await eventually("the call to reach the provider", () => provider.received[0]);
    abort.abort();
    await checkConfirmed(stand, 8, 77);
  });

  test("a caller who takes nothing and leaves is charged what the provider wrote, not what was passed on", async (context) => {
    const flood = chatEvent("blah ".repeat(10_000));
    // More than sockets can take on both sides of the gateway.
    const most = 1_600;
    let written = 0;
    const { stand } = await startScene(context, async (response) => {
      response.writeHead(200, STREAM_HEADERS);
      for (; written < most; written++) if (!response.write(flood)) await new Promise((resolve) => response.once("drain", resolve));
      response.end(chatUsageEvent({ input: 8, output: 77 }) + CHAT_DONE);
    });
    const abort = new AbortController();
    await fetch(stand.url + CHAT.path, { method: "POST", body: JSON.stringify(STREAM), signal: abort.signal });
    await eventually("the answer to be under way", () => written > 100 || undefined);
    for (let last = -1; last !== written; ) {
      last = written;
      for (let turn = 0; turn < 200; turn++) await setImmediate();
    }
    assert.ok(written < most, "the provider is ahead of its reader");
    abort.abort();
    await checkConfirmed(stand, 8, 77);
  });

  test("a caller who stays and takes nothing cannot keep a budget's money held", async (context) => {
    const flood = chatEvent("blah ".repeat(10_000));
    const { stand } = await startScene(
      context,
      (response) => {
        response.writeHead(200, STREAM_HEADERS);
        for (let i = 0; i < 400; i++) response.write(flood);
        response.end(chatUsageEvent({ input: 8, output: 77 }) + CHAT_DONE);
      },
      { adjust: (config) => ({ ...config, providers: config.providers.map((provider) => ({ ...provider, timeoutMs: 200 })) }) },
    );
    const response = await fetch(stand.url + CHAT.path, { method: "POST", body: JSON.stringify(STREAM) });
    await checkConfirmed(stand, 8, 77);
    await assert.rejects(response.text());
  });

  test("a whole answer is read although its caller left, because it is paid for", async (context) => {
    let reply = () => {};
    const { stand, provider } = await startScene(context, (response, received) => {
      reply = () => void answerChat({ input: 8, output: 60 })(response, received);
    });
    const abort = new AbortController();
    const call = fetch(stand.url + CHAT.path, { method: "POST", body: JSON.stringify(CALL), signal: abort.signal });
    await eventually("the call to reach the provider", () => provider.received[0]);
    abort.abort();
    await assert.rejects(call);
    for (let turn = 0; turn < 20; turn++) await setImmediate();
    assert.equal(provider.sockets.size, 1);
    reply();
    await checkConfirmed(stand, 8, 60);
  });

  test("a stream whose caller left before it began may have been made, and is charged at the estimate", async (context) => {
    const { stand, provider } = await startScene(context, () => {});
    const abort = new AbortController();
    const call = fetch(stand.url + CHAT.path, { method: "POST", body: JSON.stringify(STREAM), signal: abort.signal });
    await eventually("the call to reach the provider", () => provider.received[0]);
    abort.abort();
    await assert.rejects(call);
    await checkUnconfirmed(stand);
    await eventually("the provider's connection to be closed", () => provider.sockets.size === 0 || undefined);
  });

  test("a caller who reads slowly slows the provider down, and gets every byte", async (context) => {
    const line = chatEvent("x".repeat(100_000));
    let written = 0;
    const { stand } = await startScene(context, async (response) => {
      response.writeHead(200, STREAM_HEADERS);
      for (let i = 0; i < 300; i++) {
        written++;
        if (!response.write(line)) await new Promise((resolve) => response.once("drain", resolve));
      }
      response.end(chatUsageEvent({ input: 8, output: 90 }) + CHAT_DONE);
    });
    const response = await fetch(stand.url + CHAT.path, { method: "POST", body: JSON.stringify(STREAM) });
    const reader = (response.body ?? assert.fail()).getReader();
    let bytes = (await reader.read()).value?.length ?? 0;
    // What is under way is bounded by the buffers on the way: when nothing moves any more, most is still at the provider.
    for (let last = -1; last !== written; ) {
      last = written;
      for (let turn = 0; turn < 200; turn++) await setImmediate();
    }
    assert.ok(written < 250, `${written} of 300 events were taken from the provider, with nobody reading`);
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      bytes += value.length;
    }
    assert.equal(bytes, 300 * line.length + CHAT_DONE.length);
    await checkConfirmed(stand, 8, 90);
  });
});

describe("a server that is told to stop", () => {
  before(() => loadEncoding("o200k"));

  test("lets a running stream end, settles it, and takes no other call meanwhile", async (context) => {
    const stream = heldStream();
    const { stand, provider } = await startScene(context, stream.answer, { store: "sqlite" });
    const { rest } = await openStream(stand);
    const closed = stand.gateway.close();
    const refused = await post(stand.url + CHAT.path, CALL);
    assert.deepEqual([refused.status, refused.headers.get("retry-after"), refused.json.error.code], [503, "5", "shutting_down"]);
    assert.equal((await fetch(`${stand.url}/readyz`)).status, 503);
    stream.finish((response) => response.end(chatUsageEvent({ input: 8, output: 40 }) + CHAT_DONE));
    assert.match(await rest(), /\[DONE\]\n\n$/);
    await closed;
    await assert.rejects(fetch(`${stand.url}/readyz`));
    assert.equal(provider.received.length, 1);
    const store = await openSqliteStore({ directory: stand.directory });
    context.after(() => store.close());
    const [reserved, settled, ...more] = await store.entries({ kinds: ["reserved", "settled", "released", "denied", "expired"] });
    assert.deepEqual([reserved?.kind, settled?.kind, more], ["reserved", "settled", []]);
    assert.deepEqual(settled?.kind === "settled" && settled.charge.usage, { inputTokens: 8, outputTokens: 40 });
    for (const { held } of await store.counters()) assert.equal(held, 0);
  });

  test("cuts what has not ended when its time is over, and settles that too", async (context) => {
    const stream = heldStream();
    const { stand, provider } = await startScene(context, stream.answer, { server: ", drain: 50 ms" });
    const { rest } = await openStream(stand);
    const broken = assert.rejects(rest());
    await stand.gateway.close();
    await broken;
    await eventually("the provider's connection to be closed", () => provider.sockets.size === 0 || undefined);
    await checkEstimated(stand, tokensOf(WORDS.join("")));
  });

  test("is not held up by a caller who never ends its request", async (context) => {
    const { stand, provider } = await startScene(context, answerChat(), { server: ", drain: 50 ms" });
    const slow = connect(stand.port, "127.0.0.1");
    slow.on("error", () => {});
    const closed = new Promise((resolve) => slow.once("close", resolve));
    slow.write(`POST ${CHAT.path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\n{"model": `);
    await eventually("the request to begin", () => slow.bytesWritten > 0 || undefined);
    assert.equal((await post(stand.url + CHAT.path, CALL)).status, 200);
    await stand.gateway.close();
    await closed;
    assert.equal(provider.received.length, 1);
  });
});
