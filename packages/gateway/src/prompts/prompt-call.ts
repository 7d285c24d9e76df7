import { PurserError } from "@purser/core";
import { budgetedCall, callTerms } from "../budgeted-call.ts";
import { editBody, readJsonBody } from "../dialects/json-body.ts";
import { openaiChat } from "../dialects/openai-chat/index.ts";
import { findCall } from "../routes.ts";
import { type AskedCall, type Climber, type RoutedCall, routedCall } from "../rungs/climb.ts";
import { callIn, dialectFor, routeTo } from "../rungs/other-call.ts";
import type { Body, Prompt, Texts } from "./read-prompts.ts";

/** A call with a prompt, as it comes to the gateway. Throws `provider_unknown` or `body_invalid` where none would be made of it. */
export function promptCall(climber: Climber, { content, subject }: Prompt): RoutedCall {
  const { dialect, call, names } = content.kind === "body" ? bodyCall(content) : textsCall(climber, content);
  const route = climber.route(call.model, dialect.name);
  if ("unknown" in route) throw new PurserError("provider_unknown", route.unknown);
  const caller = { key: undefined, subject };
  return routedCall(budgetedCall(callTerms(climber, caller, route, { dialect, call })), caller, route, names);
}

function bodyCall({ path, model, bytes }: Body): AskedCall {
  const found = findCall(path);
  if (!found) throw new PurserError("route_unknown", `There is no POST ${path} here.`);
  const { dialect, names } = found;
  const body = readJsonBody(bytes);
  const isNamed = body.members.has("model") || "model" in names || "deployment" in names;
  const named = isNamed || model === undefined ? body : readJsonBody(editBody(body, new Map([["model", JSON.stringify(model)]])));
  const call = dialect.readCall(named, names);
  if (model !== undefined && call.model !== model)
    throw new PurserError("body_invalid", `It asks for "${call.model}", and model says "${model}". Leave one of them out.`);
  return { dialect, call, names };
}

/** Texts in the format in which their model is served. */
function textsCall(climber: Climber, texts: Texts): AskedCall {
  const { dialect: name, route } = routeTo(climber, texts.model, openaiChat);
  if ("unknown" in route) throw new PurserError("provider_unknown", route.unknown);
  const asked: AskedCall = { dialect: openaiChat, call: openaiChat.readCall(readJsonBody(chatBody(texts)), {}), names: {} };
  if (name === openaiChat.name) return asked;
  const dialect = dialectFor(name, asked.call);
  const translated = callIn(climber, { asked, name: texts.model, route, dialect });
  if ("because" in translated) throw new PurserError("body_invalid", `It cannot be written as ${name}: ${translated.because}.`);
  return { dialect, ...translated };
}

/** Some makers take no call in which the user says nothing. */
const SHORTEST_MESSAGE = ".";

function chatBody({ model, system, message = SHORTEST_MESSAGE, outputCap }: Texts): Buffer {
  const messages = [...(system === undefined ? [] : [{ role: "system", content: system }]), { role: "user", content: message }];
  return Buffer.from(JSON.stringify({ model, messages, ...(outputCap !== undefined && { max_completion_tokens: outputCap }) }));
}
