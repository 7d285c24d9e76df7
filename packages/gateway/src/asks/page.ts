import type { IncomingMessage, ServerResponse } from "node:http";
import { formatInstant, PurserError } from "@purser/core";
import { readBytes } from "../body.ts";
import type { Gateway } from "../gateway.ts";
import { escaped, sendLinkPage } from "../link-page.ts";
import type { Answered } from "./ask-book.ts";

const FORM_MOST = 16 * 1024;

/**
 * The page behind the link in a notice. Opening it changes nothing, because mail programs and chats open links by themselves; its buttons do,
 * once.
 */
export async function serveAsk(gateway: Gateway, request: IncomingMessage, response: ServerResponse, url: string): Promise<void> {
  const { asks, config } = gateway;
  if (request.method === "GET" || request.method === "HEAD") {
    const token = new URL(url, "http://purser.invalid").searchParams.get("token") ?? "";
    return page(response, await asks.look(token), config.budgets, token);
  }
  if (request.method !== "POST") throw new PurserError("route_unknown", `/asks answers GET and POST, not ${request.method}.`);
  const form = new URLSearchParams((await readBytes(request, FORM_MOST)).toString("utf8"));
  const token = form.get("token") ?? "";
  const looked = await asks.look(token);
  const owner = looked.kind === "open" ? config.budgets.find(({ name }) => name === looked.ask.budget)?.owner : undefined;
  const answered = await asks.answer(token, form.get("answer") === "give", owner ?? "whoever has the link");
  return page(response, answered, config.budgets, token);
}

const STATUS = { open: 200, given: 200, declined: 200, forged: 403, expired: 410, used: 410 } as const;

function page(response: ServerResponse, answered: Answered, budgets: Gateway["config"]["budgets"], token: string): void {
  const [title, text, form] = words(answered, budgets, token);
  sendLinkPage(response, STATUS[answered.kind], { title, text, form });
}

const REFUSED = {
  forged: ["This link is not right", "It was not made here, or was changed on the way. Nothing was given."],
  expired: ["This link is no longer good", "Its time is over. A call that is refused asks anew."],
  used: ["This was answered already", "A link can be used once."],
} as const;

function words(
  answered: Answered,
  budgets: Gateway["config"]["budgets"],
  token: string,
): readonly [title: string, text: string, form: string] {
  if (!("ask" in answered)) return [...REFUSED[answered.kind], ""];
  const { kind, ask } = answered;
  const zone = budgets.find(({ name }) => name === ask.budget)?.timezone ?? "UTC";
  const whose = ask.label === "" ? `budget "${ask.budget}"` : `budget "${ask.budget}" (${ask.label})`;
  const what = `${ask.more} more for ${whose} until ${formatInstant(ask.until, zone)}`;
  if (kind === "given") return ["Given", `${what}. Calls that wait for it go on.`, ""];
  if (kind === "declined") return ["Declined", `Not given: ${what}.`, ""];
  const hidden = `<input type="hidden" name="token" value="${escaped(token)}">`;
  const buttons = '<button name="answer" value="give">Give</button><button name="answer" value="decline">Decline</button>';
  return ["More is asked for", `${what}.`, `<form method="post" action="/asks">${hidden}${buttons}</form>`];
}
