import { randomUUID } from "node:crypto";
import { type Budgets, type Decision, LEASE_MS, PurserError, type Reservation, type Sent, type Subject } from "@purser/core";
import { createOutputCounter } from "@purser/core/tokens";
import { type Admitted, admittedBody, type BudgetedCall, budgetedCall, denialMessage, reserveCall, settleCall } from "./budgeted-call.ts";
import { anthropicMessages } from "./dialects/anthropic-messages/index.ts";
import { type Dialect, type Refusal, refuseHeaders } from "./dialects/dialect.ts";
import { readCallBody } from "./dialects/form-body.ts";
import { openaiChat } from "./dialects/openai-chat/index.ts";
import { AnswerMeter } from "./metering/answer-meter.ts";
import type { StreamReader } from "./metering/stream-account.ts";
import { framingOf, streamMeter } from "./metering/stream-meter.ts";
import { answerOutcome, type Outcome, REFUSED_FROM, streamOutcome, UNREADABLE } from "./outcome.ts";
import { PRESETS, presetAt } from "./providers/presets/index.ts";
import { refusalHead } from "./refusal.ts";
import { CALLS, findCallAt } from "./routes.ts";
import { SentBefore } from "./sessions/sent-before.ts";

type Fetch = typeof globalThis.fetch;
type FetchInput = Parameters<Fetch>[0];
type FetchInit = NonNullable<Parameters<Fetch>[1]>;

export interface FetchOptions {
  readonly budgets: Budgets;
  /** Who and what calls are charged to; a function is asked for each call. Provider and model are added. */
  readonly subject?: Subject | (() => Subject);
  /** The provider's name, for prices and budgets. Left out, it is known by the host of the call: `api.openai.com` is `openai`. */
  readonly provider?: string;
  /** The output cap of a call that names none, to a model whose maximum is unknown. 4,096 where it is left out. */
  readonly defaultMaxOutput?: number;
  /** What is held for input that a call names and does not carry, in tokens. What the model can read where it is left out. */
  readonly unseenInput?: number;
  /** What sends the calls; the global `fetch` where it is left out. */
  readonly fetch?: Fetch;
}

/** One request to a model. */
interface Exchange {
  readonly id: string;
  readonly budgets: Budgets;
  readonly dialect: Dialect;
  readonly input: FetchInput;
  readonly init: FetchInit | undefined;
  readonly headers: Headers;
  readonly signal: AbortSignal | undefined;
  readonly send: Fetch;
  readonly sentBefore: SentBefore;
}

/** What only looks: no model works for it. */
const FREE_METHODS = new Set(["GET", "HEAD"]);
const DEFAULT_MAX_OUTPUT = 4_096;

/**
 * A `fetch` that gives every call to a model a budget. Hand it to an SDK: `new OpenAI({ fetch: createFetch({ budgets, subject }) })`.
 * A refusal is an answer as the provider would send it, so the SDK throws its own error. What cannot be metered is refused.
 */
export function createFetch(options: FetchOptions): Fetch {
  // Whoever writes JavaScript can leave it out, and would hear of it at the first call only.
  if (typeof (options as Partial<FetchOptions> | undefined)?.budgets?.reserve !== "function")
    throw new PurserError(
      "config_invalid",
      "createFetch needs budgets, which hold the money of its calls: createFetch({ budgets: new Budgets({ store, prices, budgets: [ … ] }) }).",
    );
  const { budgets, subject = {}, provider, defaultMaxOutput = DEFAULT_MAX_OUTPUT, fetch: send = globalThis.fetch } = options;
  const sentBefore = new SentBefore();
  return async (input, init) => {
    const request = isRequest(input) ? input : undefined;
    const method = (init?.method ?? request?.method ?? "GET").toUpperCase();
    if (FREE_METHODS.has(method)) return send(input, init);
    const url = new URL(request ? request.url : String(input));
    const headers = new Headers(init?.headers ?? request?.headers);
    const found = method === "POST" ? findCallAt(url.pathname) : undefined;
    const dialect = found?.dialect ?? (headers.has("anthropic-version") ? anthropicMessages : openaiChat);
    const signal = init?.signal ?? request?.signal;
    const exchange: Exchange = { id: `req_${randomUUID()}`, budgets, dialect, input, init, headers, signal, send, sentBefore };
    try {
      if (!found) throw unknownRoute(method, url);
      refuseHeaders(dialect, (name) => headers.has(name));
      const bytes = await readBody(input, init, headers);
      const call = dialect.readCall(readCallBody(dialect, bytes, headers.get("content-type") ?? undefined), found.names);
      const budgeted = budgetedCall({
        dialect,
        call,
        provider: { ...(PRESETS.get(provider ?? "") ?? presetAt(url.host)), name: provider ?? providerAt(url) },
        model: call.model,
        sentAs: call.model,
        subject: typeof subject === "function" ? subject() : subject,
        key: undefined,
        pools: undefined,
        prices: budgets,
        defaultMaxOutput,
        unseenInput: options.unseenInput,
      });
      if (dialect.isFree) return await sendAdmitted(exchange, budgeted, undefined);
      const decision = await reserveCall(budgets, exchange.id, budgeted, () => signal);
      return decision.outcome === "denied"
        ? refuseDenied(exchange, decision, denialMessage(budgeted, decision.denial))
        : await sendAdmitted(exchange, budgeted, decision);
    } catch (error) {
      if (!(error instanceof PurserError) || error.code === "internal") throw error;
      return refuse(exchange, { code: error.code, message: error.message, requestId: exchange.id });
    }
  };
}

function isRequest(input: FetchInput): input is Request {
  return typeof input === "object" && "url" in input;
}

function unknownRoute(method: string, { origin, pathname }: URL): PurserError {
  const known = [...new Set([...CALLS.values()].map(({ path }) => path))].join(", ");
  return new PurserError(
    "route_unknown",
    `Purser cannot meter ${method} ${origin}${pathname.slice(0, 200)}, and what cannot be metered is not sent. It meters POST to paths ` +
      `that end in ${known}. For anything else, use a client without this fetch.`,
  );
}

/** The preset that lives at the host. */
function providerAt({ host }: URL): string {
  const preset = presetAt(host);
  if (preset) return preset.name;
  throw new PurserError(
    "provider_unknown",
    `Purser does not know which provider is at ${host}, so it knows no price. Say it: createFetch({ budgets, provider: "NAME" }).`,
  );
}

async function readBody(input: FetchInput, init: FetchInit | undefined, headers: Headers): Promise<Buffer> {
  const encoding = headers.get("content-encoding") ?? "identity";
  if (encoding !== "identity")
    throw new PurserError("body_invalid", `Bodies in "${encoding}" encoding cannot be read. Send it uncompressed.`);
  const body = init?.body;
  if (typeof body === "string") return Buffer.from(body);
  const source = body === undefined && isRequest(input) ? input : new Response(body);
  // Which boundary a form has is known when it is written.
  const type = source.headers.get("content-type");
  if (type !== null && !headers.has("content-type")) headers.set("content-type", type);
  return Buffer.from(await source.arrayBuffer());
}

/** Sends an admitted call and passes its answer on. Everything that goes wrong before it is sent returns the hold. */
async function sendAdmitted(exchange: Exchange, budgeted: BudgetedCall, decision: Admitted | undefined): Promise<Response> {
  const { budgets, input, init, headers, signal, send } = exchange;
  const reservation = decision?.outcome === "allowed" ? decision.reservation : undefined;
  let response: Response;
  let isSending = false;
  try {
    const body = admittedBody(budgeted, decision);
    signal?.throwIfAborted();
    headers.delete("content-length");
    isSending = true;
    response = await send(input, { ...init, headers, body });
  } catch (error) {
    const cause = error instanceof Error ? error : new Error(String(error));
    const wasSent = isSending && !wasNeverConnected(error);
    const failure = { wasSent, isTimeout: false, cause };
    const outcome: Outcome = wasSent ? { kind: "unknown", error: failure, isClientWaiting: true } : { kind: "not-sent", error: failure };
    if (reservation) await budgets.background(settleCall(budgets, budgeted, reservation, outcome));
    throw error;
  }
  const { status } = response;
  if (status >= REFUSED_FROM) {
    if (reservation) await budgets.background(settleCall(budgets, budgeted, reservation, { kind: "refused", status }));
    return response;
  }
  return new MeteredAnswer(exchange, budgeted, reservation, response).response();
}

/** What connections fail with before anything is written to them: no address, no route, nobody there, not who it should be. */
const NEVER_CONNECTED =
  /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|UND_ERR_CONNECT_TIMEOUT|ERR_TLS_CERT_ALTNAME_INVALID|CERT_.+|.*SELF_SIGNED_CERT.*|UNABLE_TO_.+_CERT.*)$/;
const CAUSES_MOST = 8;

/** Whether a call surely did not reach the provider. `fetch` says why in the cause of its error, or in a cause of that. */
function wasNeverConnected(error: unknown): boolean {
  let cause = error;
  for (let i = 0; i < CAUSES_MOST && cause instanceof Error; i++) {
    if ("code" in cause && NEVER_CONNECTED.test(String(cause.code))) return true;
    cause = cause.cause;
  }
  return false;
}

/** An answer that is metered as its reader reads it, and settled when it ends, breaks off or is given up, whichever comes first. */
class MeteredAnswer {
  readonly #exchange: Exchange;
  readonly #budgeted: BudgetedCall;
  readonly #reservation: Reservation | undefined;
  readonly #response: Response;
  readonly #sent: Sent | undefined;
  readonly #stream: StreamReader | undefined;
  readonly #answer: AnswerMeter;
  readonly #counter: ReturnType<typeof createOutputCounter>;
  #renewAt: number;
  #settled: Promise<void> | undefined;

  constructor(exchange: Exchange, budgeted: BudgetedCall, reservation: Reservation | undefined, response: Response) {
    this.#exchange = exchange;
    this.#budgeted = budgeted;
    this.#reservation = reservation;
    this.#response = response;
    this.#sent = reservation && exchange.sentBefore.saw(budgeted, Date.now());
    const { dialect, call, model } = budgeted;
    this.#counter = createOutputCounter(model);
    this.#answer = new AnswerMeter(dialect, dialect.readHeaders?.([...response.headers].flat()), call);
    const framing = framingOf(response.headers.get("content-type"));
    if (framing) this.#stream = streamMeter(dialect, this.#counter, { hidesUsage: call.stream && !call.wantsUsage, framing });
    this.#renewAt = reservation ? Date.now() + LEASE_MS / 2 : Infinity;
  }

  async response(): Promise<Response> {
    const { status, statusText, url, body } = this.#response;
    if (!body) {
      await this.#end(true);
      return this.#response;
    }
    const headers = new Headers(this.#response.headers);
    headers.set("x-purser-request-id", this.#exchange.id);
    // What only we asked for is taken out of a stream again.
    if (this.#stream) headers.delete("content-length");
    const response = new Response(this.#metered(body), { status, statusText, headers });
    return Object.defineProperty(response, "url", { value: url });
  }

  #metered(body: ReadableStream<Uint8Array>): ReadableStream<Uint8Array> {
    const { signal } = this.#exchange;
    const reader = body.getReader();
    // Who aborts a call may never look at its answer again.
    signal?.addEventListener("abort", this.#aborted, { once: true });
    return new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          try {
            for (let isPassed = false; !isPassed; ) {
              const { done, value } = await reader.read();
              const pieces = done ? (this.#stream?.end() ?? []) : this.#read(value);
              for (const piece of pieces) controller.enqueue(piece);
              isPassed = pieces.length > 0;
              if (!done) continue;
              // The reader sees the end when the money is where it belongs.
              await this.#end(true);
              controller.close();
              return;
            }
          } catch (error) {
            await this.#end(false);
            throw error;
          }
        },
        cancel: async (reason) => {
          const settled = this.#end(false);
          await reader.cancel(reason);
          await settled;
        },
      },
      { highWaterMark: 0 },
    );
  }

  readonly #aborted = () => void this.#end(false);

  #read(value: Uint8Array): readonly Uint8Array[] {
    this.#renew();
    const chunk = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
    if (this.#stream) return this.#stream.write(chunk);
    this.#answer.write(chunk);
    return [value];
  }

  /** An answer may take longer than a lease; while its bytes flow, the hold stays. */
  #renew(): void {
    const now = Date.now();
    if (now < this.#renewAt || !this.#reservation) return;
    this.#renewAt = now + LEASE_MS / 2;
    const { budgets } = this.#exchange;
    void budgets.background(budgets.extend(this.#reservation));
  }

  #end(isWhole: boolean): Promise<void> {
    this.#settled ??= this.#settle(isWhole);
    return this.#settled;
  }

  async #settle(isWhole: boolean): Promise<void> {
    const { budgets, signal } = this.#exchange;
    signal?.removeEventListener("abort", this.#aborted);
    if (!this.#reservation) return;
    await budgets.background(settleCall(budgets, this.#budgeted, this.#reservation, this.#outcome(isWhole), this.#sent));
  }

  #outcome(isWhole: boolean): Outcome {
    try {
      return this.#stream ? streamOutcome(this.#stream, isWhole) : answerOutcome(this.#answer, this.#counter, isWhole);
    } catch {
      // Of a form that the dialect does not have.
      return UNREADABLE;
    }
  }
}

function refuseDenied(exchange: Exchange, { denial, balances }: Decision & { outcome: "denied" }, message: string): Response {
  return refuse(exchange, { code: denial.reason, message, denial, requestId: exchange.id }, balances);
}

function refuse({ dialect }: Exchange, refusal: Refusal, balances: Parameters<typeof refusalHead>[1] = []): Response {
  const { status, headers } = refusalHead(refusal, balances);
  return new Response(JSON.stringify(dialect.writeError(refusal, status)), { status, headers });
}
