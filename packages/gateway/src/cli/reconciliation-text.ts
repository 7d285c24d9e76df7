import { formatDollars } from "@purser/core";
import { type BilledTokens, TOKEN_KINDS, type TokenKind } from "../reconciliation/bill.ts";
import type { CommittedCharge } from "../reconciliation/committed.ts";
import type { BilledRate, Difference } from "../reconciliation/differences.ts";
import type { CommittedDiscount, Compared, ComparedModel, Reconciliation } from "../reconciliation/reconcile.ts";
import { daysText, percentText, type ReconciliationJson } from "../reconciliation/reconciliation-json.ts";
import { shortDollars } from "./amounts.ts";
import type { Style } from "./style.ts";
import { table } from "./table.ts";

/** A bill and the ledger side by side, for people. */
export function reconciliationText(
  providers: readonly Reconciliation[],
  { alarms, left_out, notes }: Pick<ReconciliationJson, "alarms" | "left_out" | "notes">,
  style: Style,
): string {
  const remarks = [...left_out.map(({ what, cost_nanodollars: cost }) => `Left out: ${what}, ${shortDollars(cost)}.`), ...notes];
  const end = alarms.length > 0 ? alarms.map(({ message }) => `${style.bold("ALARM")} ${message}`) : [conclusion(providers)];
  const sections = [...providers.flatMap((one) => sectionsOf(one, style)), remarks.join("\n"), end.join("\n")];
  return sections.filter((section) => section !== "").join("\n\n");
}

function conclusion(providers: readonly Reconciliation[]): string {
  if (providers.length === 0) return "The bill has no day of this time.";
  if (providers.every(({ total }) => !total)) return "No day is complete yet, so none is judged.";
  return "No alarm.";
}

function sectionsOf(one: Reconciliation, style: Style): readonly string[] {
  const { models } = one;
  const differences = models.flatMap((model) => model.differences.map((difference) => `- ${model.model}: ${differenceText(difference)}`));
  const committed = [...one.discounts.map(discountText), ...one.charges.map(chargeText)].map((text) => `- ${text}`);
  return [
    daysTable(one, style),
    ...(models.length > 0 ? [modelsTable(one, style)] : []),
    ...(models.some(({ billed }) => billed.tokens) ? [tokensTable(models, style)] : []),
    ...(committed.length > 0 ? [["By commitments:", ...committed].join("\n")] : []),
    ...(differences.length > 0 ? [["Where they differ:", ...differences].join("\n")] : []),
  ];
}

function discountText({ name, kind, less }: CommittedDiscount): string {
  const amount = shortDollars(less);
  if (kind === "capacity") return `${name}: calls of ${amount} by the ledger ran on what was bought ahead, and are not billed one by one.`;
  return `${name}: ${amount} less than the ledger has, by its discount.`;
}

function chargeText({ name, kind, expected, billed, item }: CommittedCharge): string {
  const what = kind === "capacity" ? "was bought" : "was promised and not used";
  if (billed === undefined)
    return `${name}: ${shortDollars(expected)} ${what} in these days, and no line of this bill is of that amount. It may be billed apart, or later.`;
  const where = item === undefined ? "which is among what was billed" : `billed as "${item}" for ${shortDollars(billed)}`;
  return `${name}: ${shortDollars(expected)} ${what}, ${where}.`;
}

function daysTable({ provider, days, total }: Reconciliation, style: Style): string {
  const columns = columnsFor(days);
  const mark = (alarm: string | undefined) => (alarm === undefined ? "" : style.bold(alarm === "below" ? "too little" : "too much"));
  const rows = days.map((one) => [
    daysText(one),
    ...columns.map(({ show }) => show(one)),
    one.isComplete ? mark(one.alarm) : style.dim("not complete yet"),
  ]);
  const sum = total ? [[style.bold("Complete days"), ...columns.map(({ show }) => show(total)), mark(total.alarm)]] : [];
  return comparedTable(provider, columns, [...rows, ...sum], style);
}

function modelsTable({ models, items }: Reconciliation, style: Style): string {
  const columns = columnsFor(models);
  const rows = models.map((one) => [one.model, ...columns.map(({ show }) => show(one))]);
  return comparedTable("Model", columns, [...rows, ...items.map(({ item, cost }) => [item, shortDollars(cost)])], style);
}

interface Column {
  readonly title: string;
  readonly show: (compared: Compared) => string;
  /** Else only where there is something to show. */
  readonly isAlways?: boolean;
}

const some = (amount: number) => (amount === 0 ? "" : shortDollars(amount));
const COLUMNS: readonly Column[] = [
  { title: "Billed", show: ({ billed: { cost } }) => (cost === undefined ? "" : shortDollars(cost)), isAlways: true },
  { title: "Ledger", show: ({ ledger }) => shortDollars(ledger.cost), isAlways: true },
  { title: "of it estimated", show: ({ ledger }) => some(ledger.estimated) },
  { title: "unconfirmed", show: ({ ledger }) => some(ledger.unconfirmed) },
  { title: "Commitments", show: ({ committed }) => some(committed) },
  {
    title: "Difference",
    show: ({ billed: { cost }, ledger, committed }) => (cost === undefined ? "" : shortDollars(ledger.cost + committed - cost)),
  },
  { title: "Captured", show: ({ captured }) => (captured === undefined ? "" : percentText(captured)), isAlways: true },
];

function columnsFor(rows: readonly Compared[]): readonly Column[] {
  return COLUMNS.filter(({ show, isAlways }) => isAlways || rows.some((row) => show(row) !== ""));
}

function comparedTable(first: string, columns: readonly Column[], rows: readonly (readonly string[])[], style: Style): string {
  const heading = [first, ...columns.map(({ title }) => title), ""].map(style.dim);
  return table(
    heading,
    rows,
    columns.map((_, i) => i + 1),
  );
}

const KIND_NAMES: Readonly<Record<TokenKind, string>> = {
  input: "input",
  cacheRead: "input read from cache",
  cacheWrite: "input written to cache",
  cacheWrite1h: "input written to cache for 1 hour",
  output: "output",
};

/** The ledger's sums do not tell for how long caches were written. */
function withOneWrite(tokens: BilledTokens): BilledTokens {
  return { ...tokens, cacheWrite: tokens.cacheWrite + tokens.cacheWrite1h, cacheWrite1h: 0 };
}

function tokensTable(models: readonly ComparedModel[], style: Style): string {
  const rows = models.flatMap(({ model, billed, ledger }) => {
    if (!billed.tokens) return [];
    const [theirs, ours] = [withOneWrite(billed.tokens), withOneWrite(ledger.tokens)];
    return TOKEN_KINDS.filter((kind) => theirs[kind] > 0 || ours[kind] > 0).map((kind) => [
      model,
      KIND_NAMES[kind],
      count(theirs[kind]),
      count(ours[kind]),
      theirs[kind] === ours[kind] ? "" : count(ours[kind] - theirs[kind]),
    ]);
  });
  return table(["Model", "Tokens", "Billed", "Ledger", "Difference"].map(style.dim), rows, [2, 3, 4]);
}

function differenceText(difference: Difference): string {
  switch (difference.kind) {
    case "elsewhere":
      return `${amountsText(difference)} billed and not in the ledger. Those calls did not go through Purser.`;
    case "not_billed":
      return `${amountsText(difference)} in the ledger and not billed: to another account, under another name, or later.`;
    case "cached":
      return `${count(difference.billed)} input tokens were billed as read from the cache, and the ledger has ${count(difference.ledger)} as such.`;
    case "price":
      return `${difference.rates.map(rateText).join("; ")}. In purser.yaml:\n    prices:\n      ${difference.row}`;
    case "charged_otherwise":
      return `tokens and prices agree, and the ledger has ${shortDollars(Math.abs(difference.cost))} ${difference.cost > 0 ? "more" : "less"}. Prices were others when the calls were made, or some were batches or of another tier.`;
    case "unpriced":
      return `${count(difference.calls)} calls had no price when they were made, and count as nothing.`;
    case "unconfirmed":
      return `${shortDollars(difference.cost)} of the ledger are unconfirmed: how calls ended is not known, and the most that they can have cost was charged.`;
    case "no_tokens":
      return "money alone does not say whether calls are missing or the price is another one. Give the usage in tokens as well.";
    case "special_prices":
      return `as many tokens, for ${shortDollars(Math.abs(difference.cost))} ${difference.cost > 0 ? "less" : "more"} than the ledger has. Some have prices of their own (batches, other tiers, long contexts, sounds, images), so none is compared.`;
  }
}

/** `$1.20 for 1,000 tokens of input and 20 of output` */
function amountsText({ cost, tokens }: { readonly cost: number | undefined; readonly tokens: BilledTokens | undefined }): string {
  const kinds = tokens
    ? TOKEN_KINDS.filter((kind) => tokens[kind] > 0).map((kind) => `${count(tokens[kind])} tokens of ${KIND_NAMES[kind]}`)
    : [];
  const listed = kinds.length > 1 ? `${kinds.slice(0, -1).join(", ")} and ${kinds.at(-1)}` : (kinds[0] ?? "");
  return [cost ? shortDollars(cost) : "", listed].filter((text) => text !== "").join(" for ") || "nothing";
}

function rateText({ kind, billed, configured }: BilledRate): string {
  const price = (rate: number) => formatDollars(rate * 1_000);
  const here = configured === undefined ? "which has no price here" : `not ${price(configured)}`;
  return `a million tokens of ${KIND_NAMES[kind]} were billed at ${price(billed)}, ${here}`;
}

function count(amount: number): string {
  return amount.toLocaleString("en-US");
}
