import type { IncomingMessage, ServerResponse } from "node:http";
import { setTimeout as wait } from "node:timers/promises";
import {
  type Budget,
  type Budgets,
  costOf,
  type Decision,
  type Denial,
  type DenialReason,
  type LadderStep,
  type PriceSource,
  PurserError,
  type Reservation,
  type ServiceTier,
  type Subject,
  shownOwner,
  stepText,
  type Usage,
} from "@purser/core";
import { createOutputCounter } from "@purser/core/tokens";
import type { Alerts } from "./alerts/alerts.ts";
import type { Ask } from "./asks/ask.ts";
import type { Asks } from "./asks/asks.ts";
import type { AuditLog } from "./audit-log/audit-log.ts";
import type { BatchesPort } from "./batches/batches.ts";
import { letGo, turnFor } from "./body.ts";
import type { BodyRoom } from "./body-room.ts";
import {
  budgetedCall,
  callOf,
  callTerms,
  countedInput,
  denialMessage,
  outputTokensMostOf,
  reserveCall,
  settleCall,
} from "./budgeted-call.ts";
import type { Calibration } from "./calibration/calibration.ts";
import type { CallEvents } from "./call-events.ts";
import type { Caller, Identified } from "./callers/identify.ts";
import type { Config } from "./config/config.ts";
import { type Dialect, type Refusal, refuseHeaders } from "./dialects/dialect.ts";
import { readCallBody } from "./dialects/form-body.ts";
import type { PathNames } from "./dialects/path.ts";
import { type Attempt, Attempts } from "./failover/attempts.ts";
import type { Circuits } from "./failover/circuits.ts";
import { blocking, type Guards, guardedCall } from "./guards/guards.ts";
import { headerText } from "./headers.ts";
import { GrowingHold } from "./holds/growing-hold.ts";
import { heldAsUsual } from "./holds/held-as-usual.ts";
import type { UsualAnswers } from "./holds/usual-answers.ts";
import type { Outcome } from "./outcome.ts";
import { type OwnCallTerms, ownCall } from "./own-call.ts";
import { missingKey, type Router } from "./providers/routing.ts";
import { type QueuePort, queueable, type ToQueue } from "./queue/queue.ts";
import { prefersAsync, queuedHeaders, queuedJson } from "./queue/wire.ts";
import { leftHeaders } from "./rate-limit-fields.ts";
import { codexRefusal, refusalHead } from "./refusal.ts";
import { type RelayedCall, type RelayOptions, relay } from "./relay.ts";
import type { FoundCall } from "./routes.ts";
import { type Answers, type CallName, callName, Recording } from "./rungs/answers.ts";
import { asItCame, climb, type RoutedCall, routedCall, rungAfter, textOf } from "./rungs/climb.ts";
import { type GivenAnswer, knownAnswer, type ReadyText, readyRung, readyTextAfter } from "./rungs/known-answers.ts";
import { translationOf } from "./rungs/other-call.ts";
import type { PromptCaches } from "./rungs/prompt-caches.ts";
import { reserveOrFinish } from "./rungs/reserve-or-finish.ts";
import type { Summaries } from "./rungs/summaries.ts";
import type { Summariser } from "./rungs/summarise.ts";
import type { SentBefore } from "./sessions/sent-before.ts";
import type { Upstream } from "./upstream.ts";
import { upstreamRequest } from "./upstream-request.ts";

/** What every call needs, as it stands when the call comes in. */
export interface Gateway {
  readonly config: Config;
  readonly budgets: Budgets;
  readonly prices: PriceSource;
  readonly upstream: Pick<Upstream, "send">;
  readonly route: Router;
  readonly bodies: BodyRoom;
  readonly alerts: Pick<Alerts, "decided" | "watches" | "observe">;
  readonly guards: Guards;
  /** Calls that wait for their budget. */
  readonly queue: QueuePort;
  /** Batches on their way. */
  readonly batches: BatchesPort;
  readonly asks: Pick<Asks, "ask" | "wait" | "look" | "answer">;
  readonly log: Pick<AuditLog, "refused">;
  /** Told what becomes of every call. */
  readonly events: CallEvents;
  /** The headers that continue the trace of an attempt at its provider; the caller's own pass where it is left out. */
  readonly traceHeaders?: (attemptId: string) => readonly string[] | undefined;
  /** Which providers failed lately. */
  readonly circuits: Circuits;
  /** What may be answered again. */
  readonly answers: Answers;
  /** What stands for the beginnings of conversations. */
  readonly summaries: Summaries;
  /** How far our counts are from those of providers. */
  readonly calibration: Pick<Calibration, "marginOf" | "saw">;
  /** What providers read from their caches lately. */
  readonly promptCaches: PromptCaches;
  /** How long answers are. */
  readonly usualAnswers: Pick<UsualAnswers, "p95" | "saw">;
  /** What sessions have sent. */
  readonly sentBefore: SentBefore;
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
  /** When the request began, by the clock of the process. */
  readonly beganAt: number;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly dialect: Dialect;
  /** What the path of the request names. */
  readonly names: PathNames;
}

/** The life of one call: read, identify, route, degrade, reserve, send, meter, settle. */
export async function serveCall(gateway: Gateway, request: IncomingMessage, response: ServerResponse, found: FoundCall): Promise<void> {
  const { dialect, names } = found;
  let exchange: Exchange = { id: gateway.newId(), beganAt: performance.now(), request, response, dialect, names };
  gateway.events.began(exchange.id, request, dialect, false);
  try {
    const routed = await readRouted(gateway, exchange);
    if (dialect.isFree) return await sendFree(gateway, exchange, routed);
    const tripped = gateway.guards.look(routed, Date.now());
    const blocked = blocking(tripped);
    if (blocked) return refuseAs(gateway, exchange, guardedCall(routed, tripped).call, "guard_tripped", blocked.message);
    const climbed = await climb(gateway, routed, summariserFor(gateway, exchange));
    const { call: guarded, waitMs: guardMs } = guardedCall(climbed.call, tripped);
    const attempts = new Attempts(gateway, guarded);
    const { call: chosen, waitMs: ladderMs, end, lookups, cache, queue } = await attempts.first({ ...climbed, call: guarded });
    let call = heldAsUsual(gateway, chosen);
    const off = gateway.budgets.switchedOff(call.subject);
    if (off !== undefined) return refuseAs(gateway, exchange, call, "switched_off", off);
    refuseWithoutKey(call);
    const name = cache && callName(call, request, cache.nearness !== undefined);
    const known = knownAnswer(gateway, { id: exchange.id, dialect, call, lookups, cache, name }, Date.now());
    if (known) return give(gateway, exchange, call, known);
    if (queue && (await queued(gateway, exchange, routed, queue))) return;
    if (end) {
      const text = dialect.writeAnswer && textOf(end.rung);
      const ready = text === undefined ? undefined : { text, rung: readyRung(end.budget.name) };
      const blocked = gateway.budgets.block(callOf(exchange.id, call, undefined, ready && (() => ready.rung)), end);
      return refuseDenied(exchange, call, blocked, ready);
    }
    const waitMs = Math.max(ladderMs, guardMs);
    if (waitMs > 0) await wait(waitMs, undefined, { signal: callerGone(response) });
    const gone = () => callerGone(response);
    const reserve = () =>
      reserveOrFinish(gateway, call, (asking, { mayFinish }) => {
        const readyText = (denial: Denial) => readyInstead(gateway, exchange, asking, denial)?.rung;
        return reserveCall(gateway.budgets, exchange.id, asking, gone, { mayFinish, readyText });
      });
    const first = await reserve();
    call = first.call;
    gateway.alerts.decided(first.decision);
    const asked = first.decision.outcome === "denied" ? await askOwner(gateway, call, first.decision.denial, gone) : undefined;
    // What was refused stays written down: the call that goes on is another one.
    if (asked?.isGiven) {
      const { id } = exchange;
      exchange = { ...exchange, id: gateway.newId() };
      gateway.events.continued(id, exchange.id);
    }
    const { decision, call: admitted } = asked?.isGiven ? await reserve() : first;
    call = admitted;
    if (decision.outcome === "denied" && (await queuedAfter(gateway, exchange, routed, decision.denial))) return;
    if (decision.outcome === "denied" && asked) return refuseDenied(exchange, call, withAsked(decision, asked), undefined);
    if (decision.outcome === "denied")
      return refuseDenied(exchange, call, decision, readyTextAfter(gateway, dialect, call, decision.denial));
    await send(gateway, exchange, { attempts, first: { id: exchange.id, call, decision }, name });
  } catch (error) {
    refuseError(gateway, exchange, error);
  } finally {
    gateway.events.ended(exchange.id, response.statusCode);
  }
}

/** Has a summary written on the budgets of the call that it is for, as a call of its own in the ledger. */
export function summariserFor(gateway: Gateway, { id, request }: OwnCallTerms): Summariser {
  return {
    summaries: gateway.summaries,
    ask: async (question) => {
      const ended = await ownCall(gateway, { ...question, rungs: [`summary for ${id}`] }, { id: gateway.newId(), request });
      return ended.kind === "answered" ? ended.bytes : undefined;
    },
  };
}

/** What the owner of a budget was asked for, and whether it was given while the call waited. */
interface Asked {
  readonly ask: Ask;
  readonly budget: Budget;
  readonly isGiven: boolean;
}

/** Asks the owner of the budget that refuses a call for more, where its ladder says so, and waits for what they say. */
async function askOwner(gateway: Gateway, call: RoutedCall, denial: Denial, gone: () => AbortSignal): Promise<Asked | undefined> {
  const found = rungAfter(denial, gateway.config.budgets, "ask");
  if (!found || !denial.balance) return undefined;
  const { budget, rung } = found;
  const ask = await gateway.asks.ask(budget, denial.balance, call.subject, rung);
  return ask && { ask, budget, isGiven: await gateway.asks.wait(ask, denial.balance, call.subject, { waitMs: rung.waitMs, gone: gone() }) };
}

function withAsked(decision: Decision & { outcome: "denied" }, { ask, budget }: Asked): Decision & { outcome: "denied" } {
  const { denial } = decision;
  const message = `${denial.message} ${shownOwner(budget) ?? "The owner of the budget"} was asked for ${ask.more} more: try again when it is given.`;
  return { ...decision, denial: { ...denial, message } };
}

/** Lets a call wait for a budget that is used up, where its ladder and its client say so. */
async function queuedAfter(gateway: Gateway, exchange: Exchange, routed: RoutedCall, denial: Denial): Promise<boolean> {
  const found = rungAfter(denial, gateway.config.budgets, "queue");
  return found !== undefined && queued(gateway, exchange, routed, { ...found, step: undefined, balance: denial.balance });
}

interface Waits {
  readonly rung: ToQueue["rung"];
  readonly budget: Budget;
  /** The step from which the rung holds; none where the budget is used up. */
  readonly step: LadderStep | undefined;
  readonly balance: ToQueue["balance"];
}

/** Takes a call that can wait, and answers where its answer will be. Only clients that ask for that know what to do with it. */
async function queued(gateway: Gateway, exchange: Exchange, call: RoutedCall, { rung, budget, step, balance }: Waits): Promise<boolean> {
  const { id, request, response } = exchange;
  // What waits is made again from its key alone, and would not know any more what was handed on.
  if (!prefersAsync(request.headers) || call.pools) return false;
  const text = `queue (${budget.name}${step === undefined ? "" : ` ${stepText(step)}`})`;
  const fit = queueable({ call, request, rung, text, balance }, Date.now());
  const waiting = fit && (await gateway.queue.add(fit));
  if (!waiting) return false;
  const headers = { ...queuedHeaders(waiting, Date.now()), "x-purser-request-id": id, "x-purser-rung": headerText(text) };
  endWith(response, 202, { ...headers, "preference-applied": "respond-async" }, JSON.stringify(queuedJson(waiting)));
  return true;
}

const CALLER_GONE = new Error("The caller went away before its call was admitted.");

/** Aborted when the caller's connection closes. */
function callerGone(response: ServerResponse): AbortSignal {
  const gone = new AbortController();
  if (response.destroyed) gone.abort(CALLER_GONE);
  else response.once("close", () => gone.abort(CALLER_GONE));
  return gone.signal;
}

/** Who makes a call. Throws where nobody known does, or somebody who may not; it is written down. */
export function callerOf(gateway: Gateway, request: IncomingMessage, endpoint: string): Caller {
  const identified = gateway.identify(request);
  if (!identified.ok) {
    const details = { endpoint, code: identified.code };
    gateway.log.refused({ by: "nobody known", what: "access.refused", from: request.socket.remoteAddress, details });
    throw new PurserError(identified.code, identified.message);
  }
  const { caller } = identified;
  if (caller.key?.role === "viewer")
    throw new PurserError(
      "key_invalid",
      `The key "${caller.key.name}" may look at /api, and make no calls. Use one that was made for calls.`,
    );
  return caller;
}

/** Who calls, what they ask, and where it goes. Throws what the caller has to mend. */
async function readRouted(gateway: Gateway, { request, response, dialect, names }: Exchange): Promise<RoutedCall> {
  const caller = callerOf(gateway, request, dialect.name);
  const bytes = await gateway.bodies.read(request, response, gateway.config.server.maxBodyBytes);
  const turn = turnFor(bytes.length);
  if (turn) await turn;
  refuseHeaders(dialect, (name) => request.headers[name] !== undefined);
  const call = dialect.readCall(readCallBody(dialect, bytes, request.headers["content-type"]), names);
  const route = gateway.route(call.model, dialect.name);
  if ("unknown" in route) throw new PurserError("provider_unknown", route.unknown);
  // Where there are several providers, others may have one.
  if (!route.failover) refuseWithoutKey({ caller, provider: route.provider });
  const terms = callTerms(gateway, caller, route, { dialect, call });
  return routedCall(budgetedCall(terms), caller, route, names);
}

function refuseWithoutKey({ caller, provider }: Pick<RoutedCall, "caller" | "provider">): void {
  const noKey = caller.providerKey === undefined ? missingKey(provider) : undefined;
  if (noKey !== undefined) throw new PurserError("provider_key_missing", noKey);
}

async function sendFree(gateway: Gateway, exchange: Exchange, routed: RoutedCall): Promise<void> {
  const attempts = new Attempts(gateway, routed);
  const { call } = await attempts.first(asItCame(routed));
  refuseWithoutKey(call);
  await send(gateway, exchange, { attempts, first: { id: exchange.id, call, decision: undefined }, name: undefined });
}

/** What is sent of a request. */
interface ToSend {
  readonly attempts: Attempts;
  readonly first: Attempt;
  /** By which its answer may be given again. */
  readonly name: CallName | undefined;
}

/**
 * Sends an admitted call, passes the answer on, and settles what was used; and where its provider fails before anything was passed on, sends it
 * to the next one of its list. A client gets the failure of the last provider that was asked, and not the refusal of a budget for another one.
 */
async function send(gateway: Gateway, exchange: Exchange, toSend: ToSend): Promise<void> {
  const secondsSinceItBegan = () => (performance.now() - exchange.beganAt) / 1_000;
  gateway.events.admitted(exchange.id, exchange.dialect.name, secondsSinceItBegan());
  let signal: AbortSignal | undefined;
  const gone = () => (signal ??= callerGone(exchange.response));
  let attempt: Attempt | undefined = toSend.first;
  while (attempt) attempt = await make(gateway, exchange, { ...toSend, gone }, attempt);
  gateway.events.over(exchange.id, exchange.dialect.name, secondsSinceItBegan());
}

/** Makes an attempt. Returns the next one, where its end is not passed on. */
async function make(
  gateway: Gateway,
  exchange: Exchange,
  { attempts, name, gone }: ToSend & { readonly gone: () => AbortSignal },
  attempt: Attempt,
): Promise<Attempt | undefined> {
  const { call: routed, decision } = attempt;
  const { provider } = routed;
  const reservation = decision?.outcome === "allowed" ? decision.reservation : undefined;
  const hold = reservation?.more ? new GrowingHold(gateway.budgets, reservation) : undefined;
  const recording = name && new Recording();
  const { events } = gateway;
  const sentAt = performance.now();
  events.sent(exchange.id, attempt, (sentAt - exchange.beganAt) / 1_000);
  const onBegin = () => events.answering(exchange.id, provider.name, (performance.now() - sentAt) / 1_000);
  attempts.sent(attempt);
  let prepared: RelayOptions;
  try {
    prepared = prepare(gateway, exchange, attempt, { reservation, recording, hold, attempts, onBegin });
  } catch (error) {
    if (reservation) await gateway.budgets.release(reservation, `not sent: ${(error as Error).message}`);
    throw error;
  }
  const end = (code: Refusal["code"], message: string) => endEarly(exchange, routed, relayed, code, message);
  const relayed = relay(prepared, () =>
    end("budget_exhausted", NO_MORE).catch((error: unknown) => {
      gateway.onError(error);
      exchange.response.destroy();
    }),
  );
  const flight = new Flight(routed.subject, reservation, end);
  gateway.inFlight.set(attempt.id, flight);
  let outcome: Outcome;
  let goesOn = false;
  try {
    // The call is on its way: nobody waits for this. What is made again elsewhere was sent by this very call.
    const sent = reservation && attempts.made === 1 ? gateway.sentBefore.saw(routed, Date.now()) : undefined;
    outcome = await relayed.outcome;
    events.answered(exchange.id, {
      id: attempt.id,
      provider: provider.name,
      outcome,
      seconds: (performance.now() - exchange.beganAt) / 1_000,
    });
    // Who is not there any more says nothing about the provider.
    goesOn = !isGone(exchange) && attempts.ended(attempt, outcome);
    const answer = recording?.answer(attempt.id, outcome, decision ? outputTokensMostOf(decision) : routed.outputTokensMost, Date.now());
    if (name && answer) gateway.answers.keep(name, answer);
    if (!goesOn) passFailureOn(exchange, relayed, outcome);
    if (outcome.kind === "answered" && outcome.usage) {
      gateway.promptCaches.saw(routed, outcome.usage, Date.now());
      gateway.calibration.saw(routed, outcome.usage, Date.now());
    }
    gateway.usualAnswers.saw(routed, outcome);
    if (reservation) {
      const charge = await settleCall(gateway.budgets, routed, (await settled(hold, outcome)) ?? reservation, outcome, sent).catch(
        (error) => gateway.onError(error),
      );
      if (name && answer) gateway.answers.settled(name, { from: attempt.id, cost: charge?.cost });
    }
    await observeBalances(gateway, routed.subject);
  } finally {
    // A hold that could not be ended must not be renewed for ever.
    gateway.inFlight.delete(attempt.id);
    flight.land();
  }
  if (!goesOn) return undefined;
  const next = await attempts.next(attempt, outcome, gone);
  if (!next) passFailureOn(exchange, relayed, outcome);
  return next;
}

/** Whether the caller went away before its answer was written. */
function isGone({ response }: Exchange): boolean {
  return !response.writableEnded && (response.destroyed || response.req.socket?.destroyed === true);
}

const NO_MORE = "The budget has nothing left for the rest of this answer.";

/** A hold that grew, once it holds all that was used, where it could. */
async function settled(hold: GrowingHold | undefined, outcome: Outcome): Promise<Reservation | undefined> {
  if (outcome.kind === "answered") await hold?.cover(outcome.usage?.outputTokens || outcome.outputTokens());
  return hold?.reservation;
}

/**
 * A call in flight. It lets go of the call when that is over: a map in which many come and go leaves its outgrown tables to the collector of
 * garbage, and all of a call that hangs on one of them would stay in memory as long as they.
 */
class Flight implements CallInFlight {
  readonly subject: Subject;
  readonly reservation: Reservation | undefined;
  #end: CallInFlight["end"] | undefined;

  constructor(subject: Subject, reservation: Reservation | undefined, end: CallInFlight["end"]) {
    this.subject = subject;
    this.reservation = reservation;
    this.#end = end;
  }

  async end(code: Refusal["code"], message: string): Promise<void> {
    await this.#end?.(code, message);
  }

  land(): void {
    this.#end = undefined;
  }
}

/** Shows the balances of a call that ended to whoever is told of thresholds. */
export async function observeBalances({ alerts, budgets, onError }: Gateway, subject: Subject): Promise<void> {
  if (alerts.watches(subject)) await budgets.balances({ subject }).then((balances) => alerts.observe(balances), onError);
}

async function endEarly(exchange: Exchange, routed: RoutedCall, relayed: RelayedCall, code: Refusal["code"], message: string) {
  if (!routed.call.stream) return;
  const inputTokens = (await countedInput(routed)) ?? 0;
  relayed.endGracefully({ id: exchange.id, inputTokens, refuse: () => writeRefusal(exchange, code, message) });
}

/** What is known of a call when it goes out. */
interface Sending {
  readonly reservation: Reservation | undefined;
  readonly recording: Recording | undefined;
  readonly hold: GrowingHold | undefined;
  readonly attempts: Attempts;
  readonly onBegin: () => void;
}

/** Everything that can go wrong before the provider is asked goes wrong here. */
function prepare(
  gateway: Gateway,
  exchange: Exchange,
  { id: attemptId, call: routed, decision }: Attempt,
  { reservation, recording, hold, attempts, onBegin }: Sending,
): RelayOptions {
  const { id, request, response } = exchange;
  const { dialect, call, model, subject } = routed;
  // It may have been switched off while the call was admitted.
  const off = gateway.budgets.switchedOff(subject);
  if (off !== undefined) throw new PurserError("switched_off", off);
  return {
    upstream: gateway.upstream,
    request: upstreamRequest(request, routed, decision, gateway.traceHeaders?.(attemptId)),
    response,
    dialect,
    call,
    counter: createOutputCounter(model, routed.margin),
    onDisconnect: gateway.config.onDisconnect,
    translation: translationOf(routed, request, Date.now()),
    headers: answerHeaders(gateway.config, routed, { id, decision, attempt: attempts.made }),
    recording,
    hold,
    onBegin,
    holdsBack: attempts.mayGoOn ? (status) => attempts.goesOnAfter(status) : undefined,
    headersForUsage: (usage, service) => costHeader(gateway.config, reservation, usage, service),
  };
}

interface AnswerTerms {
  readonly id: string;
  readonly decision: Decision | undefined;
  /** The number of the attempt. */
  readonly attempt: number;
}

/** What we say about an admitted call: its id, what is left, what ladders did to it; and where several providers have its model, which of them answers. */
function answerHeaders({ expose }: Config, { rungs = [], provider, failover }: RoutedCall, terms: AnswerTerms): readonly string[] {
  const { id, decision, attempt } = terms;
  const headers = ["x-purser-request-id", id];
  const tightest = decision?.outcome === "allowed" && expose.left ? decision.tightest : undefined;
  if (tightest) headers.push(...leftHeaders(tightest, Date.now()));
  if (decision?.outcome === "uncounted") headers.push("x-purser-uncounted", "store unavailable");
  if (rungs.length > 0) headers.push("x-purser-rung", headerText(rungs.join(", ")));
  if (failover) headers.push("x-purser-provider", provider.name, "x-purser-attempts", String(attempt));
  return headers;
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

/** Tells a client that still waits that no answer will come; or passes on what was held back of it. */
function passFailureOn(exchange: Exchange, relayed: RelayedCall, outcome: Outcome): void {
  relayed.passOn();
  answerFailure(exchange, outcome);
}

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

/** Gives an answer that is known, a stream as a stream, and writes that down. No provider is asked and nothing is charged. */
function give(
  { budgets, events }: Gateway,
  { id, response }: Exchange,
  call: RoutedCall,
  { contentType, pieces, rung, known }: GivenAnswer,
): void {
  budgets.recordAnswer(callOf(id, call), known);
  events.knew(id, call.subject, known);
  if (response.headersSent || response.destroyed) return;
  response.writeHead(200, { "content-type": contentType, "x-purser-request-id": id, "x-purser-rung": headerText(rung) });
  for (const piece of pieces) response.write(piece);
  response.end();
}

/** Refuses a call for what no budget says, and writes it down. */
function refuseAs({ budgets }: Gateway, exchange: Exchange, call: RoutedCall, reason: DenialReason, message: string): void {
  refuseDenied(exchange, call, budgets.refuse(callOf(exchange.id, call), reason, message), undefined);
}

/** What a caller gets when a budget refuses its call, where that is known already: where somebody is asked first, or the call can wait, it is not. */
function readyInstead(gateway: Gateway, { dialect, request }: Exchange, call: RoutedCall, denial: Denial): ReadyText | undefined {
  const { budgets } = gateway.config;
  if (rungAfter(denial, budgets, "ask") || (prefersAsync(request.headers) && rungAfter(denial, budgets, "queue"))) return undefined;
  return readyTextAfter(gateway, dialect, call, denial);
}

/** Refuses a call; or gives it the text that a ladder has ready in the place of an answer, where this format can carry it. */
function refuseDenied(
  exchange: Exchange,
  routed: RoutedCall,
  denied: Decision & { outcome: "denied" },
  ready: ReadyText | undefined,
): void {
  const { id, request, response, dialect } = exchange;
  const { denial, balances } = denied;
  if (ready && dialect.writeAnswer) {
    const terms = { id, createdAt: Math.floor(Date.now() / 1_000) };
    const { contentType, body } = dialect.writeAnswer((routed.asked ?? routed).call, ready.text, terms);
    const head = { "content-type": contentType, "x-purser-request-id": id, "x-purser-rung": headerText(ready.rung) };
    endWith(response, 200, head, body);
    return;
  }
  const refusal: Refusal = { code: denial.reason, message: denialMessage(routed, denial), denial, requestId: id };
  const codex = codexRefusal(request.headers, refusal);
  const { status, headers } = refusalHead(refusal, balances);
  endWith(
    response,
    codex?.status ?? status,
    { ...headers, ...codex?.headers },
    JSON.stringify(codex?.body ?? dialect.writeError(refusal, status)),
  );
  // Nothing of it was sent, and nobody needs it any more.
  letGo(routed.call.body.bytes);
}

function refuseError(gateway: Gateway, exchange: Exchange, error: unknown): void {
  if (error === CALLER_GONE || (error instanceof Error && error.cause === CALLER_GONE)) return;
  gateway.events.rejected(exchange.id, error instanceof PurserError ? error.code : "internal");
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
  endWith(response, status, headers, JSON.stringify(dialect.writeError(refusal, status)));
}

function endWith(response: ServerResponse, status: number, headers: Record<string, string>, body: string): void {
  if (response.headersSent || response.destroyed) return;
  const lines = Object.entries(headers).flat();
  lines.push("content-length", String(Buffer.byteLength(body)));
  // As a text it goes out in one piece with its head.
  response.writeHead(status, lines).end(body);
}
