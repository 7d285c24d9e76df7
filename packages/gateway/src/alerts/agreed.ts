import { type Balance, formatAmount, formatInstant, shareOf, shareText } from "@purser/core";
import { balanceJson, instantJson } from "../admin/balances.ts";
import type { Alerts } from "./alerts.ts";
import type { Notice } from "./notice.ts";
import { alertId } from "./thresholds.ts";
import type { EndingWatch, ShareWatch } from "./watch.ts";

export interface AgreedOptions {
  readonly alerts: Pick<Alerts, "tell">;
  /** How allowances stand: balances with their names in the place of a budget's. */
  readonly allowances: () => Promise<readonly Balance[]>;
  /** Allowances and commitments that end some day. */
  readonly agreements: () => readonly Agreement[];
  /** Epoch milliseconds; `Date.now` where it is left out. */
  readonly now?: () => number;
}

/** Something with a provider that ends. */
export interface Agreement {
  readonly kind: "allowance" | "commitment";
  readonly name: string;
  readonly until: number;
  readonly timeZone: string;
}

const LOOK_EVERY_MS = 30_000;

/** Looks at what providers give away, and tells when an allowance is nearly used, and before something ends that was agreed on with one. */
export class Agreed {
  readonly #options: AgreedOptions;
  readonly #now: () => number;
  #used: readonly ShareWatch[] = [];
  #ending: readonly EndingWatch[] = [];
  #lookedAt = Number.NEGATIVE_INFINITY;

  constructor(options: AgreedOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  configure({ allowanceUsed, ending }: { readonly allowanceUsed: readonly ShareWatch[]; readonly ending: readonly EndingWatch[] }): void {
    this.#used = allowanceUsed;
    this.#ending = ending;
    this.#lookedAt = Number.NEGATIVE_INFINITY;
  }

  /** To be called every few seconds. */
  async look(): Promise<void> {
    const now = this.#now();
    if (now - this.#lookedAt < LOOK_EVERY_MS) return;
    this.#lookedAt = now;
    for (const { beforeMs, channels } of this.#ending) {
      for (const agreement of this.#options.agreements()) {
        const { kind, name, until } = agreement;
        if (until <= now || until - now > beforeMs) continue;
        const once = JSON.stringify(["ending", kind, name, until, beforeMs]);
        this.#options.alerts.tell(endingNotice(once, agreement, now), channels, until, once);
      }
    }
    if (this.#used.length === 0) return;
    const ended = new Set(
      this.#options.agreements().flatMap(({ kind, name, until }) => (kind === "allowance" && until <= now ? [name] : [])),
    );
    for (const balance of await this.#options.allowances()) {
      if (ended.has(balance.budget) || balance.limit === 0) continue;
      for (const { share, channels } of this.#used) {
        if (shareOf({ spent: balance.spent, held: 0 }, balance.limit) < share) continue;
        const { budget: name, window, resetsAt = Number.MAX_SAFE_INTEGER } = balance;
        const once = JSON.stringify(["allowance", name, window, resetsAt, share]);
        this.#options.alerts.tell(usedNotice(once, balance, now), channels, resetsAt, once);
      }
    }
  }
}

function usedNotice(once: string, balance: Balance, now: number): Notice {
  const { budget: name, unit, spent, limit, left, resetsAt, timezone } = balance;
  const used = shareText(Math.floor(shareOf({ spent, held: 0 }, limit) / 100) * 100);
  const resets = resetsAt === undefined ? "It does not reset." : `It resets ${formatInstant(resetsAt, timezone)}.`;
  const whole = `${formatAmount(spent, unit)} of ${formatAmount(limit, unit)}`;
  const { budget: _, subject: __, ...standing } = balanceJson(balance);
  return {
    id: alertId(once),
    kind: "allowance.used",
    about: JSON.stringify(["allowance", name]),
    at: now,
    severity: "info",
    title: `Allowance "${name}" is ${used} used`,
    text: `${whole} that are given away are used (${used}). ${resets} Calls that do not fit what is left are charged.`,
    facts: [
      ["Allowance", name],
      ["Used", `${whole} (${used})`],
      ["Left", formatAmount(left, unit)],
    ],
    data: { allowance: name, ...standing },
    owner: undefined,
    timeZone: timezone,
  };
}

function endingNotice(once: string, { kind, name, until, timeZone }: Agreement, now: number): Notice {
  const ends = formatInstant(until, timeZone);
  const then =
    kind === "allowance" ? "From then on its calls are charged." : "From then on nothing is committed to, and no discount is counted on.";
  return {
    id: alertId(once),
    kind: "agreement.ending",
    about: JSON.stringify(["ending", kind, name]),
    at: now,
    severity: "warning",
    title: `${kind === "allowance" ? "Allowance" : "Commitment"} "${name}" ends ${ends}`,
    text: `${then} Take it out of purser.yaml then, or write a later day.`,
    facts: [
      [kind === "allowance" ? "Allowance" : "Commitment", name],
      ["Ends", ends],
    ],
    data: { kind, name, until: instantJson(until) },
    owner: undefined,
    timeZone,
  };
}
