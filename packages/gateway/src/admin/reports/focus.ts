import { decimalDollars } from "@purser/core";
import type { ReportJson, ReportRowJson } from "../report.ts";
import { csv } from "./csv.ts";

/** The attributes that a report needs to become rows of FOCUS; further ones become tags. */
export const FOCUS_ATTRIBUTES = ["provider", "model"] as const;

/** In whose account an organisation's charges are gathered, whoever sends the invoice for them. */
const ACCOUNT = "Purser";

/**
 * A report by provider, model and more, day by day, as FOCUS 1.2: one row for what one model was used on one day by one combination of the
 * other attributes, of which the first is the sub-account. Prices of a unit are left out: a row is of tokens of all kinds.
 */
export function focusCsv(json: ReportJson): string {
  const others = json.by.filter((path) => !FOCUS_ATTRIBUTES.some((known) => known === path));
  const columns = Object.keys(COLUMNS) as (keyof typeof COLUMNS)[];
  const lines = json.data.filter(isCharged).map((row) => {
    const context = { row, others, month: monthOf(row.from) };
    return columns.map((column) => COLUMNS[column](context));
  });
  return csv([columns, ...lines]);
}

/** Refusals alone are no charge. */
function isCharged({ calls, cost_nanodollars, input_tokens, output_tokens }: ReportRowJson): boolean {
  return calls !== 0 || cost_nanodollars !== 0 || input_tokens !== 0 || output_tokens !== 0;
}

interface Context {
  readonly row: ReportRowJson;
  readonly others: readonly string[];
  readonly month: { readonly from: string; readonly to: string };
}

const cost = ({ row }: Context) => decimalDollars(row.cost_nanodollars);
/** With a point, so that whoever guesses types by what is written takes it for the decimal that it is. */
const tokens = ({ row }: Context) => `${row.input_tokens + row.output_tokens}.0`;
const provider = ({ row }: Context) => row.values.provider ?? "unknown";
const model = ({ row }: Context) => row.values.model ?? "unknown";
const always = (text: string) => () => text;
const subAccount = ({ row, others: [first] }: Context) => (first === undefined ? "" : (row.values[first] ?? ""));

/** In the order of the specification; empty is null. */
const COLUMNS = {
  BilledCost: cost,
  BillingAccountId: always("purser"),
  BillingAccountName: always(ACCOUNT),
  BillingAccountType: always("Gateway"),
  BillingCurrency: always("USD"),
  BillingPeriodEnd: ({ month }: Context) => month.to,
  BillingPeriodStart: ({ month }: Context) => month.from,
  ChargeCategory: always("Usage"),
  ChargeClass: always(""),
  ChargeDescription: (context: Context) => `${model(context)} at ${provider(context)}`,
  ChargeFrequency: always("Usage-Based"),
  ChargePeriodEnd: ({ row }: Context) => instant(row.to),
  ChargePeriodStart: ({ row }: Context) => instant(row.from),
  CommitmentDiscountStatus: always(""),
  ConsumedQuantity: tokens,
  ConsumedUnit: always("Tokens"),
  ContractedCost: cost,
  EffectiveCost: cost,
  InvoiceId: always(""),
  InvoiceIssuerName: provider,
  ListCost: cost,
  PricingCategory: always("Standard"),
  PricingQuantity: tokens,
  PricingUnit: always("Tokens"),
  ProviderName: provider,
  PublisherName: provider,
  ServiceCategory: always("AI and Machine Learning"),
  ServiceName: provider,
  ServiceSubcategory: always("Generative AI"),
  SkuId: (context: Context) => `${provider(context)}/${model(context)}`,
  SkuMeter: always("Tokens"),
  SubAccountId: subAccount,
  SubAccountName: subAccount,
  SubAccountType: (context: Context) => (subAccount(context) === "" ? "" : (context.others[0] ?? "")),
  Tags: ({ row, others }: Context) => JSON.stringify(Object.fromEntries(others.flatMap((path) => tagOf(path, row.values[path] ?? null)))),
  x_Calls: ({ row }: Context) => String(row.calls),
  x_InputTokens: ({ row }: Context) => String(row.input_tokens),
  x_CacheReadInputTokens: ({ row }: Context) => String(row.cache_read_input_tokens),
  x_CacheWriteInputTokens: ({ row }: Context) => String(row.cache_write_input_tokens),
  x_OutputTokens: ({ row }: Context) => String(row.output_tokens),
  x_ReasoningOutputTokens: ({ row }: Context) => String(row.reasoning_output_tokens),
  x_UnconfirmedCost: ({ row }: Context) => decimalDollars(row.unconfirmed_nanodollars),
} as const;

function tagOf(path: string, value: string | null): readonly (readonly [string, string])[] {
  return value === null ? [] : [[path.replace(/^tag\./, ""), value]];
}

/** Without the fractions of a second, which FOCUS has none of. */
function instant(text: string): string {
  return `${text.slice(0, 19)}Z`;
}

/** The calendar month, in UTC, in which a charge falls. */
function monthOf(from: string): Context["month"] {
  const begin = new Date(from);
  const at = (month: number) => instant(new Date(Date.UTC(begin.getUTCFullYear(), month, 1)).toISOString());
  return { from: at(begin.getUTCMonth()), to: at(begin.getUTCMonth() + 1) };
}
