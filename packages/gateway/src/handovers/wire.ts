import type { IncomingMessage, ServerResponse } from "node:http";
import { finished } from "node:stream/promises";
import { PurserError } from "@purser/core";
import type { Gateway } from "../gateway.ts";
import { statusOf, waitingAnswers } from "./handover.ts";

const PATH = /^\/handovers\/(handover_[\w-]+)$/;

/** The id in the address of a handover. */
export function handoverId(path: string): string | undefined {
  return PATH.exec(path)?.[1];
}

/**
 * The address of a handover, for the program whose conversation it is: how it stands, and what was answered since its last call. Each answer is given
 * once, here or to the next call.
 */
export async function serveHandover(gateway: Gateway, request: IncomingMessage, response: ServerResponse, id: string): Promise<void> {
  const identified = gateway.identify(request);
  if (!identified.ok) throw new PurserError(identified.code, identified.message);
  const handover = gateway.handovers.find(id, identified.caller);
  if (!handover)
    throw new PurserError("handover_unknown", "There is no such handover of yours here. One that was given back is kept for 30 days.");
  const answers = waitingAnswers(handover);
  const body = Buffer.from(
    JSON.stringify({
      object: "handover",
      id,
      status: statusOf(handover),
      url: `/handovers/${id}`,
      opened_at: new Date(handover.at).toISOString(),
      answers: answers.map(({ at, text }) => ({ text: text ?? "", answered_at: new Date(at).toISOString() })),
    }),
  );
  response.writeHead(200, { "content-type": "application/json", "cache-control": "no-store", "content-length": body.length }).end(body);
  if (request.method !== "HEAD" && (await isTaken(response))) await gateway.handovers.given(id, answers);
}

/** Whether an answer went out whole. Whoever broke off may come again. */
export function isTaken(response: ServerResponse): Promise<boolean> {
  return finished(response).then(
    () => true,
    () => false,
  );
}
