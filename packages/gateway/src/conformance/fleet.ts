import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import type { Entry } from "@purser/core";
import type { Config } from "../config/config.ts";
import type { Answered } from "./calls.ts";
import {
  type Answer,
  CHAT_DONE,
  chatEvent,
  chatUsageEvent,
  messageEvent,
  type RawProvider,
  STREAM_HEADERS,
  startRawProvider,
  writeJson,
} from "./raw-provider.ts";
import { type Stand, startStand } from "./stand.ts";

export const CHAT = "/v1/chat/completions";
export const PRICED = {
  one: { input: 3_000, output: 15_000 },
  two: { input: 1_000, output: 2_000 },
  claude: { input: 4_000, output: 20_000 },
};

const ROOMY = "[{ name: all, limits: [$100, 10M tokens], per: user }]";

export interface Fleet {
  readonly stand: Stand;
  readonly one: RawProvider;
  readonly two: RawProvider;
  readonly claude: RawProvider;
}

export interface FleetOptions {
  /** The text of `budgets:`. */
  readonly budgets?: string;
  /** Whether the first two providers have keys of their own. */
  readonly hasKey?: boolean;
}

/** A gateway before three providers, one of them impatient by another name, and one where nobody listens, with routes that lead from each to the next. */
export async function startFleet(context: TestContext, { budgets = ROOMY, hasKey = true }: FleetOptions = {}): Promise<Fleet> {
  const [one, two, claude] = [await startRawProvider(context), await startRawProvider(context), await startRawProvider(context)];
  const at = ({ url }: RawProvider) => `{ base_url: { openai: "${url}/v1", anthropic: "${url}" }`;
  const key = (name: string) => (hasKey ? `, api_key: key-${name}` : "");
  const config = `
providers:
  one: ${at(one)}${key("one")} }
  two: ${at(two)}${key("two")} }
  claude: { base_url: { anthropic: "${claude.url}" }, api_key: key-claude }
  silent: ${at(one)}, api_key: key-one }
  gone: { base_url: { openai: "http://127.0.0.1:1/v1" }, api_key: key-gone }
routes:
  - { model: "silent-*", providers: [silent, two] }
  - { model: "gone-*", providers: [gone, two] }
  - { model: "named-model", providers: [one, two/maker/named-model] }
  - { model: "other-model", providers: [one, two/another-model] }
  - { model: "again-*", provider: one, retry: { attempts: 3, wait: 20 ms } }
  - { model: "strict-*", providers: [one, two], retry: { on: [503] } }
  - { model: "cross-*", providers: [one, claude] }
  - { model: "far-*", providers: [claude, one] }
  - { model: "three-*", providers: [one, two, gone], retry: { attempts: 6, wait: 5 ms } }
  - { model: "*", providers: [one, two] }
prices:
  - { provider: one, model: brief-model, input: 3, output: 15, max_output: 1000 }
  - { provider: one, model: "*", input: 3, output: 15, max_output: 8192 }
  - { provider: silent, model: "*", input: 3, output: 15, max_output: 8192 }
  - { provider: two, model: "*", input: 1, output: 2, max_output: 8192 }
  - { provider: claude, model: "*", input: 4, output: 20, max_output: 8192 }
  - { provider: gone, model: "*", input: 5, output: 25, max_output: 8192 }
budgets: ${budgets}
`;
  // Whoever is fast enough on a busy machine is not given up for slow.
  const adjust = (read: Config) => {
    return {
      ...read,
      providers: read.providers.map((provider) => (provider.name === "silent" ? { ...provider, timeoutMs: 100 } : provider)),
    };
  };
  return { stand: await startStand(context, { config, adjust }), one, two, claude };
}

/** Answers with a status, and says so in OpenAI's words. */
export function refuse(status: number, headers: Record<string, string> = {}): Answer {
  return (response) =>
    writeJson(response, status, { error: { message: `refused with ${status}`, type: "server_error", code: null } }, headers);
}

/** Everything of the ledger that is about one request, attempt by attempt. */
export async function attemptsOf({ stand }: Fleet, answered: Answered): Promise<readonly (readonly Entry[])[]> {
  const id = answered.headers.get("x-purser-request-id") ?? assert.fail("no id");
  await stand.checkBooks();
  const entries = (await stand.ledger()).filter(({ reservation }) => reservation === id || reservation.startsWith(`${id}.`));
  return [...new Set(entries.map(({ reservation }) => reservation))].map((one) => entries.filter(({ reservation }) => reservation === one));
}

export interface Attempted {
  readonly provider: string | undefined;
  readonly model: string | undefined;
  /** How it ended, and why where that is said. */
  readonly end: string;
  /** What it was charged, in nano-dollars. */
  readonly cost: number | undefined;
  readonly tried: readonly string[] | undefined;
}

export function summary(entries: readonly Entry[]): Attempted {
  const detail = entries.map((entry) => "detail" in entry && entry.detail).find((one) => one) || assert.fail();
  const { subject, tried } = detail;
  const last = entries.at(-1) ?? assert.fail();
  const end = last.kind === "released" ? `released: ${last.why}` : "charge" in last ? `${last.kind} ${last.charge.certainty}` : last.kind;
  const cost = "charge" in last ? last.charge.cost : last.kind === "released" ? 0 : undefined;
  return { provider: subject.provider, model: subject.model, end, cost, tried };
}

/** What was held for the first attempt, as it is charged when nobody knows its end. */
export function held(entries: readonly Entry[]): number | undefined {
  const reserved = entries.find((entry) => entry.kind === "reserved");
  return reserved?.kind === "reserved" ? reserved.detail.cost : undefined;
}

export const silence: Answer = () => undefined;
export const cut: Answer = (response) => response.destroy();
export const cutAfterHead: Answer = (response) => {
  response.writeHead(200, STREAM_HEADERS).flushHeaders();
  setImmediate(() => response.destroy());
};
export const cutInTheMiddle: Answer = (response) => {
  response.writeHead(200, { "content-type": "application/json", "content-length": 500 });
  response.write('{"id":"chatcmpl-1",', () => response.destroy());
};
export const overloadedEvent: Answer = (response) => {
  response.writeHead(200, STREAM_HEADERS);
  response.end(messageEvent({ type: "error", error: { type: "overloaded_error", message: "Overloaded" } }));
};
export const chatStream: Answer = (response) => {
  response.writeHead(200, STREAM_HEADERS);
  response.end(chatEvent("Aye") + chatEvent(".") + chatUsageEvent({ input: 12, output: 5 }) + CHAT_DONE);
};
export const messageStream: Answer = (response) => {
  const message = {
    id: "msg_1",
    type: "message",
    role: "assistant",
    model: "m",
    content: [],
    usage: { input_tokens: 12, output_tokens: 1 },
  };
  response.writeHead(200, STREAM_HEADERS);
  response.write(messageEvent({ type: "message_start", message }));
  response.write(messageEvent({ type: "content_block_start", index: 0, content_block: { type: "text", text: "" } }));
  response.write(messageEvent({ type: "content_block_delta", index: 0, delta: { type: "text_delta", text: "Aye." } }));
  response.write(messageEvent({ type: "content_block_stop", index: 0 }));
  response.write(messageEvent({ type: "message_delta", delta: { stop_reason: "end_turn" }, usage: { output_tokens: 5 } }));
  response.end(messageEvent({ type: "message_stop" }));
};
export const COST_AT_TWO = 12 * PRICED.two.input + 5 * PRICED.two.output;
