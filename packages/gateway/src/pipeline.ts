import type { IncomingMessage, ServerResponse } from "node:http";
import {
  type Budget,
  type Budgets,
  costOf,
  type Decision,
  type Denial,
  type PriceSource,
  PurserError,
  type Reservation,
  type ServiceTier,
  type Subject,
  type Usage,
} from "@purser/core";
import { createOutputCounter } from "@purser/core/tokens";
import type { Alerts } from "./alerts/alerts.ts";
import type { Ask } from "./asks/ask.ts";
import type { Asks } from "./asks/asks.ts";
import { readBytes } from "./body.ts";
import { type Admitted, admittedBody, budgetedCall, callOf, countedInput, reserveCall, settleCall } from "./budgeted-call.ts";
import type { Caller, Identified } from "./callers/identify.ts";
import type { Config } from "./config/config.ts";
import type { Dialect, Refusal } from "./dialects/dialect.ts";
import { readJsonBody } from "./dialects/json-body.ts";
import { blocking, type Guards, guardedCall } from "./guards/guards.ts";
import { ACCOUNT_HEADERS, credentialHeader, forwardedHeaders } from "./headers.ts";
import type { Outcome } from "./outcome.ts";
import type { Provider } from "./providers/provider.ts";
import { missingKey, type Router } from "./providers/routing.ts";
import { codexRefusal, refusalHead } from "./refusal.ts";
import { type RelayedCall, type RelayOptions, relay } from "./relay.ts";
import { type Answers, answerKey, type KeptAnswer, Recording } from "./rungs/answers.ts";
import { activeText, answerAfter, askAfter, climb, type RoutedCall } from "./rungs/climb.ts";
import type { Upstream } from "./upstream.ts";

/** What every call needs, as it stands when the call comes in. */
export interface Gateway {
  readonly config: Config;
  readonly budgets: Budgets;
  readonly prices: PriceSource;
  readonly upstream: Upstream;
  readonly route: Router;
  readonly alerts: Alerts;
  readonly guards: Guards;
  readonly asks: Asks;
  /** What may be answered again. */
  readonly answers: Answers;
  /** Calls in flight: their leases are renewed, and they can be ended before their time. */
  readonly inFlight: Map<string, CallInFlight>;
  identify(request: IncomingMessage): Identified;
  newId(): string;
  onError(error: unknown): void;
}

export interface CallInFlight {
  readonly subject: Subject;
  /** None where the call goes uncounted. */
  readonly reservation: Reservation | undefined;
  /** Ends its stream as if its output cap had been reached; what has not begun is refused with a code and a message. A whole answer comes. */
  end(code: Refusal["code"], message: string): Promise<void>;
}

/** One request and what is known about it so far. */
interface Exchange {
  readonly id: string;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly dialect: Dialect;
}

/** The life of one call: read, identify, route, degrade, reserve, send, meter, settle. */
export async function serveCall(gateway: Gateway, request: IncomingMessage, response: ServerResponse, dialect: Dialect): Promise<void> {
  let exchange: Exchange = { id: gateway.newId(), request, response, dialect };
  try {
    const routed = await readRouted(gateway, exchange);
    const tripped = gateway.guards.look(routed, Date.now());
    const blocked = blocking(tripped);
    if (blocked) return refuseDenied(exchange, gateway.budgets.refuse(callOf(exchange.id, routed), "guard_tripped", blocked.message));
    const { call: climbed, waitMs: climbMs, end, cache } = await climb(gateway, routed);
    const { call, waitMs: guardMs } = guardedCall(climbed, tripped);
    const waitMs = Math.max(climbMs, guardMs);
    const off = gateway.budgets.switchedOff(call.subject);
    if (off !== undefined) return refuseDenied(exchange, gateway.budgets.refuse(callOf(exchange.id, call), "switched_off", off));
    const answerId = cache && answerKey(call, request.headers);
    const kept = answerId !== undefined && cache && gateway.answers.find(answerId, cache.rung.ageMs, Date.now());
    if (kept) return replay(exchange, kept, activeText(cache));
    if (end?.rung.kind === "answer")
      return answerInstead(exchange, call, gateway.budgets.block(callOf(exchange.id, call), end), end.rung.text);
    if (end) return refuseDenied(exchange, gateway.budgets.block(callOf(exchange.id, call), end));
    if (waitMs > 0 && !(await clientWaits(exchange, waitMs))) return;
    const gone = () => callerGone(response);
    const first = await reserveCall(gateway.budgets, exchange.id, call, gone);
    gateway.alerts.decided(first);
    const asked = first.outcome === "denied" ? await askOwner(gateway, call, first.denial, gone) : undefined;
    // What was refused stays written down: the call that goes on is another one.
    if (asked?.isGiven) exchange = { ...exchange, id: gateway.newId() };
    const decision = asked?.isGiven ? await reserveCall(gateway.budgets, exchange.id, call, gone) : first;
    if (decision.outcome === "denied" && asked && !response.destroyed) return refuseDenied(exchange, withAsked(decision, asked));
    if (decision.outcome === "denied") {
      const text = answerAfter(decision.denial, gateway.config.budgets);
      return text === undefined ? refuseDenied(exchange, decision) : answerInstead(exchange, call, decision, text);
    }
    await send(gateway, exchange, call, decision, answerId);
  } catch (error) {
    refuseError(gateway, exchange, error);
  }
}

/** What the owner of a budget was asked for, and whether it was given while the call waited. */
interface Asked {
  readonly ask: Ask;
  readonly budget: Budget;
  readonly isGiven: boolean;
}

/** Asks the owner of the budget that refuses a call for more, where its ladder says so, and waits for what they say. */
async function askOwner(gateway: Gateway, call: RoutedCall, denial: Denial, gone: () => AbortSignal): Promise<Asked | undefined> {
  const found = askAfter(denial, gateway.config.budgets);
  if (!found || !denial.balance) return undefined;
  const { budget, rung } = found;
  const ask = await gateway.asks.ask(budget, denial.balance, call.subject, rung);
  return ask && { ask, budget, isGiven: await gateway.asks.wait(ask, rung.waitMs, gone()) };
}

function withAsked(decision: Decision & { outcome: "denied" }, { ask, budget }: Asked): Decision & { outcome: "denied" } {
  const { denial } = decision;
  const message = `${denial.message} ${budget.owner ?? "The owner of the budget"} was asked for ${ask.more} more: try again when it is given.`;
  return { ...decision, denial: { ...denial, message } };
}

const CALLER_GONE = new Error("The caller went away before its call was admitted.");

/** Aborted when the caller's connection closes. */
function callerGone(response: ServerResponse): AbortSignal {
  const gone = new AbortController();
  if (response.destroyed) gone.abort(CALLER_GONE);
  else response.once("close", () => gone.abort(CALLER_GONE));
  return gone.signal;
}

/** Who calls, what they ask, and where it goes. Throws what the caller has to mend. */
async function readRouted(gateway: Gateway, { request, dialect }: Exchange): Promise<RoutedCall> {
  const identified = gateway.identify(request);
  if (!identified.ok) throw new PurserError(identified.code, identified.message);
  const { caller } = identified;
  const call = dialect.readCall(readJsonBody(await readBytes(request, gateway.config.server.maxBodyBytes)));
  const route = gateway.route(call.model, dialect.name);
  if ("unknown" in route) throw new PurserError("provider_unknown", route.unknown);
  const { provider, model } = route;
  const noKey = caller.providerKey === undefined ? missingKey(provider) : undefined;
  if (noKey !== undefined) throw new PurserError("provider_key_missing", noKey);
  const { subject, key } = caller;
  const { config, prices } = gateway;
  const { defaultMaxOutput } = config;
  const budgeted = budgetedCall({ dialect, call, provider: provider.name, model, subject, key, prices, defaultMaxOutput });
  return { ...budgeted, caller, provider };
}

/** Sends an admitted call, passes the answer on, and settles what was used. */
async function send(
  gateway: Gateway,
  exchange: Exchange,
  admissible: RoutedCall,
  decision: Admitted,
  answerId: string | undefined,
): Promise<void> {
  const reservation = decision.outcome === "allowed" ? decision.reservation : undefined;
  const prepared = await prepare(gateway, exchange, admissible, decision, reservation);
  const recording = answerId === undefined ? undefined : new Recording();
  const relayed = relay({ ...prepared, recording });
  const end = (code: Refusal["code"], message: string) => endEarly(exchange, admissible, relayed, code, message);
  gateway.inFlight.set(exchange.id, { subject: admissible.subject, reservation, end });
  try {
    const outcome = await relayed.outcome;
    const { outputTokens } = reservation ?? { outputTokens: admissible.outputTokensMost };
    const answer = recording?.answer(outcome, outputTokens, Date.now());
    if (answerId !== undefined && answer) gateway.answers.keep(answerId, answer);
    answerFailure(exchange, outcome);
    if (reservation) await settleCall(gateway.budgets, admissible, reservation, outcome).catch(gateway.onError);
    const { subject } = admissible;
    if (gateway.alerts.watches(subject))
      await gateway.budgets.balances({ subject }).then((balances) => gateway.alerts.observe(balances), gateway.onError);
  } finally {
    // A hold that could not be ended must not be renewed for ever.
    gateway.inFlight.delete(exchange.id);
  }
}

async function endEarly(exchange: Exchange, admissible: RoutedCall, relayed: RelayedCall, code: Refusal["code"], message: string) {
  if (!admissible.call.stream) return;
  const inputTokens = (await countedInput(admissible)) ?? 0;
  relayed.endGracefully({ id: exchange.id, inputTokens, refuse: () => writeRefusal(exchange, code, message) });
}

/** Everything that can go wrong before the provider is asked goes wrong here, and then the hold is returned. */
async function prepare(
  gateway: Gateway,
  { id, request, response, dialect }: Exchange,
  admissible: RoutedCall,
  decision: Admitted,
  reservation: Reservation | undefined,
): Promise<RelayOptions> {
  const { call, provider, model, caller, subject } = admissible;
  try {
    // It may have been switched off while the call was admitted.
    const off = gateway.budgets.switchedOff(subject);
    if (off !== undefined) throw new PurserError("switched_off", off);
    return {
      upstream: gateway.upstream,
      request: {
        ...targetOf(provider, dialect, request),
        headers: upstreamHeaders(request, provider, caller),
        body: admittedBody(admissible, decision),
        timeoutMs: provider.timeoutMs,
      },
      response,
      dialect,
      call,
      counter: createOutputCounter(model),
      onDisconnect: gateway.config.onDisconnect,
      headers: [...answerHeaders(gateway.config, id, decision), ...rungHeader(admissible)],
      headersForUsage: (usage, service) => costHeader(gateway.config, reservation, usage, service),
    };
  } catch (error) {
    if (reservation) await gateway.budgets.release(reservation, `not sent: ${(error as Error).message}`);
    throw error;
  }
}

/** Where a call goes. Query parameters such as Anthropic's `?beta=true` go along; a key in the query does not. */
function targetOf(provider: Provider, dialect: Dialect, request: IncomingMessage): Target {
  const target = baseTarget(provider, dialect);
  const query = (request.url ?? "").split("?")[1];
  if (!query) return target;
  const parameters = new URLSearchParams(query);
  parameters.delete("key");
  return parameters.size === 0 ? target : { ...target, path: `${target.path}?${parameters}` };
}

interface Target {
  readonly origin: string;
  readonly path: string;
}

/** Addresses as URLs, taken apart once for each provider of a configuration. */
const targets = new WeakMap<Provider, Map<Dialect, Target>>();

function baseTarget(provider: Provider, dialect: Dialect): Target {
  const known = targets.get(provider) ?? new Map<Dialect, Target>();
  targets.set(provider, known);
  let target = known.get(dialect);
  if (!target) {
    const base = provider.baseUrls[dialect.name];
    if (base === undefined)
      throw new PurserError("internal", `Provider ${provider.name} was chosen for ${dialect.name}, which it does not speak.`);
    const { origin, pathname } = new URL(base + dialect.path);
    target = { origin, path: pathname };
    known.set(dialect, target);
  }
  return target;
}

/** The provider's own key, or the caller's as it came: a login and a key travel in different headers. */
function upstreamHeaders(request: IncomingMessage, provider: Provider, { providerKey }: Caller): string[] {
  const { authorization } = request.headers;
  const header = providerKey !== undefined && authorization?.endsWith(providerKey) ? "authorization" : provider.authHeader;
  const credential =
    provider.apiKey !== undefined
      ? credentialHeader(provider.authHeader, provider.apiKey)
      : providerKey !== undefined
        ? credentialHeader(header, providerKey)
        : {};
  const withheld = provider.apiKey === undefined ? undefined : ACCOUNT_HEADERS;
  return forwardedHeaders(request.rawHeaders, { ...provider.headers, ...credential }, withheld);
}

function answerHeaders({ expose }: Config, id: string, decision: Decision): readonly string[] {
  const tightest = decision.outcome === "allowed" && expose.left ? decision.balances[0] : undefined;
  const left = tightest ? ["x-purser-left", `${encodeURI(tightest.budget)}; left=${tightest.left}; unit=${tightest.unit}`] : [];
  const uncounted = decision.outcome === "uncounted" ? ["x-purser-uncounted", "store unavailable"] : [];
  return ["x-purser-request-id", id, ...left, ...uncounted];
}

/** Says what ladders did to the call. */
function rungHeader({ rungs = [] }: RoutedCall): readonly string[] {
  return rungs.length === 0 ? [] : ["x-purser-rung", headerText(rungs.join(", "))];
}

function costHeader(
  { expose }: Config,
  reservation: Reservation | undefined,
  usage: Usage | undefined,
  service?: ServiceTier,
): readonly string[] {
  if (!expose.cost || !usage || !reservation?.card) return [];
  try {
    const cost = reservation.free ? 0 : costOf(reservation.card, usage, service ?? reservation.service);
    return ["x-purser-cost-nanodollars", String(cost)];
  } catch {
    // A cost too large to be exact: the answer passes all the same, and settling it reports the error.
    return [];
  }
}

/** Tells a client that still waits that no answer will come. */
function answerFailure(exchange: Exchange, outcome: Outcome): void {
  if (outcome.kind === "not-sent")
    writeRefusal(
      exchange,
      "provider_unreachable",
      `The provider could not be reached: ${outcome.error.cause.message}. Nothing was charged.`,
    );
  if (outcome.kind !== "unknown" || !outcome.isClientWaiting) return;
  const { isTimeout, cause } = outcome.error;
  const what = isTimeout ? "The provider did not answer in time" : `The provider broke off: ${cause.message}`;
  writeRefusal(
    exchange,
    isTimeout ? "provider_timeout" : "provider_unreachable",
    `${what}. The call may have been made, so its estimate was charged.`,
  );
}

/** A header carries ASCII only. */
function headerText(text: string): string {
  return /^[\x20-\x7e]*$/.test(text) ? text : encodeURI(text);
}

/** The answer that a ladder has ready for calls that its budget does not pay any more; the refusal, where it cannot be written in this format. */
function answerInstead(exchange: Exchange, { dialect, call }: RoutedCall, denied: Decision & { outcome: "denied" }, text: string): void {
  const { id, response } = exchange;
  if (!dialect.writeAnswer) {
    refuseDenied(exchange, denied);
    return;
  }
  if (response.headersSent || response.destroyed) return;
  const { contentType, body } = dialect.writeAnswer(call, text, id);
  const bytes = Buffer.from(body);
  response.writeHead(200, {
    "content-type": contentType,
    "content-length": bytes.length,
    "x-purser-request-id": id,
    "x-purser-rung": headerText(`answer (${denied.denial.balance?.budget ?? ""})`),
  });
  response.end(bytes);
}

/** Answers as the same call was answered before, a stream as a stream. No provider is asked and nothing is charged. */
function replay({ id, response }: Exchange, { contentType, pieces }: KeptAnswer, rung: string): void {
  if (response.headersSent || response.destroyed) return;
  response.writeHead(200, { "content-type": contentType, "x-purser-request-id": id, "x-purser-rung": headerText(rung) });
  for (const piece of pieces) response.write(piece);
  response.end();
}

/** Keeps a call waiting while its client does. Nothing is held meanwhile. */
function clientWaits({ response }: Exchange, waitMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const left = () => {
      clearTimeout(timer);
      resolve(false);
    };
    const timer = setTimeout(() => {
      response.off("close", left);
      resolve(!response.destroyed);
    }, waitMs);
    response.once("close", left);
  });
}

function refuseDenied(exchange: Exchange, { denial, balances }: Decision & { outcome: "denied" }): void {
  const { id, request, response, dialect } = exchange;
  const refusal: Refusal = { code: denial.reason, message: denial.message, denial, requestId: id };
  const codex = codexRefusal(request.headers, refusal);
  const { status, headers } = refusalHead(refusal, balances);
  endWith(response, codex?.status ?? status, headers, codex?.body ?? dialect.writeError(refusal, status));
}

function refuseError(gateway: Gateway, exchange: Exchange, error: unknown): void {
  if (error === CALLER_GONE) return;
  if (error instanceof PurserError && error.code !== "internal") {
    writeRefusal(exchange, error.code, error.message);
  } else {
    gateway.onError(error);
    writeRefusal(
      exchange,
      "internal",
      "Something is wrong in the gateway itself. The request was not charged; its id helps to find out why.",
    );
  }
}

function writeRefusal({ id, response, dialect }: Exchange, code: Refusal["code"], message: string): void {
  const refusal: Refusal = { code, message, requestId: id };
  const { status, headers } = refusalHead(refusal);
  endWith(response, status, headers, dialect.writeError(refusal, status));
}

function endWith(response: ServerResponse, status: number, headers: Record<string, string>, body: unknown): void {
  if (response.headersSent || response.destroyed) return;
  const bytes = Buffer.from(JSON.stringify(body));
  response.writeHead(status, { ...headers, "content-length": bytes.length });
  response.end(bytes);
}
