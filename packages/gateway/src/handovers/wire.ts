import type { IncomingMessage, ServerResponse } from "node:http";
import { finished } from "node:stream/promises";
import { PurserError } from "@purser/core";
import { holderOf } from "../callers/identify.ts";
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
  const { book } = gateway.handovers;
  const collected = await book.collect(id, holderOf(identified.caller));
  if (!collected)
    throw new PurserError("handover_unknown", "There is no such handover of yours here. One that was given back is kept for 30 days.");
  const { handover, turn } = collected;
  const body = Buffer.from(
    JSON.stringify({
      object: "handover",
      id,
      status: statusOf(handover),
      url: `/handovers/${id}`,
      opened_at: new Date(handover.at).toISOString(),
      answers: waitingAnswers(handover).map(({ at, text }) => ({ text: text ?? "", answered_at: new Date(at).toISOString() })),
    }),
  );
  response.writeHead(200, { "content-type": "application/json", "cache-control": "no-store", "content-length": body.length }).end(body);
  await book.ended(turn, request.method !== "HEAD" && (await isTaken(response)));
}

/** Whether an answer went out whole. Whoever broke off may come again. */
export function isTaken(response: ServerResponse): Promise<boolean> {
  return finished(response).then(
    () => true,
    () => false,
  );
}
