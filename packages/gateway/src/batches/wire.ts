import type { IncomingMessage, ServerResponse } from "node:http";
import { type Balance, type ErrorCode, PurserError } from "@purser/core";
import { type Caller, holderOf } from "../callers/identify.ts";
import { checkedCount, invalid, optionalObject, requiredText } from "../dialects/body-fields.ts";
import { type Dialect, type Refusal, refuseHeaders } from "../dialects/dialect.ts";
import { formFile, formText, readForm } from "../dialects/form-body.ts";
import { readJsonBody } from "../dialects/json-body.ts";
import { recordOf } from "../dialects/json-value.ts";
import { readAttributes } from "../dialects/openai/attributes.ts";
import type { Gateway } from "../gateway.ts";
import { returnedHeaders } from "../headers.ts";
import { callerOf } from "../pipeline.ts";
import { refusalHead } from "../refusal.ts";
import type { UpstreamError } from "../upstream.ts";
import { passOn, readWhole, type WholeAnswer } from "../upstream-answer.ts";
import { anthropicForm } from "./anthropic-form.ts";
import type { BatchSummary, Owned } from "./batch-folder.ts";
import type { BatchForm } from "./batch-form.ts";
import { type BatchAsk, type BatchesPort, batchRequest, jsonOf } from "./batches.ts";
import { holdBatch } from "./hold.ts";
import { type BatchLine, readInputFile, readRequests } from "./lines.ts";
import { openaiForm } from "./openai-form.ts";

/** One request about batches or their files, and who makes it. */
interface Exchange {
  readonly id: string;
  readonly gateway: Gateway;
  readonly batches: BatchesPort;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly caller: Caller;
  /** What the path names. */
  readonly name: string;
}

export interface BatchRoute {
  readonly method: "GET" | "POST" | "DELETE";
  readonly path: RegExp;
  /** What the path looks like, for people. */
  readonly shown: string;
  serve(exchange: Exchange): Promise<void>;
}

export interface FoundBatchRoute {
  readonly route: BatchRoute;
  readonly name: string;
}

const FILES = "^(?:/openai)?/v1/files";
const BATCHES = "^(?:/openai)?/v1/batches";
const MESSAGES = "^/v1/messages/batches";
const ID = "/([^/?]+)";

/** Everything about batches that is served. */
export const BATCH_ROUTES: readonly BatchRoute[] = [
  { method: "POST", path: new RegExp(`${FILES}$`), shown: "/v1/files", serve: uploadFile },
  { method: "GET", path: new RegExp(`${FILES}${ID}$`), shown: "/v1/files/{id}", serve: (exchange) => passFile(exchange, "") },
  {
    method: "GET",
    path: new RegExp(`${FILES}${ID}/content$`),
    shown: "/v1/files/{id}/content",
    serve: (exchange) => passFile(exchange, "/content"),
  },
  { method: "DELETE", path: new RegExp(`${FILES}${ID}$`), shown: "/v1/files/{id}", serve: deleteFile },
  { method: "POST", path: new RegExp(`${BATCHES}$`), shown: "/v1/batches", serve: createFromFile },
  ...routesOf(openaiForm, BATCHES, "/v1/batches"),
  { method: "POST", path: new RegExp(`${MESSAGES}$`), shown: "/v1/messages/batches", serve: createFromRequests },
  ...routesOf(anthropicForm, MESSAGES, "/v1/messages/batches"),
  {
    method: "GET",
    path: new RegExp(`${MESSAGES}${ID}/results$`),
    shown: "/v1/messages/batches/{id}/results",
    serve: (exchange) => passResults(exchange),
  },
];

function routesOf(form: BatchForm, path: string, shown: string): readonly BatchRoute[] {
  return [
    { method: "GET", path: new RegExp(`${path}$`), shown, serve: (exchange) => listBatches(exchange, form) },
    { method: "GET", path: new RegExp(`${path}${ID}$`), shown: `${shown}/{id}`, serve: (exchange) => showBatch(exchange, form, "GET", "") },
    {
      method: "POST",
      path: new RegExp(`${path}${ID}/cancel$`),
      shown: `${shown}/{id}/cancel`,
      serve: (exchange) => showBatch(exchange, form, "POST", "/cancel"),
    },
  ];
}

/** The route of a request about batches. */
export function findBatchRoute(method: string | undefined, path: string): FoundBatchRoute | undefined {
  for (const route of BATCH_ROUTES) {
    const found = route.method === method ? route.path.exec(path) : null;
    if (!found) continue;
    try {
      return { route, name: decodeURIComponent(found[1] ?? "") };
    } catch {
      return undefined;
    }
  }
  return undefined;
}

/** Serves a request about batches or their files: for whoever made them, and nobody else. */
export async function serveBatches(
  gateway: Gateway,
  request: IncomingMessage,
  response: ServerResponse,
  { route, name }: FoundBatchRoute,
): Promise<void> {
  const { batches } = gateway;
  const caller = callerOf(gateway, request, "batches");
  await route.serve({ id: gateway.newId(), gateway, batches, request, response, caller, name });
}

const ID_BYTES_MOST = 1024 * 1024;

/** Takes a file that batches are to be made of: its calls are read now, so that what is wrong with them is said before it is sent. */
async function uploadFile(exchange: Exchange): Promise<void> {
  const { gateway, batches, request, response, caller } = exchange;
  const bytes = await gateway.bodies.read(request, response, gateway.config.server.maxBodyBytes);
  const form = readForm(bytes, request.headers["content-type"]);
  if (formText(form, "purpose") !== "batch")
    throw invalid('Only files with the purpose "batch" are taken: what else is read from a file is not seen here, and not metered.');
  const { start, end } = formFile(form, "file");
  await batches.checkRoom();
  const lines = await readInputFile({ gateway, caller, tags: {} }, bytes.subarray(start, end));
  const owned = ownedBy(exchange, lines);
  const answer = await ask(exchange, owned, { method: "POST", path: "/files", body: bytes });
  if (answer.status < 300) {
    const { id } = recordOf(jsonOf(answer.bytes.toString("utf8")));
    if (typeof id === "string" && id !== "") await batches.keepFile({ id, ...owned });
  }
  answerWith(exchange, answer);
}

async function passFile(exchange: Exchange, more: "" | "/content"): Promise<void> {
  const { batches, caller, name } = exchange;
  await pass(exchange, await batches.file(name, holderOf(caller)), { path: `/files/${encodeURIComponent(name)}${more}` });
}

/** A file from which a batch is still to be read is kept: without it nobody would know what to charge. */
async function deleteFile(exchange: Exchange): Promise<void> {
  const { batches, caller, name } = exchange;
  const file = await batches.file(name, holderOf(caller));
  const batch = await batches.needing(name);
  if (batch)
    throw running(`The file belongs to the batch ${batch.providerId ?? ""}, which is not settled yet. Delete it when that is over.`);
  const answer = await ask(exchange, file, { method: "DELETE", path: `/files/${encodeURIComponent(name)}` });
  if (answer.status < 300 || answer.status === 404) await batches.forgetFile(name);
  answerWith(exchange, answer);
}

/** Makes a batch of a file: every call of it is held first, at the price of batches. */
async function createFromFile(exchange: Exchange): Promise<void> {
  const { gateway, batches, request, response, caller } = exchange;
  const body = readJsonBody(await gateway.bodies.read(request, response, gateway.config.server.maxBodyBytes));
  const inputFile = requiredText(body, "input_file_id");
  const endpoint = requiredText(body, "endpoint");
  const metadata = optionalObject(body, "metadata");
  const file = await batches.file(inputFile, holderOf(caller));
  await batches.checkRoom();
  // What the provider has is what it will make.
  const input = await readWhole(
    gateway.upstream,
    batchRequest(gateway, file, withoutBody(request), { path: `/files/${encodeURIComponent(inputFile)}/content` }),
    gateway.config.server.maxBodyBytes,
  );
  if (input.kind === "failed") throw unreachable(input.error, "Nothing was charged.");
  if (input.status >= 300) return answerWith(exchange, input);
  const lines = await readInputFile({ gateway, caller, tags: metadata ? readAttributes(body).tags : {} }, input.bytes);
  const [{ routed }] = lines as readonly [BatchLine];
  if (endpoint !== `/v1${routed.dialect.path}`)
    throw invalid(`The field "endpoint" is "${endpoint.slice(0, 100)}", and the calls of the file go to /v1${routed.dialect.path}.`);
  if (routed.provider.name !== file.provider)
    throw invalid(`The calls of the file go to ${routed.provider.name} by now, and the file is at ${file.provider}. Upload it again.`);
  await create(exchange, openaiForm, lines, { inputFile, body: body.bytes });
}

/** Makes a batch of the calls that stand in the request. */
async function createFromRequests(exchange: Exchange): Promise<void> {
  const { gateway, batches, request, response, caller } = exchange;
  const [dialect] = anthropicForm.dialects;
  const body = readJsonBody(await gateway.bodies.read(request, response, gateway.config.server.maxBodyBytes));
  refuseHeaders(dialect, (name) => request.headers[name] !== undefined);
  await batches.checkRoom();
  const lines = await readRequests({ gateway, caller, tags: {} }, body, dialect);
  await create(exchange, anthropicForm, lines, { inputFile: undefined, body: body.bytes });
}

async function create(
  exchange: Exchange,
  form: BatchForm,
  lines: readonly BatchLine[],
  { inputFile, body }: { readonly inputFile: string | undefined; readonly body: Buffer },
): Promise<void> {
  const { id, gateway, batches, request, caller } = exchange;
  const held = await holdBatch(gateway, { id, form, caller, request, lines, inputFile });
  if (held.outcome === "denied") {
    const { denial, balances } = held.denied;
    return refuse(exchange, form.dialects[0], { code: denial.reason, message: held.message, denial, requestId: id }, balances);
  }
  const { batch } = held;
  const answer = await readWhole(
    gateway.upstream,
    batchRequest(gateway, batch, request, { method: "POST", path: form.path + queryOf(request), body }),
    ID_BYTES_MOST,
  );
  if (answer.kind === "failed" && !answer.error.wasSent) {
    await batches.returned(batch.id, `not sent: ${answer.error.cause.message}`);
    throw unreachable(answer.error, "Nothing was charged.");
  }
  if (answer.kind === "failed") {
    await batches.lost(batch.id);
    throw unreachable(answer.error, "The batch may have been made, so its estimate was charged.");
  }
  if (answer.status >= 300) await batches.returned(batch.id, `the provider answered ${answer.status}`);
  else await batches.taken(batch.id, jsonOf(answer.bytes.toString("utf8")));
  answerWith(exchange, answer);
}

/** Shows how a batch stands, or calls it off: what its provider says is taken note of. */
async function showBatch(exchange: Exchange, form: BatchForm, method: "GET" | "POST", more: "" | "/cancel"): Promise<void> {
  const { batches, request, caller, name } = exchange;
  const batch = await batches.batch(name, form.name, holderOf(caller));
  const path = `${form.path}/${encodeURIComponent(name)}${more}${queryOf(request)}`;
  const answer = await ask(exchange, batch, { method, path });
  if (answer.status < 300) await batches.observe(batch.id, jsonOf(answer.bytes.toString("utf8")));
  answerWith(exchange, answer);
}

async function passResults(exchange: Exchange): Promise<void> {
  const { batches, request, caller, name } = exchange;
  const batch = await batches.batch(name, anthropicForm.name, holderOf(caller));
  await pass(exchange, batch, { path: `${anthropicForm.path}/${encodeURIComponent(name)}/results${queryOf(request)}` });
}

const PAGE = 20;
const PAGE_MOST = 100;

/** The batches of this caller: those of others are at the same provider, and are none of its business. */
async function listBatches(exchange: Exchange, form: BatchForm): Promise<void> {
  const { batches, request, response, caller } = exchange;
  const query = new URLSearchParams((request.url ?? "").split("?")[1]);
  const limit = query.has("limit") ? checkedCount(Number(query.get("limit")), "limit", 1, PAGE_MOST) : PAGE;
  const after = query.get("after") ?? query.get("after_id");
  const all = await batches.list(form.name, holderOf(caller));
  const from = after === null ? 0 : all.findIndex(({ providerId }) => providerId === after) + 1;
  if (after !== null && from === 0) await batches.batch(after, form.name, holderOf(caller));
  const page = all.slice(from, from + (limit ?? PAGE));
  const fresh = await Promise.all(page.map((batch) => refreshed(exchange, form, batch)));
  const list = form.writeList(fresh, from + page.length < all.length);
  end(response, 200, ["content-type", "application/json", "x-purser-request-id", exchange.id], Buffer.from(JSON.stringify(list)));
}

/** How a batch stands now; as it stood, where its provider does not say. */
async function refreshed({ gateway, batches, request }: Exchange, form: BatchForm, batch: BatchSummary): Promise<unknown> {
  if (batch.state === "ended") return batch.last;
  const path = `${form.path}/${encodeURIComponent(batch.providerId ?? "")}`;
  const answer = await readWhole(gateway.upstream, batchRequest(gateway, batch, withoutBody(request), { path }), ID_BYTES_MOST);
  if (answer.kind === "failed" || answer.status >= 300) return batch.last;
  await batches.observe(batch.id, jsonOf(answer.bytes.toString("utf8")));
  return (await batches.current(batch.id))?.last ?? batch.last;
}

/** Where the calls of a file go, and whose they are. */
function ownedBy({ caller }: Exchange, lines: readonly BatchLine[]): Owned {
  const [{ routed }] = lines as readonly [BatchLine];
  return { holder: holderOf(caller), provider: routed.provider.name, dialect: routed.dialect.name, at: Date.now() };
}

type Answered = Extract<WholeAnswer, { kind: "answered" }>;

async function ask({ gateway, request }: Exchange, owned: Owned, about: BatchAsk): Promise<Answered> {
  const client = about.method === "POST" ? request : withoutBody(request);
  const answer = await readWhole(gateway.upstream, batchRequest(gateway, owned, client, about), ID_BYTES_MOST);
  if (answer.kind === "failed") throw unreachable(answer.error, "Ask again.");
  return answer;
}

async function pass({ id, gateway, request, response }: Exchange, owned: Owned, about: BatchAsk): Promise<void> {
  const sent = batchRequest(gateway, owned, withoutBody(request), about);
  const failure = await passOn(gateway.upstream, sent, response, ["x-purser-request-id", id]);
  if (failure) throw unreachable(failure, "Ask again.");
}

/** What is only asked for has no body, and says nothing about one. */
function withoutBody({ headers, rawHeaders, url }: IncomingMessage): Pick<IncomingMessage, "headers" | "rawHeaders" | "url"> {
  const kept = rawHeaders.filter((_, i) => (rawHeaders[i - (i % 2)] as string).toLowerCase() !== "content-type");
  return { headers, rawHeaders: kept, url: url ?? "" };
}

/** The query of a request, but for a key, which is ours. */
function queryOf({ url = "" }: IncomingMessage): string {
  const parameters = new URLSearchParams(url.split("?")[1]);
  parameters.delete("key");
  return parameters.size === 0 ? "" : `?${parameters}`;
}

function answerWith({ id, response }: Exchange, { status, headers, bytes }: Answered): void {
  end(response, status, [...returnedHeaders(headers, LENGTH), "x-purser-request-id", id], bytes);
}

const LENGTH: ReadonlySet<string> = new Set(["content-length"]);

function refuse({ response }: Exchange, dialect: Dialect, refusal: Refusal, balances: readonly Balance[]): void {
  const { status, headers } = refusalHead(refusal, balances);
  end(response, status, Object.entries(headers).flat(), Buffer.from(JSON.stringify(dialect.writeError(refusal, status))));
}

function end(response: ServerResponse, status: number, headers: readonly string[], body: Buffer): void {
  if (response.headersSent || response.destroyed) return;
  response.writeHead(status, [...headers, "content-length", String(body.length)]).end(body);
}

function unreachable({ isTimeout, cause }: UpstreamError, what: string): PurserError {
  const code: ErrorCode = isTimeout ? "provider_timeout" : "provider_unreachable";
  return new PurserError(code, `The provider gave no answer: ${cause.message}. ${what}`);
}

function running(message: string): PurserError {
  return new PurserError("batch_running", message);
}
