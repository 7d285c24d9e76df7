import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import type { WasteJson } from "../admin/reports/waste.ts";
import { type Json, post, readAnswer } from "./calls.ts";
import { chatAnswer, messageAnswer, type RawProvider, startRawProvider, writeJson } from "./raw-provider.ts";
import { providersAt, type Stand, startStand } from "./stand.ts";

/** $3, $15, $0.30 and $3.75 for a million tokens: 3,000, 15,000, 300 and 3,750 nano-dollars for one. */
const CONFIG = (url: string) => `${providersAt(url)}
prices:
  - { model: plain, input: 3, output: 15, cache_read: 0.3, max_output: 8192 }
  - { model: marked, input: 3, output: 15, cache_read: 0.3, cache_write: 3.75, max_output: 8192 }
budgets:
  - name: all
    limits: [$50 / month]`;

const TURNS = 10;
/** Every message has so many bytes, and so many tokens at the provider: a tenth. */
const MESSAGE = 10_000;
const TOKENS = MESSAGE / 10;

/** A message of exactly `MESSAGE` bytes, different from all others. */
function message(role: "user" | "assistant", n: number): Json {
  const bare = JSON.stringify({ role, content: "" }).length;
  return { role, content: `${n}. Where is the ship? `.padEnd(MESSAGE - bare, "Ahoy ") };
}

/** The messages of the call that makes a turn: one in the first, two more in each after it. */
function conversation(turn: number): Json[] {
  return Array.from({ length: 2 * turn - 1 }, (_, i) => message(i % 2 === 0 ? "user" : "assistant", i));
}

interface Caching {
  readonly read: number;
  readonly written: number;
}

interface Set {
  readonly stand: Stand;
  readonly provider: RawProvider;
  readonly waste: (query?: string) => Promise<WasteJson>;
}

async function startSet(context: TestContext): Promise<Set> {
  const provider = await startRawProvider(context);
  const stand = await startStand(context, { config: CONFIG(provider.url) });
  const waste = async (query = "") => (await readAnswer(await fetch(`${stand.url}/api/waste?${query}`))).json as WasteJson;
  return { stand, provider, waste };
}

/** Makes all turns, one after the other; the provider reports a tenth of the messages' bytes as tokens, and the caching it is told to. */
async function talk({ stand, provider }: Set, { path, model, session, cachingOf, mark = (messages) => messages }: Talk): Promise<void> {
  for (let turn = 1; turn <= TURNS; turn++) {
    const { read, written } = cachingOf(turn);
    const input = (2 * turn - 1) * TOKENS;
    provider.answer = (response) => {
      if (path === "/v1/chat/completions") {
        const usage = { prompt_tokens: input, completion_tokens: 10, prompt_tokens_details: { cached_tokens: read } };
        writeJson(response, 200, { ...chatAnswer("Aye.", { input, output: 10 }), usage });
      } else {
        const usage = { input_tokens: input - read - written, cache_read_input_tokens: read, cache_creation_input_tokens: written };
        writeJson(response, 200, { ...messageAnswer("Aye.", { input, output: 10 }), usage: { ...usage, output_tokens: 10 } });
      }
    };
    const headers = { "x-purser-session": session, "x-purser-feature": "chat" };
    const answer = await post(`${stand.url}${path}`, { model, max_tokens: 50, messages: mark(conversation(turn)) }, headers);
    assert.equal(answer.status, 200, answer.text);
  }
}

interface Talk {
  readonly path: "/v1/chat/completions" | "/v1/messages";
  readonly model: "plain" | "marked";
  readonly session: string;
  readonly cachingOf: (turn: number) => Caching;
  readonly mark?: (messages: Json[]) => Json[];
}

const UNCACHED = () => ({ read: 0, written: 0 });
/** Turn k sends again what turn k - 1 had: 1 + 3 + … + 17 messages over all ten. */
const RESENT = 81 * TOKENS;
const INPUT = 100 * TOKENS;

/** Marks the last message to be cached, as Anthropic's clients do: the mark moves on with each call. */
function marked(messages: Json[]): Json[] {
  const blocks = messages.map(({ role, content }) => ({ role, content: [{ type: "text", text: content }] }));
  const [last] = blocks.at(-1)?.content ?? [];
  Object.assign(last ?? {}, { cache_control: { type: "ephemeral" } });
  return blocks;
}

describe("what sessions send again", () => {
  for (const [path, model] of [
    ["/v1/chat/completions", "plain"],
    ["/v1/messages", "marked"],
  ] as const) {
    test(`${path}: ten turns, nothing cached, cost what was reckoned by hand, and caching would have saved as much`, async (context) => {
      const set = await startSet(context);
      await talk(set, { path, model, session: "s1", cachingOf: UNCACHED });
      const json = await set.waste();
      const expected = {
        calls: 10,
        session_calls: 10,
        input_tokens: INPUT,
        resent_input_tokens: RESENT,
        resent_cache_read_input_tokens: 0,
        resent_paid_input_tokens: RESENT,
        cost_nanodollars: INPUT * 3_000 + 100 * 15_000,
        resent_nanodollars: RESENT * 3_000,
      };
      assert.deepEqual(json.total, expected);
      assert.deepEqual(json.data, [{ values: { session: "s1" }, ...expected }]);
      // Turns 3 to 10 begin with 3, 5, … 17 thousand tokens that were sent before; turn 2 with 1,000, which is too short to be cached.
      const read = (81 - 1) * TOKENS;
      // Where writing costs a quarter more: turn 2 writes all it has, and all others the two messages that are new. Turn 1 is too short.
      const written = model === "plain" ? 0 : (3 + 8 * 2) * TOKENS;
      const saved = read * (3_000 - 300) - written * 750;
      assert.deepEqual(
        json.savings.map(({ kind, calls, nanodollars }) => ({ kind, calls, nanodollars })),
        [{ kind: "caching", calls: 8, nanodollars: saved }],
      );
      await set.stand.checkBooks();
    });
  }

  test("what the provider's cache read is cheap, what it had to write is dear, and nothing is said to be left to save", async (context) => {
    const set = await startSet(context);
    // Of turn k the provider reads what turn k - 1 had, and writes the rest.
    const cachingOf = (turn: number) => ({ read: Math.max(0, 2 * turn - 3) * TOKENS, written: (turn === 1 ? 1 : 2) * TOKENS });
    await talk(set, { path: "/v1/messages", model: "marked", session: "s2", cachingOf, mark: marked });
    const { total, savings } = await set.waste();
    assert.equal(total.input_tokens, INPUT);
    assert.equal(total.cost_nanodollars, RESENT * 300 + 19 * TOKENS * 3_750 + 100 * 15_000);
    // Blocks and marks add some bytes to a message, and the mark to the last one only.
    assert.ok(Math.abs(total.resent_input_tokens - RESENT) < RESENT / 500, String(total.resent_input_tokens));
    assert.equal(total.resent_paid_input_tokens + total.resent_cache_read_input_tokens, total.resent_input_tokens);
    assert.ok(total.resent_input_tokens <= RESENT);
    assert.equal(total.resent_nanodollars, total.resent_cache_read_input_tokens * 300);
    assert.deepEqual(savings, []);
  });

  test("half of what was sent again read from the cache costs as much as that, and the other half in full", async (context) => {
    const set = await startSet(context);
    const cachingOf = (turn: number) => ({ read: turn === 10 ? 10 * TOKENS : 0, written: 0 });
    await talk(set, { path: "/v1/chat/completions", model: "plain", session: "s3", cachingOf });
    const { total } = await set.waste();
    assert.equal(total.resent_cache_read_input_tokens, 10 * TOKENS);
    assert.equal(total.resent_nanodollars, (RESENT - 10 * TOKENS) * 3_000 + 10 * TOKENS * 300);
  });

  test("a session of another key or user, and calls without a session, send nothing again", async (context) => {
    const { stand, provider, waste } = await startSet(context);
    provider.answer = (response) => writeJson(response, 200, chatAnswer("Aye.", { input: 1_000, output: 10 }));
    const body = { model: "plain", max_tokens: 50, messages: conversation(2) };
    for (const headers of [
      {},
      {},
      { "x-purser-session": "1", "x-purser-user": "ann" },
      { "x-purser-session": "1", "x-purser-user": "bob" },
    ])
      assert.equal((await post(`${stand.url}/v1/chat/completions`, body, headers as Record<string, string>)).status, 200);
    const { total } = await waste();
    assert.deepEqual([total.calls, total.session_calls, total.resent_input_tokens], [4, 2, 0]);
  });

  test("answers of a feature without a cap are measured, and a cap at their p95 saves what was above it", async (context) => {
    const { stand, provider, waste } = await startSet(context);
    // Nineteen answers of 100 tokens and one of 900: the p95 is 100.
    for (let i = 0; i < 20; i++) {
      provider.answer = (response) => writeJson(response, 200, chatAnswer("Aye.", { input: 12, output: i === 7 ? 900 : 100 }));
      const body = { model: "plain", ...(i < 5 && { max_tokens: 500 }), messages: [{ role: "user", content: `${i}` }] };
      await post(`${stand.url}/v1/chat/completions`, body, { "x-purser-feature": "chat" });
    }
    const { answers, savings } = await waste("by=feature");
    const saved = 800 * 15_000;
    const lengths = { p50_output_tokens: 100, p95_output_tokens: 100, max_output_tokens: 900 };
    assert.deepEqual(answers, [{ feature: "chat", calls: 20, uncapped_calls: 15, ...lengths, saved_nanodollars: saved }]);
    assert.deepEqual(
      savings.map(({ kind, calls, nanodollars }) => [kind, calls, nanodollars]),
      [["output", 1, saved]],
    );
  });

  test("nothing of a message stands in the ledger", async (context) => {
    const set = await startSet(context);
    await talk(set, { path: "/v1/chat/completions", model: "plain", session: "s4", cachingOf: UNCACHED });
    assert.doesNotMatch(JSON.stringify(await set.stand.ledger()), /Ahoy|Where is/);
  });

  test("a question that cannot be answered says what to do", async (context) => {
    const { stand } = await startSet(context);
    for (const [query, message] of [
      ["most=0", /number from 1 to 1,000/],
      ["step=day", /Leave out `step`/],
      ["by=sesion", /not an attribute/],
    ] as const) {
      const answer = await readAnswer(await fetch(`${stand.url}/api/waste?${query}`));
      assert.equal(answer.status, 400);
      assert.match(answer.json.detail, message);
    }
  });
});
