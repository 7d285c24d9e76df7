import { request } from "undici";
import { type Channel, secretsOf } from "./channel.ts";
import { sendEmail } from "./email.ts";
import type { Notice } from "./notice.ts";
import { pagerdutyPost } from "./pagerduty.ts";
import { slackPost } from "./slack.ts";
import { teamsPost } from "./teams.ts";
import { type Post, webhookPost } from "./webhook.ts";

/** How a try to deliver a notice ended. `isFinal`: another try would end the same way. */
export type Delivered = { readonly ok: true } | { readonly ok: false; readonly error: string; readonly isFinal: boolean };

const TIMEOUT_MS = 10_000;
/** No try takes longer: who has taken a notice has it only for a minute. */
const TRY_MOST_MS = 40_000;
const ERROR_MOST = 300;
/** The address or the key is wrong, or nobody is there any more. */
const FINAL: ReadonlySet<number> = new Set([400, 401, 403, 404, 405, 410, 413]);

/** Delivers a notice, once. What goes wrong is a value, in words that repeat no secret. */
export async function deliver(channel: Channel, notice: Notice, now: number): Promise<Delivered> {
  try {
    if (channel.kind === "email") {
      await inTime(sendEmail(channel, notice));
      return { ok: true };
    }
    const { url, headers, body } = postOf(channel, notice, now);
    const signal = AbortSignal.timeout(TRY_MOST_MS);
    const answer = await request(url, { method: "POST", headers, body, signal, headersTimeout: TIMEOUT_MS, bodyTimeout: TIMEOUT_MS });
    await answer.body.dump();
    if (answer.statusCode >= 200 && answer.statusCode < 300) return { ok: true };
    return { ok: false, error: `it answered ${answer.statusCode}`, isFinal: FINAL.has(answer.statusCode) };
  } catch (error) {
    return { ok: false, error: withoutSecrets(messageOf(error), channel), isFinal: false };
  }
}

async function inTime(sending: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error("the mail server takes too long")), TRY_MOST_MS);
  });
  await Promise.race([sending, late]).finally(() => clearTimeout(timer));
}

function postOf(channel: Exclude<Channel, { kind: "email" }>, notice: Notice, now: number): Post {
  if (channel.kind === "webhook") return webhookPost(channel, notice, now);
  if (channel.kind === "pagerduty") return pagerdutyPost(channel, notice);
  return channel.kind === "slack" ? slackPost(channel, notice) : teamsPost(channel, notice);
}

function messageOf(error: unknown): string {
  const { message, code } = error as { message?: string; code?: string };
  return message || code || String(error);
}

function withoutSecrets(text: string, channel: Channel): string {
  let clean = text;
  for (const secret of secretsOf(channel)) clean = clean.replaceAll(secret, "…");
  return clean.replace(/\s+/g, " ").slice(0, ERROR_MOST);
}
