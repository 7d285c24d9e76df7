import { PurserError } from "@purser/core";
import { readAnthropicBucket } from "./anthropic-bill.ts";
import { type Bill, type BilledLine, type BilledSpan, dayText, type Fail, failAt } from "./bill.ts";
import { readOpenAiBucket } from "./openai-bill.ts";

/** One page of what an API answered, and where it is from: a file, or the address that answered. */
export interface Page {
  readonly buckets: readonly Fields[];
  readonly hasMore: boolean;
  readonly next: string | undefined;
  readonly place: string;
}

export type Fields = Readonly<Record<string, unknown>>;

/** What one bucket of time says. */
export interface BucketLines {
  /** `costs`, `usage of completions`; nothing where it is empty, so that nobody can tell. */
  readonly report: string | undefined;
  /** The exact beginning, in epoch milliseconds. */
  readonly startsAt: number;
  readonly span: BilledSpan;
  readonly lines: readonly BilledLine[];
}

/** Reads the pages of a text: one, several in a list, or one a line. Throws `bill_invalid` with the place and what to do. */
export function parsePages(text: string, place: string): readonly Page[] {
  const fail = failAt(place);
  return parseJson(text, fail).flatMap((value) => (Array.isArray(value) ? value : [value]).map((one) => pageOf(one, place)));
}

function parseJson(text: string, fail: Fail): readonly unknown[] {
  try {
    return [JSON.parse(text)];
  } catch (cause) {
    try {
      return text.split("\n").flatMap((line) => (line.trim() === "" ? [] : [JSON.parse(line)]));
    } catch {
      throw fail(`It is no JSON: ${(cause as Error).message}.`);
    }
  }
}

export function pageOf(value: unknown, place: string): Page {
  const { data, error, has_more: hasMore, next_page: next } = isFields(value) ? value : ({} as Fields);
  const fail = failAt(place);
  if (isFields(error)) throw fail(`It is an error that the provider answered: ${String(error.message ?? "without a reason")}`);
  if (!Array.isArray(data) || !data.every(isBucket))
    throw fail(
      "It has no `data` of buckets with `results`, as the costs and usage of OpenAI and Anthropic have. Other bills are read as CSV.",
    );
  return { buckets: data, hasMore: hasMore === true, next: typeof next === "string" && next !== "" ? next : undefined, place };
}

function isBucket(value: unknown): value is Fields {
  return isFields(value) && Array.isArray(value.results) && value.results.every(isFields);
}

export function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** What pages say that was billed, by whichever API they are of. `provider` is how the configuration calls it, where it does so otherwise. */
export function readPages(pages: readonly Page[], provider: string | undefined): Bill {
  const read = pages.flatMap((page) => page.buckets.map((bucket) => ({ page, ...readBucket(bucket, provider, failAt(page.place)) })));
  refuseTwice(read);
  return {
    lines: read.flatMap(({ lines }) => lines),
    spans: read.map(({ span }) => span),
    leftOut: [],
    notes: cutShort(read),
  };
}

interface PlacedBucket extends BucketLines {
  readonly page: Page;
}

function readBucket(bucket: Fields, provider: string | undefined, fail: Fail): BucketLines {
  if ("starting_at" in bucket) return readAnthropicBucket(bucket, provider ?? "anthropic", fail);
  return readOpenAiBucket(bucket, provider ?? "openai", fail);
}

/** What is given twice would be billed twice. */
function refuseTwice(buckets: readonly PlacedBucket[]): void {
  const places = new Map<string, string>();
  for (const { report, span, startsAt, page } of buckets) {
    if (report === undefined) continue;
    const key = `${span.provider} ${report} ${startsAt}`;
    const before = places.get(key);
    const where = before === page.place ? "stand in it twice" : `stand in ${before} too`;
    if (before !== undefined)
      throw failAt(page.place)(`The ${report} of ${dayText(startsAt)} at ${span.provider} ${where}. Give each page once.`);
    places.set(key, page.place);
  }
}

/** Says of which reports the last page that was given is not the last that there is. */
function cutShort(buckets: readonly PlacedBucket[]): readonly string[] {
  const last = new Map<string, PlacedBucket>();
  for (const bucket of buckets) {
    const key = `${bucket.span.provider} ${bucket.report}`;
    if (bucket.report !== undefined && bucket.startsAt >= (last.get(key)?.startsAt ?? 0)) last.set(key, bucket);
  }
  return [...last.values()]
    .filter(({ page }) => page.hasMore)
    .map(
      ({ page, report, startsAt }) =>
        `${page.place} says that there is more of the ${report} after ${dayText(startsAt)}, and it was not given.`,
    );
}

/** A count of tokens; none where the field is left out. */
export function countOf(fields: Fields, name: string, fail: Fail): number {
  const value = fields[name] ?? 0;
  if (Number.isSafeInteger(value) && (value as number) >= 0) return value as number;
  throw fail(`\`${name}\` is ${JSON.stringify(value)}, and no number of tokens.`);
}

export function textOf(fields: Fields, name: string): string | undefined {
  const value = fields[name];
  return typeof value === "string" && value !== "" ? value : undefined;
}

/** An address that did not answer with a page is no bill. */
export function unavailable(message: string, cause?: unknown): PurserError {
  return new PurserError("bill_unavailable", message, cause === undefined ? undefined : { cause });
}
