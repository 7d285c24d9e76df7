import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { type Json, post } from "./calls.ts";
import {
  type Answer,
  chatAnswer,
  geminiAnswer,
  messageAnswer,
  type RawProvider,
  responseAnswer,
  startRawProvider,
  writeJson,
} from "./raw-provider.ts";
import { providersAt, type Stand, startStand } from "./stand.ts";
import { typeErrors } from "./type-errors.ts";

const ROOT = fileURLToPath(new URL("../../../../", import.meta.url));

const PRICES = `prices:
  - { model: large, input: 3, output: 15, cache_read: 0.3, cache_write: 3.75, max_output: 8192 }
  - { model: small, input: 0.1, output: 0.4, max_output: 8192 }`;

/** What people wrote: the paragraphs of this repository's decisions up to one of them, which do not change any more. */
const PARAGRAPHS = readdirSync(join(ROOT, "docs/decisions"))
  .filter((name) => /^\d/.test(name) && name < "0070")
  .sort()
  .map((name) => readFileSync(join(ROOT, "docs/decisions", name), "utf8"))
  .flatMap((page) => page.replace(/^```[\s\S]*?^```$/gm, "").split(/\n\n+/))
  .filter((paragraph) => paragraph.length > 150);

const IMAGE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

/** A wire format: a turn of an agent in it, with tools called side by side and now and then an image or a thought. */
interface Form {
  readonly name: string;
  readonly path: string;
  readonly member: "messages" | "input" | "contents";
  /** The maker's own type of a whole call. */
  readonly type: string;
  readonly imports: string;
  turn(i: number, question: string, answer: string): readonly Json[];
  last(question: string): Json;
  body(messages: readonly Json[]): Json;
  /** The call as the type has it: what the path names is a field there. */
  typed(body: Json): Json;
  /** What is wrong with the order of messages; nothing where it is right. */
  disorder(messages: readonly Json[]): string | undefined;
}

const SCHEMA = { type: "object", properties: { place: { type: "string" } }, required: ["place"] };

const CHAT: Form = {
  name: "chat",
  path: "/v1/chat/completions",
  member: "messages",
  type: "OpenAI.Chat.ChatCompletionCreateParams",
  imports: 'import type OpenAI from "openai";',
  turn: (i, question, answer) => [
    {
      role: "user",
      content:
        i % 7 === 3
          ? [
              { type: "text", text: question },
              { type: "image_url", image_url: { url: `data:image/png;base64,${IMAGE}` } },
            ]
          : question,
    },
    {
      role: "assistant",
      content: null,
      tool_calls: [1, 2].map((n) => ({ id: `t${i}.${n}`, type: "function", function: { name: "look", arguments: '{"place":"here"}' } })),
    },
    ...[1, 2].map((n) => ({ role: "tool", tool_call_id: `t${i}.${n}`, content: answer.slice(0, 100 * n) })),
    { role: "assistant", content: answer },
  ],
  last: (content) => ({ role: "user", content }),
  body: (messages) => ({
    model: "large",
    max_tokens: 50,
    tools: [{ type: "function", function: { name: "look", parameters: SCHEMA } }],
    messages: [{ role: "system", content: "You keep the log of a ship." }, ...messages],
  }),
  typed: (body) => body,
  disorder: (messages) => {
    if (messages.find(({ role }) => role !== "system")?.role !== "user") return "it does not begin with the user";
    let open: string[] = [];
    for (const { role, tool_calls: calls, tool_call_id: id } of messages) {
      if (role === "tool" && !open.includes(id)) return `${id} answers no call`;
      if (role !== "tool" && open.length > 0) return `${open[0]} has no answer`;
      open = role === "tool" ? open.filter((one) => one !== id) : (calls ?? []).map((call: Json) => call.id);
    }
    return open.length > 0 ? `${open[0]} has no answer` : undefined;
  },
};

const RESPONSES: Form = {
  name: "responses",
  path: "/v1/responses",
  member: "input",
  type: "OpenAI.Responses.ResponseCreateParams",
  imports: 'import type OpenAI from "openai";',
  turn: (i, question, answer) => [
    { role: "user", content: [{ type: "input_text", text: question }] },
    { type: "reasoning", id: `rs_${i}`, summary: [], encrypted_content: "gAAAA" },
    ...[1, 2].map((n) => ({ type: "function_call", call_id: `t${i}.${n}`, name: "look", arguments: '{"place":"here"}' })),
    ...[1, 2].map((n) => ({ type: "function_call_output", call_id: `t${i}.${n}`, output: answer.slice(0, 100 * n) })),
    { role: "assistant", content: answer },
  ],
  last: (content) => ({ role: "user", content }),
  body: (input) => ({
    model: "large",
    max_output_tokens: 50,
    store: false,
    instructions: "You keep the log of a ship.",
    tools: [{ type: "function", name: "look", parameters: SCHEMA, strict: false }],
    input,
  }),
  typed: (body) => body,
  disorder: (items) => {
    if (items[0]?.role !== "user") return "it does not begin with the user";
    const called = new Set<string>();
    const answered = new Set<string>();
    for (const [i, { type, call_id: id }] of items.entries()) {
      if (type === "function_call") called.add(id);
      if (type === "function_call_output" && !called.has(id)) return `${id} answers no call`;
      if (type === "function_call_output") answered.add(id);
      if (type === "reasoning" && items[i + 1]?.type !== "function_call") return "a thought stands by itself";
    }
    return [...called].find((id) => !answered.has(id)) && "a call has no answer";
  },
};

const MESSAGES: Form = {
  name: "messages",
  path: "/v1/messages",
  member: "messages",
  type: "Anthropic.MessageCreateParams",
  imports: 'import type Anthropic from "@anthropic-ai/sdk";',
  turn: (i, question, answer) => [
    {
      role: "user",
      content: [
        { type: "text", text: question },
        ...(i % 7 === 3 ? [{ type: "image", source: { type: "base64", media_type: "image/png", data: IMAGE } }] : []),
      ],
    },
    {
      role: "assistant",
      content: [
        { type: "thinking", thinking: "Where is it?", signature: "EqQBCg" },
        ...[1, 2].map((n) => ({ type: "tool_use", id: `t${i}.${n}`, name: "look", input: { place: "here" } })),
      ],
    },
    {
      role: "user",
      content: [1, 2].map((n) => ({ type: "tool_result", tool_use_id: `t${i}.${n}`, content: answer.slice(0, 100 * n) })),
    },
    { role: "assistant", content: answer },
  ],
  last: (text) => ({ role: "user", content: [{ type: "text", text }] }),
  body: (messages) => ({
    model: "large",
    max_tokens: 50,
    system: "You keep the log of a ship.",
    tools: [{ name: "look", input_schema: SCHEMA }],
    messages,
  }),
  typed: (body) => body,
  disorder: (messages) => {
    const parts = ({ content }: Json): Json[] => (typeof content === "string" ? [] : content);
    for (const [i, message] of messages.entries()) {
      if (message.role !== (i % 2 === 0 ? "user" : "assistant")) return `message ${i} is the ${message.role}'s`;
      const results = parts(message)
        .filter(({ type }) => type === "tool_result")
        .map((part) => part.tool_use_id);
      const before =
        i === 0
          ? []
          : parts(messages[i - 1])
              .filter(({ type }) => type === "tool_use")
              .map(({ id }) => id);
      if (results.join() !== before.join()) return `message ${i} answers ${results} where ${before} were called`;
    }
    return undefined;
  },
};

const GEMINI: Form = {
  name: "Gemini",
  path: "/v1beta/models/large:generateContent",
  member: "contents",
  type: "GenerateContentParameters",
  imports: 'import type { GenerateContentParameters } from "@google/genai";',
  turn: (_i, question, answer) => [
    { role: "user", parts: [{ text: question }] },
    { role: "model", parts: [1, 2].map(() => ({ functionCall: { name: "look", args: { place: "here" } }, thoughtSignature: "CpQB" })) },
    { role: "user", parts: [1, 2].map((n) => ({ functionResponse: { name: "look", response: { found: answer.slice(0, 100 * n) } } })) },
    { role: "model", parts: [{ text: answer }] },
  ],
  last: (text) => ({ role: "user", parts: [{ text }] }),
  body: (contents) => ({
    contents,
    generationConfig: { maxOutputTokens: 50 },
    systemInstruction: { parts: [{ text: "You keep the log of a ship." }] },
  }),
  // The SDK's own form of a call: the model as a field, and what is not content as its config.
  typed: ({ contents, generationConfig, systemInstruction }) => ({
    model: "large",
    contents,
    config: { ...generationConfig, systemInstruction },
  }),
  disorder: (contents) => {
    const count = ({ parts }: Json, name: string) => parts.filter((part: Json) => part[name] !== undefined).length;
    for (const [i, content] of contents.entries()) {
      if (content.role !== (i % 2 === 0 ? "user" : "model")) return `content ${i} is the ${content.role}'s`;
      const called = i === 0 ? 0 : count(contents[i - 1], "functionCall");
      if (count(content, "functionResponse") !== called) return `content ${i} does not answer what was called`;
    }
    return undefined;
  },
};

const FORMS = [CHAT, RESPONSES, MESSAGES, GEMINI];

function question(i: number): string {
  return PARAGRAPHS[(2 * i) % PARAGRAPHS.length] as string;
}

function history(form: Form, turns: number): readonly Json[] {
  const answered = (i: number) => form.turn(i, question(i), PARAGRAPHS[(2 * i + 1) % PARAGRAPHS.length] as string);
  return Array.from({ length: turns }, (_, i) => answered(i)).flat();
}

/** What is said after so many turns. */
function callAfter(form: Form, turns: number): Json {
  return form.body([...history(form, turns), form.last(question(turns))]);
}

const SUMMARY = "The log so far: all places were looked at and found, and the budgets of the voyage are as they were.";

/** So many tokens have a bill here: as many as the text has quarters of a kilobyte's hundredth, which is close to what models count. */
const tokensOf = (value: unknown) => Math.ceil(JSON.stringify(value).length / 4);
/** Shorter beginnings are not cached. */
const CACHED_LEAST = 1_024;

/** A provider that caches beginnings by itself, as OpenAI does, and bills by what it got. */
function cachingProvider(): Answer {
  const seen: string[][] = [];
  return (response, { url, body }) => {
    const call: Json = JSON.parse(body);
    const isSummary = body.includes("takes the place of all of it");
    const { messages, input, contents } = call;
    const parts = [call.system ?? call.instructions ?? call.systemInstruction ?? "", ...(messages ?? contents ?? [input].flat())];
    const texts = parts.map((part) => JSON.stringify(part));
    let cached = 0;
    for (const before of seen) {
      let tokens = 0;
      for (let i = 0; i < texts.length && texts[i] === before[i]; i++) tokens += tokensOf(parts[i]);
      if (tokens >= CACHED_LEAST) cached = Math.max(cached, tokens);
    }
    seen.push(texts);
    const usage = { input: parts.reduce((sum, part) => sum + tokensOf(part), 0), output: isSummary ? 60 : 50 };
    const text = isSummary ? SUMMARY : "Aye.";
    if (url.includes(":generateContent")) {
      const { usageMetadata, ...answer } = geminiAnswer(text, usage);
      return writeJson(response, 200, { ...answer, usageMetadata: { ...usageMetadata, cachedContentTokenCount: cached } });
    }
    if (url.startsWith("/v1/messages")) {
      const { usage: raw, ...answer } = messageAnswer(text, usage);
      return writeJson(response, 200, {
        ...answer,
        usage: { ...raw, input_tokens: usage.input - cached, cache_read_input_tokens: cached },
      });
    }
    if (url.startsWith("/v1/responses")) {
      const { usage: raw, ...answer } = responseAnswer(text, usage);
      return writeJson(response, 200, { ...answer, usage: { ...raw, input_tokens_details: { cached_tokens: cached } } });
    }
    const { usage: raw, ...answer } = chatAnswer(text, usage);
    return writeJson(response, 200, { ...answer, usage: { ...raw, prompt_tokens_details: { cached_tokens: cached } } });
  };
}

interface Scene {
  readonly stand: Stand;
  readonly provider: RawProvider;
}

async function startScene(context: TestContext, rungs: string): Promise<Scene> {
  const provider = await startRawProvider(context, cachingProvider());
  const ladder = rungs === "" ? "" : `, ladder: { 0%: [${rungs}] }`;
  const budgets = `[{ name: all, limits: [$100 / day]${ladder} }]`;
  const stand = await startStand(context, { config: `${providersAt(provider.url)}\n${PRICES}\nbudgets: ${budgets}` });
  return { stand, provider };
}

/** A whole chat, turn by turn, and what it cost. */
async function chat(context: TestContext, form: Form, turns: number, rungs: string) {
  const { stand, provider } = await startScene(context, rungs);
  const said: string[] = [];
  for (let turn = 0; turn < turns; turn++) {
    const { status, headers, text } = await post(stand.url + form.path, callAfter(form, turn));
    assert.equal(status, 200, text);
    said.push(headers.get("x-purser-rung") ?? "");
    // What an answer says of the cache is known when it is settled.
    await stand.checkBooks();
  }
  const charges = (await stand.ledger("settled")).map((entry) => ("charge" in entry ? (entry.charge.cost ?? 0) : 0));
  const bodies = provider.received.map(({ body }) => JSON.parse(body) as Json).filter((body) => !isSummary(body));
  await stand.checkBooks();
  return { said, cost: charges.reduce((sum, cost) => sum + cost, 0), bodies, summaries: provider.received.length - bodies.length };
}

function isSummary(body: Json): boolean {
  return JSON.stringify(body).includes("takes the place of all of it");
}

const TURNS = 60;

/** The same without images, of which nobody knows what they cost at a model that nobody knows. */
function plain(form: Form): Form {
  return { ...form, turn: (i, asked, answer) => form.turn(7 * i, asked, answer) };
}

describe("a long conversation", () => {
  for (const form of [CHAT, MESSAGES].map(plain))
    for (const rung of ["trim 3000", "summarise 3000 with small"])
      test(`${form.name}: costs less in all by \`${rung}\`, though the provider caches by itself, and what is sent has a bound`, async (context) => {
        const whole = await chat(context, form, TURNS, "");
        const cut = await chat(context, form, TURNS, rung);
        const done = cut.said.filter((text) => text.startsWith(rung) && !text.includes("left out"));
        const leftOut = cut.said.filter((text) => text.includes("left out as dearer"));
        const most = Math.max(...cut.bodies.map((body) => tokensOf(body[form.member])));
        context.diagnostic(
          `${TURNS} turns: $${(whole.cost / 1e9).toFixed(4)} alone, $${(cut.cost / 1e9).toFixed(4)} with it; done ${done.length} times, ` +
            `left out as dearer ${leftOut.length} times, ${cut.summaries} summaries, at most ${most} tokens of messages ` +
            `instead of ${tokensOf(whole.bodies.at(-1)?.[form.member])}`,
        );
        assert.ok(cut.cost < whole.cost, `${cut.cost} with it, ${whole.cost} alone`);
        assert.ok(done.length > 0 && most < tokensOf(whole.bodies.at(-1)?.[form.member]));
        for (const body of cut.bodies) assert.equal(form.disorder(body[form.member]), undefined);
      });

  test("that costs less from the cache is left alone, each time it is said, and no dearer in all than without the ladder", async (context) => {
    const alone = await chat(context, plain(CHAT), TURNS, "");
    for (const rung of ["trim 8000", "summarise 8000 with small"]) {
      const { cost, said, bodies } = await chat(context, plain(CHAT), TURNS, rung);
      const leftOut = said.filter((text) => text === `${rung} left out as dearer (all 0%)`);
      assert.deepEqual([cost, leftOut.length > 20], [alone.cost, true]);
      assert.deepEqual(bodies, alone.bodies, "not a byte is another");
    }
  });
});

test("what a ladder makes of a conversation is a call by its maker's own types, in an order that they take", async (context) => {
  const lines: string[] = [];
  const imports = new Set<string>();
  const check = (form: Form, name: string, body: Json) => {
    imports.add(form.imports);
    lines.push(`export const ${name}: ${form.type} = ${JSON.stringify(form.typed(body))};`);
  };
  for (const form of FORMS) {
    for (const [i, rung] of ["trim 900", "trim 3000", "summarise 900 with small", "summarise 3000 with small"].entries()) {
      const { stand, provider } = await startScene(context, rung);
      for (const turns of [5, 12, 13, 25]) {
        const { status, headers, text } = await post(stand.url + form.path, callAfter(form, turns), { "x-purser-user": `u${turns}` });
        assert.equal(status, 200, text);
        const sent: Json = JSON.parse(provider.received.at(-1)?.body ?? "");
        if (turns === 25) assert.match(headers.get("x-purser-rung") ?? "", new RegExp(`^${rung} \\(`));
        assert.equal(form.disorder(sent[form.member]), undefined, `${form.name}, ${rung}, ${turns} turns`);
        assert.deepEqual(sent[form.member].at(-1), form.last(question(turns)), "the latest message is as it was");
        check(form, `${form.name.toLowerCase()}_${i}_${turns}`, sent);
      }
      for (const { body } of provider.received.filter(({ body }) => isSummary(JSON.parse(body))).slice(0, 1))
        check(form, `${form.name.toLowerCase()}_${i}_summary`, JSON.parse(body));
    }
    check(form, `${form.name.toLowerCase()}_whole`, callAfter(form, 8));
  }
  assert.deepEqual(await typeErrors(context, [...imports, ...lines]), [], "what was sent");
  const wrong = CHAT.body([{ role: "tool", content: "found" }]);
  const errors = await typeErrors(context, [CHAT.imports, `export const wrong: ${CHAT.type} = ${JSON.stringify(wrong)};`]);
  assert.notDeepEqual(errors, [], "a call that is none is told by its type");
  assert.match(CHAT.disorder(history(CHAT, 3).slice(2)) ?? "", /begin with the user/);
  assert.match(MESSAGES.disorder(history(MESSAGES, 3).slice(2)) ?? "", /answers/);
});
