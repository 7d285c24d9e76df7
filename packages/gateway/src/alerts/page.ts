import type { IncomingMessage, ServerResponse } from "node:http";
import { formatInstant, PurserError } from "@purser/core";
import type { AuditLog } from "../audit-log/audit-log.ts";
import { readBytes } from "../body.ts";
import { escaped, sendLinkPage } from "../link-page.ts";
import { type AlertLink, readAlertLink } from "./alert-link.ts";
import type { Alerts } from "./alerts.ts";

export interface AlertPageParts {
  readonly alerts: Pick<Alerts, "acknowledge" | "snooze">;
  readonly log: Pick<AuditLog, "write">;
  /** With what links are signed. */
  readonly key: Buffer;
  readonly timeZone: () => string;
}

const FORM_MOST = 16 * 1024;
const HOUR_MS = 3_600_000;
/** For how many hours an alert is put off, by the words of its button. */
const SNOOZES: Readonly<Record<string, number>> = { "Snooze for an hour": 1, "Snooze for a day": 24 };

/**
 * The page behind the link in an alert. Opening it changes nothing, because mail programs and chats open links by themselves; its buttons do.
 */
export async function serveAlert(parts: AlertPageParts, request: IncomingMessage, response: ServerResponse, url: string): Promise<void> {
  const isLooking = request.method === "GET" || request.method === "HEAD";
  if (!isLooking && request.method !== "POST")
    throw new PurserError("route_unknown", `/acknowledge answers GET and POST, not ${request.method}.`);
  const given = isLooking
    ? new URL(url, "http://purser.invalid").searchParams
    : new URLSearchParams((await readBytes(request, FORM_MOST)).toString("utf8"));
  const token = given.get("token") ?? "";
  const link = readAlertLink(token, parts.key);
  if (!link)
    return sendLinkPage(response, 403, {
      title: "This link is not right",
      text: "It was not made here, or was changed on the way.",
      form: "",
    });
  if (link.until <= Date.now())
    return sendLinkPage(response, 410, { title: "This link is no longer good", text: "Its time is over.", form: "" });
  if (isLooking) return sendLinkPage(response, 200, { title: link.title, text: "Does somebody look after it?", form: formOf(token) });
  return sendLinkPage(response, 200, { title: link.title, text: await answered(parts, link, given.get("answer") ?? ""), form: "" });
}

/** Does what a button says, and says what was done. */
async function answered({ alerts, log, timeZone }: AlertPageParts, { alert, channel }: AlertLink, answer: string): Promise<string> {
  const by = `whoever was told by ${channel}`;
  const hours = SNOOZES[answer];
  const until = hours === undefined ? undefined : Date.now() + hours * HOUR_MS;
  const details = { alert, ...(until !== undefined && { until: new Date(until).toISOString() }) };
  await log.write({ by: `${by}, by a signed link`, what: until === undefined ? "alert.acknowledged" : "alert.snoozed", details });
  if (until === undefined) {
    await alerts.acknowledge(alert, by);
    return "Acknowledged: nobody else is told of it.";
  }
  await alerts.snooze(alert, by, until);
  return `Nobody is told of it until ${formatInstant(until, timeZone())}.`;
}

function formOf(token: string): string {
  const hidden = `<input type="hidden" name="token" value="${escaped(token)}">`;
  const buttons = ["Acknowledge", ...Object.keys(SNOOZES)].map((word) => `<button name="answer" value="${word}">${word}</button>`);
  return `<form method="post" action="/acknowledge">${hidden}${buttons.join("")}</form>`;
}
