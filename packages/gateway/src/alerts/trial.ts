import { type Budget, formatAmount, formatInstant, formatLimit } from "@purser/core";
import { instantJson } from "../admin/balances.ts";
import { observedText, type Trial, type TrialNeed } from "../trials/trial.ts";
import type { Once } from "./forecast.ts";
import type { Notice } from "./notice.ts";
import { alertId } from "./thresholds.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** So long before the end of a trial somebody is told; and at its end. */
const TOLD_BEFORE_MS = [3 * DAY_MS, DAY_MS, 0];
/** That it is over is no news a day later. */
const OVER_MS = DAY_MS;

/** Of a budget whose trial ends soon, or has just ended: how long before its end somebody is told, and until when that is news. */
interface Stage {
  readonly beforeMs: number;
  readonly until: number;
}

/** Which of the times has come at which somebody is told; where several have, the last one. */
function stageOf({ observesUntil }: Budget, now: number): Stage | undefined {
  if (observesUntil === 0 || observesUntil === Number.POSITIVE_INFINITY || now >= observesUntil + OVER_MS) return undefined;
  const at = TOLD_BEFORE_MS.findLastIndex((beforeMs) => now >= observesUntil - beforeMs);
  const beforeMs = TOLD_BEFORE_MS[at];
  if (beforeMs === undefined) return undefined;
  return { beforeMs, until: observesUntil - (TOLD_BEFORE_MS[at + 1] ?? -OVER_MS) };
}

/** Says that a trial ends soon, or has ended, with what the budget would have refused in it. Nothing at other times. */
export function trialEnds(budget: Budget, trial: () => Trial, now: number): Once | undefined {
  const stage = stageOf(budget, now);
  if (!stage) return undefined;
  const { name, owner, timezone, observesUntil } = budget;
  const found = trial();
  const end = formatInstant(observesUntil, timezone);
  const about = JSON.stringify(["trial", name]);
  const once = JSON.stringify(["trial", name, observesUntil, stage.beforeMs]);
  const isOver = stage.beforeMs === 0;
  const needs = found.needs.map(needText);
  const notice: Notice = {
    id: alertId(once),
    kind: "budget.trial",
    about,
    at: now,
    severity: isOver ? "info" : "warning",
    title: isOver ? `The trial of budget "${name}" is over: it refuses calls` : `Budget "${name}" refuses calls from ${end} on`,
    text: [
      isOver
        ? `It observed until ${end}, and in that time ${observedText(found)}.`
        : `Its trial ends in ${roughly(observesUntil - now)}. So far ${observedText(found)}.`,
      ...needs,
      "`purser trials` has all of them, and `purser recommend` which amounts would fit.",
      ...(isOver ? [] : ["Change the limits or the day in purser.yaml if that is not meant."]),
    ].join(" "),
    facts: [
      ["Budget", name],
      [isOver ? "Ended" : "Ends", end],
      ["Would have refused", found.calls.toLocaleString("en-US")],
      ...found.needs.flatMap(({ limit, amount }) =>
        amount === undefined ? [] : [[`Needs of ${formatLimit(limit)}`, formatAmount(amount, limit.unit, limit.weights)] as const],
      ),
      ...(owner === undefined ? [] : ([["Owner", owner]] as const)),
    ],
    data: {
      budget: name,
      observes_until: instantJson(observesUntil),
      is_over: isOver,
      would_refuse_calls: found.calls,
      would_refuse_nanodollars: found.cost,
      whose: found.whose.slice(0, WHOSE_MOST).map(({ whose, calls, cost }) => ({ whose, calls, cost_nanodollars: cost })),
      needs: found.needs.map(({ limit, amount, rests }) => ({ limit: formatLimit(limit), amount: amount ?? null, rests_on: rests })),
    },
    owner,
    timeZone: timezone,
  };
  return { once, until: stage.until, notice };
}

/** `3 days`, `20 hours` */
function roughly(ms: number): string {
  const days = Math.round(ms / DAY_MS);
  if (ms > 1.5 * DAY_MS) return `${days} days`;
  const hours = Math.max(1, Math.round(ms / HOUR_MS));
  return hours === 24 ? "a day" : hours === 1 ? "an hour" : `${hours} hours`;
}

const WHOSE_MOST = 20;

/** `Of $50.00 / day the p95 of 13 days is …` */
function needText({ limit, rests }: TrialNeed): string {
  return `Of ${formatLimit(limit)}: ${rests}.`;
}
