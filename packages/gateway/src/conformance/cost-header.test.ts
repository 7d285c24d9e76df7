import assert from "node:assert/strict";
import type { ServerResponse } from "node:http";
import { describe, type TestContext, test } from "node:test";
import { FORMATS, JSON_HEADERS, PLAIN_CALL, post } from "./calls.ts";
import { chatAnswer, geminiAnswer, startRawProvider } from "./raw-provider.ts";
import { NANODOLLARS, PRICES, providersAt, startStand } from "./stand.ts";

const PATH = FORMATS[0].path;
const USAGE = { input: 12, output: 5 };
const COST = USAGE.input * NANODOLLARS.input + USAGE.output * NANODOLLARS.output;
const ANSWER = JSON.stringify(chatAnswer("Aye.", USAGE));
const HEADER = "x-purser-cost-nanodollars";

async function start(context: TestContext, answer: (response: ServerResponse) => unknown) {
  const provider = await startRawProvider(context, answer);
  return startStand(context, { config: [providersAt(provider.url), PRICES, "budgets: [{ name: all, limits: [$10] }]"].join("\n") });
}

/** A provider that writes the second part only when somebody has the first. */
async function startInTwo(context: TestContext, contentType: string, first: string | Buffer, second: string | Buffer) {
  let goOn = (): void => undefined;
  const stand = await start(context, async (response) => {
    response.writeHead(200, { "content-type": contentType });
    response.write(first);
    await new Promise<void>((resolve) => {
      goOn = resolve;
    });
    response.end(second);
  });
  const ask = async (path: string, call: object) => {
    const response = await fetch(stand.url + path, { method: "POST", headers: JSON_HEADERS, body: JSON.stringify(call) });
    const reader = (response.body ?? assert.fail()).getReader();
    const pieces: Uint8Array[] = [];
    for (let read = await reader.read(); !read.done; read = await reader.read()) {
      pieces.push(read.value);
      goOn();
    }
    return { cost: response.headers.get(HEADER), bytes: Buffer.concat(pieces) };
  };
  return { stand, ask };
}

describe("the cost of a call stands in a header", () => {
  for (const [what, type] of Object.entries({
    JSON: "application/json",
    "JSON of its own kind": "application/problem+json; charset=utf-8",
  }))
    test(`of an answer in chunks of ${what}, whose length only its end tells`, async (context) => {
      const stand = await start(context, async (response) => {
        response.writeHead(200, { "content-type": type });
        await new Promise((resolve) => response.write(ANSWER.slice(0, 40), resolve));
        response.write(" ");
        response.end(ANSWER.slice(40));
      });
      const { headers, text } = await post(stand.url + PATH, PLAIN_CALL);
      assert.deepEqual([headers.get(HEADER), text], [String(COST), `${ANSWER.slice(0, 40)} ${ANSWER.slice(40)}`]);
      const [settled] = await stand.entries(1, "settled");
      assert.equal(settled?.charge.cost, COST);
    });

  test("and an answer in chunks that breaks off before its end is told as one that did", async (context) => {
    const stand = await start(context, (response) => {
      response.writeHead(200, JSON_HEADERS);
      response.write(ANSWER.slice(0, 40), () => response.destroy());
    });
    const { status, json } = await post(stand.url + PATH, PLAIN_CALL);
    assert.equal(status, 502);
    assert.match(json.error.message, /broke off.*estimate was charged/);
    const [settled] = await stand.entries(1, "settled");
    assert.equal(settled?.charge.certainty, "unconfirmed");
    await stand.checkBooks();
  });
});

describe("what must not wait for the end of its answer passes as it comes", () => {
  test("blanks by which a slow provider keeps its connection alive", async (context) => {
    const { stand, ask } = await startInTwo(context, "application/json", "\r\n \n", ANSWER);
    const { cost, bytes } = await ask(PATH, PLAIN_CALL);
    assert.deepEqual([cost, bytes.toString()], [null, `\r\n \n${ANSWER}`]);
    const [settled] = await stand.entries(1, "settled");
    assert.equal(settled?.charge.cost, COST);
  });

  test("more than a mebibyte", async (context) => {
    const first = `{"note":"${"x".repeat(1024 * 1024)}",`;
    const { stand, ask } = await startInTwo(context, "application/json", first, ANSWER.slice(1));
    const { cost, bytes } = await ask(PATH, PLAIN_CALL);
    assert.deepEqual([cost, bytes.toString() === first + ANSWER.slice(1)], [null, true]);
    const [settled] = await stand.entries(1, "settled");
    assert.equal(settled?.charge.cost, COST);
  });

  test("sounds", async (context) => {
    const { ask } = await startInTwo(context, "audio/mpeg", "one", "two");
    assert.equal((await ask("/v1/audio/speech", { model: "tts-1", voice: "coral", input: "Ahoy" })).bytes.toString(), "onetwo");
  });

  test("a stream that is a list in JSON", async (context) => {
    const parts = [geminiAnswer("A", USAGE, null), geminiAnswer("ye", USAGE)].map((part) => JSON.stringify(part));
    const { ask } = await startInTwo(context, "application/json", `[${parts[0]},`, `${parts[1]}]`);
    const call = { contents: [{ role: "user", parts: [{ text: "Ahoy" }] }] };
    const { cost, bytes } = await ask("/v1beta/models/gemini-2.5-flash:streamGenerateContent", call);
    assert.deepEqual([cost, bytes.toString()], [null, `[${parts}]`]);
  });
});
