import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import { ATTRIBUTES, PurserError, type Subject, type Usage } from "@purser/core";
import { suggestion } from "../config/nearest-name.ts";
import { csvCells, csvRow, type Fail, headingOf, type Row, readColumns, value } from "../delimited.ts";
import { DIALECTS, type DialectName } from "../providers/provider.ts";
import { type RecordedCall, usualDurationMs } from "./recorded-call.ts";

export interface TraceOptions {
  readonly file: string;
  /** What a column of the file is here: `{ ContextTokens: "input_tokens" }`. */
  readonly columns: ReadonlyMap<string, string>;
  /** The model of all calls, whatever the file says. */
  readonly model: string | undefined;
  /** When a trace begins whose times are `offset_ms`. Epoch milliseconds. */
  readonly start: number;
}

/** Attributes that a column may have; where a call goes is for the configuration to say. */
const WHO = ATTRIBUTES.filter((name) => name !== "provider" && name !== "model" && name !== "endpoint");
/** Kinds of tokens, by the names of their columns. */
const TOKENS = {
  input_tokens: "inputTokens",
  cache_read_input_tokens: "cacheReadInputTokens",
  cache_write_input_tokens: "cacheWriteInputTokens",
  audio_input_tokens: "audioInputTokens",
  image_input_tokens: "imageInputTokens",
  output_tokens: "outputTokens",
  reasoning_output_tokens: "reasoningOutputTokens",
} as const satisfies Readonly<Record<string, keyof Usage>>;
const COLUMNS = [
  "time",
  "offset_ms",
  "model",
  "provider",
  "endpoint",
  ...Object.keys(TOKENS),
  "max_output_tokens",
  "duration_ms",
  "cost",
  ...WHO,
] as const;

/** Reads a trace: CSV with a heading, or one JSON object a line. Throws `trace_invalid` with the line and what to do. */
export async function readTrace(options: TraceOptions): Promise<readonly RecordedCall[]> {
  const { file, columns } = options;
  const calls: RecordedCall[] = [];
  let heading: readonly string[] | undefined;
  let number = 0;
  for await (const line of createInterface({ input: createReadStream(file), crlfDelay: Number.POSITIVE_INFINITY })) {
    number++;
    const text = number === 1 ? line.replace(/^\uFEFF/, "") : line;
    if (text.trim() === "") continue;
    const fail = (what: string) => new PurserError("trace_invalid", `${file}, line ${number}: ${what}`);
    if (text.trimStart().startsWith("{")) calls.push(readCall(jsonRow(text, columns, fail), options, fail));
    else if (heading) calls.push(readCall(csvRow(text, heading, fail), options, fail));
    else heading = readHeading(text, columns, fail);
  }
  if (calls.length === 0) throw new PurserError("trace_invalid", `${file} has no calls. Each line after the heading is one.`);
  // Equal times stay in the order of the file.
  return calls.sort((a, b) => a.at - b.at);
}

function readHeading(line: string, columns: TraceOptions["columns"], fail: Fail): readonly string[] {
  const names = csvCells(line, fail);
  const known = headingOf(names, columns, fail);
  if (!known.includes("time") && !known.includes("offset_ms"))
    throw fail(`No column says when a call was made. Name it: --columns time=${names[0] ?? "COLUMN"}.`);
  for (const needed of ["input_tokens", "output_tokens"])
    if (!known.includes(needed))
      throw fail(`There is no column ${needed}. Name it: --columns ${needed}=COLUMN. Here are ${names.join(", ")}.`);
  return known;
}

function jsonRow(line: string, columns: TraceOptions["columns"], fail: Fail): Row {
  let fields: Record<string, unknown>;
  try {
    fields = JSON.parse(line);
  } catch (cause) {
    throw fail(`It is no JSON: ${(cause as Error).message}.`);
  }
  const texts = Object.entries(fields).filter(([, value]) => typeof value === "string" || typeof value === "number");
  return new Map(texts.map(([name, value]) => [columns.get(name) ?? name, String(value)]));
}

function readCall(row: Row, options: TraceOptions, fail: Fail): RecordedCall {
  const model = options.model ?? value(row, "model");
  if (model === undefined) throw fail("It does not say which model was asked. Give --model NAME for all calls.");
  const tokens = Object.entries(TOKENS).map(([name, kind]) => [kind, count(row, name, fail)] as const);
  const usage: Usage = Object.fromEntries(tokens.filter(([, amount]) => amount !== undefined));
  const { inputTokens, outputTokens } = usage;
  if (inputTokens === undefined || outputTokens === undefined)
    throw fail("It does not say how many input_tokens and output_tokens it had.");
  const endpoint = value(row, "endpoint") ?? "openai-chat";
  if (!isDialect(endpoint)) throw fail(`"${endpoint}" is no format of calls.${suggestion(endpoint, DIALECTS)}`);
  return {
    at: timeOf(row, options, fail),
    subject: subjectOf(row),
    endpoint,
    provider: value(row, "provider"),
    model,
    priceVariant: undefined,
    service: "standard",
    usage: { ...usage, inputTokens, outputTokens },
    inputTokensHeld: inputTokens,
    outputCap: count(row, "max_output_tokens", fail),
    durationMs: count(row, "duration_ms", fail) ?? usualDurationMs(outputTokens),
    isLost: false,
    cost: dollars(row, fail),
  };
}

function subjectOf(row: Row): Subject {
  const named = WHO.map((attribute) => [attribute, value(row, attribute)] as const).filter(([, text]) => text !== undefined);
  const tags = [...row].filter(([name, text]) => name.startsWith("tag.") && text !== "").map(([name, text]) => [name.slice(4), text]);
  return { ...Object.fromEntries(named), ...(tags.length > 0 && { tags: Object.fromEntries(tags) }) };
}

/** More tokens than any call has, and still far from where sums are not exact. */
const COUNT_MOST = 1e9;

function count(row: Row, name: string, fail: Fail): number | undefined {
  const text = value(row, name);
  if (text === undefined) return undefined;
  const number = Number(text);
  if (Number.isInteger(number) && number >= 0 && number <= COUNT_MOST) return number;
  throw fail(`"${text}" is no number for ${name}: it is a whole one from 0 on.`);
}

/** The column `cost` is in dollars. */
function dollars(row: Row, fail: Fail): number | undefined {
  const text = value(row, "cost");
  if (text === undefined) return undefined;
  const nanodollars = Math.round(Number(text.replace(/^\$/, "")) * 1e9);
  if (Number.isSafeInteger(nanodollars) && nanodollars >= 0) return nanodollars;
  throw fail(`"${text}" is no amount in dollars.`);
}

/** An instant; one without a zone is taken as UTC, with as many digits as it has. */
function timeOf(row: Row, { start }: TraceOptions, fail: Fail): number {
  const offset = value(row, "offset_ms");
  if (offset !== undefined) return start + (count(row, "offset_ms", fail) as number);
  const text = value(row, "time") ?? "";
  const [, day, time = "00:00", fraction = "", zone = "Z"] =
    /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d)?)(\.\d+)?\s*(Z|[+-]\d\d:?\d\d)?)?$/i.exec(text) ?? [];
  const instant = /^\d{12,}$/.test(text) ? Number(text) : Date.parse(`${day}T${time}${fraction.slice(0, 4)}${zone}`);
  if (!Number.isNaN(instant)) return instant;
  throw fail(`"${text}" is no time. Write 2026-11-20T12:00:00Z, or give offset_ms from the beginning on.`);
}

function isDialect(name: string): name is DialectName {
  return (DIALECTS as readonly string[]).includes(name);
}

/** Reads `--columns time=TIMESTAMP,input_tokens=ContextTokens`: which column of the file is which of ours. */
export function readTraceColumns(text: string): ReadonlyMap<string, string> {
  const fail = (what: string) => new PurserError("trace_invalid", what);
  return readColumns(text, { columns: COLUMNS, of: "a trace", fail, isOther: (name) => /^tag\../.test(name) });
}
