import {
  type Charge,
  costOf,
  type Decision,
  PurserError,
  type Reservation,
  type Sent,
  type ServiceTier,
  type Subject,
  type Usage,
} from "@purser/core";
import { createOutputCounter } from "@purser/core/tokens";
import { writeRefusal } from "./answering.ts";
import { countedInput, outputTokensMostOf, settleCall } from "./budgeted-call.ts";
import type { Config } from "./config/config.ts";
import type { Refusal } from "./dialects/dialect.ts";
import { callerGone, type Exchange, isGone } from "./exchange.ts";
import type { Attempt, Attempts } from "./failover/attempts.ts";
import type { CallInFlight, Gateway } from "./gateway.ts";
import { headerText } from "./headers.ts";
import { GrowingHold } from "./holds/growing-hold.ts";
import type { Outcome } from "./outcome.ts";
import { leftHeaders } from "./rate-limit-fields.ts";
import { type RelayedCall, type RelayOptions, relay } from "./relay.ts";
import { type CallName, Recording } from "./rungs/answers.ts";
import type { RoutedCall } from "./rungs/climb.ts";
import { translationOf } from "./rungs/other-call.ts";
import { upstreamRequest } from "./upstream-request.ts";

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
export async function send(gateway: Gateway, exchange: Exchange, toSend: ToSend): Promise<void> {
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
    const charging = reservation && settle(gateway, routed, { reservation, hold, outcome, sent });
    if (name && answer) gateway.answers.keep(name, { ...answer, cost: Promise.resolve(charging).then((charge) => charge?.cost) });
    if (!goesOn) passFailureOn(exchange, relayed, outcome);
    if (outcome.kind === "answered" && outcome.usage) {
      gateway.promptCaches.saw(routed, outcome.usage, Date.now());
      gateway.calibration.saw(routed, outcome.usage, Date.now());
    }
    gateway.usualAnswers.saw(routed, outcome);
    await charging;
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

const NO_MORE = "The budget has nothing left for the rest of this answer.";

interface Ended {
  readonly reservation: Reservation;
  readonly hold: GrowingHold | undefined;
  readonly outcome: Outcome;
  readonly sent: Sent | undefined;
}

/** Settles a call that has ended. A hold that grew is to hold all that was used first, where it can. */
async function settle(
  { budgets, onError }: Gateway,
  routed: RoutedCall,
  { reservation, hold, outcome, sent }: Ended,
): Promise<Charge | undefined> {
  try {
    if (outcome.kind === "answered") await hold?.cover(outcome.usage?.outputTokens || outcome.outputTokens());
    return await settleCall(budgets, routed, hold?.reservation ?? reservation, outcome, sent);
  } catch (error) {
    onError(error);
    return undefined;
  }
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
