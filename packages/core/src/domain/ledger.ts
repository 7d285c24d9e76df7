import type { ChargedTo } from "./charged-to.ts";
import type { DenialReason } from "./decision.ts";
import type { Unit } from "./limit.ts";
import type { ServiceTier } from "./price.ts";
import type { Resent } from "./resent.ts";
import type { RungSaving } from "./saving.ts";
import type { Selector, Subject, SubjectPath } from "./subject.ts";
import type { Usage } from "./usage.ts";

/** One balance: what one budget allows one subject in one window of one unit. */
export interface CounterRef {
  /** Unique over all; built from the other fields: `BUDGET|UNIT/WINDOW|SUBJECT|STARTS_AT`. */
  readonly key: string;
  readonly budget: string;
  /** `user=ann`; empty for a budget with a single balance. */
  readonly subject: string;
  readonly unit: Unit;
  /** `month@Europe/Berlin`, `lifetime`. */
  readonly window: string;
  readonly startsAt: number;
  readonly resetsAt: number | undefined;
  /** Of a slice of a moving window: the key of all its slices, which is `key` without its last part. */
  readonly series?: string;
  /** Of a slice of a bucket: how many units drained in a period when it was named, by which it is known when the bucket is empty. */
  readonly drains?: number;
}

/** What the counters of one limit and subject share, whatever the time. Grants are kept by it too. */
export function seriesOf({ key }: Pick<CounterRef, "key">): string {
  return key.slice(0, key.lastIndexOf("|"));
}

/** More of a limit for one subject, for a time; or less, where its unused part is moved to others. Ends by itself. */
export interface Grant {
  readonly id: string;
  readonly budget: string;
  /** `nanodollars/month@Europe/Berlin`. */
  readonly limit: string;
  /** `user=ann`; empty for a budget with a single balance. */
  readonly subject: string;
  /** Added to the limit in each of its windows, in the limit's unit; below 0 where it is taken away. */
  readonly amount: number;
  /** Epoch milliseconds; it holds from the first on, and not any more at the second. */
  readonly from: number;
  readonly until: number;
  /** Who gave it. */
  readonly giver: string;
  readonly why: string;
  /** All that is moved together, on a grant of nothing before it: whoever goes on with it goes by this. */
  readonly moves?: Moves;
  /** What the rule of its budget decided: it stands there for each time, also where it adds nothing. */
  readonly adjustment?: Adjustment;
}

/** A limit that its budget's rule has adjusted, in its unit. */
export interface Adjustment {
  /** What the configuration says. The grant makes the difference. */
  readonly configured: number;
  /** What it was in the time before, and what it is. */
  readonly before: number;
  readonly amount: number;
}

/** Amounts that are moved from some balances of a limit to others: as much is taken as is given. */
export interface Moves {
  readonly takes: readonly MovedAmount[];
  readonly gives: readonly MovedAmount[];
}

export interface MovedAmount {
  readonly budget: string;
  readonly subject: string;
  readonly amount: number;
}

/** The series that a grant adds to. */
export function grantSeries({ budget, limit, subject }: Grant): string {
  return `${budget}|${limit}|${subject}`;
}

/** What an entry changes on one counter. A balance is the sum of its postings, to the unit. */
export interface Posting {
  readonly counter: CounterRef;
  readonly held: number;
  readonly spent: number;
}

/** How sure a charge is: measured by the provider, counted by us, or charged at the estimate because the end is unknown. */
export type Certainty = "confirmed" | "estimated" | "unconfirmed";

/** What a call was charged for. Amounts that are unknown are left out. */
export interface Charge {
  readonly usage: Usage;
  /** In nano-dollars; unknown for a model without a price. */
  readonly cost: number | undefined;
  readonly certainty: Certainty;
  /** The tier at which the provider served the call, where it is not the usual one. */
  readonly service?: Exclude<ServiceTier, "standard">;
  /** How much of its input its session had sent before; left out where nobody looked. */
  readonly resent?: Resent;
  /** What ladders saved of it; left out where they did nothing that saves money. */
  readonly savings?: readonly RungSaving[];
}

/** What a call is charged while nobody knows what it used. */
export function estimatedCharge({ inputTokens, outputTokens, cost }: CallDetail): Charge {
  return { usage: { inputTokens, outputTokens }, cost, certainty: "unconfirmed" };
}

/** What is known about a call when it is admitted; carried to every entry about it. */
export interface CallDetail {
  readonly subject: Subject;
  /** Where its cost is booked and who answers for it, as its budgets said then; left out where none of them says anything. */
  readonly chargedTo?: ChargedTo;
  /** The most tokens the call can have, held for it; output is that of all its answers together. */
  readonly inputTokens: number;
  readonly outputTokens: number;
  /** The most it can cost, in nano-dollars; unknown for a model without a price. */
  readonly cost: number | undefined;
  /** Whether `inputTokens` was counted or is a bound by size. */
  readonly counted: boolean;
  /** The rate card's source, for whoever asks why it cost so much. */
  readonly price: string | undefined;
  /** The model whose price holds, where that is another one than the subject's. */
  readonly pricedAs?: string;
  /** The free allowance that pays for the call. */
  readonly allowance?: string;
  /** Names of budgets in `observe` mode that would have refused the call. */
  readonly wouldRefuse?: readonly string[];
  /** What the ladders of its budgets did to the call: `use gpt-4o-mini (chatbot 85%)`. */
  readonly rungs?: readonly string[];
  /** The model that was asked for, where a ladder chose another. */
  readonly insteadOf?: { readonly provider: string; readonly model: string };
  /** Why it is not made at a provider that comes before its own, one a line: `azure answered 503`. The call before it stands under its own id. */
  readonly tried?: readonly string[];
  /** What its caller got where the call was refused: the ready text of the rung that is named here, `answer (chatbot)`. */
  readonly readyText?: string;
  /** The limit that refused the call, where one did. */
  readonly refusedBy?: RefusingLimit;
  /** The budgets whose guards stood against the call, whatever they did. */
  readonly guardedBy?: readonly string[];
  /** The batch that the call is part of: its provider works on it whether or not the process that holds it lives. */
  readonly batch?: string;
  /** What was held of its output when it was admitted, where more was held later. */
  readonly outputTokensAtFirst?: number;
  /** Whether the caller itself set a cap for the answer; left out where that is not known, or there is no output. */
  readonly isCapped?: boolean;
}

/** A limit as whoever is refused is told of it: its window without the zone, `month`. */
export interface RefusingLimit {
  readonly budget: string;
  readonly unit: Unit;
  readonly window: string;
}

/** An answer that was known when its call came, so that no provider was asked. */
export interface KnownAnswer {
  /** The rung that gave it: `cache 10m (support 30%)`. */
  readonly rung: string;
  /** The budget whose rung that is. */
  readonly budget?: string;
  /** The call that a provider answered so; none where the answer stands in the configuration, or a person gave it. */
  readonly from?: string;
  /** The handover of its conversation, where a person goes on with that. */
  readonly handover?: string;
  /** Where it stands in the configuration: `faq, question 3`. */
  readonly entry?: string;
  /** How near the question is to the one that was answered, from 0 to 1; left out where it is the same. */
  readonly nearness?: number;
  /** What the call that it is from cost, in nano-dollars; left out where that is not known. */
  readonly saved?: number;
}

interface EntryBase {
  /** Ascending without gaps within one store. */
  readonly seq: number;
  /** Epoch milliseconds by the store's clock. */
  readonly at: number;
  readonly reservation: string;
  readonly postings: readonly Posting[];
}

/** One line of the ledger. Append-only: a mistake is corrected by another entry. */
export type Entry = EntryBase &
  /** `outputCap`: what to send to the provider, for one answer. */
  (
    | { readonly kind: "reserved"; readonly expiresAt: number; readonly outputCap: number; readonly detail: CallDetail }
    | { readonly kind: "extended"; readonly expiresAt: number }
    /** More is held for the call: its postings are what was added. */
    | { readonly kind: "raised"; readonly expiresAt: number; readonly outputCap: number; readonly detail: CallDetail }
    | { readonly kind: "settled" | "overrun" | "expired" | "corrected"; readonly detail: CallDetail; readonly charge: Charge }
    | { readonly kind: "released"; readonly why: string; readonly detail: CallDetail }
    | {
        readonly kind: "denied";
        readonly detail: CallDetail;
        readonly reason: DenialReason;
        readonly message: string;
        /** How many refusals like this one the entry stands for, where a client in a loop got more than are written down each. */
        readonly times?: number;
      }
    | {
        readonly kind: "answered";
        readonly detail: CallDetail;
        readonly known: KnownAnswer;
        /** How many calls that were answered so the entry stands for, as that of a refusal does; then `known.saved` is what all of them saved. */
        readonly times?: number;
      }
    /** What a lease allots from then on, `allotted` in the order of the postings; of an expired one, what of it is charged, unconfirmed. */
    | {
        readonly kind: "leased";
        readonly expiresAt: number;
        /** The number of the holder's last report. */
        readonly reported: number;
        readonly allotted: readonly number[];
        readonly end?: "returned" | "expired";
      }
    /**
     * With a reservation in flight: what it holds on a limit that is new, and the output cap that this amount is for: where it is held for another
     * one by now, nothing is written. Without one: what is not a call.
     */
    | { readonly kind: "adjusted"; readonly why: string; readonly outputCap?: number; readonly adopted?: Adopted; readonly reset?: Reset }
    /** What was left of the oldest slices of a bucket, drawn together into one. */
    | { readonly kind: "drained" }
    /** `reservation` is the id of the grant. */
    | { readonly kind: "granted"; readonly grant: Grant }
    | { readonly kind: "revoked"; readonly grant: Grant; readonly giver: string; readonly why: string }
  );

/** Stands in the place of a reservation on the entries that say which limits are in force. */
export const ADOPTION = "purser:adoption";

/** Counters begin again at nothing: the entry takes back what was spent on them. The charges stay in the ledger. */
export interface Reset {
  readonly giver: string;
}

/** The limits in force from an entry on. What was used up to `upTo` and is not on their counters, the entry posts to them. */
export interface Adopted {
  /** The last entry that was read. */
  readonly upTo: number;
  /** The entry that put limits in force before, 0 for the first: where there is another by now, nothing is written. */
  readonly follows?: number;
  readonly limits: readonly LimitInForce[];
}

/** What decides which calls are posted to a limit, and to which of its counters. */
export interface LimitInForce {
  readonly budget: string;
  /** `nanodollars/month@Europe/Berlin`. */
  readonly limit: string;
  readonly per: readonly SubjectPath[];
  readonly selector: Selector;
}

export type EntryKind = Entry["kind"];
