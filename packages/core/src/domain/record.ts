import { type Applied, type Recordable, type RecordCommand, type RecordResult, unchanged } from "./command.ts";
import { grantSeries, type Posting } from "./ledger.ts";
import { checkCountable, counted, type State } from "./state.ts";

export function decideRecord(state: State, { entry }: RecordCommand, now: number): Applied<RecordResult> {
  const recorded = recordable(state, entry);
  if (!recorded) return unchanged({ outcome: "ignored" });
  for (const { counter, spent, held } of recorded.postings) checkCountable(counter, counted(state, counter), spent + held);
  return { result: { outcome: "recorded" }, entries: [{ seq: state.seq + 1, at: now, ...recorded }] };
}

/** The entry as it is to be written; nothing where it has no effect any more. */
function recordable(state: State, entry: Recordable): Recordable | undefined {
  if (entry.kind === "granted" || entry.kind === "revoked") {
    const isGranted = state.grants.get(grantSeries(entry.grant))?.some(({ id }) => id === entry.grant.id) ?? false;
    return isGranted === (entry.kind === "revoked") ? entry : undefined;
  }
  if (entry.kind === "adjusted" && entry.reset) return { ...entry, postings: resetPostings(state, entry.postings) };
  if (entry.kind === "denied" || entry.kind === "answered") return entry;
  if (entry.adopted?.follows !== undefined && entry.adopted.follows !== state.adopted) return undefined;
  const { reservation } = entry;
  const [hold, expired] = [state.holds.get(reservation), state.expired.get(reservation)];
  if (!hold && (entry.postings.some(({ held }) => held !== 0) || (state.ended.has(reservation) && !expired))) return undefined;
  if (hold && entry.outputCap !== undefined && entry.outputCap !== hold.outputCap) return undefined;
  const known = new Set((hold ?? expired)?.postings.map(({ counter }) => counter.key));
  const postings = entry.postings.filter(({ counter }) => !known.has(counter.key));
  return postings.length === 0 && entry.postings.length > 0 ? undefined : { ...entry, postings };
}

/** Whatever was spent when the reset was asked for, it takes back what is spent when it is made: two at once take it back once. */
function resetPostings(state: State, postings: readonly Posting[]): readonly Posting[] {
  return postings.map(({ counter }) => ({ counter, held: 0, spent: 0 - counted(state, counter).spent })).filter(({ spent }) => spent !== 0);
}
