/** What spans of time (minutes, hours, days) usually cost: as much as the dearest of them lately. */
export interface Usual {
  /** The dearest span lately. */
  dearest: number;
  /** In how many something was spent. */
  spans: number;
}

export function createUsual(): Usual {
  return { dearest: 0, spans: 0 };
}

/** A span is over in which so much was spent; by such a share what was dear stays usual, with every span in which something is spent. */
export function spanEnded(usual: Usual, spent: number, kept: number): void {
  usual.dearest = Math.max(spent, usual.dearest * kept);
  usual.spans++;
}

/** How many times as much as usual is spent; nothing before so many spans are known. */
export function timesUsual({ dearest, spans }: Usual, spent: number, knownAfter: number): number | undefined {
  return spans >= knownAfter ? spent / dearest : undefined;
}
