import { invalid, optionalBoolean, optionalList, optionalObject } from "../body-fields.ts";
import { HOSTED_RESULT_TOKENS, HOSTED_TOOL_USES } from "../hosted-tools.ts";
import { type JsonBody, memberValue } from "../json-body.ts";
import { isRecord, listOf, recordOf } from "../json-value.ts";

/** These models search the web once for every call, asked or not. */
const SEARCH_MODEL = /search-(?:preview|api)/;
/** Tools that the caller runs; all others run at the provider, which charges for them. */
const CALLERS_OWN = new Set<unknown>([undefined, "function", "custom"]);
/** xAI searches so many sources, and charges each, where the call names no number. */
const LIVE_SEARCH_SOURCES = 20;
/** No provider has more. */
const TOOLS_MOST = 32;

const NO_TOOLS: Record<string, number> = {};

/**
 * What the provider may do for a call beside answering and charges by use, by names in the rate card. No usage in this format says how
 * often it was done, so that one use is charged for each tool that the call allows.
 */
export function chargedTools(body: JsonBody, model: string): Record<string, number> {
  const uses = new Map<string, number>();
  if (SEARCH_MODEL.test(model)) uses.set(model.includes("search-preview") ? "web_search_preview" : "web_search", 1);
  else if (optionalObject(body, "web_search_options") !== undefined || asksQwenToSearch(body)) uses.set("web_search", 1);
  const liveSearch = optionalObject(body, "search_parameters");
  if (liveSearch && liveSearch.mode !== "off") uses.set("live_search", sourcesOf(liveSearch.max_search_results));
  if (optionalList(body, "tools") > 0)
    for (const tool of listOf(memberValue(body, "tools"))) if (isRecord(tool) && !CALLERS_OWN.has(tool.type)) uses.set(nameOf(tool), 1);
  // OpenRouter's: each of them works on the call, and some cost.
  if (body.members.has("plugins"))
    for (const plugin of listOf(memberValue(body, "plugins"))) uses.set(shortName(`plugin_${String(recordOf(plugin).id)}`), 1);
  if (uses.size === 0) return NO_TOOLS;
  if (uses.size > TOOLS_MOST) throw invalid(`The call has more than ${TOOLS_MOST} kinds of tools that its provider runs. Send fewer.`);
  return Object.fromEntries(uses);
}

/** How much what tools at the provider find may give the model to read. Models that are made for searching have it in their fee. */
export function readByTools(uses: Readonly<Record<string, number>>, model: string): number {
  return Object.keys(uses).length > 0 && !model.includes("search-preview") ? HOSTED_TOOL_USES * HOSTED_RESULT_TOKENS : 0;
}

function asksQwenToSearch(body: JsonBody): boolean {
  return optionalBoolean(body, "enable_search");
}

function sourcesOf(most: unknown): number {
  return typeof most === "number" && Number.isInteger(most) && most >= 0 && most <= 1_000 ? most : LIVE_SEARCH_SOURCES;
}

/** `browser_search`; Moonshot's `builtin_function` that is called `$web_search`. */
function nameOf({ type, function: called }: Record<string, unknown>): string {
  const name = type === "builtin_function" ? String(recordOf(called).name) : String(type);
  return shortName(name.replace(/^\$/, "").replace(/_\d{4}_?\d\d_?\d\d$/, ""));
}

/** Names come from callers, and stand in refusals and in the ledger. */
function shortName(name: string): string {
  return name.slice(0, 64);
}
