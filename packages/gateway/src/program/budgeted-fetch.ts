import { randomUUID } from "node:crypto";
import { setTimeout as wait } from "node:timers/promises";
import { type Decision, type Denial, PurserError, type Subject, type Usage } from "@purser/core";
import {
  type Admitted,
  admittedBody,
  type BudgetedCall,
  budgetedCall,
  type CallBudgets,
  denialMessage,
  reserveCall,
  settleCall,
} from "../budgeted-call.ts";
import { anthropicMessages } from "../dialects/anthropic-messages/index.ts";
import { type Dialect, type Refusal, refuseHeaders } from "../dialects/dialect.ts";
import { readCallBody } from "../dialects/form-body.ts";
import { openaiChat } from "../dialects/openai-chat/index.ts";
import type { PathNames } from "../dialects/path.ts";
import { headerText } from "../headers.ts";
import { type Outcome, REFUSED_FROM } from "../outcome.ts";
import type { Provider } from "../providers/provider.ts";
import { refusalHead } from "../refusal.ts";
import { CALLS, findCallAt } from "../routes.ts";
import type { GivenAnswer, ReadyText } from "../rungs/known-answers.ts";
import { SentBefore } from "../sessions/sent-before.ts";
import { MeteredAnswer } from "./metered-answer.ts";
import { wasNeverConnected } from "./never-connected.ts";

export type Fetch = typeof globalThis.fetch;
type FetchInput = Parameters<Fetch>[0];
type FetchInit = NonNullable<Parameters<Fetch>[1]>;

/** Where a call goes, and what its model is called where budgets and prices are. */
export interface Place {
  readonly provider: Pick<Provider, "name" | "refusesToBeAskedForUsage">;
  readonly model: string;
}

/** A call as the ladders of its budgets left it: it goes on, after a while; or it is answered or refused here. */
export type OnLadder = OnItsWay | { readonly given: GivenAnswer } | { readonly denied: Denied; readonly ready: ReadyText | undefined };

interface OnItsWay {
  readonly call: BudgetedCall;
  readonly waitMs: number;
  /** The text that stands in the place of an answer where a budget that is used up refuses the call. */
  readonly readyAfter?: (denial: Denial) => ReadyText | undefined;
  /** Told what the provider says that the call used. */
  readonly onUsage?: (usage: Usage) => void;
}

/** A call before any ladder. */
export interface AskedOnLadder {
  readonly id: string;
  readonly call: BudgetedCall;
  readonly names: PathNames;
  readonly subject: Subject;
}

/** What is known of the calls of a program. */
export interface ProgramTerms {
  readonly budgets: CallBudgets;
  readonly subject: Subject | (() => Subject);
  /** Throws `provider_unknown` where nobody knows who is at an address. */
  readonly placeOf: (url: URL, model: string) => Place;
  /** What ladders do to a call; nothing where it is left out. */
  readonly climb?: (asked: AskedOnLadder) => Promise<OnLadder>;
  readonly defaultMaxOutput: () => number;
  readonly unseenInput: () => number | undefined;
  readonly send: Fetch;
  /** What the ids of its calls begin with: `req_`. */
  readonly idPrefix: string;
}

type Denied = Extract<Decision, { readonly outcome: "denied" }>;

/** One request to a model. */
interface Exchange {
  readonly id: string;
  readonly terms: ProgramTerms;
  readonly dialect: Dialect;
  readonly input: FetchInput;
  readonly init: FetchInit | undefined;
  readonly headers: Headers;
  readonly signal: AbortSignal | undefined;
  readonly sentBefore: SentBefore;
}

/** What only looks: no model works for it. */
const FREE_METHODS = new Set(["GET", "HEAD"]);

/** A `fetch` that reserves before it sends, meters what comes, and settles when that ends. */
export function budgetedFetch(terms: ProgramTerms): Fetch {
  const { send, idPrefix } = terms;
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
    const exchange: Exchange = { id: `${idPrefix}${randomUUID()}`, terms, dialect, input, init, headers, signal, sentBefore };
    try {
      if (!found) throw unknownRoute(method, url);
      return await makeCall(exchange, url, found.names);
    } catch (error) {
      if (!(error instanceof PurserError) || error.code === "internal") throw error;
      return refuse(exchange, { code: error.code, message: error.message, requestId: exchange.id });
    }
  };
}

/** The life of one call: read, degrade, reserve, send, meter, settle. */
async function makeCall(exchange: Exchange, url: URL, names: PathNames): Promise<Response> {
  const { id, terms, dialect, signal } = exchange;
  const subject = typeof terms.subject === "function" ? terms.subject() : terms.subject;
  const asked = await readBudgeted(exchange, url, names, subject);
  if (dialect.isFree) return sendAdmitted(exchange, asked, undefined);
  const climbed: OnLadder = (await terms.climb?.({ id, call: asked, names, subject })) ?? { call: asked, waitMs: 0 };
  if ("given" in climbed) return give(exchange, climbed.given);
  if ("denied" in climbed) return refuseDenied(exchange, asked, climbed.denied, climbed.ready);
  const { call, waitMs, readyAfter } = climbed;
  if (waitMs > 0) await wait(waitMs, undefined, { ...(signal && { signal }) });
  const readyText = readyAfter && ((denial: Denial) => readyAfter(denial)?.rung);
  const decision = await reserveCall(terms.budgets, id, call, () => signal, readyText && { readyText });
  if (decision.outcome !== "denied") return sendAdmitted(exchange, call, decision, climbed.onUsage);
  return refuseDenied(exchange, call, decision, readyAfter?.(decision.denial));
}

async function readBudgeted(
  { terms, dialect, input, init, headers }: Exchange,
  url: URL,
  names: PathNames,
  subject: Subject,
): Promise<BudgetedCall> {
  refuseHeaders(dialect, (name) => headers.has(name));
  const bytes = await readBody(input, init, headers);
  const call = dialect.readCall(readCallBody(dialect, bytes, headers.get("content-type") ?? undefined), names);
  return budgetedCall({
    dialect,
    call,
    ...terms.placeOf(url, call.model),
    sentAs: call.model,
    subject,
    key: undefined,
    pools: undefined,
    prices: terms.budgets,
    defaultMaxOutput: terms.defaultMaxOutput(),
    unseenInput: terms.unseenInput(),
  });
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
async function sendAdmitted(
  exchange: Exchange,
  budgeted: BudgetedCall,
  decision: Admitted | undefined,
  onUsage?: (usage: Usage) => void,
): Promise<Response> {
  const { id, terms, input, init, headers, signal, sentBefore } = exchange;
  const { budgets, send } = terms;
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
  return new MeteredAnswer({ id, budgets, signal, sentBefore, onUsage }, budgeted, reservation, response).response();
}

function give({ id }: Exchange, { contentType, pieces, rung }: Omit<GivenAnswer, "known">): Response {
  const headers = { "content-type": contentType, "x-purser-request-id": id, "x-purser-rung": headerText(rung) };
  return new Response(pieces.map(String).join(""), { headers });
}

/** Refuses a call; or gives it the text that a ladder has ready in the place of an answer, where this format can carry it. */
function refuseDenied(exchange: Exchange, call: BudgetedCall, { denial, balances }: Denied, ready: ReadyText | undefined): Response {
  const { id, dialect } = exchange;
  if (!ready || !dialect.writeAnswer) {
    const message = denialMessage(call, denial);
    return refuse(exchange, { code: denial.reason, message, denial, requestId: id }, balances);
  }
  const { contentType, body } = dialect.writeAnswer(call.call, ready.text, { id, createdAt: Math.floor(Date.now() / 1_000) });
  return give(exchange, { contentType, pieces: [body], rung: ready.rung });
}

function refuse({ dialect }: Exchange, refusal: Refusal, balances: Parameters<typeof refusalHead>[1] = []): Response {
  const { status, headers } = refusalHead(refusal, balances);
  return new Response(JSON.stringify(dialect.writeError(refusal, status)), { status, headers });
}
