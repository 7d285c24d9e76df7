import { PurserError } from "../errors.ts";
import {
  type Amounts,
  type Applied,
  type ExpireCommand,
  type ExpireResult,
  type ExtendCommand,
  type ExtendResult,
  type ReleaseCommand,
  type ReleaseResult,
  type SettleCommand,
  type SettleResult,
  type Used,
  unchanged,
} from "./command.ts";
import { expiredLease, leaseChange } from "./lease.ts";
import { type CounterRef, type Entry, estimatedCharge, type Posting } from "./ledger.ts";
import { UNITS } from "./limit.ts";
import { decideRaise } from "./raise.ts";
import { checkCountable, counted, type State } from "./state.ts";
import { weigh, weightsOn } from "./weights.ts";
import { isBucketText } from "./window.ts";

export function decideExtend(state: State, { id, leaseMs, more }: ExtendCommand, now: number): Applied<ExtendResult> {
  const hold = state.holds.get(id);
  if (!hold) return unchanged({ outcome: "unknown" });
  const expiresAt = Math.max(hold.expiresAt, now + leaseMs);
  if (more) return decideRaise(state, hold, more, expiresAt, now);
  return {
    result: { outcome: "extended", expiresAt },
    entries: [{ kind: "extended", seq: state.seq + 1, at: now, reservation: id, postings: [], expiresAt }],
  };
}

/** Holds are returned as `0 - held`: the `-held` of nothing is -0, which a ledger cannot keep. */
export function decideSettle(state: State, command: SettleCommand, now: number): Applied<SettleResult> {
  const { id, amounts, charge } = command;
  const hold = state.holds.get(id);
  if (!hold) return decideCorrection(state, id, command, now);
  checkAmounts(amounts);
  const settled: Posting[] = [];
  const overrun: Posting[] = [];
  for (const { counter, held } of hold.postings) {
    const used = usedOn(counter, command);
    settled.push({ counter, held: 0 - held, spent: Math.min(used, held) });
    if (used <= held) continue;
    checkCountable(counter, counted(state, counter), used - held);
    overrun.push({ counter, held: 0, spent: used - held });
  }
  const { seq } = state;
  const { detail } = hold;
  const entries: Entry[] = [{ kind: "settled", seq: seq + 1, at: now, reservation: id, postings: settled, detail, charge }];
  if (overrun.length > 0) entries.push({ kind: "overrun", seq: seq + 2, at: now, reservation: id, postings: overrun, detail, charge });
  return { result: { outcome: "settled" }, entries };
}

/** What a call used of a counter. */
export function usedOn(counter: CounterRef, { amounts, charge }: Pick<SettleCommand, "amounts" | "charge">): number {
  const weights = weightsOn(counter);
  return weights === undefined ? amounts[counter.unit] : weigh(weights, counter.unit, charge);
}

export function decideRelease(state: State, { id, why }: ReleaseCommand, now: number): Applied<ReleaseResult> {
  const hold = state.holds.get(id);
  if (!hold) return decideCorrection(state, id, NOTHING_USED, now);
  const postings = hold.postings.map(({ counter, held }) => ({ counter, held: 0 - held, spent: 0 }));
  return {
    result: { outcome: "released" },
    entries: [{ kind: "released", seq: state.seq + 1, at: now, reservation: id, postings, why, detail: hold.detail }],
  };
}

/** The end of a call whose hold expired corrects what was charged then; after any other end it changes nothing. */
function decideCorrection(
  state: State,
  id: string,
  used: Pick<SettleCommand, "amounts" | "charge">,
  now: number,
): Applied<{ readonly outcome: "corrected" | "duplicate" | "unknown" }> {
  const expired = state.expired.get(id);
  if (!expired) return unchanged({ outcome: state.ended.has(id) ? "duplicate" : "unknown" });
  checkAmounts(used.amounts);
  const postings = expired.postings.map(({ counter, spent }) => {
    return { counter, held: 0, spent: correctable(counted(state, counter), counter, usedOn(counter, used) - spent) };
  });
  for (const { counter, spent } of postings) checkCountable(counter, counted(state, counter), spent);
  return {
    result: { outcome: "corrected" },
    entries: [{ kind: "corrected", seq: state.seq + 1, at: now, reservation: id, postings, detail: expired.detail, charge: used.charge }],
  };
}

/**
 * What a correction takes back was taken back before where the balance was reset meanwhile, so that no more is left of it than that. Slices of
 * a bucket were drawn together, and a correction makes the history of one smaller than nothing.
 */
function correctable({ spent }: Used, { window }: CounterRef, change: number): number {
  return isBucketText(window) ? change : Math.max(change, Math.min(0, 0 - spent));
}

/** What a call that was never sent used. */
export const NOTHING_USED: Pick<SettleCommand, "amounts" | "charge"> = {
  amounts: { nanodollars: 0, tokens: 0, input_tokens: 0, output_tokens: 0, requests: 0, concurrent: 0 },
  charge: { usage: { inputTokens: 0, outputTokens: 0 }, cost: 0, certainty: "confirmed" },
};

export function decideExpire(state: State, { all }: ExpireCommand, now: number): Applied<ExpireResult> {
  const entries: Entry[] = [];
  if (all) state.leases.endRecalls();
  for (const hold of state.holds.values()) {
    const { id, detail } = hold;
    if (hold.expiresAt > now && (!all || detail.batch !== undefined)) continue;
    const postings = hold.postings.map(({ counter, held }) => ({
      counter,
      held: 0 - held,
      spent: counter.unit === "concurrent" ? 0 : held,
    }));
    entries.push({
      kind: "expired",
      seq: state.seq + entries.length + 1,
      at: now,
      reservation: id,
      postings,
      detail,
      charge: estimatedCharge(detail),
    });
  }
  const expired = entries.map(({ reservation }) => reservation);
  for (const lease of state.leases.values()) {
    if (lease.end !== undefined || (!all && lease.expiresAt > now)) continue;
    entries.push({
      kind: "leased",
      seq: state.seq + entries.length + 1,
      at: now,
      reservation: lease.id,
      ...leaseChange(lease, expiredLease(lease)),
    });
  }
  return { result: { expired }, entries };
}

export function checkAmounts(amounts: Amounts): void {
  for (const unit of UNITS) {
    const used = amounts[unit];
    if (Number.isSafeInteger(used) && used >= 0) continue;
    throw new PurserError("amount_invalid", `A call cannot have used ${used} ${unit}. Settle it with whole numbers of 0 or more.`);
  }
}
