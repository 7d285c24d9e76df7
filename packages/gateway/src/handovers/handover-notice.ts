import { hash } from "node:crypto";
import type { Budget } from "@purser/core";
import type { Notice } from "../alerts/notice.ts";
import { type Handover, statusOf } from "./handover.ts";

/** What people are told of a handover: that there is one, that its user wrote again, or that it was given back. */
export type HandoverNews = "opened" | "continued" | "returned";

export interface NewsTerms {
  readonly budget: Budget | undefined;
  /** The page on which it is taken, answered and given back. */
  readonly link: string;
  /** Where a program reads it, and puts an answer under `/answer`. */
  readonly url: string;
  readonly now: number;
}

/** What a handover is about, for those who are told of it. */
export function aboutHandover({ id }: Handover): string {
  return JSON.stringify(["handover", id]);
}

/** What is told of a handover. Nothing of what was said is in it: notices go to other places, and are kept elsewhere. */
export function handoverNotice(handover: Handover, news: HandoverNews, { budget, link, url, now }: NewsTerms): Notice {
  const { id, why, taken, returned, keepMs, at, waitingSince, calls, subject } = handover;
  const who = whoIn(handover);
  const about = aboutHandover(handover);
  const isOver = news === "returned";
  const read = keepMs === undefined ? "What was said is not kept here" : "What was said stands there";
  const text = isOver
    ? `${returned?.by ?? "Somebody"} gave it back. Its calls go on as they did before.`
    : `${why} ${read}. Take it, answer, and give it back: ${link} (or purser handovers show ${id}).`;
  return {
    id: `alert_${hash("sha256", JSON.stringify([id, news, isOver ? returned?.at : waitingSince]), "hex").slice(0, 24)}`,
    kind: `handover.${news}`,
    about,
    at: now,
    severity: isOver ? "info" : "warning",
    title: TITLES[news](who, handover.budget),
    text,
    facts: [["Budget", handover.budget], ["Who", who], ...(taken ? ([["Taken by", taken.by]] as const) : [])],
    data: {
      handover: id,
      status: statusOf(handover),
      budget: handover.budget,
      subject,
      why,
      opened_at: new Date(at).toISOString(),
      waiting_since: waitingSince === undefined ? null : new Date(waitingSince).toISOString(),
      taken_by: taken?.by ?? null,
      calls,
      keeps_conversation: keepMs !== undefined,
      link,
      url,
    },
    owner: budget?.owner,
    ...(isOver && { isOver }),
  };
}

const TITLES: Readonly<Record<HandoverNews, (who: string, budget: string) => string>> = {
  opened: (who, budget) => `${who} waits for a person (budget "${budget}")`,
  continued: (who, budget) => `${who} wrote again (budget "${budget}")`,
  returned: (who, budget) => `${who} was given back (budget "${budget}")`,
};

/** Whose conversation it is: `session=s-1, user=ann`. */
export function whoIn({ subject: { session, user }, label }: Pick<Handover, "subject" | "label">): string {
  const named = [...(session === undefined ? [] : [`session=${session}`]), ...(user === undefined ? [] : [`user=${user}`])];
  return named.length > 0 ? named.join(", ") : label;
}
