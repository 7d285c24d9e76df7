import type { Nanodollars, Picodollars, RateCard, Rates } from "@purser/core";
import { allTokens, type BilledTokens, NO_TOKENS, TOKEN_KINDS, type TokenKind } from "./bill.ts";
import type { Compared, CostsByKind } from "./reconcile.ts";

/** What a difference between a bill and the ledger comes from, as far as it can be known. */
export type Difference =
  /** Tokens were billed that the ledger does not have: calls that went past the gateway. */
  | { readonly kind: "elsewhere"; readonly tokens: BilledTokens | undefined; readonly cost: Nanodollars | undefined }
  /** The ledger has more tokens than were billed. */
  | { readonly kind: "not_billed"; readonly tokens: BilledTokens; readonly cost: Nanodollars }
  /** As many tokens in all, of which another part was read from caches. */
  | { readonly kind: "cached"; readonly billed: number; readonly ledger: number }
  /** What a token was billed at is not what it costs by the prices of the configuration. */
  | { readonly kind: "price"; readonly rates: readonly BilledRate[]; readonly row: string }
  /** Tokens and prices agree, and the ledger was charged otherwise. */
  | { readonly kind: "charged_otherwise"; readonly cost: Nanodollars }
  | { readonly kind: "unpriced"; readonly calls: number }
  | { readonly kind: "unconfirmed"; readonly cost: Nanodollars }
  /** Without tokens nobody can tell whether calls or prices differ. */
  | { readonly kind: "no_tokens"; readonly cost: Nanodollars }
  /** As many tokens, of which some have prices that depend on more than their kind. */
  | { readonly kind: "special_prices"; readonly cost: Nanodollars };

export interface BilledRate {
  readonly kind: TokenKind;
  readonly billed: Picodollars;
  /** None for a model without a price. */
  readonly configured: Picodollars | undefined;
}

export interface ModelDetails {
  readonly provider: string;
  readonly names: readonly string[];
  readonly card: RateCard | undefined;
  readonly costs: CostsByKind;
}

/** What differs by a smaller share than this is not explained. */
const SHARE = 0.01;
const CENT: Nanodollars = 10_000_000;

export function differencesOf({ billed, ledger }: Compared, details: ModelDetails): readonly Difference[] {
  const hasNothing = ledger.calls === 0 && ledger.cost === 0;
  const { cost, tokens } = billed;
  if (hasNothing) return [{ kind: "elsewhere", tokens, cost }];
  if (!cost && !tokens) return ledger.cost >= CENT ? [{ kind: "not_billed", tokens: ledger.tokens, cost: ledger.cost }] : [];
  const ofTokens = tokens ? tokenDifferences(tokens, ledger.tokens, cost === undefined ? 0 : ledger.cost - cost) : [];
  const money = cost === undefined ? 0 : cost - ledger.cost;
  const differs = Math.abs(money) >= CENT && Math.abs(money) > SHARE * Math.max(cost ?? 0, ledger.cost);
  // What agrees needs no explanation: tokens that a provider gives away have another price than the others, on both sides.
  const isAsked = differs || ofTokens.length > 0;
  const ofPrice = tokens && cost !== undefined && isAsked ? priceDifferences(cost, tokens, details) : undefined;
  const found: readonly Difference[] = [
    ...ofTokens,
    ...(ofPrice ?? []),
    ...(ledger.unpricedCalls > 0 ? [{ kind: "unpriced", calls: ledger.unpricedCalls } as const] : []),
    ...(ledger.unconfirmed >= CENT && isAsked ? [{ kind: "unconfirmed", cost: ledger.unconfirmed } as const] : []),
  ];
  if (!differs || found.length > 0) return found;
  return [{ kind: !tokens ? "no_tokens" : ofPrice ? "charged_otherwise" : "special_prices", cost: -money }];
}

function tokenDifferences(billed: BilledTokens, ledger: BilledTokens, tooMuch: Nanodollars): readonly Difference[] {
  const ours = oneWrite(ledger);
  const theirs = oneWrite(billed);
  const [all, counted] = [allTokens(theirs), allTokens(ours)];
  if (all - counted > SHARE * all) return [{ kind: "elsewhere", tokens: beyond(theirs, ours), cost: undefined }];
  if (counted - all > SHARE * counted) return [{ kind: "not_billed", tokens: beyond(ours, theirs), cost: Math.max(0, tooMuch) }];
  const isCachedOtherwise = Math.abs(theirs.cacheRead - ours.cacheRead) > SHARE * all;
  return isCachedOtherwise ? [{ kind: "cached", billed: theirs.cacheRead, ledger: ours.cacheRead }] : [];
}

/** The ledger's sums do not tell for how long caches were written. */
function oneWrite(tokens: BilledTokens): BilledTokens {
  return { ...tokens, cacheWrite: tokens.cacheWrite + tokens.cacheWrite1h, cacheWrite1h: 0 };
}

function beyond(more: BilledTokens, less: BilledTokens): BilledTokens {
  return { ...NO_TOKENS, ...Object.fromEntries(TOKEN_KINDS.map((kind) => [kind, Math.max(0, more[kind] - less[kind])])) };
}

/** Undefined where a price cannot be told from what was billed. */
function priceDifferences(
  cost: Nanodollars,
  tokens: BilledTokens,
  { names, provider, card, costs }: ModelDetails,
): readonly Difference[] | undefined {
  if (costs === "special") return undefined;
  const rates = costs ? ratesByKind(costs, tokens, card) : ratesInProportion(cost, tokens, card);
  if (!rates) return undefined;
  const differing = rates.filter(({ kind, billed, configured }) => differs(billed, configured, tokens[kind]));
  if (differing.length === 0) return [];
  const shown = card ? differing : rates;
  return [{ kind: "price", rates: differing, row: priceRow(provider, names, shown) }];
}

function differs(billed: Picodollars, configured: Picodollars | undefined, tokens: number): boolean {
  if (configured === undefined) return true;
  const money = (Math.abs(billed - configured) * tokens) / 1000;
  return Math.abs(billed - configured) > SHARE * Math.max(billed, configured) && money >= CENT;
}

function ratesByKind(costs: { readonly [kind in TokenKind]?: Nanodollars }, tokens: BilledTokens, card: RateCard | undefined) {
  return TOKEN_KINDS.flatMap((kind): readonly BilledRate[] => {
    const cost = costs[kind];
    if (!cost || tokens[kind] === 0) return [];
    return [{ kind, billed: plainRate((cost * 1000) / tokens[kind]), configured: card && configuredRate(card, kind) }];
  });
}

/** What costs more or less as a whole is taken to do so for every kind alike. Where long contexts cost more, nobody can tell from the whole. */
function ratesInProportion(cost: Nanodollars, tokens: BilledTokens, card: RateCard | undefined): readonly BilledRate[] | undefined {
  if (!card || card.tiers.length > 1) return undefined;
  const priced = TOKEN_KINDS.map((kind) => ({ kind, configured: configuredRate(card, kind) }));
  const expected = priced.reduce((sum, { kind, configured }) => sum + (tokens[kind] * configured) / 1000, 0);
  if (expected === 0) return [];
  return priced
    .filter(({ kind, configured }) => tokens[kind] > 0 && configured > 0)
    .map(({ kind, configured }) => ({ kind, billed: plainRate((configured * cost) / expected), configured }));
}

/** As a call is priced: a kind without a rate of its own costs what its parent kind does. */
function configuredRate({ tiers }: RateCard, kind: TokenKind): Picodollars {
  const rates = (tiers[0] as { readonly rates: Rates }).rates;
  const fiveMinutes = rates.cacheWrite ?? rates.input;
  return { ...rates, cacheRead: rates.cacheRead ?? rates.input, cacheWrite: fiveMinutes, cacheWrite1h: rates.cacheWrite1h ?? fiveMinutes }[
    kind
  ];
}

/** The plainest price that is nearer than what a bill is rounded by: $2.25 a million, and not $2.249998. */
function plainRate(rate: number): Picodollars {
  for (let step = 10_000; step > 1; step /= 10) {
    const plain = Math.round(rate / step) * step;
    if (Math.abs(plain - rate) < rate / 2_000) return plain;
  }
  return Math.round(rate);
}

const FIELDS = {
  input: "input",
  cacheRead: "cache_read",
  cacheWrite: "cache_write",
  cacheWrite1h: "cache_write_1h",
  output: "output",
} as const satisfies Readonly<Record<TokenKind, string>>;

/** A row of `prices:` in purser.yaml that says what was billed. */
function priceRow(provider: string, names: readonly string[], rates: readonly BilledRate[]): string {
  const [first = "", ...others] = names.map(yamlText);
  const model = others.length === 0 ? first : `[${[first, ...others].join(", ")}]`;
  const prices = rates.map(({ kind, billed }) => `${FIELDS[kind]}: ${billed / 1_000_000}`);
  return `- { provider: ${yamlText(provider)}, model: ${model}, ${prices.join(", ")} }`;
}

function yamlText(text: string): string {
  return /^[a-z][\w.-]*$/i.test(text) ? text : JSON.stringify(text);
}
