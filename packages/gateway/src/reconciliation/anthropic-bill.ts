import { type BilledLine, type BilledSpan, checkCurrency, daysOf, type Fail, type TokenKind } from "./bill.ts";
import { decimalIn } from "./decimal.ts";
import { type BucketLines, countOf, type Fields, isFields, textOf } from "./pages.ts";

/*
 * What `GET /v1/organizations/cost_report` and `/v1/organizations/usage_report/messages` answer, by Anthropic's reference
 * (platform.claude.com/docs/en/api/admin/cost_report/retrieve and …/usage_report/retrieve_messages): buckets from `starting_at` to `ending_at`.
 * An amount of money is in cents, as a decimal text: "123.45" is $1.2345. Its results have a model only when they are grouped by description.
 */

/** Throws `bill_invalid` for a bucket that is none. */
export function readAnthropicBucket(bucket: Fields, provider: string, fail: Fail): BucketLines {
  const [from, to] = [Date.parse(String(bucket.starting_at)), Date.parse(String(bucket.ending_at))];
  if (!(from < to)) throw fail("A bucket has no `starting_at` and `ending_at` as instants.");
  const span: BilledSpan = { provider, ...daysOf(from, to) };
  const results = bucket.results as readonly Fields[];
  const isOfCosts = results.some((result) => "amount" in result);
  return {
    report: results.length === 0 ? undefined : isOfCosts ? "costs" : "usage",
    startsAt: from,
    span,
    lines: results.map((result) => (isOfCosts ? costLine(result, span, fail) : usageLine(result, span, fail))),
  };
}

const KINDS: Readonly<Record<string, TokenKind>> = {
  uncached_input_tokens: "input",
  cache_read_input_tokens: "cacheRead",
  "cache_creation.ephemeral_5m_input_tokens": "cacheWrite",
  "cache_creation.ephemeral_1h_input_tokens": "cacheWrite1h",
  output_tokens: "output",
};

function costLine(result: Fields, span: BilledSpan, fail: Fail): BilledLine {
  const { amount, currency } = result;
  const cost = typeof amount === "string" || typeof amount === "number" ? decimalIn(amount, 7) : undefined;
  if (cost === undefined) throw fail(`\`amount\` is ${JSON.stringify(amount)}, and no number of cents.`);
  if (typeof currency === "string") checkCurrency(currency, fail);
  const model = textOf(result, "model");
  const item = model === undefined ? (textOf(result, "description") ?? textOf(result, "cost_type")) : undefined;
  const kind = KINDS[textOf(result, "token_type") ?? ""];
  return { ...span, model, item, cost, kind, isSpecial: isSpecial(result) || (model !== undefined && kind === undefined) };
}

function usageLine(result: Fields, span: BilledSpan, fail: Fail): BilledLine {
  if (!("uncached_input_tokens" in result) || !("output_tokens" in result))
    throw fail("A result has neither `amount`, as costs have, nor `uncached_input_tokens`, as the usage of messages has.");
  const count = (name: string) => countOf(result, name, fail);
  const written = isFields(result.cache_creation) ? result.cache_creation : {};
  const tokens = {
    input: count("uncached_input_tokens"),
    cacheRead: count("cache_read_input_tokens"),
    cacheWrite: countOf(written, "ephemeral_5m_input_tokens", fail),
    cacheWrite1h: countOf(written, "ephemeral_1h_input_tokens", fail),
    output: count("output_tokens"),
  };
  return { ...span, model: textOf(result, "model"), cost: undefined, tokens, isSpecial: isSpecial(result) };
}

/** Batches, faster tiers, long contexts and inference in one country have prices of their own. */
function isSpecial(result: Fields): boolean {
  const is = (name: string, plain: readonly string[]) => plain.includes(textOf(result, name) ?? plain[0] ?? "");
  return !(
    is("service_tier", ["standard"]) &&
    is("context_window", ["0-200k"]) &&
    is("inference_geo", ["global", "not_available"]) &&
    is("speed", ["standard"])
  );
}
