import type { Nanodollars } from "@purser/core";
import { canonicalProvider, commonName, type PriceBook } from "@purser/core/prices";
import {
  addedTokens,
  allTokens,
  type Bill,
  type BilledLine,
  type BilledSpan,
  type BilledTokens,
  DAY_MS,
  type Days,
  NO_TOKENS,
  type TokenKind,
} from "./bill.ts";
import { type CommittedCharge, type CommittedLines, committedCharges, isCommittedTo, itemOf, type LessLine } from "./committed.ts";
import { type Difference, differencesOf } from "./differences.ts";

/** What the ledger has of one model on one day, by UTC. */
export interface LedgerLine extends Days {
  readonly provider: string;
  readonly model: string;
  readonly amounts: LedgerAmounts;
}

export interface LedgerAmounts {
  readonly calls: number;
  readonly cost: Nanodollars;
  /** The part of the cost that was counted by us, because the answer did not say what it used. */
  readonly estimated: Nanodollars;
  /** The part of it that is charged at an estimate, because the end of the call is unknown. */
  readonly unconfirmed: Nanodollars;
  readonly unpricedCalls: number;
  /** All that was written to caches is in `cacheWrite`. */
  readonly tokens: BilledTokens;
}

export interface BilledAmounts {
  /** None where the bill speaks of tokens only. */
  readonly cost: Nanodollars | undefined;
  /** None where it speaks of money only. */
  readonly tokens: BilledTokens | undefined;
}

/** A bill and the ledger side by side. */
export interface Compared {
  readonly billed: BilledAmounts;
  readonly ledger: LedgerAmounts;
  /** What commitments make of it: below 0 where less is billed than the ledger has. */
  readonly committed: Nanodollars;
  /** The ledger, with that, as a share of the bill: in money, or in tokens where the bill has no money. None where nothing was billed. */
  readonly captured: number | undefined;
}

export interface ComparedDays extends Compared, Days {
  /** Whether the provider has had the time to bill it all: two days from its end on. */
  readonly isComplete: boolean;
  readonly alarm: Alarm | undefined;
}

/** `below`: less is in the ledger than must be. `above`: more is in it than was billed. */
export type Alarm = "below" | "above";

/** One model, over all days that are complete. */
export interface ComparedModel extends Compared {
  /** As the ledger calls it, or else the bill. */
  readonly model: string;
  /** All names that the ledger has for it; those of the bill where it has none. */
  readonly names: readonly string[];
  readonly differences: readonly Difference[];
}

/** The bill of one provider beside what the ledger has of it. */
export interface Reconciliation {
  readonly provider: string;
  readonly days: readonly ComparedDays[];
  /** All days that are complete; nothing where none is. */
  readonly total: (Compared & Days & { readonly alarm: Alarm | undefined }) | undefined;
  readonly models: readonly ComparedModel[];
  /** What was billed for no model. */
  readonly items: readonly { readonly item: string; readonly cost: Nanodollars }[];
  /** What commitments took off what was billed for calls, in the days that are complete. */
  readonly discounts: readonly CommittedDiscount[];
  /** What they cost by themselves. Lines of the bill that are that are in nothing else here. */
  readonly charges: readonly CommittedCharge[];
}

export interface CommittedDiscount {
  readonly name: string;
  readonly kind: CommittedLines["kind"];
  readonly less: Nanodollars;
}

export interface ReconcileOptions {
  readonly bill: Bill;
  readonly ledger: readonly LedgerLine[];
  /** The names in the ledger of what is one provider in the bill: those of the configuration. */
  readonly names: ReadonlyMap<string, readonly string[]>;
  readonly prices: PriceBook;
  /** What is known of commitments in these days. */
  readonly committed?: readonly CommittedLines[];
  /** The share that must be captured: 0.97. */
  readonly least: number;
  readonly now: number;
}

/** Compares a bill with the ledger, provider by provider, day by day and model by model. */
export function reconcile(options: ReconcileOptions): readonly Reconciliation[] {
  const providers = [...new Set(options.bill.spans.map(({ provider }) => provider))].sort();
  return providers.map((provider) => reconcileProvider(provider, options));
}

/** Providers add to a day for a day and longer after it has ended. */
const LAG_MS = DAY_MS;
/** Invoices are rounded to cents, so what differs by less says nothing. */
const CENT: Nanodollars = 10_000_000;

function reconcileProvider(provider: string, options: ReconcileOptions): Reconciliation {
  const { bill, ledger, names, prices, least, now } = options;
  const periods = periodsOf(bill.spans.filter((span) => span.provider === provider));
  const itsNames = names.get(provider) ?? [provider];
  const isIts = providerTest(itsNames);
  const isWithin = (line: Days) => periods.some((period) => contains(period, line));
  const isComplete = ({ to }: Days) => to + LAG_MS <= Math.floor(now / DAY_MS) * DAY_MS;
  const complete = periods.filter(isComplete);
  const isCounted = (line: Days) => complete.some((period) => contains(period, line));
  const booked = ledger.filter((line) => isIts(line.provider) && isWithin(line));
  const its = (options.committed ?? []).filter((one) => isCommittedTo(one, itsNames)).map((one) => lessOf(one, isIts, isWithin));
  const all = bill.lines.filter((line) => line.provider === provider);
  const less = its.flatMap((one) => one.less);
  const expected = costOf(booked.filter(isCounted)) - sumOf(less.filter(isCounted));
  const charges = committedCharges(its, { billed: all.filter(isCounted), expected, isCounted });
  const billed = all.filter((line) => line.model !== undefined || !charges.some(({ item }) => item === itemOf(line)));
  const among = its.filter(({ name }) => charges.some((one) => one.name === name && one.billed !== undefined && one.item === undefined));
  const known = [...less.map((line) => ({ ...line, cost: -line.cost })), ...among.flatMap((one) => one.charges)];
  const compareIn = (isOf: (line: Days) => boolean) => compare(billed.filter(isOf), booked.filter(isOf), known.filter(isOf));
  const days = periods.map((period): ComparedDays => {
    const compared = compareIn((line) => contains(period, line));
    const isOver = isComplete(period);
    return { ...period, ...compared, isComplete: isOver, alarm: isOver ? alarmOf(compared, least) : undefined };
  });
  const [first, last] = [complete[0], complete.at(-1)];
  const total = compareIn(isCounted);
  // Tokens of some days beside the money of all would look like a price.
  const hasAllTokens = days.every((period) => !period.isComplete || period.billed.tokens !== undefined || !period.billed.cost);
  const terms = { prices, hasAllTokens, at: last?.from ?? now, less: less.filter(isCounted) };
  return {
    provider,
    days,
    total: first && last && { from: first.from, to: last.to, ...total, alarm: alarmOf(total, least) },
    models: modelsOf(provider, billed.filter(isCounted), booked.filter(isCounted), terms),
    items: itemsOf(billed.filter(isCounted)),
    discounts: its.flatMap(({ name, kind, less: lines }) => {
      const taken = sumOf(lines.filter(isCounted));
      return taken === 0 ? [] : [{ name, kind, less: taken }];
    }),
    charges,
  };
}

function lessOf(one: CommittedLines, isIts: (name: string) => boolean, isWithin: (line: Days) => boolean): CommittedLines {
  return { ...one, less: one.less.filter((line) => isIts(line.provider) && isWithin(line)), charges: one.charges.filter(isWithin) };
}

function sumOf(lines: readonly { readonly cost: Nanodollars }[]): Nanodollars {
  return lines.reduce((sum, { cost }) => sum + cost, 0);
}

function costOf(booked: readonly LedgerLine[]): Nanodollars {
  return sumOf(booked.map(({ amounts }) => amounts));
}

/** Spans that overlap are one: a bill by the month has no days. */
function periodsOf(spans: readonly BilledSpan[]): readonly Days[] {
  const periods: Days[] = [];
  for (const { from, to } of spans.toSorted((a, b) => a.from - b.from || b.to - a.to)) {
    const last = periods.at(-1);
    if (last && from < last.to) periods[periods.length - 1] = { from: last.from, to: Math.max(last.to, to) };
    else periods.push({ from, to });
  }
  return periods;
}

function contains(period: Days, { from, to }: Days): boolean {
  return period.from <= from && to <= period.to;
}

function providerTest(names: readonly string[]): (name: string) => boolean {
  const known = new Set(names.map(canonicalProvider));
  return (name) => known.has(canonicalProvider(name));
}

function compare(billed: readonly BilledLine[], booked: readonly LedgerLine[], known: readonly { readonly cost: Nanodollars }[]): Compared {
  const tokens = billed.reduce<BilledTokens | undefined>((sum, line) => addedTokens(sum, line.tokens), undefined);
  const costs = billed.flatMap(({ cost }) => cost ?? []);
  // Where nothing at all was billed, that is no money; where only tokens were, the money is not known.
  const cost = costs.length > 0 || !tokens ? costs.reduce((sum, one) => sum + one, 0) : undefined;
  const ledger = booked.reduce((sum, { amounts }) => addedAmounts(sum, amounts), NO_AMOUNTS);
  const committed = sumOf(known);
  return { billed: { cost, tokens }, ledger, committed, captured: capturedOf({ cost, tokens }, ledger, committed) };
}

function capturedOf({ cost, tokens }: BilledAmounts, ledger: LedgerAmounts, committed: Nanodollars): number | undefined {
  if (cost !== undefined) return cost > 0 ? (ledger.cost + committed) / cost : undefined;
  const all = tokens ? allTokens(tokens) : 0;
  return all > 0 ? allTokens(ledger.tokens) / all : undefined;
}

const NO_AMOUNTS: LedgerAmounts = { calls: 0, cost: 0, estimated: 0, unconfirmed: 0, unpricedCalls: 0, tokens: NO_TOKENS };

function addedAmounts(a: LedgerAmounts, b: LedgerAmounts): LedgerAmounts {
  return {
    calls: a.calls + b.calls,
    cost: a.cost + b.cost,
    estimated: a.estimated + b.estimated,
    unconfirmed: a.unconfirmed + b.unconfirmed,
    unpricedCalls: a.unpricedCalls + b.unpricedCalls,
    tokens: addedTokens(a.tokens, b.tokens) ?? NO_TOKENS,
  };
}

/** Too little is in the ledger, or by as much too much. */
function alarmOf({ billed: { cost }, ledger, committed, captured }: Compared, least: number): Alarm | undefined {
  if (cost !== undefined && Math.abs(cost - ledger.cost - committed) < CENT) return undefined;
  if (captured === undefined) return cost === undefined ? undefined : "above";
  if (captured < least) return "below";
  return captured > 2 - least ? "above" : undefined;
}

interface ModelTerms {
  readonly prices: PriceBook;
  /** Whether tokens are known of all days of which money is. */
  readonly hasAllTokens: boolean;
  /** A day of which prices are asked. */
  readonly at: number;
  /** By how much less was billed, for commitments. */
  readonly less: readonly LessLine[];
}

/** Nothing where the bill knows no models. */
function modelsOf(
  provider: string,
  billed: readonly BilledLine[],
  booked: readonly LedgerLine[],
  { prices, hasAllTokens, at, less }: ModelTerms,
): readonly ComparedModel[] {
  if (billed.every(({ model }) => model === undefined)) return [];
  const groups = new Map<string, { readonly billed: BilledLine[]; readonly booked: LedgerLine[] }>();
  const groupOf = (model: string) => {
    const key = commonName(provider, model);
    const group = groups.get(key) ?? { billed: [], booked: [] };
    groups.set(key, group);
    return group;
  };
  for (const line of billed) if (line.model !== undefined) groupOf(line.model).billed.push(line);
  for (const line of booked) groupOf(line.model).booked.push(line);
  const models = [...groups].map(([key, group]): ComparedModel => {
    const known = group.booked.length > 0 ? group.booked.map(({ model }) => model) : group.billed.flatMap(({ model }) => model ?? []);
    const names = [...new Set(known)].sort((a, b) => a.length - b.length || (a < b ? -1 : 1));
    const its = less.filter((line) => commonName(provider, line.model) === key);
    const taken = sumOf(its);
    const compared = compare(group.billed, group.booked, taken === 0 ? [] : [{ cost: -taken }]);
    const model = names[0] ?? "";
    const { tokens } = compared.billed;
    const { cost } = compared.billed;
    // Prices and calls are compared as if there were no commitment: what it takes off is named by itself.
    const atList = cost === undefined ? undefined : cost + taken;
    const judged = { ...compared, billed: { cost: atList, tokens: hasAllTokens && its.length === 0 ? tokens : undefined } };
    const card = prices.card(group.booked[0]?.provider ?? provider, model, at);
    const details = {
      names,
      provider: group.booked[0]?.provider ?? provider,
      card,
      costs: its.length === 0 ? costsByKind(group.billed) : undefined,
    };
    return { ...compared, model, names, differences: differencesOf(judged, details) };
  });
  const size = ({ billed: { cost }, ledger }: Compared) => Math.max(cost ?? 0, ledger.cost);
  return models.filter(isSomething).sort((a, b) => size(b) - size(a) || (a.model < b.model ? -1 : 1));
}

function isSomething({ billed: { cost, tokens }, ledger }: Compared): boolean {
  return Boolean(cost) || (tokens !== undefined && allTokens(tokens) > 0) || ledger.cost > 0 || allTokens(ledger.tokens) > 0;
}

/** What each kind of tokens cost; none where the bill does not say it of all of the cost, or some of it is at another price than the plain one. */
function costsByKind(lines: readonly BilledLine[]): CostsByKind {
  if (lines.some(({ isSpecial }) => isSpecial)) return "special";
  const costs: { [kind in TokenKind]?: Nanodollars } = {};
  for (const { kind, cost } of lines) {
    if (cost === undefined) continue;
    if (kind === undefined) return undefined;
    costs[kind] = (costs[kind] ?? 0) + cost;
  }
  return costs;
}

export type CostsByKind = { readonly [kind in TokenKind]?: Nanodollars } | "special" | undefined;

function itemsOf(lines: readonly BilledLine[]): Reconciliation["items"] {
  const items = new Map<string, Nanodollars>();
  for (const line of lines) {
    const { model, cost } = line;
    if (model === undefined && cost !== undefined) items.set(itemOf(line), (items.get(itemOf(line)) ?? 0) + cost);
  }
  return [...items].map(([item, cost]) => ({ item, cost })).filter(({ cost }) => cost !== 0);
}
