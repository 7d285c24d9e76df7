import { formatInstant } from "@purser/core";
import { commitmentJson } from "../admin/commitment-json.ts";
import type { CommitmentStanding, Expected } from "../commitments/standing.ts";
import { committedText, shareUsed, shortfallText } from "../commitments/text.ts";
import type { Alerts } from "./alerts.ts";
import type { Notice } from "./notice.ts";
import { alertId } from "./thresholds.ts";
import type { ShareWatch } from "./watch.ts";

export interface UnusedOptions {
  readonly alerts: Pick<Alerts, "tell">;
  /** How commitments stand now. */
  readonly read: () => Promise<readonly CommitmentStanding[]>;
  /** Epoch milliseconds; `Date.now` where it is left out. */
  readonly now?: () => number;
}

const LOOK_EVERY_MS = 60_000;
/** A year by the hour takes its time to add up: looking takes at most this part of the time. */
const TIME_SHARE = 1 / 100;
const FULL = 10_000;

/** Looks at how commitments are used, and tells once in a window of one of which too much will be paid for nothing. */
export class Unused {
  readonly #options: UnusedOptions;
  readonly #now: () => number;
  #watches: readonly ShareWatch[] = [];
  #standings: readonly CommitmentStanding[] = [];
  #notBefore = Number.NEGATIVE_INFINITY;

  constructor(options: UnusedOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  configure(watches: readonly ShareWatch[]): void {
    this.#watches = watches;
    this.#standings = [];
    this.#notBefore = Number.NEGATIVE_INFINITY;
  }

  /** How commitments stood when they were last looked at. */
  get standings(): readonly CommitmentStanding[] {
    return this.#standings;
  }

  /** To be called whenever sums were brought up to date. */
  async look(): Promise<void> {
    const now = this.#now();
    if (now < this.#notBefore) return;
    this.#notBefore = now + LOOK_EVERY_MS;
    const began = performance.now();
    this.#standings = await this.#options.read();
    this.#notBefore = Math.max(this.#notBefore, now + (performance.now() - began) / TIME_SHARE);
    for (const standing of this.#standings) {
      const { expected, committed, window } = standing;
      if (!expected) continue;
      for (const { share, channels } of this.#watches) {
        if (expected.unused === 0 || expected.unused * FULL < committed * share) continue;
        const once = JSON.stringify(["unused", standing.commitment.name, window.startsAt, share]);
        this.#options.alerts.tell(unusedNotice(once, standing, expected, now), channels, window.endsAt, once);
      }
    }
  }
}

function unusedNotice(once: string, standing: CommitmentStanding, expected: Expected, now: number): Notice {
  const { commitment, window } = standing;
  const ends = formatInstant(window.endsAt, commitment.timeZone);
  return {
    id: alertId(once),
    kind: "commitment.unused",
    about: JSON.stringify(["unused", commitment.name]),
    at: now,
    severity: "warning",
    title: `Commitment "${commitment.name}" will not be used up`,
    text: shortfallText(standing, expected),
    facts: [
      ["Commitment", `${commitment.name}: ${committedText(commitment)}`],
      ["Used", shareUsed(standing)],
      ["Ends", ends],
    ],
    data: { ...commitmentJson(standing) },
    owner: undefined,
    timeZone: commitment.timeZone,
  };
}
