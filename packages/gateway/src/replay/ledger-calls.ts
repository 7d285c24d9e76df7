import type { CallDetail, Charge, Entry, RefusingLimit, Store, Subject, Usage } from "@purser/core";
import { DIALECTS, type DialectName } from "../providers/provider.ts";
import type { RecordedCall } from "./recorded-call.ts";

/** The calls of a ledger, and those that cannot be made again. */
export interface LedgerCalls {
  readonly calls: readonly RecordedCall[];
  /** Nobody knows what these would have used. */
  readonly refusals: readonly RecordedRefusal[];
  /** Of calls that got an answer which was known, nobody knows it either. */
  readonly known: number;
  readonly unfinished: number;
}

/** A call that was refused, or several that were alike. */
export interface RecordedRefusal {
  readonly at: number;
  readonly subject: Subject;
  /** The limit that refused it; none where it was refused for what it is. */
  readonly by: RefusingLimit | undefined;
  /** The most that it could have used, as far as it was counted. */
  readonly usage: Usage;
  /** The model whose price holds. */
  readonly pricedAs: string;
  readonly times: number;
}

/** Entries that say how a call came and how it ended; `corrected` comes last where there is one. */
const KINDS: readonly Entry["kind"][] = ["reserved", "settled", "expired", "corrected", "released", "denied", "answered"];
const PAGE = 10_000;

/** Reads every call of a ledger that was charged, in the order in which they came; of those since a time, where one is given. */
export async function readLedgerCalls(store: Pick<Store, "entries">, since?: number): Promise<LedgerCalls> {
  const open = new Map<string, Extract<Entry, { kind: "reserved" }>>();
  const ended = new Map<string, RecordedCall>();
  const refusals: RecordedRefusal[] = [];
  let known = 0;
  for (let after = 0; ; ) {
    const page = await store.entries({ kinds: KINDS, after, most: PAGE, ...(since !== undefined && { since }) });
    for (const entry of page) {
      if (entry.kind === "reserved") open.set(entry.reservation, entry);
      else if (entry.kind === "released") open.delete(entry.reservation);
      else if (entry.kind === "denied") refusals.push(recordedRefusal(entry));
      else if (entry.kind === "answered") known += entry.times ?? 1;
      else if ("charge" in entry) {
        const { at } = open.get(entry.reservation) ?? entry;
        // Of a call of which more was held while it streamed, its end says how much in all.
        const call = recordedCall({ at, detail: entry.detail, charge: entry.charge, endedAt: entry.at, isLost: entry.kind === "expired" });
        open.delete(entry.reservation);
        ended.set(entry.reservation, { ...call, at: ended.get(entry.reservation)?.at ?? at });
      }
    }
    const last = page.at(-1);
    if (!last || page.length < PAGE) break;
    after = last.seq;
  }
  const calls = [...ended.values()].sort((a, b) => a.at - b.at);
  return { calls, refusals, known, unfinished: open.size };
}

function recordedRefusal({ at, detail, times = 1 }: Extract<Entry, { kind: "denied" }>): RecordedRefusal {
  const { subject, refusedBy, inputTokens, outputTokens, pricedAs = subject.model ?? "" } = detail;
  return { at, subject, by: refusedBy, usage: { inputTokens, outputTokens }, pricedAs, times };
}

interface Ended {
  readonly at: number;
  readonly detail: CallDetail;
  readonly charge: Charge;
  readonly endedAt: number;
  readonly isLost: boolean;
}

function recordedCall({ at, detail, charge, endedAt, isLost }: Ended): RecordedCall {
  const { provider, model = "", endpoint, ...subject } = detail.subject;
  // What was asked for, not what a ladder made of it: that is for the ladders of the replay to say.
  const asked = detail.insteadOf ?? { provider, model };
  const { usage, cost, service = "standard" } = charge;
  const variant = detail.pricedAs?.startsWith(`${model}-`) ? detail.pricedAs.slice(model.length + 1) : undefined;
  return {
    at,
    subject,
    endpoint: isDialect(endpoint) ? endpoint : "openai-chat",
    provider: asked.provider,
    model: asked.model,
    priceVariant: variant,
    service,
    usage: { ...usage, inputTokens: usage.inputTokens ?? 0, outputTokens: usage.outputTokens ?? 0 },
    inputTokensHeld: detail.inputTokens,
    outputCap: detail.outputTokens,
    durationMs: Math.max(0, endedAt - at),
    isLost,
    cost,
  };
}

function isDialect(name: string | undefined): name is DialectName {
  return (DIALECTS as readonly (string | undefined)[]).includes(name);
}
