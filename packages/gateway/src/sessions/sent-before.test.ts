import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { budgetedCall } from "../budgeted-call.ts";
import { anthropicMessages } from "../dialects/anthropic-messages/index.ts";
import type { Dialect } from "../dialects/dialect.ts";
import { readJsonBody } from "../dialects/json-body.ts";
import { openaiChat } from "../dialects/openai-chat/index.ts";
import { openaiResponses } from "../dialects/openai-responses/index.ts";
import { piecesOf } from "./pieces.ts";
import { SentBefore } from "./sent-before.ts";

const NOW = Date.UTC(2026, 10, 20, 12);
const MINUTE_MS = 60_000;

function callOf(body: object, { dialect = openaiChat, session = "s", model = "m" }: CallOptions = {}) {
  const call = dialect.readCall(readJsonBody(Buffer.from(JSON.stringify({ model, ...body }))), {});
  return budgetedCall({
    dialect,
    call,
    provider: { name: "p" },
    model,
    sentAs: model,
    subject: { session },
    key: undefined,
    pools: undefined,
    prices: { card: () => undefined },
    defaultMaxOutput: 100,
    unseenInput: undefined,
  });
}

interface CallOptions {
  readonly dialect?: Dialect;
  readonly session?: string;
  readonly model?: string;
}

const said = (...contents: readonly string[]) => contents.map((content, i) => ({ role: i % 2 === 0 ? "user" : "assistant", content }));
const weightOf = (...messages: readonly object[]) => messages.reduce((sum, message) => sum + Buffer.byteLength(JSON.stringify(message)), 0);
const asked = { role: "user", content: 'a, b [c] {d} "e" \\ \u00e9' };

describe("what a session sent before", () => {
  test("is found message by message, to the byte, whatever stands in them", () => {
    const sent = new SentBefore();
    const first = [asked];
    const second = [...first, { role: "assistant", content: "Aye." }, { role: "user", content: 'And "then"?' }];
    assert.deepEqual(sent.saw(callOf({ messages: first }), NOW), { weight: weightOf(asked), resent: 0, unchanged: 0 });
    const again = { resent: weightOf(asked), unchanged: weightOf(asked) };
    assert.deepEqual(sent.saw(callOf({ messages: second }), NOW), { weight: weightOf(...second), ...again });
  });

  test("stays sent where the conversation was cut, but begins otherwise than any call before", () => {
    const sent = new SentBefore();
    const messages = said("one", "two", "three", "four", "five");
    sent.saw(callOf({ messages }), NOW);
    const cut = messages.slice(2);
    assert.deepEqual(sent.saw(callOf({ messages: cut }), NOW), { weight: weightOf(...cut), resent: weightOf(...cut), unchanged: 0 });
  });

  test("twice in one call is not sent before", () => {
    const messages = [asked, asked];
    assert.equal(new SentBefore().saw(callOf({ messages }), NOW)?.resent, 0);
  });

  test("can be in no cache any more after five minutes, nor for another model, nor with other tools", () => {
    const sent = new SentBefore();
    const messages = [asked];
    sent.saw(callOf({ messages }), NOW);
    const unchangedAt = (at: number, more: object = {}, model = "m") => sent.saw(callOf({ messages, ...more }, { model }), at)?.unchanged;
    assert.equal(unchangedAt(NOW + MINUTE_MS, { tools: [{ type: "function", function: { name: "f", parameters: {} } }] }), 0);
    assert.equal(unchangedAt(NOW + MINUTE_MS, {}, "other"), 0);
    assert.equal(unchangedAt(NOW + 5 * MINUTE_MS), weightOf(asked));
    assert.equal(unchangedAt(NOW + 11 * MINUTE_MS), 0);
  });

  test("is the same with marks for a cache that move on, and with instructions beside the messages", () => {
    const sent = new SentBefore();
    const mark = { cache_control: { type: "ephemeral", ttl: "1h" } };
    const block = (text: string, more: object = {}) => ({ role: "user", content: [{ type: "text", text, ...more }] });
    const body = (messages: object[]) => ({ max_tokens: 10, system: "Be short.", messages });
    const options = { dialect: anthropicMessages };
    sent.saw(callOf(body([block("one", mark)]), options), NOW);
    const after = sent.saw(callOf(body([block("one"), block("two", mark)]), options), NOW);
    assert.equal(after?.resent, '"Be short."'.length + weightOf(block("one")));
    assert.equal(after?.unchanged, after?.resent);
  });

  test("is not looked for where a call only names what it goes on with, or has no session", () => {
    const sent = new SentBefore();
    const body = { input: "And then?", previous_response_id: "resp_1" };
    assert.equal(sent.saw(callOf(body, { dialect: openaiResponses }), NOW), undefined);
    const { subject, ...call } = callOf({ messages: [asked] });
    assert.equal(sent.saw({ ...call, subject: { ...subject, session: undefined as unknown as string } }, NOW), undefined);
    assert.equal(sent.size, 0);
  });

  test("is remembered in bounded room: sessions that called longest ago are new again, and one alone drives out no others", () => {
    const sent = new SentBefore({ hashesMost: 100 });
    const call = (session: string) => callOf({ messages: said("one", "two", "three") }, { session });
    for (let i = 0; i < 50; i++) {
      sent.saw(call(`s${i}`), NOW);
      assert.ok(sent.size <= 100, `${sent.size} hashes`);
    }
    assert.equal(sent.saw(call("s0"), NOW)?.resent, 0);
    assert.ok(sent.saw(call("s49"), NOW)?.resent);
    const all = new SentBefore();
    all.saw(call("small"), NOW);
    for (let i = 0; i < 10; i++) {
      const messages = Array.from({ length: 12_000 }, (_, n) => ({ role: "user", content: `${i}.${n}` }));
      all.saw(callOf({ messages }, { session: "huge" }), NOW);
    }
    assert.ok(all.size <= 60_000, `${all.size} hashes`);
    assert.ok(all.saw(call("small"), NOW)?.resent);
  });

  test("weighs an image by no more than what it may have of tokens", () => {
    const url = `data:image/png;base64,${"iVBORw0KGgo".repeat(10_000)}`;
    const image = { role: "user", content: [{ type: "image_url", image_url: { url } }] };
    const { weight } = piecesOf(openaiChat, callOf({ messages: [image] }).call);
    assert.ok(weight > 4_096 && weight < 4_300, `${weight}`);
    const text = { role: "user", content: "words and spaces ".repeat(1_000) };
    assert.equal(piecesOf(openaiChat, callOf({ messages: [text] }).call).weight, weightOf(text));
  });
});
