import type { RateCard } from "@purser/core";
import type { Countable } from "@purser/core/tokens";
import { invalid, optionalBoolean, refuseForbidden } from "../body-fields.ts";
import { collectUnknown } from "../content.ts";
import type { ModelCall } from "../dialect.ts";
import { type FormFields, formFiles } from "../form-body.ts";
import { type JsonBody, parseBody } from "../json-body.ts";
import { readAttributes } from "../openai/attributes.ts";
import { readModel } from "../openai/model.ts";
import type { PathNames } from "../path.ts";
import { soundSeconds } from "../sound/duration.ts";

/** As rate cards name it. */
export const AUDIO_SECOND = "audio_second";
/** A file of which nobody here knows how long it plays. It has no price, unless somebody gives it one. */
export const UNMEASURED_AUDIO = "unmeasured_audio";
/** OpenAI's models hear ten tokens a second, and others up to twice as many. */
const TOKENS_PER_SECOND = 25;
/** Nobody says as many tokens of text in a second. */
const WORDS_PER_SECOND = 15;
const WORDS_LEAST = 100;
/** What they can hear at most, where it is not known of the model. */
const CONTEXT_TOKENS = 16_000;

export const FORM: FormFields = {
  numbers: ["temperature"],
  truths: ["stream"],
  lists: ["timestamp_granularities", "include", "known_speaker_names", "known_speaker_references"],
};

export function readCall(body: JsonBody, names: PathNames): ModelCall {
  refuseForbidden(body);
  const [file, another] = formFiles(body, "file");
  if (!file || another) throw invalid('The form must have one file "file": what is to be heard.');
  if (body.members.has("url") || body.members.has("file_url") || body.members.has("file_id"))
    throw invalid('What is to be heard has to be in the form itself: how long it plays is not seen elsewhere. Send it as the file "file".');
  const seconds = soundSeconds(file);
  return {
    body,
    model: readModel(body, names),
    stream: optionalBoolean(body, "stream"),
    outputCap: 0,
    outputLeast: 0,
    copies: 1,
    messages: 0,
    tools: 0,
    images: [],
    opaqueTokens: 0,
    hidesInput: false,
    // A second is charged as a whole one.
    toolCalls: seconds === undefined ? { [UNMEASURED_AUDIO]: 1 } : { [AUDIO_SECOND]: Math.ceil(seconds) },
    ...readAttributes(body),
    wantsUsage: true,
    hidesReasoning: true,
    service: "standard",
    priceVariant: undefined,
  };
}

/** No field says how long the words may be: how long the sound plays does, and what the model can hear and write at all. */
export function inTokens(call: ModelCall, { contextTokens = CONTEXT_TOKENS, maxOutputTokens = contextTokens }: RateCard): ModelCall {
  const { [AUDIO_SECOND]: seconds = Infinity } = call.toolCalls;
  const heard = Math.min(contextTokens, seconds * TOKENS_PER_SECOND);
  const said = Math.min(maxOutputTokens, WORDS_LEAST + seconds * WORDS_PER_SECOND);
  return { ...call, toolCalls: {}, opaqueTokens: heard, outputCap: said, outputLeast: said, hidesReasoning: false };
}

/** Fields that are counted by themselves, and those that no model reads. */
const KNOWN = new Set(
  "file model prompt language response_format temperature stream include timestamp_granularities user metadata".split(" "),
);

export function countable(call: ModelCall): Countable {
  const body = parseBody(call.body);
  const texts = body.prompt === undefined ? [] : [String(body.prompt)];
  collectUnknown(body, KNOWN, texts);
  return { texts, messages: call.messages, tools: [], opaqueTokens: call.opaqueTokens };
}
