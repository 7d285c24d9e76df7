import type { Countable } from "@purser/core/tokens";
import { invalid, optionalText, refuseForbidden } from "../body-fields.ts";
import { collectUnknown } from "../content.ts";
import type { ModelCall } from "../dialect.ts";
import { type JsonBody, memberValue, parseBody } from "../json-body.ts";
import { readAttributes } from "../openai/attributes.ts";
import { readModel } from "../openai/model.ts";
import type { PathNames } from "../path.ts";

/** As rate cards name it. */
export const CHARACTER = "character";
/** Speech has about 1.3 tokens for a character of text (20.8 a second); who speaks with pauses needs more. */
const TOKENS_PER_CHARACTER = 10;
const TOKENS_LEAST = 400;
const SLOWEST = 0.25;

export function readCall(body: JsonBody, names: PathNames): ModelCall {
  refuseForbidden(body);
  const input = body.members.get("input");
  if (input?.type !== "string") throw invalid('The field "input" must be a text.');
  const speed = memberValue(body, "speed") ?? 1;
  if (typeof speed !== "number" || !(speed >= SLOWEST && speed <= 4)) throw invalid('The field "speed" must be a number from 0.25 to 4.');
  return {
    body,
    model: readModel(body, names),
    stream: optionalText(body, "stream_format") === "sse",
    outputCap: 0,
    outputLeast: 0,
    copies: 1,
    messages: 0,
    tools: 0,
    images: [],
    opaqueTokens: 0,
    hidesInput: false,
    toolCalls: { [CHARACTER]: charactersOf(body) },
    ...readAttributes(body),
    wantsUsage: true,
    // Who hears nothing of the rest cannot know what it cost.
    hidesReasoning: true,
    service: "standard",
    priceVariant: undefined,
  };
}

/** No field says how long the speech may be: its text does. */
export function inTokens(call: ModelCall): ModelCall {
  const { [CHARACTER]: characters = 0 } = call.toolCalls;
  const slower = Math.max(1, 1 / ((memberValue(call.body, "speed") as number | undefined) ?? 1));
  const most = Math.ceil((TOKENS_LEAST + characters * TOKENS_PER_CHARACTER) * slower);
  return { ...call, toolCalls: {}, outputCap: most, outputLeast: most };
}

/** What is written as `\u0061` is one character too. */
function charactersOf(body: JsonBody): number {
  let characters = 0;
  for (const _ of String(memberValue(body, "input"))) characters++;
  return characters;
}

/** Fields that are counted by themselves, and those that no model reads. */
const KNOWN = new Set("input model voice response_format stream_format speed user metadata".split(" "));

export function countable(call: ModelCall): Countable {
  const body = parseBody(call.body);
  const texts = [String(body.input)];
  collectUnknown(body, KNOWN, texts);
  return { texts, messages: call.messages, tools: [] };
}
