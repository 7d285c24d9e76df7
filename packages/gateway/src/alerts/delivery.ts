import { request } from "undici";
import { TRY_MOST_MS } from "./alert-book.ts";
import { type Channel, secretsOf } from "./channel.ts";
import { sendEmail } from "./email.ts";
import type { Notice } from "./notice.ts";
import { pagerdutyPost } from "./pagerduty.ts";
import { slackPost } from "./slack.ts";
import { teamsPost } from "./teams.ts";
import { type Post, webhookPost } from "./webhook.ts";

/** How a try to deliver a notice ended. `isFinal`: another try would end the same way. `mayHaveArrived`: nobody learnt that it did not. */
export type Delivered =
  | { readonly ok: true }
  | { readonly ok: false; readonly error: string; readonly isFinal: boolean; readonly mayHaveArrived: boolean };

const TIMEOUT_MS = 10_000;
const ERROR_MOST = 300;
/** The address or the key is wrong, or nobody is there any more. */
const FINAL: ReadonlySet<number> = new Set([400, 401, 403, 404, 405, 410, 413]);

/** Somebody on the way answers that the receiver did not: it may have got it all the same. */
const ON_THE_WAY: ReadonlySet<number> = new Set([502, 504]);
/** What goes wrong before anything is sent: no connection, or none that can be trusted; with mails, nobody to write to. */
const NOT_SENT: ReadonlySet<string> = new Set([
  ...["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "UND_ERR_CONNECT_TIMEOUT", "UND_ERR_INVALID_ARG"],
  ...["CERT_HAS_EXPIRED", "DEPTH_ZERO_SELF_SIGNED_CERT", "SELF_SIGNED_CERT_IN_CHAIN", "UNABLE_TO_VERIFY_LEAF_SIGNATURE"],
  ...["ERR_TLS_CERT_ALTNAME_INVALID", "EDNS", "EAUTH", "EENVELOPE", "ETLS"],
]);

/** Delivers a notice, once. What goes wrong is a value, in words that repeat no secret. */
export async function deliver(channel: Channel, notice: Notice, now: number): Promise<Delivered> {
  const signal = AbortSignal.timeout(TRY_MOST_MS);
  try {
    if (channel.kind === "email") {
      await sendEmail(channel, notice, signal);
      return { ok: true };
    }
    const { url, headers, body } = postOf(channel, notice, now);
    const answer = await request(url, { method: "POST", headers, body, signal, headersTimeout: TIMEOUT_MS, bodyTimeout: TIMEOUT_MS });
    // Its status is the answer. What follows, and whether it ends, changes nothing about that.
    answer.body.dump().catch(() => undefined);
    const { statusCode } = answer;
    if (statusCode >= 200 && statusCode < 300) return { ok: true };
    const mayHaveArrived = ON_THE_WAY.has(statusCode);
    return { ok: false, error: `it answered ${statusCode}`, isFinal: FINAL.has(statusCode), mayHaveArrived };
  } catch (error) {
    const message = signal.aborted ? "it takes too long" : messageOf(error);
    return { ok: false, error: withoutSecrets(message, channel), isFinal: false, mayHaveArrived: !isKnownNotSent(error) };
  }
}

/** Whether an error says that nothing was sent, or is the answer of a mail server that did not take it. */
function isKnownNotSent(error: unknown): boolean {
  const { code = "", syscall, responseCode } = error as { code?: string; syscall?: string; responseCode?: number };
  return NOT_SENT.has(code) || syscall === "connect" || responseCode !== undefined;
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
