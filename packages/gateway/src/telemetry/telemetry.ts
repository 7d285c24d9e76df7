import type { Attributes, Context, Span, Tracer } from "@opentelemetry/api";
import type { Charge, Denial, ErrorCode, Subject } from "@purser/core";
import type { Admitted } from "../budgeted-call.ts";
import type { CallEvents, OverCall } from "../call-events.ts";
import type { Dialect } from "../dialects/dialect.ts";
import type { Outcome } from "../outcome.ts";
import type { RoutedCall } from "../rungs/climb.ts";
import type { ClientRequest } from "../upstream-request.ts";
import { admittedAttributes, callAttributes, chargedAttributes, denialAttributes } from "./attributes.ts";
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
  /** What is next inside it: its root, and then the span of its provider. */
  context: Context;
  /** Epoch milliseconds, and the clock of the process: when it came. */
  readonly startedAt: number;
  readonly startedAfter: number;
  readonly isOwn: boolean;
  client: Span | undefined;
  /** Seconds from when it came until it was sent. */
  sentAfter: number;
  /** Seconds from when it came until its answer had passed. */
  overAfter: number | undefined;
  isStream: boolean;
  attributes: Attributes;
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
      client: undefined,
      sentAfter: 0,
      overAfter: undefined,
      isStream: false,
      attributes: {},
      error: undefined,
    });
  }

  admitted(id: string, _endpoint: string, call: RoutedCall, decision: Admitted | undefined, seconds: number): void {
    const open = this.#open.get(id);
    if (!open) return;
    open.sentAfter = seconds;
    open.isStream = call.call.stream;
    open.attributes = callAttributes(call.subject);
    const name = `${open.attributes[ATTRIBUTE.operation.name]} ${call.model}`;
    const attributes = admittedAttributes(call, decision);
    open.client = this.#tracer.startSpan(
      name,
      { kind: CLIENT, startTime: open.startedAt + seconds * 1_000, attributes: { ...attributes, [ATTRIBUTE.call.name]: id } },
      open.context,
    );
    open.context = this.#api.within(open.context, open.client);
  }

  /** The context in which a call's provider works, for those who hand it on. Nothing of a call that was not sent. */
  contextOf(id: string): Context | undefined {
    const open = this.#open.get(id);
    return open?.client && open.context;
  }

  answering(id: string, _provider: string, seconds: number): void {
    const open = this.#open.get(id);
    if (!open?.isStream) return;
    open.client?.setAttribute(ATTRIBUTE.firstChunk.name, seconds);
    this.#instruments.firstChunk.record(seconds, open.attributes);
  }

  over(id: string, { outcome, seconds }: OverCall): void {
    const open = this.#open.get(id);
    if (!open) return;
    open.overAfter = seconds;
    open.error = errorType(outcome) ?? open.error;
    if (outcome.kind === "answered" && outcome.model !== undefined) open.client?.setAttribute(ATTRIBUTE.responseModel.name, outcome.model);
    const attributes = open.error === undefined ? open.attributes : { ...open.attributes, [ATTRIBUTE.error.name]: open.error };
    this.#instruments.duration.record(seconds - open.sentAfter, attributes);
  }

  charged(id: string, subject: Subject, charge: Charge, takenBack?: Charge): void {
    const call = callAttributes(subject);
    this.#open.get(id)?.client?.setAttributes(chargedAttributes(charge));
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
    const { root, client, startedAt, startedAfter, error } = open;
    const lasted = performance.now() - startedAfter;
    if (client) {
      if (error !== undefined) client.setAttribute(ATTRIBUTE.error.name, error).setStatus({ code: ERROR });
      client.end(startedAt + (open.overAfter === undefined ? lasted : open.overAfter * 1_000));
    }
    if (status !== undefined) root.setAttribute(ATTRIBUTE.status.name, status);
    if (error !== undefined) root.setAttribute(ATTRIBUTE.error.name, error);
    // What a caller did wrong, or may not do, is no fault of a server.
    if ((status ?? 0) >= 500 || (open.isOwn && error !== undefined)) root.setStatus({ code: ERROR });
    root.end(startedAt + lasted);
  }
}

/** Why there is no whole answer, in a word of few. */
function errorType(outcome: Outcome): string | undefined {
  if (outcome.kind === "refused") return String(outcome.status);
  if (outcome.kind === "not-sent") return "unreachable";
  if (outcome.kind === "unknown") return outcome.error.isTimeout ? "timeout" : "broken";
  return outcome.isWhole ? undefined : "cut";
}
