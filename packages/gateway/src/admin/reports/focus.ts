import { decimalDollars, type Nanodollars, REPORT_AMOUNTS, type ReportAmounts, type ReportQuery, type ReportRow } from "@purser/core";
import type { Commitment } from "../../commitments/commitment.ts";
import type { CommittedCharge } from "../../commitments/coverage.ts";
import type { SharedRow } from "../../commitments/shares.ts";
import { type ReportRowJson, reportJson } from "../report.ts";
import { csv } from "./csv.ts";

/** The attributes that a report needs to become rows of FOCUS; further ones become tags. */
export const FOCUS_ATTRIBUTES = ["provider", "model"] as const;

/** In whose account an organisation's charges are gathered, whoever sends the invoice for them. */
const ACCOUNT = "Purser";

/** What was charged, as FOCUS tells it: what calls cost, and what commitments pay for of it. */
export interface FocusReport {
  readonly rows: readonly SharedRow[];
  readonly committed: readonly (CommittedCharge & { readonly commitment: Commitment })[];
}

/**
 * A report by provider, model and more, day by day, as FOCUS 1.2: one row for what one model was used on one day by one combination of the
 * other attributes, of which the first is the sub-account; one more for each commitment that pays for some of it; and rows for what was bought, and
 * what of that was not used. Prices of a unit are left out: a row is of tokens of all kinds.
 */
export function focusCsv({ rows, committed }: FocusReport, query: ReportQuery): string {
  const others = (query.by ?? []).filter((path) => !FOCUS_ATTRIBUTES.some((known) => known === path));
  const columns = Object.keys(COLUMNS) as (keyof typeof COLUMNS)[];
  const charges = [...rows.flatMap((row) => chargesOf(row, query)), ...committed.map((one) => committedCharge(one, query))];
  const lines = charges.map((charge) => {
    const context = { ...charge, others };
    return columns.map((column) => COLUMNS[column](context));
  });
  return csv([columns, ...lines]);
}

interface Charge {
  readonly row: ReportRowJson;
  readonly kind: "call" | "used" | CommittedCharge["kind"];
  /** What is paid to the provider for this row itself. */
  readonly billed: Nanodollars;
  /** The same, where what was paid for before is counted where it is used. */
  readonly effective: Nanodollars;
  /** Of a row of a commitment. */
  readonly committed?: { readonly commitment: Commitment; readonly quantity: number };
}

function chargesOf({ covered, rest, less }: SharedRow, query: ReportQuery): readonly Charge[] {
  const used = covered.map(({ commitment, row, quantity, cost }): Charge => {
    return { row: rowJson(row, query), kind: "used", billed: 0, effective: cost, committed: { commitment, quantity } };
  });
  const billed = less.reduce((left, { amount }) => left - amount, rest.cost);
  return isCharged(rest) || billed !== 0 ? [...used, { row: rowJson(rest, query), kind: "call", billed, effective: billed }] : used;
}

function committedCharge(
  { kind, startsAt, endsAt, quantity, cost, commitment }: FocusReport["committed"][number],
  query: ReportQuery,
): Charge {
  const row = rowJson(
    { ...NOTHING, from: startsAt, to: endsAt, values: [commitment.providers.join(", ")] },
    { ...query, by: ["provider"] },
  );
  const isBought = kind === "bought";
  return { row, kind, billed: isBought ? cost : 0, effective: isBought ? 0 : cost, committed: { commitment, quantity } };
}

const NOTHING = Object.fromEntries(REPORT_AMOUNTS.map((name) => [name, 0])) as unknown as ReportAmounts;

function rowJson(row: ReportRow, query: ReportQuery): ReportRowJson {
  return reportJson([row], query).data[0] as ReportRowJson;
}

/** Refusals alone are no charge. */
function isCharged({ calls, cost, inputTokens, outputTokens }: ReportAmounts): boolean {
  return calls !== 0 || cost !== 0 || inputTokens !== 0 || outputTokens !== 0;
}

interface Context extends Charge {
  readonly others: readonly string[];
}

const isOfCalls = ({ kind }: Context) => kind === "call" || kind === "used";
const provider = ({ row }: Context) => row.values.provider ?? "unknown";
const model = ({ row }: Context) => row.values.model ?? "unknown";
const listed = ({ row, kind, billed }: Context) => decimalDollars(kind === "used" || kind === "call" ? row.cost_nanodollars : billed);
/** With a point, so that whoever guesses types by what is written takes it for the decimal that it is. */
const decimal = (count: number) => `${count}.0`;
const tokens = ({ row }: Context) => decimal(row.input_tokens + row.output_tokens);
const month = ({ row, kind }: Context) => monthOf(kind === "unused" ? new Date(Date.parse(row.to) - 1).toISOString() : row.from);
const ofCommitment = (show: (commitment: Commitment, quantity: number) => string) => {
  return ({ committed }: Context) => (committed ? show(committed.commitment, committed.quantity) : "");
};
const committedQuantity = ofCommitment(({ unit }, quantity) => (unit === "nanodollars" ? decimalDollars(quantity) : decimal(quantity)));
const committedUnit = ofCommitment(({ unit, weights }) => (weights ? `Weighted ${UNITS[unit]}` : UNITS[unit]));
const UNITS: Readonly<Record<Commitment["unit"], string>> = {
  nanodollars: "USD",
  tokens: "Tokens",
  input_tokens: "Input Tokens",
  output_tokens: "Output Tokens",
  requests: "Requests",
};
const DESCRIPTIONS = {
  bought: "bought ahead",
  unused: "bought ahead and not used",
} as const;

function description(context: Context): string {
  const { kind, committed } = context;
  const name = committed?.commitment.name ?? "";
  if (kind === "bought" || kind === "unused") return `${name}: ${DESCRIPTIONS[kind]} at ${provider(context)}`;
  return `${model(context)} at ${provider(context)}${kind === "used" ? `, paid for by ${name}` : ""}`;
}

const always = (text: string) => () => text;
const subAccount = ({ row, others: [first] }: Context) => (first === undefined ? "" : (row.values[first] ?? ""));

/** In the order of the specification; empty is null. */
const COLUMNS = {
  BilledCost: ({ billed }: Context) => decimalDollars(billed),
  BillingAccountId: always("purser"),
  BillingAccountName: always(ACCOUNT),
  BillingAccountType: always("Gateway"),
  BillingCurrency: always("USD"),
  BillingPeriodEnd: (context: Context) => month(context).to,
  BillingPeriodStart: (context: Context) => month(context).from,
  ChargeCategory: ({ kind }: Context) => (kind === "bought" ? "Purchase" : "Usage"),
  ChargeClass: always(""),
  ChargeDescription: description,
  ChargeFrequency: ({ kind }: Context) => (kind === "bought" ? "Recurring" : "Usage-Based"),
  ChargePeriodEnd: ({ row }: Context) => instant(row.to),
  ChargePeriodStart: ({ row }: Context) => instant(row.from),
  CommitmentDiscountCategory: ofCommitment(({ unit }) => (unit === "nanodollars" ? "Spend" : "Usage")),
  CommitmentDiscountId: ofCommitment(({ name }) => name),
  CommitmentDiscountName: ofCommitment(({ name }) => name),
  CommitmentDiscountQuantity: committedQuantity,
  CommitmentDiscountStatus: ({ kind }: Context) => (kind === "used" ? "Used" : kind === "unused" ? "Unused" : ""),
  CommitmentDiscountType: ofCommitment(({ unit }) => (unit === "nanodollars" ? "Committed Spend" : "Committed Capacity")),
  CommitmentDiscountUnit: committedUnit,
  ConsumedQuantity: (context: Context) => (isOfCalls(context) ? tokens(context) : ""),
  ConsumedUnit: (context: Context) => (isOfCalls(context) ? "Tokens" : ""),
  ContractedCost: (context: Context) => (context.kind === "call" ? decimalDollars(context.billed) : listed(context)),
  EffectiveCost: ({ effective }: Context) => decimalDollars(effective),
  InvoiceId: always(""),
  InvoiceIssuerName: provider,
  ListCost: listed,
  PricingCategory: ({ kind }: Context) => (kind === "used" || kind === "unused" ? "Committed" : "Standard"),
  PricingQuantity: (context: Context) => (isOfCalls(context) ? tokens(context) : committedQuantity(context)),
  PricingUnit: (context: Context) => (isOfCalls(context) ? "Tokens" : committedUnit(context)),
  ProviderName: provider,
  PublisherName: provider,
  ServiceCategory: always("AI and Machine Learning"),
  ServiceName: provider,
  ServiceSubcategory: always("Generative AI"),
  SkuId: (context: Context) =>
    isOfCalls(context) ? `${provider(context)}/${model(context)}` : `commitment/${context.committed?.commitment.name}`,
  SkuMeter: (context: Context) => (isOfCalls(context) ? "Tokens" : committedUnit(context)),
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
function monthOf(from: string): { readonly from: string; readonly to: string } {
  const begin = new Date(from);
  const at = (month: number) => instant(new Date(Date.UTC(begin.getUTCFullYear(), month, 1)).toISOString());
  return { from: at(begin.getUTCMonth()), to: at(begin.getUTCMonth() + 1) };
}
