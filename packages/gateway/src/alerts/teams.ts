import type { Channel } from "./channel.ts";
import { MAY_REPEAT, type Notice } from "./notice.ts";
import type { Post } from "./webhook.ts";

const COLOURS = { info: "Default", warning: "Warning", error: "Attention", critical: "Attention" } as const;

/** An adaptive card, for a workflow that starts when a webhook request is received (https://learn.microsoft.com/microsoftteams). */
export function teamsPost(
  { url }: Extract<Channel, { kind: "slack" | "teams" }>,
  { title, text, facts, severity, link, mayRepeat = false }: Notice,
): Post {
  const content = {
    $schema: "http://adaptivecards.io/schemas/adaptive-card.json",
    type: "AdaptiveCard",
    version: "1.4",
    body: [
      { type: "TextBlock", text: plain(title), size: "Medium", weight: "Bolder", color: COLOURS[severity], wrap: true },
      { type: "TextBlock", text: plain(text), wrap: true },
      { type: "FactSet", facts: facts.map(([name, value]) => ({ title: plain(name), value: plain(value) })) },
      ...(mayRepeat ? [{ type: "TextBlock", text: MAY_REPEAT, isSubtle: true, wrap: true }] : []),
    ],
    ...(link !== undefined && { actions: [{ type: "Action.OpenUrl", title: "Acknowledge or snooze", url: link }] }),
  };
  const attachments = [{ contentType: "application/vnd.microsoft.card.adaptive", contentUrl: null, content }];
  return { url, headers: { "content-type": "application/json" }, body: JSON.stringify({ type: "message", attachments }) };
}

/** Cards read some of Markdown. What a caller named must not become a link. */
function plain(text: string): string {
  return text.replace(/[[\]\\*_`]/g, "\\$&");
}
