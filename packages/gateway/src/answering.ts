import type { ServerResponse } from "node:http";
import { type Decision, type DenialReason, PurserError } from "@purser/core";
import { letGo } from "./body.ts";
import { callOf, denialMessage } from "./budgeted-call.ts";
import type { Refusal } from "./dialects/dialect.ts";
import { CALLER_GONE, type Exchange } from "./exchange.ts";
import type { Gateway } from "./gateway.ts";
import { headerText } from "./headers.ts";
import { codexRefusal, refusalHead } from "./refusal.ts";
import type { RoutedCall } from "./rungs/climb.ts";
import type { GivenAnswer, ReadyText } from "./rungs/known-answers.ts";

export function handoverHeaders(id: string | undefined): Record<string, string> {
  return id === undefined ? {} : { "x-purser-handover": id };
}

/** Gives an answer that is known, a stream as a stream, and writes that down. No provider is asked and nothing is charged. */
export async function give({ budgets, events }: Gateway, { id, response }: Exchange, call: RoutedCall, given: GivenAnswer): Promise<void> {
  const { contentType, pieces, rung, headers } = given;
  if (!response.headersSent && !response.destroyed) {
    response.writeHead(200, { "content-type": contentType, "x-purser-request-id": id, "x-purser-rung": headerText(rung), ...headers });
    for (const piece of pieces) response.write(piece);
    response.end();
  }
  // The call that it is from may not be settled yet. Nobody waits for that but the ledger.
  const saved = await given.saved;
  const known = { ...given.known, ...(saved !== undefined && { saved }) };
  budgets.recordAnswer(callOf(id, call), known);
  events.knew(id, call.subject, known);
}

/** Refuses a call for what no budget says, and writes it down. */
export function refuseAs({ budgets }: Gateway, exchange: Exchange, call: RoutedCall, reason: DenialReason, message: string): void {
  refuseDenied(exchange, call, budgets.refuse(callOf(exchange.id, call), reason, message), undefined);
}

/** Refuses a call; or gives it the text that a ladder has ready in the place of an answer, where this format can carry it. */
export function refuseDenied(
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
    const head = {
      "content-type": contentType,
      "x-purser-request-id": id,
      "x-purser-rung": headerText(ready.rung),
      ...handoverHeaders(ready.handover),
    };
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

export function refuseError(gateway: Gateway, exchange: Exchange, error: unknown): void {
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

export function writeRefusal({ id, response, dialect }: Exchange, code: Refusal["code"], message: string): void {
  const refusal: Refusal = { code, message, requestId: id };
  const { status, headers } = refusalHead(refusal);
  endWith(response, status, headers, JSON.stringify(dialect.writeError(refusal, status)));
}

export function endWith(response: ServerResponse, status: number, headers: Record<string, string>, body: string): void {
  if (response.headersSent || response.destroyed) return;
  const lines: string[] = [];
  for (const name in headers) lines.push(name, headers[name] as string);
  lines.push("content-length", String(Buffer.byteLength(body)));
  // As a text it goes out in one piece with its head.
  response.writeHead(status, lines).end(body);
}
