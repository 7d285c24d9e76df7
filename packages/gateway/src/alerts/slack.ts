import type { Channel } from "./channel.ts";
import { MAY_REPEAT, type Notice } from "./notice.ts";
import type { Post } from "./webhook.ts";

/** Slack takes so many fields in a block, and so many characters in each. */
const FIELDS_MOST = 10;
const TEXT_MOST = 2_900;

/** A message in blocks, for an incoming webhook (https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks). */
export function slackPost(
  { url }: Extract<Channel, { kind: "slack" | "teams" }>,
  { title, text, facts, link, mayRepeat = false }: Notice,
): Post {
  const fields = facts.slice(0, FIELDS_MOST).map(([name, value]) => mrkdwn(`*${escaped(name)}*\n${escaped(value)}`));
  const blocks = [
    { type: "header", text: { type: "plain_text", text: title.slice(0, 150) } },
    { type: "section", text: mrkdwn(escaped(text)) },
    ...(fields.length > 0 ? [{ type: "section", fields }] : []),
    ...(link === undefined ? [] : [{ type: "section", text: mrkdwn(`<${link}|Acknowledge or snooze>`) }]),
    ...(mayRepeat ? [{ type: "context", elements: [mrkdwn(MAY_REPEAT)] }] : []),
  ];
  return { url, headers: { "content-type": "application/json" }, body: JSON.stringify({ text: escaped(`${title}. ${text}`), blocks }) };
}

function mrkdwn(text: string) {
  return { type: "mrkdwn", text: text.slice(0, TEXT_MOST) };
}

/** What a caller named must not become a link or a mention of everybody. */
function escaped(text: string): string {
  return text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}
