import type { Countable } from "@purser/core/tokens";
import { countable as anthropicCountable, readCall as readAnthropic } from "../anthropic-messages/read-call.ts";
import {
  checkedCount,
  checkedName,
  invalid,
  optionalCount,
  optionalList,
  optionalObject,
  optionalText,
  refuseForbidden,
} from "../body-fields.ts";
import { collectTexts } from "../content.ts";
import type { ModelCall } from "../dialect.ts";
import { type JsonBody, memberValue, parseBody } from "../json-body.ts";
import type { PathNames } from "../path.ts";
import { foreignCap, isAnthropic, isEmbedding, makersForm } from "./makers.ts";

export function readCall(body: JsonBody, names: PathNames, stream: boolean): ModelCall {
  const model = checkedName(names.model, "model");
  if (isEmbedding(model)) return readEmbedding(body, model, stream);
  const version = optionalText(body, "anthropic_version");
  const form = makersForm(model, version);
  if (!form)
    throw invalid(`How calls of "${model.slice(0, 100)}" say what they may use is not known here. Call /model/ID/converse in its place.`);
  const foreign = foreignCap(form, body.members.keys());
  if (foreign !== undefined)
    throw invalid(`The field "${foreign}" is not one of this model's: it would count where nobody read it. Remove it.`);
  if (isAnthropic(model, version)) return { ...readAnthropic(body, { model }), stream };
  refuseForbidden(body);
  return {
    ...plainCall(body, model, stream),
    outputCap: capOf(body, form),
    outputLeast: 1,
    copies: Math.max(optionalCount(body, "n", 128) ?? 1, optionalCount(body, "num_generations", 128) ?? 1),
    messages: Math.max(1, optionalList(body, "messages")),
    tools: optionalList(body, "tools"),
  };
}

function readEmbedding(body: JsonBody, model: string, stream: boolean): ModelCall {
  refuseForbidden(body);
  if (stream) throw invalid("Embeddings are not streamed. Call /model/ID/invoke.");
  if (body.members.has("images") || body.mayHoldMedia)
    throw invalid("Images have a price of their own, which no rate here has. Embed texts through here.");
  return plainCall(body, model, false);
}

/** A call of which no more is known than its text. */
function plainCall(body: JsonBody, model: string, stream: boolean): ModelCall {
  return {
    body,
    model,
    stream,
    outputCap: 0,
    outputLeast: 0,
    copies: 1,
    messages: 0,
    tools: 0,
    // Images are counted as the text that they are sent as, which is more.
    images: [],
    opaqueTokens: 0,
    hidesInput: false,
    toolCalls: {},
    user: undefined,
    tags: {},
    wantsUsage: true,
    hidesReasoning: false,
    service: "standard",
    priceVariant: undefined,
  };
}

function capOf(body: JsonBody, { within, caps }: { readonly within?: string; readonly caps: readonly string[] }): number | undefined {
  const fields =
    within === undefined ? Object.fromEntries(caps.map((cap) => [cap, memberValue(body, cap)])) : (optionalObject(body, within) ?? {});
  const given = caps.filter((cap) => fields[cap] !== undefined && fields[cap] !== null);
  if (given.length > 1) throw invalid(`The fields "${given.join('" and "')}" are both there. Send one of them.`);
  const [cap = caps[0]] = given;
  return cap === undefined ? undefined : checkedCount(fields[cap], within === undefined ? cap : `${within}.${cap}`, 1);
}

export function countable(call: ModelCall): Countable {
  if (isAnthropic(call.model, memberValue(call.body, "anthropic_version"))) return anthropicCountable(call);
  const texts: string[] = [];
  collectTexts(
    Object.values(parseBody(call.body)).map((value) => JSON.stringify(value)),
    texts,
  );
  return { texts, messages: call.messages, tools: [] };
}
