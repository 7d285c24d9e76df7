import { type Balance, type Budget, formatAmount, formatInstant, type Limit, limitId, windowSpan } from "@purser/core";
import type { Rollups } from "@purser/core/stores/sqlite";
import { instantJson } from "../admin/balances.ts";
import { KNOWN_MS, type SpentByHour } from "../admin/outlook.ts";
import { createUsual, spanEnded, timesUsual, type Usual } from "../guards/usual.ts";
import type { Trial } from "../trials/trial.ts";
import type { Alerts } from "./alerts.ts";
import { forecastOf, type Once } from "./forecast.ts";
import type { Notice } from "./notice.ts";
import { alertId } from "./thresholds.ts";
import { trialEnds } from "./trial.ts";
import { nameOf, type Watch, type WatchedBudget } from "./watch.ts";

export interface PaceOptions {
  readonly alerts: Pick<Alerts, "tell">;
  /** What limits were charged, as far as it is added up. */
  readonly spent: SpentByHour;
  readonly balances: (budget: string) => Promise<readonly Balance[]>;
  /** What single balances were charged by the day. */
  readonly days: () => Pick<Rollups, "dearBalances" | "balanceDays">;
  /** What a budget that observes would have refused. */
  readonly trial: (budget: Budget) => Trial;
  /** The zone by whose hours it is added up. */
  readonly timeZone: () => string;
  /** Epoch milliseconds; `Date.now` where it is left out. */
  readonly now?: () => number;
}

/** What a budget was charged before the hour that runs. */
interface Past {
  readonly hour: number;
  readonly limit: string;
  readonly hours: Usual;
  readonly days: Usual;
  /** Of the day that runs. */
  readonly today: number;
}

interface Span {
  readonly name: "hour" | "day";
  readonly from: number;
  readonly until: number;
  readonly spent: number;
}

const FORECAST_EVERY_MS = 60_000;
/** Nothing is usual before so many hours, or days, with calls are known: a day and a night, and every day of the week. */
const KNOWN_AFTER = { hour: 30, day: 7 } as const;
/** What was dear is half forgotten after two weeks of hours, or a month of days: the busy hour of each week is usual. */
const KEPT = { hour: 0.998, day: 0.98 } as const;

/** Looked at once a minute: balances are read from the store, or many rows of sums. */
const SELDOM: ReadonlySet<Watch["kind"]> = new Set(["forecast", "trial", "anomaly each"]);
const ANOMALY_UNITS: readonly Limit["unit"][] = ["nanodollars", "tokens", "input_tokens", "output_tokens", "requests"];
/** A balance that has not used this part of its limit in a day is not worth telling of. */
const WORTH = 0.01;
/** So many balances of a budget are looked at, those that cost most on the day. */
const BALANCES_MOST = 50;

/** Looks at how fast whole budgets are used, by sums that all gateways have the same: an hour or a day that is dear, and what will not last. */
export class Pace {
  readonly #options: PaceOptions;
  readonly #now: () => number;
  #watched: readonly WatchedBudget[] = [];
  #forecastAt = Number.NEGATIVE_INFINITY;
  readonly #past = new Map<string, Past>();

  constructor(options: PaceOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  configure(watched: readonly WatchedBudget[]): void {
    this.#watched = watched;
    this.#past.clear();
  }

  /** To be called whenever sums were brought up to date. */
  async look(): Promise<void> {
    const now = this.#now();
    // Balances are read from the store, which others need too.
    const isForecasting = now - this.#forecastAt >= FORECAST_EVERY_MS;
    if (isForecasting) this.#forecastAt = now;
    for (const { budget, watches } of this.#watched) {
      for (const watch of watches) {
        if (SELDOM.has(watch.kind) && !isForecasting) continue;
        for (const { once, until, notice } of await this.#found(budget, watch, now))
          this.#options.alerts.tell(notice, watch.channels, until, once);
      }
    }
  }

  async #found(budget: Budget, watch: Watch, now: number): Promise<readonly Once[]> {
    if (watch.kind === "hourly") return this.#hourly(budget, watch, now);
    if (watch.kind === "anomaly") return this.#anomaly(budget, watch, now);
    if (watch.kind === "anomaly each") return this.#unusual(budget, watch, now);
    if (watch.kind === "trial") return [trialEnds(budget, () => this.#options.trial(budget), now) ?? []].flat();
    if (watch.kind !== "forecast" || budget.per.length > 0) return [];
    const balances = await this.#options.balances(budget.name);
    return balances.flatMap((balance) => forecastOf(balance, budget, this.#options.spent, now) ?? []);
  }

  #hourly(budget: Budget, { amount, unit }: Extract<Watch, { kind: "hourly" }>, now: number): readonly Once[] {
    const limit = countedLimit(budget, [unit]);
    const { startsAt: from, resetsAt: until = now } = this.#hourAt(now);
    const spent = limit ? sumOf(this.#options.spent(budget.name, limitId(limit), from)) : 0;
    if (spent <= amount) return [];
    const [much, most] = [formatAmount(spent, unit, limit?.weights), formatAmount(amount, unit, limit?.weights)];
    const about = JSON.stringify(["hourly", budget.name, unit, amount]);
    const text = `${much} were spent since ${formatInstant(from, budget.timezone)}, and ${most} an hour is what somebody wanted to hear of.`;
    const once = JSON.stringify([about, from]);
    const data = { unit, amount, spent, from: instantJson(from) };
    const title = `Budget "${budget.name}" spends more than ${most} in an hour`;
    return [{ once, until, notice: paceNotice(budget, { once, about, kind: "budget.hourly", title, text, data, spent: much, now }) }];
  }

  #anomaly(budget: Budget, { times }: Extract<Watch, { kind: "anomaly" }>, now: number): readonly Once[] {
    const limit = countedLimit(budget, ANOMALY_UNITS);
    if (!limit) return [];
    const past = this.#pastOf(budget, limitId(limit), now);
    const hour = this.#hourAt(now);
    const day = dayAt(budget, now);
    const spent = sumOf(this.#options.spent(budget.name, limitId(limit), hour.startsAt));
    const spans: readonly (Span & { readonly usual: Usual })[] = [
      { name: "hour", from: hour.startsAt, until: hour.resetsAt ?? now, spent, usual: past.hours },
      { name: "day", from: day.startsAt, until: day.resetsAt ?? now, spent: past.today + spent, usual: past.days },
    ];
    return spans.flatMap((span) => {
      const measured = timesUsual(span.usual, span.spent, KNOWN_AFTER[span.name]);
      return measured !== undefined && measured > times ? [anomalyOf(budget, limit, span, measured, now)] : [];
    });
  }

  /** Of each balance its days: what one did in an hour says less, and nobody wants to hear of cents. */
  #unusual(budget: Budget, { times }: Extract<Watch, { kind: "anomaly each" }>, now: number): readonly Once[] {
    const limit = countedLimit(budget, ANOMALY_UNITS);
    if (!limit) return [];
    const day = windowSpan({ kind: "calendar", period: "day", timeZone: this.#options.timeZone() }, now);
    const days = this.#options.days();
    const least = Math.max(1, Math.ceil(limit.amount * WORTH));
    return days.dearBalances(budget.name, limit.unit, { at: now, least, most: BALANCES_MOST }).flatMap(({ subject, spent }) => {
      const usual = createUsual();
      const known = days.balanceDays(budget.name, limit.unit, subject, { since: now - KNOWN_MS, until: now });
      for (const one of known) spanEnded(usual, one, KEPT.day);
      const measured = timesUsual(usual, spent, KNOWN_AFTER.day);
      if (measured === undefined || measured <= times) return [];
      const span = { name: "day", from: day.startsAt, until: day.resetsAt ?? now, spent, usual } as const;
      return [anomalyOf(budget, limit, span, measured, now, subject)];
    });
  }

  /** What is usual changes with the hour only: the sums of five weeks are read that often, and not every time. */
  #pastOf(budget: Budget, limit: string, now: number): Past {
    const hour = this.#hourAt(now).startsAt;
    const known = this.#past.get(budget.name);
    if (known && known.hour === hour && known.limit === limit) return known;
    const today = dayAt(budget, now).startsAt;
    const past = { hour, limit, hours: createUsual(), days: createUsual(), today: 0 };
    const days = new Map<number, number>();
    for (const { from, spent } of this.#options.spent(budget.name, limit, now - KNOWN_MS)) {
      // What was taken back is no hour in which something was spent.
      if (from >= hour || spent <= 0) continue;
      spanEnded(past.hours, spent, KEPT.hour);
      const day = dayAt(budget, from).startsAt;
      days.set(day, (days.get(day) ?? 0) + spent);
    }
    for (const [day, spent] of days) {
      if (day === today) past.today = spent;
      else spanEnded(past.days, spent, KEPT.day);
    }
    this.#past.set(budget.name, past);
    return past;
  }

  #hourAt(now: number) {
    return windowSpan({ kind: "calendar", period: "hour", timeZone: this.#options.timeZone() }, now);
  }
}

/** The limit of a budget in one of these units whose charges are added up; the first unit that it has. */
export function countedLimit({ limits }: Pick<Budget, "limits">, units: readonly Limit["unit"][]): Limit | undefined {
  for (const unit of units) {
    const found = limits.filter((limit) => limit.unit === unit);
    const steady = found.find(({ window }) => window.kind === "calendar" || window.kind === "lifetime");
    if (steady ?? found[0]) return steady ?? found[0];
  }
  return undefined;
}

function dayAt({ timezone: timeZone }: Budget, at: number) {
  return windowSpan({ kind: "calendar", period: "day", timeZone }, at);
}

function sumOf(hours: ReturnType<SpentByHour>): number {
  return hours.reduce((sum, { spent }) => sum + spent, 0);
}

function anomalyOf(
  budget: Budget,
  { unit, weights }: Limit,
  span: Span & { readonly usual: Usual },
  measured: number,
  now: number,
  subject = "",
): Once {
  const { name, from, until, usual } = span;
  const [spent, dearest] = [formatAmount(span.spent, unit, weights), formatAmount(Math.round(usual.dearest), unit, weights)];
  const about = JSON.stringify(["anomaly", budget.name, name, ...(subject === "" ? [] : [subject])]);
  const once = JSON.stringify([about, from]);
  const times = Math.floor(measured * 10) / 10;
  const title = `${nameOf({ budget: budget.name, subject })} spends ${times} times what is usual for ${name === "hour" ? "an hour" : "a day"}`;
  const text = `${spent} were spent since ${formatInstant(from, budget.timezone)}. The dearest ${name} lately took about ${dearest}.`;
  const data = {
    ...(subject !== "" && { subject }),
    unit,
    span: name,
    spent: span.spent,
    usual: Math.round(usual.dearest),
    times,
    from: instantJson(from),
  };
  return { once, until, notice: paceNotice(budget, { once, about, kind: "budget.anomaly", title, text, data, spent, now }) };
}

interface PaceTerms {
  readonly once: string;
  readonly about: string;
  readonly kind: "budget.hourly" | "budget.anomaly";
  readonly title: string;
  readonly text: string;
  readonly data: object;
  readonly spent: string;
  readonly now: number;
}

function paceNotice({ name, owner, timezone }: Budget, { once, about, kind, title, text, data, spent, now }: PaceTerms): Notice {
  return {
    id: alertId(once),
    kind,
    about,
    at: now,
    severity: "warning",
    title,
    text,
    facts: [["Budget", name], ["Spent", spent], ...(owner === undefined ? [] : ([["Owner", owner]] as const))],
    data: { budget: name, ...data },
    owner,
    timeZone: timezone,
  };
}
