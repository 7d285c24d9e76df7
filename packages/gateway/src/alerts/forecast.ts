import { type Balance, type Budget, formatAmount, formatInstant, windowPhrase } from "@purser/core";
import { balanceJson, instantJson } from "../admin/balances.ts";
import { outlookOf, type SpentByHour } from "../admin/outlook.ts";
import type { Notice } from "./notice.ts";
import { alertId, isLong } from "./thresholds.ts";
import { nameOf } from "./watch.ts";

/** Something that is told once, and until when. */
export interface Once {
  /** What it is told once for. */
  readonly once: string;
  readonly until: number;
  readonly notice: Notice;
}

/** Says that a balance will be used up before it resets, if it goes on as before; nothing where it lasts, or is used up already. */
export function forecastOf(balance: Balance, budget: Budget, spent: SpentByHour, now: number): Once | undefined {
  const { unit, weights, window, limit, left, resetsAt, timezone } = balance;
  if (isMoving(balance)) return movingForecast(balance, budget, spent, now);
  if (resetsAt === undefined || left === 0 || !isLong(balance)) return undefined;
  const { goneAt, expected = 0 } = outlookOf(balance, budget, spent, now) ?? {};
  if (goneAt === undefined) return undefined;
  const [gone, resets] = [formatInstant(goneAt, timezone), formatInstant(resetsAt, timezone)];
  const text = (amount: number) => formatAmount(amount, unit, weights);
  const amounts = [text(balance.spent), text(limit), text(Math.round(expected))];
  const once = onceForecast(balance);
  const notice = forecastNotice(balance, budget, now, {
    once,
    title: `${nameOf(balance)} will be gone by ${gone} at this pace`,
    text: `${amounts[0]} of ${amounts[1]}${windowPhrase(window)} are used; by the reset ${resets} it would be ${amounts[2]}.`,
    facts: [
      ["Used", `${amounts[0]} of ${amounts[1]}`],
      ["Gone", gone],
      ["Resets", resets],
      ["Expected", amounts[2] ?? ""],
    ],
    data: { gone_at: instantJson(goneAt), expected: Math.round(expected) },
  });
  return { once, until: resetsAt, notice };
}

/** Says that a window that moves will be full, though its past leaves it, or drains. Told once a day: it has no reset after which it would be news. */
function movingForecast(balance: Balance, budget: Budget, spent: SpentByHour, now: number): Once | undefined {
  const { unit, weights, window, subject, limit, timezone } = balance;
  const { goneAt } = outlookOf(balance, budget, spent, now) ?? {};
  if (goneAt === undefined) return undefined;
  const full = formatInstant(goneAt, timezone);
  const used = `${formatAmount(balance.spent, unit, weights)} of ${formatAmount(limit, unit, weights)}${windowPhrase(window)}`;
  const once = JSON.stringify(["forecast", balance.budget, subject, unit, window, dayOf(now), limit]);
  const notice = forecastNotice(balance, budget, now, {
    once,
    title: `${nameOf(balance)} will be full by ${full} at this pace`,
    text: `${used} are used, and more comes than ${window.startsWith("rolling ") ? "leaves the window" : "drains"}.`,
    facts: [
      ["Used", used],
      ["Full", full],
    ],
    data: { gone_at: instantJson(goneAt) },
  });
  return { once, until: (dayOf(now) + 1) * DAY_MS, notice };
}

interface Told extends Pick<Notice, "title" | "text" | "facts"> {
  /** What it is told once for. */
  readonly once: string;
  /** Beside the balance. */
  readonly data: object;
}

/** The same of every forecast, around what it says. */
function forecastNotice(balance: Balance, { owner }: Budget, now: number, { once, title, text, facts, data }: Told): Notice {
  const { budget, unit, window, subject, timezone } = balance;
  return {
    id: alertId(once),
    kind: "budget.forecast",
    about: JSON.stringify(["forecast", budget, subject, unit, window]),
    at: now,
    severity: "warning",
    title,
    text,
    facts: [
      ["Budget", subject === "" ? budget : `${budget} (${subject})`],
      ...facts,
      ...(owner === undefined ? [] : ([["Owner", owner]] as const)),
    ],
    data: { ...balanceJson(balance), ...data },
    owner,
    timeZone: timezone,
  };
}

const DAY_MS = 86_400_000;

function dayOf(at: number): number {
  return Math.floor(at / DAY_MS);
}

/** Whether a balance is of a rolling window or a bucket. */
function isMoving({ window }: Balance): boolean {
  return /^rolling | (bucket|leaky)$/.test(window);
}

/** What the forecast of a balance is told once for. */
export function onceForecast({ budget, subject, unit, window, resetsAt, limit }: Balance): string {
  return JSON.stringify(["forecast", budget, subject, unit, window, resetsAt, limit]);
}

/** What is told of a balance that is used up, once there is room again. */
export function resetNotice(balance: Balance, { owner }: Budget, now: number): Notice {
  const { unit, weights, window, subject, limit, timezone } = balance;
  const once = JSON.stringify(["reset", balance.budget, subject, unit, window, balance.resetsAt, limit]);
  return {
    id: alertId(once),
    kind: "budget.reset",
    about: aboutReset(balance),
    at: now,
    severity: "info",
    title: `${nameOf(balance)} is open again`,
    text: `${formatAmount(limit, unit, weights)} a ${window} had been used up ${formatInstant(now, timezone)}. Calls are taken again.`,
    facts: [
      ["Budget", subject === "" ? balance.budget : `${balance.budget} (${subject})`],
      ["Limit", `${formatAmount(limit, unit, weights)} / ${window}`],
      ["Used up", formatInstant(now, timezone)],
      ...(owner === undefined ? [] : ([["Owner", owner]] as const)),
    ],
    data: { budget: balance.budget, subject, unit, window, limit, used_up_at: instantJson(now) },
    owner,
    timeZone: timezone,
  };
}

/** What it is called that a balance is open again. */
export function aboutReset({ budget, subject, unit, window }: Balance): string {
  return JSON.stringify(["reset", budget, subject, unit, window]);
}
