import { boundTokens, countTokens, loadEncoding } from "../../packages/core/dist/tokens/index.js";
import type { ModelCall } from "../../packages/gateway/dist/dialects/dialect.js";
import { readJsonBody } from "../../packages/gateway/dist/dialects/json-body.js";
import { Dice } from "./dice.js";
import { MODELS, type Model } from "./models.js";

/** The body of a call as clients send it, and what is known of it beforehand. */
export interface PreparedBody {
  readonly model: Model;
  readonly bytes: Buffer;
  readonly call: ModelCall;
  /** The input's tokens as they are counted, and the bound that its bytes give. */
  readonly countedTokens: number;
  readonly boundTokens: number;
}

const BODIES = 400;
const WORDS = " the budget of a purser is held before any call is sent and settled by what was really used of it".split(/(?= )/);

/** How many words a message has, and how often. */
const LENGTHS: readonly (readonly [number, readonly [number, number]])[] = [
  [20, [1, 10]],
  [50, [10, 120]],
  [20, [120, 600]],
  [3, [600, 3_000]],
  [0.5, [20_000, 40_000]],
];

let prepared: Promise<readonly PreparedBody[]> | undefined;

/** Bodies of all kinds and sizes, always the same ones: made once, because to count them takes longer than to simulate a call. */
export function prepareBodies(): Promise<readonly PreparedBody[]> {
  prepared ??= makeBodies();
  return prepared;
}

async function makeBodies(): Promise<readonly PreparedBody[]> {
  await loadEncoding("o200k");
  const dice = new Dice(1);
  const bodies: PreparedBody[] = [];
  for (let i = 0; i < BODIES; i++) {
    const model = dice.weighted([
      [8, 0],
      [6, 1],
      [8, 2],
      [1, 3],
    ] as const);
    bodies.push(await prepareBody(MODELS[model] as Model, dice));
  }
  return bodies;
}

async function prepareBody(model: Model, dice: Dice): Promise<PreparedBody> {
  return readBody(
    model,
    Buffer.from(JSON.stringify(model.provider === "anthropic" ? anthropicBody(model, dice) : openaiBody(model, dice))),
  );
}

/** A body in the format of its model, and what is known of it. */
export async function readBody(model: Model, bytes: Buffer): Promise<PreparedBody> {
  const { dialect, name } = model;
  const call = dialect.readCall(readJsonBody(bytes), {});
  const { messages, tools, images, opaqueTokens } = call;
  return {
    model,
    bytes,
    call,
    countedTokens: await countTokens(name, dialect.countable(call)),
    boundTokens: boundTokens(name, { textBytes: bytes.length, messages, tools, images }) + opaqueTokens,
  };
}

function openaiBody({ name, thinks }: Model, dice: Dice): object {
  const stream = dice.chance(0.5);
  return {
    model: name,
    messages: messages(dice),
    ...(dice.chance(0.8) && { [thinks ? "max_completion_tokens" : "max_tokens"]: dice.magnitude(1, 1_500) }),
    ...(dice.chance(0.15) && { n: dice.between(2, 4) }),
    ...(stream && { stream }),
    ...(stream && dice.chance(0.5) && { stream_options: { include_usage: true } }),
    ...(dice.chance(0.1) && { web_search_options: {} }),
    ...(dice.chance(0.1) && { tools: [tool(dice)] }),
  };
}

function anthropicBody({ name }: Model, dice: Dice): object {
  return {
    model: name,
    max_tokens: dice.magnitude(1, 1_500),
    messages: messages(dice),
    ...(dice.chance(0.3) && { system: text(dice) }),
    ...(dice.chance(0.5) && { stream: true }),
    ...(dice.chance(0.1) && { tools: [tool(dice)] }),
  };
}

function messages(dice: Dice): readonly object[] {
  return Array.from({ length: dice.between(1, 3) }, (_, i) => ({ role: i % 2 === 0 ? "user" : "assistant", content: text(dice) }));
}

function text(dice: Dice): string {
  const [least, most] = dice.weighted(LENGTHS);
  return Array.from({ length: dice.between(least, most) }, () => dice.pick(WORDS)).join("");
}

function tool(dice: Dice): object {
  return { type: "function", function: { name: "look", description: text(dice), parameters: {} } };
}
