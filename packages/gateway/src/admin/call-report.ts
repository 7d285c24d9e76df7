import {
  type CallDetail,
  type Charge,
  type Entry,
  type PriceSource,
  type Subject,
  savedNet,
  savingOfAnswer,
  subjectValue,
  type Unit,
  type Usage,
  type WeightsInput,
  weightsOn,
} from "@purser/core";
import type { CallAdjustmentJson } from "./adjustment-json.ts";
import type { AttemptJson } from "./attempt-list.ts";
import { instantJson } from "./balances.ts";
import { type ChargeLine, chargeLines } from "./charge-lines.ts";
import { windowName } from "./grant-json.ts";

/** How a call can stand, or have ended. */
export const CALL_OUTCOMES = ["in flight", "settled", "released", "expired", "denied", "ready text", "known answer"] as const;
export type CallOutcome = (typeof CALL_OUTCOMES)[number];

/** One call in a list. */
export interface CallSummary {
  /** What the answer's `x-purser-request-id` said. */
  readonly id: string;
  readonly at: string;
  readonly outcome: CallOutcome;
  readonly provider: string | null;
  readonly model: string | null;
  readonly subject: Subject;
  readonly usage: Record<string, unknown> | null;
  readonly cost_nanodollars: number | null;
  readonly certainty: Charge["certainty"] | null;
  /** Why it was denied, or got a ready text in the place of an answer: an error code and a sentence. */
  readonly reason: string | null;
  readonly message: string | null;
}

/** Everything that is known about one call: the decision, the arithmetic, and the ledger rows behind both. */
export interface CallReport extends CallSummary {
  /** The most the call could use, held for it while it was in flight. */
  readonly estimate: {
    readonly input_tokens: number;
    readonly output_tokens: number;
    readonly cost_nanodollars: number | null;
    /** Whether the input was counted; else it is a bound by its size. */
    readonly counted: boolean;
  };
  /** Where the price comes from. */
  readonly price: string | null;
  /** The terms of the cost, where they are known. */
  readonly arithmetic: readonly ChargeLine[] | null;
  /** Every balance that the call was held and charged on. */
  readonly balances: readonly CallBalance[];
  /** Budgets in `observe` mode that would have refused it. */
  readonly would_refuse: readonly string[];
  /** What the ladders of its budgets did to it. */
  readonly rungs: readonly string[];
  /** The model that was asked for, where a ladder chose another. */
  readonly instead_of: { readonly provider: string; readonly model: string } | null;
  /** What ladders saved of it, and spent for that, rung by rung; and the sum of what is known. */
  readonly savings: readonly RungSavingJson[];
  readonly saved_nanodollars: number | null;
  /** Where its answer is from, where that was known and no provider was asked; then what the call cost that it is from was saved. */
  readonly known_answer: KnownAnswerJson | null;
  /** Why it was not made at providers that come before: one that answered, failed or was left out. */
  readonly tried: readonly string[];
  /** The free allowance that paid for it. */
  readonly allowance: string | null;
  /** All attempts of its request, where there were several. */
  readonly attempts: readonly AttemptJson[];
  /** Where its cost is booked and who answers for it, as its budgets said when it was made. */
  readonly cost_center: string | null;
  readonly owner: string | null;
  /** Limits of its budgets that had another amount then than the configuration says, because they follow what is used of them. */
  readonly adjusted: readonly CallAdjustmentJson[];
  /** The request that made the batch which the call is part of. */
  readonly batch: string | null;
  readonly entries: readonly EntryJson[];
}

export interface RungSavingJson {
  readonly budget: string;
  readonly rung: string;
  readonly left_out_tokens: number;
  /** Below 0 where the call became dearer, or is one that the rung made itself; null where nobody can know. */
  readonly saved_nanodollars: number | null;
}

export interface KnownAnswerJson {
  readonly rung: string;
  /** The call that a provider answered so. */
  readonly from: string | null;
  /** Where it stands in the configuration. */
  readonly entry: string | null;
  /** The handover of its conversation, where a person goes on with that. */
  readonly handover: string | null;
  /** How near the question is to the one that was answered, from 0 to 1; null where it is the same. */
  readonly nearness: number | null;
  /** How many calls that were answered so within a second its entry stands for. */
  readonly times: number;
}

export interface CallBalance {
  readonly budget: string;
  readonly subject: string;
  readonly unit: Unit;
  /** By how much kinds of tokens count in these amounts, where not every token is one. */
  readonly weights?: WeightsInput;
  readonly window: string;
  /** What was held when it was admitted, and what more while it streamed. */
  readonly held: number;
  /** What it was charged in the end. */
  readonly spent: number;
}

export interface EntryJson {
  readonly seq: number;
  readonly at: string;
  readonly kind: Entry["kind"];
  readonly postings: readonly CallBalance[];
  readonly why?: string;
  readonly expires_at?: string;
}

/** Sums up the entries of one call, which are never none. */
export function summariseCall(entries: readonly Entry[]): CallSummary {
  const first = entries[0] as Entry;
  const detail = detailOf(entries);
  const charge = chargeOf(entries);
  const denial = entries.find((entry) => entry.kind === "denied");
  return {
    id: first.reservation,
    at: instantJson(first.at),
    outcome: outcomeOf(entries),
    provider: detail?.subject.provider ?? null,
    model: detail?.subject.model ?? null,
    subject: detail?.subject ?? {},
    usage: charge ? usageJson(charge.usage) : null,
    cost_nanodollars: charge?.cost ?? null,
    certainty: charge?.certainty ?? null,
    reason: denial?.reason ?? null,
    message: denial?.message ?? null,
  };
}

/** What a call is explained by, beside its own entries. */
export interface CallContext {
  readonly attempts?: readonly AttemptJson[];
  readonly adjusted?: readonly CallAdjustmentJson[];
  /** Lets the cost be taken apart. */
  readonly prices?: PriceSource;
}

/** Everything that explains one call. */
export function reportCall(entries: readonly Entry[], { attempts = [], adjusted = [], prices }: CallContext = {}): CallReport {
  const detail = detailOf(entries);
  const charge = chargeOf(entries);
  const known = knownOf(entries);
  const savings = savingsOf(known, charge);
  return {
    ...summariseCall(entries),
    estimate: {
      input_tokens: detail?.inputTokens ?? 0,
      output_tokens: detail?.outputTokens ?? 0,
      cost_nanodollars: detail?.cost ?? null,
      counted: detail?.counted ?? false,
    },
    price: detail?.price ?? null,
    arithmetic: (detail && charge && arithmeticOf(detail, charge, entries[0]?.at ?? 0, prices)) ?? null,
    balances: balancesOf(entries),
    would_refuse: detail?.wouldRefuse ?? [],
    rungs: rungsOf(entries),
    instead_of: detail?.insteadOf ?? null,
    savings,
    saved_nanodollars: known?.known.saved ?? savedOf(savings),
    known_answer: known ? knownAnswerJson(known) : null,
    tried: detail?.tried ?? [],
    allowance: detail?.allowance?.replace(/^allowance /, "") ?? null,
    attempts,
    cost_center: detail?.chargedTo?.costCenter ?? null,
    owner: detail?.chargedTo?.owner ?? null,
    adjusted: adjusted.filter(({ amount, configured }) => amount !== configured),
    batch: detail?.batch ?? null,
    entries: entries.map(entryJson),
  };
}

function outcomeOf(entries: readonly Entry[]): CallOutcome {
  const has = (kind: Entry["kind"]) => entries.some((entry) => entry.kind === kind);
  // A correction replaces the charge of an expired hold by what was really used.
  if (has("settled") || has("corrected")) return "settled";
  if (has("expired")) return "expired";
  if (has("released")) return "released";
  if (has("answered")) return "known answer";
  if (!has("denied")) return "in flight";
  return detailOf(entries)?.readyText === undefined ? "denied" : "ready text";
}

function rungsOf(entries: readonly Entry[]): readonly string[] {
  const { rungs = [], readyText }: Partial<CallDetail> = detailOf(entries) ?? {};
  const last = knownOf(entries)?.known.rung ?? readyText;
  return last === undefined ? rungs : [...rungs, last];
}

function knownOf(entries: readonly Entry[]) {
  return entries.find((entry) => entry.kind === "answered");
}

function knownAnswerJson({ known, times = 1 }: Extract<Entry, { readonly kind: "answered" }>): KnownAnswerJson {
  const { rung, from = null, entry = null, handover = null, nearness = null } = known;
  return { rung, from, entry, handover, nearness, times };
}

/** The call as it was held last. */
export function detailOf(entries: readonly Entry[]): CallDetail | undefined {
  return entries.flatMap((entry) => ("detail" in entry ? [entry.detail] : [])).at(-1);
}

/** The charge that holds: the latest, because a correction comes after what it corrects. */
function chargeOf(entries: readonly Entry[]): Charge | undefined {
  return entries.flatMap((entry) => ("charge" in entry ? [entry.charge] : [])).at(-1);
}

function arithmeticOf({ subject, pricedAs }: CallDetail, { usage, cost }: Charge, at: number, prices?: PriceSource) {
  const card = prices?.card(subjectValue(subject, "provider") ?? "", pricedAs ?? subjectValue(subject, "model") ?? "", at);
  return card && cost !== undefined ? chargeLines(card, usage, cost) : undefined;
}

function savingsOf(known: ReturnType<typeof knownOf>, charge: Charge | undefined): readonly RungSavingJson[] {
  const answered = known && savingOfAnswer(known.known);
  return (answered ? [answered] : (charge?.savings ?? [])).map((saving) => {
    const { budget, rung, leftOutTokens: left_out_tokens = 0, saved, spent } = saving;
    const isKnown = saved !== undefined || spent !== undefined;
    return { budget, rung, left_out_tokens, saved_nanodollars: isKnown ? savedNet([saving]) : null };
  });
}

function savedOf(savings: readonly RungSavingJson[]): number | null {
  const known = savings.flatMap(({ saved_nanodollars }) => saved_nanodollars ?? []);
  return known.length === 0 ? null : known.reduce((sum, one) => sum + one, 0);
}

function balancesOf(entries: readonly Entry[]): readonly CallBalance[] {
  const balances = new Map<string, CallBalance>();
  for (const { kind, postings } of entries) {
    for (const { counter, held, spent } of postings) {
      const { budget, subject, unit, window, key } = counter;
      const weights = weightsOn(counter)?.said;
      const known = balances.get(key);
      balances.set(key, {
        budget,
        subject,
        unit,
        ...(weights && { weights }),
        window: windowName(window),
        held: kind === "raised" ? (known?.held ?? 0) + held : Math.max(known?.held ?? 0, held),
        spent: (known?.spent ?? 0) + spent,
      });
    }
  }
  return [...balances.values()];
}

function entryJson(entry: Entry): EntryJson {
  return {
    seq: entry.seq,
    at: instantJson(entry.at),
    kind: entry.kind,
    postings: entry.postings.map(({ counter: { budget, subject, unit, window }, held, spent }) => ({
      budget,
      subject,
      unit,
      window: windowName(window),
      held,
      spent,
    })),
    ...("why" in entry && { why: entry.why }),
    ...(entry.kind === "denied" && entry.detail.readyText !== undefined && { why: `${entry.detail.readyText} in its place` }),
    ...(entry.kind === "answered" && { why: entry.known.rung }),
    ...("expiresAt" in entry && { expires_at: instantJson(entry.expiresAt) }),
  };
}

/** `{ inputTokens: 12 }` as `{ input_tokens: 12 }`. The names of tools stay as the provider writes them. */
export function usageJson({ besides, ...usage }: Usage): Record<string, unknown> {
  const kinds = Object.entries(usage).map(([kind, value]) => [usageField(kind), value]);
  return { ...Object.fromEntries(kinds), ...(besides && { besides: usageJson(besides) }) };
}

/** The field of a kind of usage in JSON. */
export function usageField(kind: string): string {
  return kind.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
