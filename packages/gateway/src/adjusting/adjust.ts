import { type AdjustedNow, type Budgets, formatAmount, formatInstant, type Proposed, type ReadEvidence } from "@purser/core";
import type { Rollups } from "@purser/core/stores/sqlite";
import { instantJson } from "../admin/balances.ts";
import type { Alerts } from "../alerts/alerts.ts";
import type { Notice } from "../alerts/notice.ts";
import { alertId } from "../alerts/thresholds.ts";
import type { AuditLog } from "../audit-log/audit-log.ts";
import type { Config } from "../config/config.ts";
import { evidenceOf } from "./evidence.ts";

export interface AdjustParts {
  readonly budgets: Pick<Budgets, "adjust">;
  readonly read: ReadEvidence;
  readonly alerts: Pick<Alerts, "tell">;
  readonly log: Pick<AuditLog, "write">;
  readonly config: Pick<Config, "watched">;
}

/** Reads what was used from sums of the ledger; nothing before all of it is added up. */
export function readEvidenceFrom(rollups: () => Rollups, config: () => Pick<Config, "guards">): ReadEvidence {
  return async (adjusted, from, until) => {
    const sums = rollups();
    await sums.catchUp();
    if (!sums.progress.isComplete) return undefined;
    return evidenceOf(adjusted, sums, { from, until, guarded: config().guards.map(({ budget }) => budget) });
  };
}

/** Lets limits follow what is used of them, where that is due, writes down what was decided here, and tells of it. */
export async function adjustBudgets({ budgets, read, alerts, log, config }: AdjustParts): Promise<void> {
  const { adjusted, proposed } = await budgets.adjust(read);
  for (const { isNew, grant } of adjusted) {
    const { budget, limit, giver, why, from, until, adjustment } = grant;
    if (!isNew || adjustment.amount === adjustment.before) continue;
    const details = { budget, limit, ...adjustment, why, from: instantJson(from), until: instantJson(until) };
    await log.write({ by: giver, what: "budget.adjusted", details });
  }
  // Whoever decided may have died before it told: who was told, the book of notices knows.
  for (const { once, until, notice, budget } of [...changesOf(adjusted), ...proposed.map(proposal)]) {
    const { watches = [] } = config.watched.find((one) => one.budget.name === budget) ?? {};
    for (const { kind, channels } of watches) if (kind === "adjusted") alerts.tell(notice, channels, until, once);
  }
}

interface Told {
  readonly budget: string;
  readonly once: string;
  readonly until: number;
  readonly notice: Notice;
}

function changesOf(adjusted: AdjustedNow["adjusted"]): readonly Told[] {
  return adjusted.flatMap(({ budget, limit, grant }) => {
    const { id, from, until, why, adjustment } = grant;
    const { before, amount } = adjustment;
    return amount === before ? [] : [told({ budget, limit, id, before, amount, why, from, until, isProposed: false })];
  });
}

function proposal({ budget, limit, before, amount, why, from }: Proposed): Told {
  const id = JSON.stringify(["adjust", budget.name, limit.unit, from]);
  // It is told shortly before the time that it is for, and not again.
  return told({ budget, limit, id, before, amount, why, from, until: from + DAY_MS, isProposed: true });
}

const DAY_MS = 86_400_000;

interface Change extends Pick<Proposed, "budget" | "limit" | "before" | "amount" | "why" | "from"> {
  readonly id: string;
  readonly until: number;
  readonly isProposed: boolean;
}

function told({ budget, limit, id, before, amount, why, from, until, isProposed }: Change): Told {
  const { name, owner, timezone } = budget;
  const [was, is] = [formatAmount(before, limit.unit), formatAmount(amount, limit.unit)];
  const period = limit.window.kind === "calendar" ? limit.window.period : "";
  const since = formatInstant(from, timezone);
  const sentence = `${why.charAt(0).toUpperCase()}${why.slice(1)}`;
  // Of one period something else can be decided, where the file was changed meanwhile.
  const once = JSON.stringify([id, before, amount]);
  const notice: Notice = {
    id: alertId(once),
    kind: "budget.adjusted",
    about: id,
    at: Date.now(),
    severity: "info",
    title: isProposed ? `Budget "${name}" would need ${is} a ${period}` : `Budget "${name}" has ${is} a ${period} instead of ${was}`,
    text: isProposed
      ? `It has ${was}. ${sentence} Nothing changes by itself: write the limit into the configuration if you agree.`
      : `It holds from ${since} on. ${sentence}`,
    facts: [
      ["Budget", name],
      ["Limit", `${is} / ${period}`],
      ["Before", `${was} / ${period}`],
      ["From", since],
      ...(owner === undefined ? [] : ([["Owner", owner]] as const)),
    ],
    data: { budget: name, unit: limit.unit, window: period, before, amount, why, from: instantJson(from), proposed: isProposed },
    owner,
    timeZone: timezone,
  };
  return { budget: name, once, until, notice };
}
