import { type BilledLine, type BilledSpan, type BilledTokens, checkCurrency, daysOf, type Fail, type TokenKind } from "./bill.ts";
import { decimalIn } from "./decimal.ts";
import { type BucketLines, countOf, type Fields, isFields, textOf } from "./pages.ts";

/*
 * What `GET /v1/organization/costs` and `/v1/organization/usage/…` answer, by OpenAI's own description of its API (openai-node 6.49,
 * resources/admin/organization/usage.d.ts): buckets from `start_time` to `end_time` in seconds, whose results say by `object` what they are.
 */

/** Throws `bill_invalid` for a bucket that is none. */
export function readOpenAiBucket(bucket: Fields, provider: string, fail: Fail): BucketLines {
  const { start_time: start, end_time: end } = bucket;
  if (typeof start !== "number" || typeof end !== "number" || !(start < end))
    throw fail("A bucket has no `start_time` and `end_time` in seconds.");
  const span: BilledSpan = { provider, ...daysOf(start * 1000, end * 1000) };
  const results = bucket.results as readonly Fields[];
  const [, kind] = /^organization\.(costs|usage\.\w+)\.result$/.exec(String(results[0]?.object)) ?? [];
  if (results.length > 0 && kind === undefined)
    throw fail(`A result is of no kind that is known: \`object\` is ${JSON.stringify(results[0]?.object)}.`);
  return {
    report: kind?.replace(".", " of "),
    startsAt: start * 1000,
    span,
    lines: results.map((result) => (kind === "costs" ? costLine(result, span, fail) : usageLine(result, span, fail))),
  };
}

function costLine(result: Fields, span: BilledSpan, fail: Fail): BilledLine {
  const { value, currency } = isFields(result.amount) ? result.amount : ({} as Fields);
  const cost = typeof value === "number" || typeof value === "string" ? decimalIn(value, 9) : undefined;
  if (cost === undefined) throw fail(`\`amount.value\` is ${JSON.stringify(value)}, and no amount of dollars.`);
  if (typeof currency === "string") checkCurrency(currency, fail);
  return { ...span, cost, ...lineItemOf(textOf(result, "line_item")) };
}

const KINDS: Readonly<Record<string, TokenKind>> = {
  input: "input",
  output: "output",
  "cached input": "cacheRead",
  "cache writes": "cacheWrite",
};

/**
 * What a line of the costs is for. OpenAI describes it as a text only; invoices have `gpt-4o-2024-08-06, cached input`,
 * `priority | gpt-5.4, output, long context` and `gpt-audio-mini audio, input`. What looks otherwise is taken as no use of a model.
 */
export function lineItemOf(text: string | undefined): Pick<BilledLine, "model" | "item" | "kind" | "isSpecial"> {
  const [, tier, model, modality, kind = "", rest] =
    /^(?:([^|]+) \| )?([^,|\s]+)(?: ([^,|]+))?, ([^,]+)(?:, (.+))?$/.exec(text ?? "") ?? [];
  if (model === undefined) return { model: undefined, item: text };
  const isSpecial = tier !== undefined || (modality !== undefined && modality !== "text") || rest !== undefined;
  return { model, kind: KINDS[kind], isSpecial: isSpecial || KINDS[kind] === undefined };
}

/** `input_tokens` are all, those that were cached and those that were written to the cache included. */
function usageLine(result: Fields, span: BilledSpan, fail: Fail): BilledLine {
  const count = (name: string) => countOf(result, name, fail);
  const [cacheRead, cacheWrite] = [count("input_cached_tokens"), count("input_cache_write_tokens")];
  const tokens: BilledTokens = {
    input: Math.max(0, count("input_tokens") - cacheRead - cacheWrite),
    cacheRead,
    cacheWrite,
    cacheWrite1h: 0,
    output: count("output_tokens"),
  };
  const tier = textOf(result, "service_tier") ?? "default";
  const isSpecial = result.batch === true || (tier !== "default" && tier !== "standard") || OTHER_MEDIA.some((name) => count(name) > 0);
  return { ...span, model: textOf(result, "model"), cost: undefined, tokens, isSpecial };
}

/** Tokens that cost something else than those of texts. */
const OTHER_MEDIA = ["input_audio_tokens", "input_cached_audio_tokens", "output_audio_tokens", "input_image_tokens", "output_image_tokens"];
