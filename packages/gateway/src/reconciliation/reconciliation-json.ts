import { type BilledTokens, DAY_MS, type Days, dayText, type LeftOut } from "./bill.ts";
import type { BilledRate, Difference } from "./differences.ts";
import type { Alarm, Compared, LedgerAmounts, Reconciliation } from "./reconcile.ts";

/** A bill and the ledger side by side, as programs read it. Amounts are integers; money is in nano-dollars, rates in pico-dollars a token. */
export interface ReconciliationJson {
  /** The share that must be captured. */
  readonly least: number;
  readonly alarms: readonly AlarmJson[];
  readonly data: readonly ProviderJson[];
  readonly left_out: readonly { readonly what: string; readonly cost_nanodollars: number }[];
  readonly notes: readonly string[];
}

export interface AlarmJson {
  readonly provider: string;
  /** The days, `2026-11-20`, or `2026-11-01 to 2026-11-30`; null for all that are complete. */
  readonly days: string | null;
  readonly kind: Alarm;
  readonly message: string;
}

interface ProviderJson {
  readonly provider: string;
  readonly days: readonly unknown[];
  readonly total: unknown;
  readonly models: readonly unknown[];
  readonly items: readonly unknown[];
  readonly commitments: readonly CommittedJson[];
}

/** What a commitment has to do with a bill. */
export interface CommittedJson {
  readonly name: string;
  readonly kind: "money" | "capacity";
  /** By how much less was billed for calls than the ledger has. */
  readonly less_nanodollars: number;
  /** What it costs beside calls: what was bought, or what was promised and not used. */
  readonly charge: {
    readonly expected_nanodollars: number;
    /** Null where no line of the bill is it. */
    readonly billed_nanodollars: number | null;
    readonly item: string | null;
  } | null;
}

export interface ReconciliationResult {
  readonly providers: readonly Reconciliation[];
  readonly leftOut: readonly LeftOut[];
  readonly notes: readonly string[];
  readonly least: number;
}

export function reconciliationJson({ providers, leftOut, notes, least }: ReconciliationResult): ReconciliationJson {
  return {
    least,
    alarms: providers.flatMap((one) => alarmsOf(one, least)),
    data: providers.map(providerJson),
    left_out: leftOut.map(({ what, cost }) => ({ what, cost_nanodollars: cost })),
    notes,
  };
}

/** `2026-11-20`, or `2026-11-01 to 2026-11-30` where the bill is of a longer time. */
export function daysText({ from, to }: Days): string {
  return to - from === DAY_MS ? dayText(from) : `${dayText(from)} to ${dayText(to - 1)}`;
}

/** `96.9 %`, rounded down: what is less than a bound never looks like it. */
export function percentText(share: number): string {
  return `${(Math.floor(share * 1_000 + 1e-9) / 10).toFixed(1)} %`;
}

function alarmsOf({ provider, days, total }: Reconciliation, least: number): readonly AlarmJson[] {
  const ofDays = days.flatMap((one) => (one.alarm ? [alarmJson(provider, daysText(one), one, one.alarm, least)] : []));
  const isOfMany = days.filter(({ isComplete }) => isComplete).length > 1;
  return total?.alarm && isOfMany ? [...ofDays, alarmJson(provider, null, total, total.alarm, least)] : ofDays;
}

export function alarmJson(provider: string, days: string | null, { captured }: Compared, kind: Alarm, least: number): AlarmJson {
  const what = days === null ? `all complete days at ${provider}` : `${days} at ${provider}`;
  const bound = Math.round((kind === "below" ? least : 2 - least) * 1e6) / 1e4;
  const message =
    captured === undefined
      ? `The ledger has charges for ${what}, and the bill has none.`
      : `Of ${what}, ${percentText(captured)} of what was billed is in the ledger, ${kind === "below" ? "less" : "more"} than ${bound} %.`;
  return { provider, days, kind, message };
}

function providerJson({ provider, days, total, models, items, ...committed }: Reconciliation): ProviderJson {
  return {
    provider,
    days: days.map((one) => ({ ...spanJson(one), complete: one.isComplete, ...comparedJson(one), alarm: one.alarm ?? null })),
    total: total ? { ...spanJson(total), ...comparedJson(total), alarm: total.alarm ?? null } : null,
    models: models.map(({ model, names, differences, ...compared }) => ({
      model,
      names,
      ...comparedJson(compared),
      differences: differences.map(differenceJson),
    })),
    items: items.map(({ item, cost }) => ({ item, cost_nanodollars: cost })),
    commitments: committedJson(committed),
  };
}

function committedJson({ discounts, charges }: Pick<Reconciliation, "discounts" | "charges">): readonly CommittedJson[] {
  const names = [...new Set([...discounts, ...charges].map(({ name }) => name))];
  return names.flatMap((name) => {
    const discount = discounts.find((one) => one.name === name);
    const charge = charges.find((one) => one.name === name);
    const kind = (discount ?? charge)?.kind;
    if (!kind) return [];
    return {
      name,
      kind,
      less_nanodollars: discount?.less ?? 0,
      charge: charge
        ? { expected_nanodollars: charge.expected, billed_nanodollars: charge.billed ?? null, item: charge.item ?? null }
        : null,
    };
  });
}

function spanJson({ from, to }: Days) {
  return { from: new Date(from).toISOString(), to: new Date(to).toISOString() };
}

function comparedJson({ billed, ledger, committed, captured }: Compared) {
  return {
    billed: { cost_nanodollars: billed.cost ?? null, tokens: billed.tokens ? tokensJson(billed.tokens) : null },
    ledger: ledgerJson(ledger),
    committed_nanodollars: committed,
    captured: captured === undefined ? null : Math.round(captured * 1e6) / 1e6,
  };
}

function ledgerJson({ calls, cost, estimated, unconfirmed, unpricedCalls, tokens }: LedgerAmounts) {
  return {
    calls,
    cost_nanodollars: cost,
    estimated_nanodollars: estimated,
    unconfirmed_nanodollars: unconfirmed,
    unpriced_calls: unpricedCalls,
    tokens: tokensJson(tokens),
  };
}

/** As reports have them: `input_tokens` are all. */
function tokensJson({ input, cacheRead, cacheWrite, cacheWrite1h, output }: BilledTokens) {
  return {
    input_tokens: input + cacheRead + cacheWrite + cacheWrite1h,
    cache_read_input_tokens: cacheRead,
    cache_write_input_tokens: cacheWrite + cacheWrite1h,
    output_tokens: output,
  };
}

function differenceJson(difference: Difference): unknown {
  const { kind } = difference;
  switch (kind) {
    case "elsewhere":
    case "not_billed":
      return { kind, tokens: difference.tokens ? tokensJson(difference.tokens) : null, cost_nanodollars: difference.cost ?? null };
    case "cached":
      return { kind, billed_cache_read_input_tokens: difference.billed, ledger_cache_read_input_tokens: difference.ledger };
    case "price":
      return { kind, rates: difference.rates.map(rateJson), prices_row: difference.row };
    case "unpriced":
      return { kind, calls: difference.calls };
    default:
      return { kind, cost_nanodollars: difference.cost };
  }
}

const RATE_NAMES = {
  input: "input",
  cacheRead: "cache_read",
  cacheWrite: "cache_write",
  cacheWrite1h: "cache_write_1h",
  output: "output",
} as const;

function rateJson({ kind, billed, configured }: BilledRate) {
  return { kind: RATE_NAMES[kind], billed_picodollars: billed, configured_picodollars: configured ?? null };
}
