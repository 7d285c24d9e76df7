import { hash, randomBytes } from "node:crypto";
import {
  type Balance,
  type Budget,
  type Budgets,
  formatAmount,
  formatInstant,
  type Rung,
  type Store,
  type Subject,
  subjectValue,
} from "@purser/core";
import type { Alerts } from "../alerts/alerts.ts";
import type { Notice } from "../alerts/notice.ts";
import { type Ask, linkKey, readAsk, signAsk } from "./ask.ts";

export interface AsksOptions {
  readonly budgets: Pick<Budgets, "grant">;
  readonly store: Pick<Store, "entries">;
  readonly alerts: Pick<Alerts, "tell">;
  readonly adminToken: string;
  /** Where owners reach this gateway: `https://purser.example.com`. */
  readonly baseUrl: () => string;
  /** Epoch milliseconds; `Date.now` where it is left out. */
  readonly now?: () => number;
}

export type AskRung = Extract<Rung, { readonly kind: "ask" }>;

/** What an owner said to an ask, or why nothing was done. */
export type Answered =
  | { readonly kind: "open" | "given" | "declined"; readonly ask: Ask }
  | { readonly kind: "forged" | "expired" | "used" };

/** An ask that nobody has answered yet, and the calls that wait for it. */
interface OpenAsk {
  readonly ask: Ask;
  readonly waiting: Set<(isGiven: boolean) => void>;
}

const HOUR_MS = 3_600_000;
/** What is given without saying until when ends with the window, or after a day. */
const GIVEN_MOST_MS = 24 * HOUR_MS;
const OPEN_MOST = 10_000;
const FULL = 10_000;

/** Asks owners for more, and lets calls wait for what they say. */
export class Asks {
  readonly #options: AsksOptions;
  readonly #key: Buffer;
  readonly #now: () => number;
  /** By balance: calls that need the same are one ask. */
  readonly #open = new Map<string, OpenAsk>();
  /** Asks that were declined, with when their links end. */
  readonly #declined = new Map<string, number>();

  constructor(options: AsksOptions) {
    this.#options = options;
    this.#key = linkKey(options.adminToken);
    this.#now = options.now ?? Date.now;
  }

  /** Asks the owner of a budget that refused a call, if nobody did before. Nothing where the balance is that of nobody in particular. */
  async ask(budget: Budget, balance: Balance, subject: Subject, rung: AskRung): Promise<Ask | undefined> {
    const wanted = subjectFor(budget, subject);
    if (!wanted) return undefined;
    const now = this.#now();
    const about = JSON.stringify(["ask", budget.name, balance.subject, balance.unit, balance.window]);
    const known = this.#open.get(about);
    if (known && now < known.ask.expiresAt) return known.ask;
    if (this.#open.size >= OPEN_MOST) return undefined;
    const until = Math.min(balance.resetsAt ?? Number.POSITIVE_INFINITY, now + GIVEN_MOST_MS);
    const amount = Math.max(1, Math.ceil((balance.limit * rung.share) / FULL));
    const ask: Ask = {
      id: `ask_${randomBytes(9).toString("base64url")}`,
      budget: budget.name,
      label: balance.subject,
      subject: wanted,
      amount: amountText(balance, amount),
      more: formatAmount(amount, balance.unit),
      until,
      expiresAt: Math.min(until, now + HOUR_MS),
    };
    this.#open.set(about, { ask, waiting: known?.waiting ?? new Set() });
    const channels = rung.channel === undefined ? undefined : [rung.channel];
    await this.#options.alerts.tell(askNotice(budget, balance, ask, this.#link(ask), now), channels, ask.expiresAt);
    return ask;
  }

  /** Waits for what the owner says; not longer than a call can, nor when its client left. */
  wait(ask: Ask, waitMs: number, gone: AbortSignal): Promise<boolean> {
    const open = [...this.#open.values()].find((one) => one.ask.id === ask.id);
    if (!open || gone.aborted || waitMs === 0 || this.#declined.has(ask.id)) return Promise.resolve(false);
    return new Promise((resolve) => {
      const end = (isGiven: boolean) => {
        clearTimeout(timer);
        gone.removeEventListener("abort", left);
        open.waiting.delete(end);
        resolve(isGiven);
      };
      const left = () => end(false);
      const timer = setTimeout(left, waitMs);
      gone.addEventListener("abort", left, { once: true });
      open.waiting.add(end);
    });
  }

  /** What a link is for, and whether it is still good. Changes nothing: programs look at links before people do. */
  async look(token: string): Promise<Answered> {
    const read = readAsk(token, this.#key, this.#now());
    if (!read.ok) return { kind: read.why };
    const { ask } = read;
    const isGiven = (await this.#options.store.entries({ reservation: grantId(ask), kinds: ["granted"], most: 1 })).length > 0;
    return isGiven || this.#declined.has(ask.id) ? { kind: "used" } : { kind: "open", ask };
  }

  /** Gives what was asked for, once, or declines it. */
  async answer(token: string, isGiven: boolean, giver: string): Promise<Answered> {
    const looked = await this.look(token);
    if (looked.kind !== "open") return looked;
    const { ask } = looked;
    if (isGiven) {
      const { budget, subject, amount, until } = ask;
      const why = `asked for${ask.label === "" ? "" : ` by ${ask.label}`}`;
      await this.#options.budgets.grant({
        id: grantId(ask),
        budget,
        amount,
        for: subject,
        until: new Date(until).toISOString(),
        giver,
        why,
      });
    } else this.#declined.set(ask.id, ask.expiresAt);
    this.#end(({ ask: one }) => one.id === ask.id, isGiven);
    return { kind: isGiven ? "given" : "declined", ask };
  }

  /** Somebody gave more of a balance in another way: whoever waits for it may go on. */
  given(budget: string, label: string): void {
    this.#end(({ ask }) => ask.budget === budget && ask.label === label, true);
  }

  /** To be called every minute or so. */
  forget(): void {
    const now = this.#now();
    for (const [about, { ask }] of this.#open) if (ask.expiresAt <= now) this.#open.delete(about);
    for (const [id, until] of this.#declined) if (until <= now) this.#declined.delete(id);
  }

  #end(isMeant: (open: OpenAsk) => boolean, isGiven: boolean): void {
    for (const [about, open] of this.#open) {
      if (!isMeant(open)) continue;
      // What was declined is not asked again until its link has ended.
      if (isGiven) this.#open.delete(about);
      for (const end of [...open.waiting]) end(isGiven);
    }
  }

  #link(ask: Ask): string {
    return `${this.#options.baseUrl()}/asks?token=${signAsk(ask, this.#key)}`;
  }
}

function grantId({ id }: Ask): string {
  return `grant_${id}`;
}

/** What a balance is kept by, as a grant names it. */
function subjectFor({ per }: Budget, subject: Subject): Subject | undefined {
  const attributes: Record<string, string> = {};
  const tags: Record<string, string> = {};
  for (const path of per) {
    const value = subjectValue(subject, path);
    if (value === undefined) return undefined;
    if (path.startsWith("tag.")) tags[path.slice(4)] = value;
    else attributes[path] = value;
  }
  return { ...attributes, ...(Object.keys(tags).length > 0 && { tags }) };
}

/** Written like a limit, exactly: `$0.000000001 / month`. */
function amountText({ unit, window }: Balance, amount: number): string {
  const digits = String(amount).padStart(10, "0");
  const text = unit === "nanodollars" ? `$${digits.slice(0, -9)}.${digits.slice(-9)}` : `${amount} ${unit.replace("_", " ")}`;
  return window === "lifetime" ? text : `${text} / ${window}`;
}

function askNotice(budget: Budget, balance: Balance, ask: Ask, link: string, now: number): Notice {
  const name = balance.subject === "" ? `Budget "${budget.name}"` : `Budget "${budget.name}" (${balance.subject})`;
  const { limit, unit, timezone } = balance;
  const until = formatInstant(ask.until, timezone);
  const text = `A call was refused: ${formatAmount(balance.spent, unit)} of ${formatAmount(limit, unit)} are used. Give ${ask.more} more until ${until}, or decline: ${link}`;
  return {
    id: `alert_${hash("sha256", ask.id, "hex").slice(0, 24)}`,
    kind: "budget.asked",
    about: JSON.stringify(["ask", ask.id]),
    at: now,
    severity: "warning",
    title: `${name} asks for more`,
    text,
    facts: [
      ["Budget", budget.name],
      ...(balance.subject === "" ? [] : ([["For", balance.subject]] as const)),
      ["Asked", ask.more],
      ["Until", until],
    ],
    data: { budget: budget.name, subject: balance.subject, amount: ask.amount, until: new Date(ask.until).toISOString(), link },
    owner: budget.owner,
  };
}
