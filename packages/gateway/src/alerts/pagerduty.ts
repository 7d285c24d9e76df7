import { hash } from "node:crypto";
import type { Channel } from "./channel.ts";
import type { Notice } from "./notice.ts";
import type { Post } from "./webhook.ts";

/**
 * An event of PagerDuty's Events API v2. One incident for each balance: a higher threshold adds to it, and the notice that it is over resolves
 * it (https://developer.pagerduty.com/docs/send-alert-event).
 */
export function pagerdutyPost({ url, routingKey }: Extract<Channel, { kind: "pagerduty" }>, notice: Notice): Post {
  const { about, isOver = false, title, text, severity, at, data, link } = notice;
  const event = {
    routing_key: routingKey,
    event_action: isOver ? "resolve" : "trigger",
    dedup_key: `purser-${hash("sha256", about, "hex").slice(0, 40)}`,
    ...(!isOver && {
      payload: {
        summary: `${title}. ${text}`.slice(0, 1024),
        source: "purser",
        severity,
        timestamp: new Date(at).toISOString(),
        class: notice.kind,
        custom_details: data,
      },
      ...(link !== undefined && { links: [{ href: link, text: "Acknowledge or snooze" }] }),
    }),
  };
  return { url, headers: { "content-type": "application/json" }, body: JSON.stringify(event) };
}
