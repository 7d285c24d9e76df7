import { randomBytes } from "node:crypto";
import { type Balance, type Budget, type Decision, durationPhrase, PurserError, type Subject } from "@purser/core";
import { suggestion } from "../config/nearest-name.ts";
import {
  type Alert,
  type AlertAnswer,
  type AlertBook,
  type Claim,
  type Delivery,
  type Incident,
  incidentId,
  type Unseen,
} from "./alert-book.ts";
import type { Channel } from "./channel.ts";
import { Courier } from "./courier.ts";
import { deliver } from "./delivery.ts";
import { aboutReset, forecastOf, onceForecast, resetNotice } from "./forecast.ts";
import { toldAt } from "./hours.ts";
import { isAlert, type Notice } from "./notice.ts";
import {
  aboutBalance,
  alertId,
  isLong,
  overNotice,
  type Passed,
  passedOf,
  spentShare,
  type Tell,
  tellsOf,
  thresholdNotice,
} from "./thresholds.ts";
import type { Watch, WatchedBudget } from "./watch.ts";

export interface AlertsOptions {
  /** Where it is written who was told what: of this gateway, or of all that share it. */
  readonly book: AlertBook;
  readonly channels: readonly Channel[];
  readonly budgets: readonly Budget[];
  /** What of budgets is told beside their thresholds. */
  readonly watched?: readonly WatchedBudget[];
  /** By whose clock it is night, where a notice says nothing else. UTC where it is left out. */
  readonly timezone?: string;
  /** Where an alert that was told to a channel is answered; nowhere where it is left out. */
  readonly linkTo?: (alert: Pick<Notice, "id" | "title">, channel: string, until: number) => string;
  /** Epoch milliseconds; `Date.now` where it is left out. */
  readonly now?: () => number;
  readonly onError?: (error: unknown) => void;
  /** Looks at what was charged since a time, because a process that saw it may have died before it told of it. Whether it looked at all. */
  readonly lookBack?: (since: number | undefined) => Promise<boolean>;
}

const MINUTE_MS = 60_000;
/** What is observed just before a window ends may be claimed after it, by a gateway that could not do so before. */
const GRACE_MS = 3_600_000;
/** What the book could not take yet. */
const OWED_MOST = 10_000;
/** A balance is over a threshold no more when it is this much below it. */
const LEEWAY = 200;
const FULL = 10_000;
/** Longer than any holiday that somebody looks after an alert from. */
const LINK_MS = 7 * 86_400_000;

interface Watched {
  readonly budget: Budget;
  readonly tells: readonly Tell[];
  /** From which share on something is told; infinite where no threshold is. */
  readonly lowest: number;
  readonly watches: readonly Watch[];
}

/** Tells people what happens to their budgets: each threshold of a balance, and whatever else is watched for, once in each window. */
export class Alerts {
  readonly #book: AlertBook;
  readonly #courier: Courier;
  readonly #now: () => number;
  readonly #onError: (error: unknown) => void;
  #channels = new Map<string, Channel>();
  #watched = new Map<string, Watched>();
  /** Thresholds that this process knows to be passed, with when that is over. */
  readonly #told = new Map<string, number>();
  #prunedAt = 0;
  /** What is to be told and could not be written down yet. */
  #owed: Claim[] = [];
  readonly #claiming = new Set<Promise<unknown>>();
  readonly #lookBack: (since: number | undefined) => Promise<boolean>;
  #isLookingBack = false;
  readonly #linkTo: AlertsOptions["linkTo"];
  #timezone = "UTC";
  readonly #background = new Set<Promise<unknown>>();

  constructor({ book, linkTo, now = Date.now, onError = () => undefined, lookBack = async () => true, ...configured }: AlertsOptions) {
    this.#book = book;
    this.#now = now;
    this.#onError = onError;
    this.#lookBack = lookBack;
    this.#linkTo = linkTo;
    this.#courier = new Courier({ book, channel: (name) => this.#channels.get(name), now, onError });
    this.configure(configured);
  }

  /** Channels and ladders as they are from now on. */
  configure({
    channels,
    budgets,
    watched = [],
    timezone = "UTC",
  }: Pick<AlertsOptions, "channels" | "budgets" | "watched" | "timezone">): void {
    this.#timezone = timezone;
    this.#channels = new Map(channels.map((channel) => [channel.name, channel]));
    this.#watched = new Map();
    for (const budget of budgets) {
      const tells = tellsOf(budget);
      const all = watched.find((one) => one.budget.name === budget.name)?.watches ?? [];
      // What is told of a whole budget by its sums is looked at elsewhere, and no call has to be looked at for it.
      const watches = all.filter(({ kind }) => kind === "reset" || (kind === "forecast" && budget.per.length > 0));
      if (tells.length > 0 || watches.length > 0) this.#watched.set(budget.name, { budget, tells, lowest: lowestOf(tells), watches });
    }
  }

  /** Whether something is told of budgets that calls of a subject are charged to. */
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

  /** Tells whoever is to hear of what balances have come to. */
  observe(balances: readonly Balance[], isRefusing = false): void {
    for (const balance of balances) {
      const watched = this.#watched.get(balance.budget);
      if (!watched || balance.unit === "concurrent") continue;
      const share = spentShare(balance, isRefusing);
      if (share >= watched.lowest) this.#pass(watched, balance, share, isRefusing);
      for (const watch of watched.watches) this.#watch(watched.budget, watch, balance, share);
      if (this.#book.incidents.size > 0 && !isRefusing) this.#endBelow(balance, share);
    }
  }

  /** Tells channels, or all, of something that is over at a time. Once for what it is about, or for what is named. */
  tell(notice: Notice, channels: readonly string[] | undefined, until: number, once = notice.about): void {
    for (const channel of channels ?? this.#channels.keys()) {
      const key = JSON.stringify([once, channel]);
      if (!this.#isTold(key)) this.#address({ keys: [key], until, channel, notice, incident: { notice, channel, from: 0, until } });
    }
  }

  /** What people were told, the newest first. */
  alerts(most: number): Promise<readonly Alert[]> {
    return this.#book.alerts(most);
  }

  /** Somebody looks after an alert: nobody else is told of it. */
  async acknowledge(id: string, by: string): Promise<Alert> {
    return this.#answer(id, { kind: "acknowledged", at: this.#now(), by });
  }

  /** Nobody is told of the same thing until a time; then it is told again, if nobody has acknowledged it. */
  async snooze(id: string, by: string, until: number): Promise<Alert> {
    const at = this.#now();
    const alert = await this.#answer(id, { kind: "snoozed", at, by, until });
    const { notice, channels } = alert;
    for (const channel of channels) {
      const key = JSON.stringify(["snoozed", id, until, channel]);
      const again: Notice = { ...notice, id: alertId(key), at, repeats: id, notBefore: until, title: `Again: ${notice.title}` };
      this.#address({ keys: [key], until: until + GRACE_MS, channel, notice: again });
    }
    return alert;
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
    await this.#book.record(delivery);
    // An incident that is a test is over at once.
    if (delivered.ok && channel.kind === "pagerduty") await deliver(channel, overNotice(notice, now), now);
    return delivery;
  }

  /** To be called before the first call is taken: others look after what this gateway leaves behind if it dies from now on. */
  async start(): Promise<void> {
    if (this.#channels.size > 0) await this.#book.look();
  }

  /** To be called every second or so: delivers what is due, and ends incidents whose window is over. */
  async tick(): Promise<void> {
    const now = this.#now();
    if (now - this.#prunedAt >= MINUTE_MS) {
      this.#prunedAt = now;
      for (const [key, until] of this.#told) if (until <= now) this.#told.delete(key);
    }
    // Who tells nobody has nothing to look at.
    if (this.#channels.size === 0) return;
    // First: who looks says that what it saw is written down.
    await this.#claimOwed();
    const unseen = await this.#book.look();
    if (unseen && !this.#isLookingBack) this.#inBackground(this.#see(unseen));
    for (const incident of this.#book.incidents.values()) if (incident.until <= now) this.#end(incident);
    await Promise.all([...this.#channels.keys()].map((channel) => this.#courier.wake(channel)));
  }

  get channels(): readonly Channel[] {
    return [...this.#channels.values()];
  }

  /** The latest tries to deliver a notice, oldest first. */
  deliveries(): Promise<readonly Delivery[]> {
    return this.#book.deliveries();
  }

  /** How many notices wait for a channel. */
  waiting(channel: string): Promise<number> {
    return this.#book.waiting(channel);
  }

  /** How many notices wait for any of the channels. */
  async waitingInAll(): Promise<number> {
    const waiting = await Promise.all([...this.#channels.keys()].map((channel) => this.waiting(channel)));
    return waiting.reduce((sum, one) => sum + one, 0);
  }

  /** Waits for what is being delivered. What is still waiting then is delivered by other gateways, or after the next start. */
  async close(): Promise<void> {
    const closing = this.#courier.close();
    await this.#idle();
    await this.#claimOwed();
    await this.#idle();
    await closing;
    // What was claimed just now.
    await this.#courier.close();
    await this.#book.close();
    if (this.#owed.length > 0)
      this.#onError(new PurserError("store_unavailable", `${this.#owed.length} notices could not be written down and are not told.`));
  }

  async #see(unseen: Unseen): Promise<void> {
    this.#isLookingBack = true;
    try {
      if (!(await this.#lookBack(unseen.since))) return;
      // What it found is written down before it is crossed off.
      await Promise.allSettled(this.#claiming);
      if (this.#owed.length === 0) await this.#book.seen(unseen);
    } finally {
      this.#isLookingBack = false;
    }
  }

  async #idle(): Promise<void> {
    while (this.#background.size > 0) await Promise.allSettled(this.#background);
  }

  #pass({ budget, tells }: Watched, balance: Balance, share: number, isRefusing: boolean): void {
    const now = this.#now();
    const fresh = new Map<string, Passed[]>();
    for (const passed of passedOf(tells, balance, share, [...this.#channels.keys()], now))
      if (!this.#isTold(passed.key)) fresh.set(passed.channel, [...(fresh.get(passed.channel) ?? []), passed]);
    for (const [channel, all] of fresh) {
      // Of several thresholds that are passed at once, a channel hears of the highest.
      const passed = all.at(-1) as Passed;
      const { from, until } = passed;
      const notice = thresholdNotice({ budget, balance, passed, isRefusing, now });
      this.#address({
        keys: all.map(({ key }) => key),
        until: Math.min(until + GRACE_MS, Number.MAX_SAFE_INTEGER),
        channel,
        notice,
        incident: { notice, channel, from, until },
      });
    }
  }

  /** What is told of a single balance as it changes. */
  #watch(budget: Budget, { kind, channels }: Watch, balance: Balance, share: number): void {
    const now = this.#now();
    if (kind === "reset" && share >= FULL && isLong(balance)) {
      const notice = resetNotice(balance, budget, now);
      const until = balance.resetsAt ?? Number.MAX_SAFE_INTEGER;
      for (const channel of channels ?? this.#channels.keys()) {
        const key = JSON.stringify([notice.id, channel]);
        const claim = { keys: [key], until: Math.min(until + GRACE_MS, Number.MAX_SAFE_INTEGER), channel };
        if (!this.#isTold(key)) this.#claim({ ...claim, incident: { notice, channel, from: FULL, until } });
      }
    }
    if (kind !== "forecast") return;
    const once = onceForecast(balance);
    if ([...(channels ?? this.#channels.keys())].every((channel) => this.#isTold(JSON.stringify([once, channel])))) return;
    const found = forecastOf(balance, budget, () => [], now);
    if (found) this.tell(found.notice, channels, found.until, found.once);
  }

  async #answer(id: string, answer: AlertAnswer): Promise<Alert> {
    const alert = await this.#book.answer(id, answer);
    if (alert) return alert;
    throw new PurserError("alert_unknown", `There is no alert "${id}". Those that there are: \`purser tell alerts\`, or GET /api/alerts.`);
  }

  #isTold(key: string): boolean {
    return (this.#told.get(key) ?? 0) > this.#now();
  }

  /** Has a channel told at its hours, and another one later if nobody has acknowledged it by then. */
  #address(claim: Claim & { readonly notice: Notice }): void {
    const { keys, until, notice, incident } = claim;
    let channel = this.#channels.get(claim.channel);
    const told = this.#inHours(notice, claim.channel);
    const isIncident = channel?.kind === "pagerduty" && incident !== undefined;
    this.#claim({ keys, until, channel: claim.channel, notice: told, ...(isIncident && { incident: { ...incident, notice: told } }) });
    let at = told.notBefore ?? this.#now();
    while (channel?.escalate && isAnswerable(notice)) {
      const { to, afterMs } = channel.escalate;
      const later = this.#inHours(escalated(notice, channel.name, to, at + afterMs, afterMs), to);
      const key = JSON.stringify(["escalated", notice.id, to]);
      const isShown = this.#channels.get(to)?.kind === "pagerduty" && incident !== undefined;
      const shown = isShown && { incident: { ...incident, notice: later, channel: to } };
      this.#claim({ keys: [key], until: Math.max(until, at + afterMs + GRACE_MS), channel: to, notice: later, ...shown });
      at = later.notBefore ?? at;
      channel = this.#channels.get(to);
    }
  }

  /** The notice as a channel is told of it: when it is told, and where it is answered. */
  #inHours(notice: Notice, name: string): Notice {
    const channel = this.#channels.get(name);
    if (!channel || !(isAlert(notice) || notice.kind === "budget.reset" || notice.kind === "budget.adjusted")) return notice;
    const at = Math.max(notice.notBefore ?? 0, this.#now());
    const due = toldAt(channel, at, notice.timeZone ?? this.#timezone);
    const id = notice.repeats ?? notice.id;
    const link = isAnswerable(notice) ? this.#linkTo?.({ id, title: notice.title }, name, due + LINK_MS) : undefined;
    return { ...notice, ...(due > at && { notBefore: due, isHeld: true }), ...(link !== undefined && { link }) };
  }

  /** Has something told, by whichever gateway is first to write it down. Nobody waits for it. */
  #claim(claim: Claim): void {
    for (const key of claim.keys) this.#told.set(key, claim.until);
    const claiming = this.#isTaken(claim).then((isTaken) => {
      this.#claiming.delete(claiming);
      if (!isTaken) this.#owe(claim);
    });
    this.#claiming.add(claiming);
    this.#inBackground(claiming);
  }

  /** Whether the book has a claim. Where it has not, it has to be asked again. */
  async #isTaken(claim: Claim): Promise<boolean> {
    const { notice, channel } = claim;
    try {
      const outcome = await this.#book.claim(claim);
      if (outcome === "claimed") this.#inBackground(this.#courier.wake(channel));
      if (outcome !== "full") return true;
      this.#onError(new PurserError("internal", `Too many notices wait for ${channel}. "${notice?.title}" is told when they are fewer.`));
    } catch (error) {
      this.#onError(error);
    }
    return false;
  }

  #owe(claim: Claim): void {
    if (this.#owed.length < OWED_MOST) {
      this.#owed.push(claim);
      return;
    }
    // It is told when it is observed again.
    for (const key of claim.keys) this.#told.delete(key);
  }

  async #claimOwed(): Promise<void> {
    const owed = this.#owed;
    this.#owed = [];
    const failing = new Set<string>();
    for (const claim of owed) {
      if (!failing.has(claim.channel) && (await this.#isTaken(claim))) continue;
      failing.add(claim.channel);
      this.#owe(claim);
    }
  }

  #endBelow(balance: Balance, share: number): void {
    for (const about of [aboutBalance(balance), aboutReset(balance)]) {
      for (const channel of this.#channels.keys()) {
        const incident = this.#book.incidents.get(incidentId({ about, channel }));
        if (incident && share < incident.from - LEEWAY) this.#end(incident);
      }
    }
  }

  #end(incident: Incident): void {
    const { notice, channel } = incident;
    const now = this.#now();
    const over = notice.kind === "budget.reset" ? this.#inHours({ ...notice, at: now }, channel) : overNotice(notice, now);
    const ended = this.#book.end(incident, over);
    this.#inBackground(ended.then((isOurs) => (isOurs ? this.#courier.wake(incident.channel) : undefined)));
  }

  #inBackground(work: Promise<unknown>): void {
    const owned = work.catch(this.#onError).finally(() => this.#background.delete(owned));
    this.#background.add(owned);
  }
}

/** Whether somebody should look after what a notice says; what only informs is nobody's to. */
function isAnswerable(notice: Notice): boolean {
  return isAlert(notice) && notice.severity !== "info";
}

/** What an amount is a share of is known with the balance. */
function lowestOf(tells: readonly Tell[]): number {
  return Math.min(...tells.map(({ step }) => (step.amount === undefined ? step.from : 0)));
}

/** Says that nobody has acknowledged what a channel was told, to another one. */
function escalated(notice: Notice, from: string, to: string, notBefore: number, afterMs: number): Notice {
  return {
    ...notice,
    id: alertId(JSON.stringify(["escalated", notice.id, to])),
    repeats: notice.repeats ?? notice.id,
    notBefore,
    title: `Nobody acknowledged: ${notice.title}`,
    text: `${from} was told ${durationPhrase(afterMs)} ago. ${notice.text}`,
    isHeld: false,
  };
}
