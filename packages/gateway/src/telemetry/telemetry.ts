import type { Attributes, Context, Span, Tracer } from "@opentelemetry/api";
import { type Charge, type Denial, type ErrorCode, type KnownAnswer, type Subject, savingOfAnswer } from "@purser/core";
import type { CallEvents, OverAttempt } from "../call-events.ts";
import type { Dialect } from "../dialects/dialect.ts";
import type { Attempt } from "../failover/attempts.ts";
import type { Outcome } from "../outcome.ts";
import type { ClientRequest } from "../upstream-request.ts";
import { admittedAttributes, callAttributes, chargedAttributes, denialAttributes, knownAttributes } from "./attributes.ts";
import type { Instruments } from "./instruments.ts";
import { ATTRIBUTE, operationName } from "./names.ts";

/** The part of OpenTelemetry's API that is used at run time. It is loaded only where telemetry is configured. */
export interface Api {
  /** The context that a call's headers name as its parent; the root where they name none that can be read. */
  parentOf(headers: ClientRequest["headers"]): Context;
  within(context: Context, span: Span): Context;
}

/** A call that is being worked on. */
interface OpenCall {
  readonly root: Span;
  /** What is inside its root. */
  readonly context: Context;
  /** Epoch milliseconds, and the clock of the process: when it came. */
  readonly startedAt: number;
  readonly startedAfter: number;
  readonly isOwn: boolean;
  readonly attempts: OpenAttempt[];
  error: string | undefined;
}

/** An attempt at one provider. It is written when its call ends, since it is charged after it is over. */
interface OpenAttempt {
  readonly id: string;
  readonly span: Span;
  readonly context: Context;
  readonly isStream: boolean;
  readonly attributes: Attributes;
  /** Seconds from when the call came: until it was sent, and until its answer had passed. */
  readonly sentAfter: number;
  overAfter: number | undefined;
  error: string | undefined;
}

// What OpenTelemetry calls these.
const INTERNAL = 0;
const SERVER = 1;
const CLIENT = 2;
const ERROR = 2;

/** Writes spans and metrics of calls, from what is told of them. */
export class Telemetry implements CallEvents {
  readonly #api: Api;
  readonly #tracer: Tracer;
  readonly #instruments: Instruments;
  readonly #open = new Map<string, OpenCall>();
  /** Those of open calls, by their own id. */
  readonly #attempts = new Map<string, OpenAttempt>();

  constructor(api: Api, tracer: Tracer, instruments: Instruments) {
    this.#api = api;
    this.#tracer = tracer;
    this.#instruments = instruments;
  }

  began(id: string, request: ClientRequest, { name: endpoint, path: route }: Pick<Dialect, "name" | "path">, isOwn: boolean): void {
    const startedAt = Date.now();
    const parent = this.#api.parentOf(request.headers);
    const what = isOwn ? {} : { [ATTRIBUTE.method.name]: "POST", [ATTRIBUTE.route.name]: route };
    const root = this.#tracer.startSpan(
      isOwn ? `purser ${operationName(endpoint)}` : `POST ${route}`,
      { kind: isOwn ? INTERNAL : SERVER, startTime: startedAt, attributes: { ...what, [ATTRIBUTE.call.name]: id } },
      parent,
    );
    this.#open.set(id, {
      root,
      context: this.#api.within(parent, root),
      startedAt,
      startedAfter: performance.now(),
      isOwn,
      attempts: [],
      error: undefined,
    });
  }

  /** The span of what is sent says it. */
  admitted(): void {}

  sent(callId: string, { id, call, decision }: Attempt, seconds: number): void {
    const open = this.#open.get(callId);
    if (!open) return;
    const attributes = callAttributes(call.subject);
    const startTime = open.startedAt + seconds * 1_000;
    const span = this.#tracer.startSpan(
      `${attributes[ATTRIBUTE.operation.name]} ${call.model}`,
      { kind: CLIENT, startTime, attributes: { ...admittedAttributes(call, decision), [ATTRIBUTE.call.name]: id } },
      open.context,
    );
    const context = this.#api.within(open.context, span);
    const attempt = {
      id,
      span,
      context,
      isStream: call.call.stream,
      attributes,
      sentAfter: seconds,
      overAfter: undefined,
      error: undefined,
    };
    open.attempts.push(attempt);
    this.#attempts.set(id, attempt);
  }

  /** The context in which an attempt's provider works, for those who hand it on. Nothing of one that was not sent. */
  contextOf(attemptId: string): Context | undefined {
    return this.#attempts.get(attemptId)?.context;
  }

  answering(callId: string, _provider: string, seconds: number): void {
    const attempt = this.#open.get(callId)?.attempts.at(-1);
    if (!attempt?.isStream) return;
    attempt.span.setAttribute(ATTRIBUTE.firstChunk.name, seconds);
    this.#instruments.firstChunk.record(seconds, attempt.attributes);
  }

  answered(_callId: string, { id, outcome, seconds }: OverAttempt): void {
    const attempt = this.#attempts.get(id);
    if (!attempt) return;
    attempt.overAfter = seconds;
    attempt.error = errorType(outcome);
    if (outcome.kind === "answered" && outcome.model !== undefined) attempt.span.setAttribute(ATTRIBUTE.responseModel.name, outcome.model);
    const { attributes, error, sentAfter } = attempt;
    this.#instruments.duration.record(
      seconds - sentAfter,
      error === undefined ? attributes : { ...attributes, [ATTRIBUTE.error.name]: error },
    );
  }

  /** Its spans show it. */
  wentOn(): void {}

  over(): void {}

  charged(id: string, subject: Subject, charge: Charge, takenBack?: Charge): void {
    const call = callAttributes(subject);
    this.#attempts.get(id)?.span.setAttributes(chargedAttributes(charge));
    this.#instruments.charged(call, charge, takenBack);
  }

  denied(id: string, subject: Subject, denial: Denial): void {
    const { reason, balance } = denial;
    this.#instruments.refusals.add(1, {
      [ATTRIBUTE.refusal.name]: reason,
      ...(balance && { [ATTRIBUTE.refusedBy.name]: balance.budget }),
    });
    const open = this.#open.get(id);
    open?.root.setAttributes({ ...callAttributes(subject), ...denialAttributes(subject, denial) });
    if (open) open.error = reason;
  }

  knew(id: string, subject: Subject, known: KnownAnswer): void {
    const call = callAttributes(subject);
    this.#instruments.knownAnswers.add(1, call);
    const saving = savingOfAnswer(known);
    if (saving) this.#instruments.saved(call, saving);
    this.#open.get(id)?.root.setAttributes({ ...call, ...knownAttributes(subject, known) });
  }

  rejected(id: string, code: ErrorCode): void {
    const open = this.#open.get(id);
    if (open) open.error = code;
  }

  continued(id: string, as: string): void {
    const open = this.#open.get(id);
    if (!open) return;
    this.#open.delete(id);
    this.#open.set(as, open);
    open.error = undefined;
    open.root.setAttribute(ATTRIBUTE.call.name, as);
  }

  ended(id: string, status: number | undefined): void {
    const open = this.#open.get(id);
    if (!open) return;
    this.#open.delete(id);
    const { root, attempts, startedAt, startedAfter } = open;
    const lasted = performance.now() - startedAfter;
    // What a later attempt made good is no error of the call.
    const last = attempts.at(-1);
    const error = last?.error ?? open.error;
    for (const attempt of attempts) this.#end(attempt, attempt === last ? error : attempt.error, open);
    if (status !== undefined) root.setAttribute(ATTRIBUTE.status.name, status);
    if (error !== undefined) root.setAttribute(ATTRIBUTE.error.name, error);
    // What a caller did wrong, or may not do, is no fault of a server.
    if ((status ?? 0) >= 500 || (open.isOwn && error !== undefined)) root.setStatus({ code: ERROR });
    root.end(startedAt + lasted);
  }

  #end({ id, span, overAfter }: OpenAttempt, error: string | undefined, { startedAt, startedAfter }: OpenCall): void {
    this.#attempts.delete(id);
    if (error !== undefined) span.setAttribute(ATTRIBUTE.error.name, error).setStatus({ code: ERROR });
    span.end(startedAt + (overAfter === undefined ? performance.now() - startedAfter : overAfter * 1_000));
  }
}

/** Why there is no whole answer, in a word of few. */
function errorType(outcome: Outcome): string | undefined {
  if (outcome.kind === "refused") return String(outcome.status);
  if (outcome.kind === "not-sent") return "unreachable";
  if (outcome.kind === "unknown") return outcome.error.isTimeout ? "timeout" : "broken";
  return outcome.isWhole ? undefined : "cut";
}
