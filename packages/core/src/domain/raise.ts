import { type Applied, amountOf, type BoundLimit, type ExtendResult, isEnforced, type More, type Used, unchanged } from "./command.ts";
import type { CallDetail, CounterRef, Entry, Posting } from "./ledger.ts";
import { limitsInForce, usageOf } from "./standing.ts";
import { checkCountable, counted, type Hold, type State } from "./state.ts";
import { askOn } from "./weights.ts";

/**
 * Holds more for a call in flight: as many tokens of its answer as fit every limit, or no more at all where not even the least of them fit. It
 * stays on the counters on which it was held when it was admitted, however long it takes.
 */
export function decideRaise(
  state: State,
  hold: Hold,
  { limits, asks, output }: More,
  expiresAt: number,
  now: number,
): Applied<ExtendResult> {
  const held = limits.map((limit) => hold.postings.find(({ counter }) => isKeptOn(limit, counter)));
  const bound = limits.map((limit, i) => ({ ...limit, counter: held[i]?.counter ?? limit.counter }));
  // What is charged on a counter is held there, and nothing is held more of that no limit was asked about.
  const isAsked = hold.postings.every(({ counter }) => limits.some((limit) => isKeptOn(limit, counter)));
  if (!isAsked || held.some((posting) => posting === undefined) || bound.some((limit) => isPassedOn(limit, now)))
    return unchanged({ outcome: "refused" });
  const inForce = limitsInForce(state, bound, now);
  let outputCap = output.most;
  for (const [i, limit] of inForce.entries()) {
    const ask = askOn(asks, limit.counter);
    const room = (held[i] as Posting).held + Math.max(0, roomOf(limit, usageOf(state, limit, now)));
    if (!isEnforced(limit, now) || amountOf(ask, outputCap) <= room) continue;
    const fitting = ask.perOutputToken > 0 ? Math.floor((room * ask.scale - ask.base) / ask.perOutputToken) : 0;
    outputCap = Math.min(outputCap, fitting);
  }
  if (outputCap < output.least) return unchanged({ outcome: "refused" });
  const postings = hold.postings.flatMap(({ counter, held }): Posting[] => {
    const added = amountOf(askOn(asks, counter), outputCap) - held;
    if (added <= 0) return [];
    checkCountable(counter, counted(state, counter), added);
    return [{ counter, held: added, spent: 0 }];
  });
  const { detail, id } = hold;
  const raised: CallDetail = {
    ...detail,
    outputTokens: amountOf(asks.output_tokens, outputCap),
    cost: detail.cost === undefined ? undefined : amountOf(asks.nanodollars, outputCap),
    outputTokensAtFirst: detail.outputTokensAtFirst ?? detail.outputTokens,
  };
  const entry: Entry = { kind: "raised", seq: state.seq + 1, at: now, reservation: id, postings, expiresAt, outputCap, detail: raised };
  return { result: { outcome: "extended", expiresAt, outputTokens: outputCap }, entries: [entry] };
}

/** The slice of a moving window is that of the time when the call was admitted. */
function isKeptOn({ counter, rule }: BoundLimit, { key, series }: CounterRef): boolean {
  return rule === undefined ? counter.key === key : counter.series === series;
}

/** What a window that is over left unused is in the next one by now. */
function isPassedOn({ rollover, counter: { resetsAt = Number.POSITIVE_INFINITY } }: BoundLimit, now: number): boolean {
  return rollover !== undefined && now >= resetsAt;
}

function roomOf({ amount }: BoundLimit, { spent, held }: Used): number {
  return amount - spent - held;
}
