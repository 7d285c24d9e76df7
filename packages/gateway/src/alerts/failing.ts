import { shareText } from "@purser/core";
import type { Snapshot } from "../metrics/figures.ts";
import type { Alerts } from "./alerts.ts";
import type { Notice } from "./notice.ts";
import { alertId } from "./thresholds.ts";
import type { ShareWatch } from "./watch.ts";

export interface FailingOptions {
  readonly alerts: Pick<Alerts, "tell">;
  /** What was counted since the gateway began. */
  readonly counted: () => Pick<Snapshot, "answers">;
  /** Epoch milliseconds; `Date.now` where it is left out. */
  readonly now?: () => number;
}

/** How often each provider answered in which way. */
type Answers = ReadonlyMap<string, ReadonlyMap<string, number>>;

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const SPAN_MS = 5 * MINUTE_MS;
/** Of fewer calls no share says anything. */
const CALLS_LEAST = 20;
/** What is the provider's fault, or that of the way there. Other refusals are what callers asked wrongly. */
const FAILS: ReadonlySet<string> = new Set(["429", "5xx", "unreachable", "timeout", "broken"]);

/** Looks at how many of the calls to each provider fail, and tells of it once an hour while it lasts. */
export class Failing {
  readonly #options: FailingOptions;
  readonly #now: () => number;
  #watches: readonly ShareWatch[] = [];
  /** What was counted at times within the last five minutes, the oldest first. */
  #counted: readonly { readonly at: number; readonly answers: Answers }[] = [];

  constructor(options: FailingOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  configure(watches: readonly ShareWatch[]): void {
    this.#watches = watches;
    if (watches.length === 0) this.#counted = [];
  }

  /** To be called every few seconds. */
  look(): void {
    if (this.#watches.length === 0) return;
    const now = this.#now();
    const answers = answersOf(this.#options.counted());
    const lately = this.#counted.filter(({ at }) => at > now - SPAN_MS);
    const [before = { at: now, answers }] = lately;
    this.#counted = [...lately, { at: now, answers }];
    for (const [provider, counts] of answers) {
      const since = new Map([...counts].map(([answer, count]) => [answer, count - (before.answers.get(provider)?.get(answer) ?? 0)]));
      this.#judge(provider, since, now);
    }
  }

  #judge(provider: string, counts: ReadonlyMap<string, number>, now: number): void {
    const calls = [...counts.values()].reduce((sum, count) => sum + count, 0);
    if (calls < CALLS_LEAST) return;
    const failed = [...counts].filter(([answer, count]) => FAILS.has(answer) && count > 0);
    const share = failed.reduce((sum, [, count]) => sum + count, 0) / calls;
    for (const { share: most, channels } of this.#watches) {
      if (share * 10_000 < most) continue;
      const notice = failingNotice({ provider, calls, failed, share, now });
      this.#options.alerts.tell(notice, channels, now + HOUR_MS, JSON.stringify(["failing", provider, most]));
    }
  }
}

interface FailingTerms {
  readonly provider: string;
  readonly calls: number;
  readonly failed: readonly (readonly [answer: string, count: number])[];
  readonly share: number;
  readonly now: number;
}

function failingNotice({ provider, calls, failed, share, now }: FailingTerms): Notice {
  const count = failed.reduce((sum, [, one]) => sum + one, 0);
  const kinds = failed.toSorted(([, a], [, b]) => b - a).map(([answer, one]) => `${answer}: ${one}`);
  const about = JSON.stringify(["failing", provider]);
  const text = `${count} of ${calls} calls to ${provider} failed within five minutes (${kinds.join(", ")}).`;
  return {
    id: alertId(JSON.stringify([about, Math.floor(now / HOUR_MS)])),
    kind: "provider.failing",
    about,
    at: now,
    severity: "error",
    title: `${shareText(Math.floor(share * 100) * 100)} of calls to ${provider} fail`,
    text,
    facts: [
      ["Provider", provider],
      ["Failed", `${count} of ${calls}`],
      ["How", kinds.join(", ")],
    ],
    data: { provider, calls, failed: count, answers: Object.fromEntries(failed) },
    owner: undefined,
  };
}

function answersOf({ answers }: Pick<Snapshot, "answers">): Answers {
  const found = new Map<string, Map<string, number>>();
  for (const { labels, cells } of answers) {
    const [provider = "", answer = ""] = labels;
    found.set(provider, (found.get(provider) ?? new Map()).set(answer, cells[0] ?? 0));
  }
  return found;
}
