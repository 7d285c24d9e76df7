import type { IncomingMessage, ServerResponse } from "node:http";
import { PurserError } from "@purser/core";
import { readBytes } from "../body.ts";
import type { Gateway } from "../gateway.ts";
import { escaped, sendLinkPage } from "../link-page.ts";
import { ANSWER_MOST, type Handover, handsOverAgain } from "./handover.ts";
import type { ReadHandover } from "./handover-book.ts";
import { whoIn } from "./handover-notice.ts";

const FORM_MOST = 128 * 1024;
const NAME_MOST = 100;

/**
 * The page behind the link in a notice. Opening it changes nothing, because mail programs and chats open links by themselves; its buttons do. It shows
 * what was said, where that is kept.
 */
export async function serveHandoverPage(gateway: Gateway, request: IncomingMessage, response: ServerResponse, url: string): Promise<void> {
  const isLooking = request.method === "GET" || request.method === "HEAD";
  if (!isLooking && request.method !== "POST")
    throw new PurserError("route_unknown", `/handovers answers GET and POST, not ${request.method}.`);
  const given = isLooking
    ? new URL(url, "http://purser.invalid").searchParams
    : new URLSearchParams((await readBytes(request, FORM_MOST)).toString("utf8"));
  const token = given.get("token") ?? "";
  const handover = await gateway.handovers.book.look(token);
  if (!handover) return sendLinkPage(response, 403, NOT_RIGHT);
  const { id } = handover;
  const by = (given.get("name") ?? "").trim().slice(0, NAME_MOST) || (handover.taken?.by ?? "whoever has the link");
  try {
    const note = isLooking
      ? ""
      : await answered(gateway, handover, {
          by,
          text: (given.get("text") ?? "").trim(),
          what: given.get("do") ?? "",
          had: given.get("had") ?? "",
        });
    const read = await gateway.handovers.book.read(id);
    // Who reads what people wrote is written down too.
    if (read.said && request.method === "GET")
      await gateway.log.write({
        by: "whoever has the link",
        what: "handover.read",
        from: request.socket.remoteAddress,
        details: { handover: id },
      });
    const isAgain = await handsOverAgain(read.handover, gateway.budgets);
    return sendLinkPage(response, 200, {
      title: titleOf(read.handover),
      text: note || handover.why,
      form: formOf(read, { token, by, isAgain }),
    });
  } catch (error) {
    if (!(error instanceof PurserError) || !/^(handover_conflict|body_invalid)$/.test(error.code)) throw error;
    return sendLinkPage(response, 409, { title: titleOf(handover), text: error.message, form: "" });
  }
}

const AGAIN =
  "Given back now, its next call would be handed over anew: its budget has nothing for it. To let a model go on, give more first.";
const NOT_RIGHT = { title: "This link is not right", text: "It was not made here, or its time is over.", form: "" };

interface Answering {
  readonly by: string;
  readonly text: string;
  readonly what: string;
  /** Who had the conversation when the page was shown. */
  readonly had: string;
}

/** Does what a button says, and says what was done. */
async function answered(
  { handovers: { book }, log }: Gateway,
  { id, taken }: Handover,
  { by, text, what, had }: Answering,
): Promise<string> {
  const note = (deed: string) => log.write({ by: `${by}, by a signed link`, what: deed, details: { handover: id } });
  if (what === "Take") {
    await note("handover.taken");
    await book.take(id, by, taken !== undefined && taken.by === had);
    return `It is with ${by} now.`;
  }
  if (what === "Give back") {
    await note("handover.returned");
    await book.giveBack(id, by);
    return "Given back: its calls go on as before.";
  }
  if (text === "" || text.length > ANSWER_MOST)
    throw new PurserError("body_invalid", `An answer has 1 to ${ANSWER_MOST.toLocaleString("en-US")} characters. Go back and write one.`);
  await note("handover.answered");
  await book.answer(id, by, text);
  if (what !== "Answer and give back") return "Answered: the next call of the conversation gets it.";
  await note("handover.returned");
  await book.giveBack(id, by);
  return "Answered and given back: the next call gets the answer, and those after it go on as before.";
}

function titleOf(handover: Handover): string {
  if (handover.returned) return `${whoIn(handover)} was given back`;
  return handover.taken ? `${whoIn(handover)} is with ${handover.taken.by}` : `${whoIn(handover)} waits for a person`;
}

interface FormTerms {
  readonly token: string;
  readonly by: string;
  /** Whether its next call would be handed over anew, were it given back. */
  readonly isAgain: boolean;
}

function formOf({ handover, said }: ReadHandover, { token, by, isAgain }: FormTerms): string {
  const turns = (said ?? []).map((one) => quoted(one.by, one.text));
  const answers = handover.answers.map(({ by: who, text, givenAt }) =>
    quoted(`${who}${givenAt === undefined ? ", not read yet" : ""}`, text ?? "(not kept)"),
  );
  const kept = said === undefined ? ["<p>What was said is not kept here.</p>"] : turns;
  const all = [...kept, ...(answers.length > 0 ? ["<h2>Answers</h2>", ...answers] : [])].join("\n");
  if (handover.returned) return all;
  const fields = [
    `<input type="hidden" name="token" value="${escaped(token)}">`,
    `<input type="hidden" name="had" value="${escaped(handover.taken?.by ?? "")}">`,
    `<p><label>Your name<br><input name="name" maxlength="${NAME_MOST}" value="${by === "whoever has the link" ? "" : escaped(by)}"></label></p>`,
    '<p><label>Your answer<br><textarea name="text" rows="6" style="width:100%"></textarea></label></p>',
    ...(isAgain ? [`<p>${AGAIN}</p>`] : []),
    ...["Answer", "Answer and give back", "Take", "Give back"].map((word) => `<button name="do" value="${word}">${word}</button>`),
  ];
  return `${all}\n<form method="post" action="/handovers">${fields.join("")}</form>`;
}

function quoted(who: string, text: string): string {
  return `<p style="white-space:pre-wrap"><b>${escaped(who)}</b>\n${escaped(text)}</p>`;
}
