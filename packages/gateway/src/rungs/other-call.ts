import { budgetedCall } from "../budgeted-call.ts";
import type { Caller } from "../callers/identify.ts";
import { anthropicMessages } from "../dialects/anthropic-messages/index.ts";
import type { Dialect, ModelCall } from "../dialects/dialect.ts";
import { formNaming, readCallBody } from "../dialects/form-body.ts";
import { geminiContent, geminiStream } from "../dialects/gemini-content/index.ts";
import { editBody, type JsonBody, parseBody, readJsonBody } from "../dialects/json-body.ts";
import { openaiChat } from "../dialects/openai-chat/index.ts";
import { openaiResponses } from "../dialects/openai-responses/index.ts";
import type { PathNames } from "../dialects/path.ts";
import { vertexContent, vertexStream } from "../dialects/vertex-content/index.ts";
import type { DialectName, Provider } from "../providers/provider.ts";
import { type FailoverTarget, missingKey, type Route, type UnknownRoute } from "../providers/routing.ts";
import { AnswerTranslation, type ClientCall, formsFor, translateCall } from "../translation/translation.ts";
import { type AskedCall, type Climber, type RoutedCall, routedCall } from "./climb.ts";

/** Why a call cannot go to a model, as a part of a sentence. */
export interface CannotCall {
  readonly because: string;
}

/** The formats into which calls can be translated. Those that have an address of their own for streams stand there with both. */
const DIALECTS: ReadonlyMap<DialectName, { readonly whole: Dialect; readonly stream: Dialect }> = new Map(
  [
    { whole: openaiChat, stream: openaiChat },
    { whole: openaiResponses, stream: openaiResponses },
    { whole: anthropicMessages, stream: anthropicMessages },
    { whole: geminiContent, stream: geminiStream },
    { whole: vertexContent, stream: vertexStream },
  ].map((both) => [both.whole.name, both]),
);

/** Google's version of which everything is known here. */
const VERSION = "v1beta";

/**
 * The same call of the same caller to another model, as if its client had asked for that: in its own format where somebody serves the model
 * in it, and else translated.
 */
export function otherCall(climber: Climber, routed: RoutedCall, name: string): RoutedCall | CannotCall {
  const asked: AskedCall = routed.asked ?? { dialect: routed.dialect, call: routed.call, names: routed.names };
  const { dialect } = asked;
  const found = routeTo(climber, name, dialect);
  if ("unknown" in found.route) return { because: "nobody serves the model" };
  if (found.dialect === dialect.name) return callTo(climber, routed, { asked, name, route: found.route });
  if (dialect.inFormat)
    return callTo(climber, routed, { asked: { ...asked, dialect: dialect.inFormat(found.dialect) }, name, route: found.route });
  return translatedCall(climber, routed, { asked, name, route: found.route, dialect: dialectFor(found.dialect, asked.call) });
}

export function dialectFor(name: DialectName, { stream }: Pick<ModelCall, "stream">): Dialect {
  const both = DIALECTS.get(name);
  if (!both) throw new Error(`There is no translation into ${name}.`);
  return stream ? both.stream : both.whole;
}

function bodyNaming({ dialect, call: { body } }: AskedCall, model: string): JsonBody {
  if (body.form) return readCallBody(dialect, formNaming(body.form, model), body.form.contentType);
  return readJsonBody(editBody(body, new Map([["model", JSON.stringify(model)]])));
}

interface Found {
  readonly dialect: DialectName;
  readonly route: Route | UnknownRoute;
}

/**
 * Where a model is served: by whom something says that it is, in the call's own format first where the model's maker has it. What asks for anything but the next message of
 * a conversation, such as to make one short, has no other.
 */
export function routeTo({ route }: Pick<Climber, "route">, name: string, { name: own, turns, inFormat }: Dialect): Found {
  const forms = turns || inFormat ? formsFor(name, own) : [own];
  const found = forms.map((dialect): Found => ({ dialect, route: route(name, dialect) }));
  const isKnown = ({ route }: Found) => !("unknown" in route);
  const isClaimed = ({ route }: Found) => !("unknown" in route) && route.isClaimed;
  return found.find(isClaimed) ?? found.find(isKnown) ?? (found[0] as Found);
}

/**
 * The same call at another provider of its model, with what ladders did to it; in another format, where that is the one that the provider speaks.
 * It asks for no longer an answer than its client or a ladder did; what the model of another provider can write is nothing to it.
 */
export function callAt(climber: Climber, routed: RoutedCall, { dialect, route }: FailoverTarget): RoutedCall | CannotCall {
  const { rungs, effects, insteadOf, beginning, outputTokensMost, isShortened, finishes, failover } = routed;
  const moved = dialect === routed.dialect.name ? sameFormatAt(climber, routed, route) : otherFormatAt(climber, routed, { dialect, route });
  if ("because" in moved) return moved;
  return {
    ...moved,
    ...(isShortened && { isShortened, outputTokensMost: Math.min(outputTokensMost, moved.outputTokensMost) }),
    ...(rungs && { rungs }),
    ...(effects && { effects }),
    ...(insteadOf && { insteadOf }),
    ...(finishes && { finishes }),
    ...(beginning !== undefined && { beginning }),
    failover,
  };
}

function sameFormatAt(climber: Climber, routed: RoutedCall, route: Route): RoutedCall | CannotCall {
  const { dialect, names, asked, call: before } = routed;
  const caller = callerAt(routed, route.provider);
  if (lacksKey(climber, caller, route.provider)) return { because: "it has no key" };
  // Read anew, because what is held for it depends on its provider.
  const { user, tags } = before;
  const call = { ...dialect.readCall(before.body, names), user, tags };
  return readyCall(climber, { ...routed, caller }, { dialect, call, route, names, ...(asked && { asked }) });
}

function otherFormatAt(climber: Climber, routed: RoutedCall, { dialect, route }: FailoverTarget): RoutedCall | CannotCall {
  const { call, names, asked = { dialect: routed.dialect, call, names } } = routed;
  if (!DIALECTS.has(dialect) || !routed.dialect.turns) return { because: `its ${dialect} cannot be written here` };
  const moved = translatedCall(climber, routed, {
    asked: { ...asked, dialect: routed.dialect, call },
    name: call.model,
    route,
    dialect: dialectFor(dialect, call),
  });
  if ("because" in moved) return moved;
  if (dialect !== asked.dialect.name) return { ...moved, asked };
  // Back in the format of the client, there is nothing to translate.
  const { asked: _, ...own } = moved;
  return { ...own, names: asked.names };
}

interface Translating {
  readonly asked: AskedCall;
  readonly name: string;
  readonly route: Route;
  /** The format in which the model is served. */
  readonly dialect: Dialect;
}

function translatedCall(climber: Climber, routed: RoutedCall, { asked, name, route, dialect }: Translating): RoutedCall | CannotCall {
  const { provider } = route;
  const caller = callerAt(routed, provider);
  if (lacksKey(climber, caller, provider)) return { because: `${provider.name} has no key` };
  const translated = callIn(climber, { asked, name, route, dialect });
  if ("because" in translated) return translated;
  const { call, names } = translated;
  // Who it is for was said in the client's format.
  const { user, tags } = asked.call;
  return readyCall(climber, { ...routed, caller }, { dialect, call: { ...call, user, tags }, route, names, asked });
}

/** A call in the format in which its model is served, and what its path names there. */
export function callIn(
  { config, prices }: Pick<Climber, "config" | "prices">,
  { asked, name, route: { provider, model }, dialect }: Translating,
): { readonly call: ModelCall; readonly names: PathNames } | CannotCall {
  const card = prices.card(provider.name, model, Date.now());
  const outputTokensMost = card?.maxOutputTokens;
  const target = { name, outputTokensMost, outputTokensUsual: outputTokensMost ?? config.defaultMaxOutput };
  const translated = translateCall(clientCall(asked), { from: asked.dialect.name, to: dialect.name }, target);
  if ("because" in translated) return translated;
  const names = dialect.path.includes("{") ? { version: VERSION, model: name } : {};
  return { call: dialect.readCall(readJsonBody(Buffer.from(JSON.stringify(translated.body))), names), names };
}

function clientCall({ call: { body, stream } }: AskedCall): ClientCall {
  return { body: parseBody(body), isStream: stream };
}

/** The caller as another provider may know it: a key of the caller's own is for the provider that it was meant for. */
function callerAt({ caller, provider: { name } }: RoutedCall, other: Provider): Caller {
  if (caller.providerKey === undefined || name === other.name) return caller;
  const { providerKey: _, ...known } = caller;
  return known;
}

function lacksKey({ asksNobody = false }: Climber, { providerKey }: Caller, provider: Provider): boolean {
  return !asksNobody && providerKey === undefined && missingKey(provider) !== undefined;
}

/** What formats call the model that their path names. */
const MODEL_IN_PATH = ["model", "deployment"];

/** Which name in its path is that of a call's model; none where its body names it. */
export function modelInPath(names: PathNames): string | undefined {
  return MODEL_IN_PATH.find((one) => one in names);
}

/** What a path names, with this model in the place of the one that it names, if it does. */
export function withModel(names: PathNames, model: string): PathNames {
  const inPath = modelInPath(names);
  return inPath ? { ...names, [inPath]: model } : names;
}

interface SameFormat {
  readonly asked: AskedCall;
  readonly name: string;
  readonly route: Route;
}

function callTo(climber: Climber, routed: RoutedCall, { asked, name, route }: SameFormat): RoutedCall | CannotCall {
  const { dialect, call } = asked;
  const { provider } = route;
  const caller = callerAt(routed, provider);
  if (lacksKey(climber, caller, provider)) return { because: `${provider.name} has no key` };
  const names = withModel(asked.names, name);
  const isInPath = modelInPath(asked.names) !== undefined;
  const body = isInPath ? call.body : bodyNaming(asked, name);
  return readyCall(climber, { ...routed, caller }, { dialect, call: dialect.readCall(body, names), route, names });
}

interface Ready {
  readonly dialect: Dialect;
  readonly call: ModelCall;
  readonly route: Route;
  readonly names: PathNames;
  readonly asked?: AskedCall;
}

function readyCall(climber: Climber, { caller, subject: before }: RoutedCall, ready: Ready): RoutedCall | CannotCall {
  const { dialect, call, route, names, asked } = ready;
  const { provider, model, sentAs } = route;
  const { subject, key, pools } = caller;
  const { prices, calibration, config, budgets } = climber;
  const { defaultMaxOutput, unseenInput } = config;
  const { endpoint = dialect.name } = before;
  const terms = {
    dialect,
    endpoint,
    call,
    provider,
    model,
    sentAs,
    pricedAs: route.pricedAs,
    subject,
    key,
    pools,
    prices,
    calibration,
    defaultMaxOutput,
    unseenInput,
  };
  const routed = routedCall(budgetedCall(terms), caller, route, names);
  if (budgets.switchedOff(routed.subject) !== undefined) return { because: "it is switched off" };
  return asked ? { ...routed, asked } : routed;
}

/** How the answer to a call is written for its client; nothing where that speaks the format of the provider. */
export function translationOf({ dialect, asked }: RoutedCall, { url = "" }: AskedAt, now: number): AnswerTranslation | undefined {
  if (!asked) return undefined;
  const { wantsUsage, model } = asked.call;
  // Google's streams, which are streams by their path, are lists where the address does not ask for events.
  const asList = asked.dialect.whole !== undefined && new URLSearchParams(url.split("?")[1]).get("alt") !== "sse";
  const terms = { wantsUsage, createdAt: Math.floor(now / 1_000), askedModel: model, asList };
  return new AnswerTranslation({ from: dialect.name, to: asked.dialect.name }, terms);
}

/** Where a client sent its call. */
export interface AskedAt {
  readonly url?: string | undefined;
}
