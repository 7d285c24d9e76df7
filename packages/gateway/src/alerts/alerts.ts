import { randomBytes } from "node:crypto";
import { type Balance, type Budget, type Decision, PurserError, type Subject } from "@purser/core";
import { suggestion } from "../config/nearest-name.ts";
import { type AlertBook, type Delivery, type Incident, openAlertBook, type Waiting } from "./alert-book.ts";
import type { Channel } from "./channel.ts";
import type { Claims } from "./claims.ts";
import { deliver } from "./delivery.ts";
import type { Notice } from "./notice.ts";
import { aboutBalance, overNotice, type Passed, passedOf, spentShare, type Tell, tellsOf, thresholdNotice } from "./thresholds.ts";

export interface AlertsOptions {
  /** Where who was told what is kept. */
  readonly directory: string;
  readonly channels: readonly Channel[];
  readonly budgets: readonly Budget[];
  /** Who tells, of several that see the same; this process alone where it is left out. */
  readonly claims?: Claims;
  /** Epoch milliseconds; `Date.now` where it is left out. */
  readonly now?: () => number;
  readonly onError?: (error: unknown) => void;
}

/** The pauses after tries that failed: half a day in all. */
const PAUSES_MS = [5_000, 30_000, 120_000, 600_000, 1_800_000, 3_600_000, 7_200_000, 14_400_000, 14_400_000];
const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
/** A channel that is down for long must not fill the memory. */
const WAITING_MOST = 10_000;
/** A balance is over a threshold no more when it is this much below it. */
const LEEWAY = 200;

interface Watched {
  readonly budget: Budget;
  readonly tells: readonly Tell[];
  readonly lowest: number;
}

/** Tells people what happens to their budgets: each threshold of a balance once in each window. */
export async function openAlerts(options: AlertsOptions): Promise<Alerts> {
  const { directory, now = Date.now } = options;
  return new Alerts(options, await openAlertBook(directory, now()));
}

export class Alerts {
  readonly #book: AlertBook;
  readonly #claims: Claims;
  readonly #now: () => number;
  readonly #onError: (error: unknown) => void;
  #channels = new Map<string, Channel>();
  #watched = new Map<string, Watched>();
  /** Thresholds that this process knows to be passed, with when that is over. */
  readonly #told = new Map<string, number>();
  #prunedAt = 0;
  #forgottenAt: number;
  readonly #delivering = new Set<string>();
  readonly #background = new Set<Promise<unknown>>();

  constructor({ channels, budgets, claims, now = Date.now, onError = () => undefined }: AlertsOptions, book: AlertBook) {
    this.#book = book;
    this.#claims = claims ?? book;
    this.#now = now;
    this.#onError = onError;
    this.#forgottenAt = now();
    this.configure({ channels, budgets });
  }

  /** Channels and ladders as they are from now on. */
  configure({ channels, budgets }: Pick<AlertsOptions, "channels" | "budgets">): void {
    this.#channels = new Map(channels.map((channel) => [channel.name, channel]));
    this.#watched = new Map();
    for (const budget of budgets) {
      const tells = tellsOf(budget);
      if (tells.length > 0) this.#watched.set(budget.name, { budget, tells, lowest: tells[0]?.from ?? 0 });
    }
  }

  /** Whether calls of a subject can pass a threshold. */
  watches(subject: Subject): boolean {
    if (this.#watched.size === 0) return false;
    for (const { budget } of this.#watched.values()) if (budget.selects(subject)) return true;
    return false;
  }

  /** Looks at the balances of a call that was decided. */
  decided(decision: Decision): void {
    if (this.#watched.size === 0 || decision.outcome === "uncounted") return;
    const denial = decision.outcome === "denied" ? decision.denial : undefined;
    this.observe(decision.balances);
    if (denial?.reason === "budget_exhausted" && denial.balance) this.observe([denial.balance], true);
  }

  /** Tells whoever is to hear of thresholds that balances have passed. */
  observe(balances: readonly Balance[], isRefusing = false): void {
    for (const balance of balances) {
      const watched = this.#watched.get(balance.budget);
      if (!watched || balance.unit === "concurrent") continue;
      const share = spentShare(balance, isRefusing);
      if (share >= watched.lowest) this.#pass(watched, balance, share, isRefusing);
      if (this.#book.incidents.size > 0 && !isRefusing) this.#closeBelow(aboutBalance(balance), share);
    }
  }

  /** Tells channels, or all, of something that is over at a time. Once for what it is about. */
  async tell(notice: Notice, channels: readonly string[] | undefined, until: number): Promise<void> {
    for (const channel of channels ?? this.#channels.keys()) {
      const key = JSON.stringify([notice.about, channel]);
      if (this.#told.has(key)) continue;
      this.#told.set(key, until);
      if (!(await this.#claims.claim(key, until))) continue;
      if (this.#channels.get(channel)?.kind === "pagerduty") await this.#book.open({ notice, channel, from: 0, until });
      await this.#enqueue(notice, channel);
    }
  }

  /** Delivers a notice that says that it is a test, now and once. */
  async test(name: string): Promise<Delivery> {
    const channel = this.#channels.get(name);
    if (!channel) {
      const known = [...this.#channels.keys()];
      const hint = known.length === 0 ? " None is configured." : suggestion(name, known);
      throw new PurserError("channel_unknown", `There is no channel "${name}".${hint}`);
    }
    const now = this.#now();
    const notice: Notice = {
      id: `alert_${randomBytes(12).toString("hex")}`,
      kind: "test",
      about: `test of ${name}`,
      at: now,
      severity: "info",
      title: "A test of Purser",
      text: `If you can read this, the channel "${name}" works.`,
      facts: [],
      data: { channel: name },
      owner: undefined,
    };
    const delivered = await deliver(channel, notice, now);
    const error = delivered.ok ? undefined : delivered.error;
    const delivery: Delivery = { notice: notice.id, channel: name, title: notice.title, at: now, attempt: 1, error, isLast: true };
    await this.#book.tried(delivery, 0);
    // An incident that is a test is over at once.
    if (delivered.ok && channel.kind === "pagerduty") await deliver(channel, overNotice(notice, now), now);
    return delivery;
  }

  /** To be called every second or so: delivers what is due, and ends incidents whose window is over. */
  async tick(): Promise<void> {
    const now = this.#now();
    for (const incident of this.#book.incidents.values()) if (incident.until <= now) this.#close(incident);
    await this.#deliverDue(now);
    if (now - this.#prunedAt < MINUTE_MS) return;
    this.#prunedAt = now;
    for (const [key, until] of this.#told) if (until <= now) this.#told.delete(key);
    if (now - this.#forgottenAt < DAY_MS) return;
    this.#forgottenAt = now;
    await this.#book.forget(now);
  }

  get channels(): readonly Channel[] {
    return [...this.#channels.values()];
  }

  get deliveries(): readonly Delivery[] {
    return this.#book.deliveries;
  }

  get waiting(): readonly Waiting[] {
    return this.#book.waiting;
  }

  /** Waits for what is being delivered. What is still waiting then is delivered after the next start. */
  async close(): Promise<void> {
    await Promise.allSettled(this.#background);
    await this.#book.written();
  }

  #pass({ budget, tells }: Watched, balance: Balance, share: number, isRefusing: boolean): void {
    const now = this.#now();
    const all = passedOf(tells, balance, share, [...this.#channels.keys()], now);
    const fresh = all.filter(({ key }) => !this.#told.has(key));
    if (fresh.length === 0) return;
    for (const { key, until } of fresh) this.#told.set(key, until);
    // Of several thresholds that are passed at once, a channel hears of the highest.
    const highest = new Map(fresh.map((passed) => [passed.channel, passed]));
    for (const passed of fresh) {
      const notice = highest.get(passed.channel) === passed && thresholdNotice({ budget, balance, passed, isRefusing, now });
      this.#inBackground(this.#claim(passed, notice || undefined));
    }
  }

  async #claim({ key, until, channel, from }: Passed, notice: Notice | undefined): Promise<void> {
    if (!(await this.#claims.claim(key, until)) || !notice) return;
    if (this.#channels.get(channel)?.kind === "pagerduty") await this.#book.open({ notice, channel, from, until });
    await this.#enqueue(notice, channel);
  }

  async #enqueue(notice: Notice, channel: string): Promise<void> {
    if (this.#book.waiting.length >= WAITING_MOST) {
      this.#onError(new PurserError("internal", `Too many notices wait to be delivered. "${notice.title}" is not told to ${channel}.`));
      return;
    }
    await this.#book.tell(notice, channel);
    this.#inBackground(this.#deliverDue(this.#now()));
  }

  #closeBelow(about: string, share: number): void {
    for (const incident of this.#book.incidents.values())
      if (incident.notice.about === about && share < incident.from - LEEWAY) this.#close(incident);
  }

  #close(incident: Incident): void {
    this.#inBackground(this.#book.close(incident));
    this.#inBackground(this.#enqueue(overNotice(incident.notice, this.#now()), incident.channel));
  }

  async #deliverDue(now: number): Promise<void> {
    const due = this.#book.waiting.filter(({ dueAt, notice, channel }) => dueAt <= now && !this.#delivering.has(`${notice.id} ${channel}`));
    await Promise.all(due.map((waiting) => this.#deliver(waiting)));
  }

  async #deliver({ notice, channel: name, attempts }: Waiting): Promise<void> {
    const id = `${notice.id} ${name}`;
    this.#delivering.add(id);
    try {
      const now = this.#now();
      const channel = this.#channels.get(name);
      const delivered = channel
        ? await deliver(channel, notice, now)
        : ({ ok: false, error: "there is no such channel any more", isFinal: true } as const);
      const pause = PAUSES_MS[attempts];
      const isLast = delivered.ok || delivered.isFinal || pause === undefined;
      const error = delivered.ok ? undefined : delivered.error;
      const attempt = attempts + 1;
      await this.#book.tried(
        { notice: notice.id, channel: name, title: notice.title, at: now, attempt, error, isLast },
        now + (pause ?? 0),
      );
      if (error !== undefined && isLast)
        this.#onError(new Error(`"${notice.title}" could not be told to ${name}: ${error}. There will be no other try.`));
    } finally {
      this.#delivering.delete(id);
    }
  }

  #inBackground(work: Promise<unknown>): void {
    const owned = work.catch(this.#onError).finally(() => this.#background.delete(owned));
    this.#background.add(owned);
  }
}
