import { createHmac } from "node:crypto";
import type { Channel } from "./channel.ts";
import type { Notice } from "./notice.ts";

/** What is posted to a channel. */
export interface Post {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** A notice for programs, signed as Standard Webhooks has it (https://www.standardwebhooks.com). */
export function webhookPost({ url, secret }: Extract<Channel, { kind: "webhook" }>, notice: Notice, now: number): Post {
  const { id, kind, at, severity, title, text, owner = null, data, isOver = false, link, mayRepeat = false } = notice;
  const body = JSON.stringify({
    type: isOver && kind !== "handover.returned" ? "budget.over" : kind,
    timestamp: new Date(at).toISOString(),
    data: { title, text, severity, owner, ...data, ...(link !== undefined && { link }) },
  });
  const timestamp = String(Math.floor(now / 1000));
  const headers = {
    "content-type": "application/json",
    "webhook-id": id,
    "webhook-timestamp": timestamp,
    // Not in the body, which is the same for every try.
    ...(mayRepeat && { "x-purser-repeat": "possible" }),
  };
  if (secret === undefined) return { url, headers, body };
  return { url, headers: { ...headers, "webhook-signature": `v1,${signature(secret, `${id}.${timestamp}.${body}`)}` }, body };
}

const SECRET = /^whsec_([A-Za-z0-9+/]+={0,2})$/;

export function isWebhookSecret(text: string): boolean {
  const bytes = Buffer.from(SECRET.exec(text)?.[1] ?? "", "base64").length;
  return bytes >= 24 && bytes <= 64;
}

function signature(secret: string, content: string): string {
  const key = Buffer.from(SECRET.exec(secret)?.[1] ?? "", "base64");
  return createHmac("sha256", key).update(content).digest("base64");
}
