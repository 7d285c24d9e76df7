import type { PriceBook } from "@purser/core/prices";
import { type Bill, DAY_MS, type Days } from "../reconciliation/bill.ts";
import type { CommittedLines } from "../reconciliation/committed.ts";
import { type ComparedDays, type LedgerLine, type Reconciliation, reconcile } from "../reconciliation/reconcile.ts";
import { alarmJson, daysText } from "../reconciliation/reconciliation-json.ts";
import type { Alerts } from "./alerts.ts";
import type { Notice } from "./notice.ts";
import { alertId } from "./thresholds.ts";
import type { ShareWatch } from "./watch.ts";

export interface CapturedOptions {
  readonly alerts: Pick<Alerts, "tell">;
  /** The providers that can be asked, as they are configured now. */
  readonly providers: () => readonly string[];
  readonly bill: (provider: string, days: Days) => Promise<Bill>;
  readonly ledger: (days: Days) => Promise<readonly LedgerLine[]>;
  /** What commitments make of bills for these days. */
  readonly committed?: (days: Days) => Promise<readonly CommittedLines[]>;
  readonly prices: () => PriceBook;
  /** Epoch milliseconds; `Date.now` where it is left out. */
  readonly now?: () => number;
}

/** What was last found of a provider. */
export interface CapturedState {
  readonly provider: string;
  /** When it was asked, in epoch milliseconds. */
  readonly at: number;
  /** The ledger as a share of the bill, over the days that were complete; none where nothing was billed. */
  readonly captured: number | undefined;
}

/** So many days are compared each time: whoever was away for some still learns of them. */
const DAYS = 9;
/** A provider that does not say is asked again after so long. */
const AGAIN_MS = 3_600_000;
/** A day of which somebody was told is not compared any more by then. */
const TOLD_MS = 30 * DAY_MS;

/** Asks providers once a day what they billed, and tells of days of which too little, or too much, is in the ledger. */
export class Captured {
  readonly #options: CapturedOptions;
  readonly #now: () => number;
  readonly #notBefore = new Map<string, number>();
  readonly #found = new Map<string, CapturedState>();
  #watches: readonly ShareWatch[] = [];

  constructor(options: CapturedOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  configure(watches: readonly ShareWatch[]): void {
    this.#watches = watches;
    if (watches.length === 0) this.#found.clear();
  }

  get state(): readonly CapturedState[] {
    return [...this.#found.values()];
  }

  /** To be called every few seconds. Rejects where a provider does not say what it billed. */
  async look(): Promise<void> {
    if (this.#watches.length === 0) return;
    const now = this.#now();
    const due = this.#options.providers().filter((provider) => now >= (this.#notBefore.get(provider) ?? 0));
    for (const provider of due) this.#notBefore.set(provider, now + AGAIN_MS);
    const ends = await Promise.allSettled(due.map((provider) => this.#compare(provider, now)));
    const failed = ends.find((end) => end.status === "rejected");
    if (failed) throw failed.reason;
  }

  async #compare(provider: string, now: number): Promise<void> {
    const today = Math.floor(now / DAY_MS) * DAY_MS;
    const days = { from: today - DAYS * DAY_MS, to: today };
    const { committed: readCommitted } = this.#options;
    const [bill, ledger, committed] = await Promise.all([
      this.#options.bill(provider, days),
      this.#options.ledger(days),
      readCommitted?.(days),
    ]);
    this.#notBefore.set(provider, today + DAY_MS);
    for (const { share, channels } of this.#watches) {
      const least = share / 10_000;
      const [found] = reconcile({
        bill,
        ledger,
        ...(committed && { committed }),
        names: new Map(),
        prices: this.#options.prices(),
        least,
        now,
      });
      this.#found.set(provider, { provider, at: now, captured: found?.total?.captured });
      for (const day of found?.days ?? []) {
        if (!day.alarm) continue;
        const { once, ...notice } = noticeOf(provider, day, share, now);
        this.#options.alerts.tell(notice, channels, now + TOLD_MS, once);
      }
    }
  }
}

/** `once`: what it is told once for. Of two shares that a day falls short of, each is told. */
function noticeOf(provider: Reconciliation["provider"], day: ComparedDays, share: number, now: number): Notice & { readonly once: string } {
  const { alarm = "below", billed, ledger, captured } = day;
  const about = JSON.stringify(["bill", provider, daysText(day), alarm]);
  const once = JSON.stringify([about, share]);
  const { message } = alarmJson(provider, daysText(day), day, alarm, share / 10_000);
  return {
    id: alertId(once),
    once,
    kind: "bill.differs",
    about,
    at: now,
    severity: "error",
    title: `The bill of ${provider} and the ledger differ`,
    text: `${message} \`purser reconcile --provider ${provider}\` says why.`,
    facts: [
      ["Provider", provider],
      ["Day", daysText(day)],
    ],
    data: {
      provider,
      from: new Date(day.from).toISOString(),
      to: new Date(day.to).toISOString(),
      kind: alarm,
      billed_nanodollars: billed.cost ?? null,
      ledger_nanodollars: ledger.cost,
      captured: captured ?? null,
    },
    owner: undefined,
  };
}
