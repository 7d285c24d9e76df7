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
import type { AuditLog } from "../audit-log/audit-log.ts";
import { linkKey, signLink } from "../signed-link.ts";
import { type Ask, readAsk } from "./ask.ts";

export interface AskBookOptions {
  readonly budgets: Pick<Budgets, "grant">;
  readonly store: Pick<Store, "entries">;
  readonly alerts: Pick<Alerts, "tell">;
  readonly adminToken: string;
  /** Where owners reach this gateway: `https://purser.example.com`. */
  readonly baseUrl: () => string;
  readonly log?: Pick<AuditLog, "write">;
  /** Epoch milliseconds; `Date.now` where it is left out. */
  readonly now?: () => number;
}

export type AskRung = Extract<Rung, { readonly kind: "ask" }>;

/** What an owner said to an ask, or why nothing was done. */
export type Answered =
  | { readonly kind: "open" | "given" | "declined"; readonly ask: Ask }
  | { readonly kind: "forged" | "expired" | "used" };

/** Of a budget, what an ask of its owner says. */
export type AskedBudget = Pick<Budget, "name" | "per" | "owner">;

/** What calls and people do with asks, in whichever process they are known. */
export type AskBookPort = Pick<AskBook, "ask" | "isDeclined" | "look" | "answer" | "list" | "answerById">;

const HOUR_MS = 3_600_000;
/** What is given without saying until when ends with the window, or after a day. */
const GIVEN_MOST_MS = 24 * HOUR_MS;
const OPEN_MOST = 10_000;
const FULL = 10_000;

/** What owners were asked for, and what they said. */
export class AskBook {
  readonly #options: AskBookOptions;
  readonly #key: Buffer;
  readonly #now: () => number;
  /** By balance: calls that need the same are one ask. */
  readonly #open = new Map<string, Ask>();
  /** Asks that were declined, with when their links end. */
  readonly #declined = new Map<string, number>();

  constructor(options: AskBookOptions) {
    this.#options = options;
    this.#key = linkKey(options.adminToken, "asks");
    this.#now = options.now ?? Date.now;
  }

  /** Asks the owner of a budget that refused a call, if nobody did before. Nothing where the balance is that of nobody in particular. */
  async ask(budget: AskedBudget, balance: Balance, subject: Subject, rung: AskRung, reason?: string): Promise<Ask | undefined> {
    const wanted = subjectFor(budget, subject);
    if (!wanted) return undefined;
    const now = this.#now();
    const about = JSON.stringify(["ask", budget.name, balance.subject, balance.unit, balance.window]);
    const known = this.#open.get(about);
    if (known && now < known.expiresAt) return known;
    if (this.#open.size >= OPEN_MOST) return undefined;
    const until = Math.min(balance.resetsAt ?? Number.POSITIVE_INFINITY, now + GIVEN_MOST_MS);
    const amount = Math.max(1, Math.ceil((balance.limit * rung.share) / FULL));
    const ask: Ask = {
      id: `ask_${randomBytes(9).toString("base64url")}`,
      budget: budget.name,
      label: balance.subject,
      subject: wanted,
      amount: amountText(balance, amount),
      more: formatAmount(amount, balance.unit, balance.weights),
      until,
      expiresAt: Math.min(until, now + HOUR_MS),
    };
    this.#open.set(about, ask);
    const channels = rung.channel === undefined ? undefined : [rung.channel];
    this.#options.alerts.tell(askNotice(budget, balance, ask, { link: this.#link(ask), now, reason }), channels, ask.expiresAt);
    return ask;
  }

  async isDeclined(id: string): Promise<boolean> {
    return this.#declined.has(id);
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
    const details = { budget: ask.budget, for: ask.label, amount: ask.amount, ask: ask.id };
    await this.#options.log?.write({ by: `${giver}, by a signed link`, what: isGiven ? "ask.given" : "ask.declined", details });
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
      // What was declined is not asked again until its link has ended.
      for (const [about, open] of this.#open) if (open.id === ask.id) this.#open.delete(about);
    } else this.#declined.set(ask.id, ask.expiresAt);
    return { kind: isGiven ? "given" : "declined", ask };
  }

  /** What is asked for and not answered yet, the newest first. */
  async list(): Promise<readonly Ask[]> {
    const now = this.#now();
    return [...this.#open.values()].filter(({ id, expiresAt }) => expiresAt > now && !this.#declined.has(id)).reverse();
  }

  /** Gives what was asked for, or declines it, by the id of an ask that `list` has. Nothing for one that it has not. */
  async answerById(id: string, isGiven: boolean, giver: string): Promise<Answered | undefined> {
    const ask = (await this.list()).find((one) => one.id === id);
    return ask && this.answer(signLink(ask, this.#key), isGiven, giver);
  }

  /** To be called every minute or so. */
  forget(): void {
    const now = this.#now();
    for (const [about, { expiresAt }] of this.#open) if (expiresAt <= now) this.#open.delete(about);
    for (const [id, until] of this.#declined) if (until <= now) this.#declined.delete(id);
  }

  #link(ask: Ask): string {
    return `${this.#options.baseUrl()}/asks?token=${signLink(ask, this.#key)}`;
  }
}

function grantId({ id }: Ask): string {
  return `grant_${id}`;
}

/** What a balance is kept by, as a grant names it. */
function subjectFor({ per }: AskedBudget, subject: Subject): Subject | undefined {
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

interface AskTerms {
  readonly link: string;
  readonly now: number;
  /** What whoever asks by themselves says; nothing where a call was refused. */
  readonly reason: string | undefined;
}

function askNotice(budget: AskedBudget, balance: Balance, ask: Ask, { link, now, reason }: AskTerms): Notice {
  const name = balance.subject === "" ? `Budget "${budget.name}"` : `Budget "${budget.name}" (${balance.subject})`;
  const { limit, unit, weights, timezone } = balance;
  const until = formatInstant(ask.until, timezone);
  const why = reason === undefined ? "A call was refused" : `They say: "${reason}"`;
  const text = `${why}: ${formatAmount(balance.spent, unit, weights)} of ${formatAmount(limit, unit, weights)} are used. Give ${ask.more} more until ${until}, or decline: ${link}`;
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
