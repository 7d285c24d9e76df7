import { PurserError } from "@purser/core";
import type { Config } from "../config/config.ts";
import { suggestion } from "../config/nearest-name.ts";
import { PRESETS } from "../providers/presets/index.ts";
import { type Bill, type Days, joinedBills } from "./bill.ts";
import { isFields, type Page, pageOf, readPages, unavailable } from "./pages.ts";

/** An API that says what an organisation was billed. */
export interface BillingApi {
  /** For people. */
  readonly maker: string;
  /** Where such a key is made. */
  readonly keys: string;
  headers(key: string): Readonly<Record<string, string>>;
  /** Costs and usage, without their pages. */
  urls(base: string, days: Days): readonly URL[];
  /** Where it is, by the address of the provider's models. */
  readonly dialect: "openai-chat" | "anthropic-messages";
}

const APIS: Readonly<Record<string, BillingApi>> = {
  openai: {
    maker: "OpenAI",
    keys: "platform.openai.com/settings/organization/admin-keys",
    headers: (key) => ({ authorization: `Bearer ${key}` }),
    dialect: "openai-chat",
    urls: (base, { from, to }) => {
      const span = { start_time: String(from / 1000), end_time: String(to / 1000), bucket_width: "1d" };
      const usage = ["completions", "embeddings"].map((kind) =>
        urlOf(
          `${base}/organization/usage/${kind}`,
          { ...span, limit: "31" },
          kind === "completions" ? ["model", "batch", "service_tier"] : ["model"],
        ),
      );
      return [urlOf(`${base}/organization/costs`, { ...span, limit: "180" }, ["line_item"]), ...usage];
    },
  },
  anthropic: {
    maker: "Anthropic",
    keys: "console.anthropic.com/settings/admin-keys",
    headers: (key) => ({ "x-api-key": key, "anthropic-version": "2023-06-01" }),
    dialect: "anthropic-messages",
    urls: (base, { from, to }) => {
      const instant = (at: number) => new Date(at).toISOString().replace(".000", "");
      const span = { starting_at: instant(from), ending_at: instant(to), bucket_width: "1d", limit: "31" };
      return [
        urlOf(`${base}/v1/organizations/cost_report`, span, ["description"]),
        urlOf(`${base}/v1/organizations/usage_report/messages`, span, ["model", "service_tier", "context_window"]),
      ];
    },
  },
};

function urlOf(address: string, parts: Readonly<Record<string, string>>, groupBy: readonly string[]): URL {
  const url = new URL(address);
  for (const [name, text] of Object.entries(parts)) url.searchParams.set(name, text);
  for (const name of groupBy) url.searchParams.append("group_by[]", name);
  return url;
}

/** The providers that can be asked, since the key of an administrator is known. */
export function askableProviders({ providers }: Pick<Config, "providers">): readonly string[] {
  return providers.filter(({ adminKey }) => adminKey !== undefined).map(({ name }) => name);
}

export interface FetchOptions {
  /** As the configuration calls it. */
  readonly provider: string;
  readonly days: Days;
  readonly config: Pick<Config, "providers">;
}

/** Asks a provider for what it billed and counted on some days. Throws with what to do where it does not say. */
export async function fetchBill({ provider, days, config }: FetchOptions): Promise<Bill> {
  const place = placeOf(provider, config);
  const { api, base, key } = place;
  if (key === undefined)
    throw new PurserError(
      "provider_key_missing",
      `${api.maker} says what it billed to administrators only. Make a key at ${api.keys} and set ${place.variable}; or save the answers and name the files.`,
    );
  const bills: Bill[] = [];
  for (const url of api.urls(base, days)) bills.push(readPages(await pagesOf(url, place, key), provider));
  return joinedBills(bills);
}

interface BillingPlace {
  readonly api: BillingApi;
  readonly base: string;
  /** The key of an administrator, and the variable that it is usually in. */
  readonly key: string | undefined;
  readonly variable: string;
  readonly patienceMs: number;
}

/** The API of a provider that is one of the known ones, or is said to have an administrator and speaks as one of them does. */
function placeOf(name: string, { providers }: Pick<Config, "providers">): BillingPlace {
  const names = providers.map((one) => one.name);
  const provider = providers.find((one) => one.name === name);
  if (!provider) throw unavailable(`There is no provider ${name} in purser.yaml.${suggestion(name, names)}`);
  const { baseUrls, adminKey: key, timeoutMs } = provider;
  const spoken = key === undefined ? undefined : Object.keys(APIS).find((one) => baseUrls[(APIS[one] as BillingApi).dialect] !== undefined);
  const known = Object.hasOwn(APIS, name) ? name : spoken;
  const api = known === undefined ? undefined : APIS[known];
  const base = api && baseUrls[api.dialect];
  const variable = PRESETS.get(known ?? "")?.adminEnv?.[0] ?? "";
  const patienceMs = Math.min(PATIENCE_MS, timeoutMs);
  if (api && base !== undefined) return { api, base: base.replace(/\/$/, ""), key, variable, patienceMs };
  throw unavailable(
    `${name} has no address at which Purser could ask what it billed: OpenAI and Anthropic have. Save its bill as CSV: purser reconcile FILE --provider ${name}.`,
  );
}

/** More than any span of days has: an address that goes on and on is no API of bills. */
const PAGES_MOST = 500;

async function pagesOf(url: URL, place: BillingPlace, key: string): Promise<readonly Page[]> {
  const pages: Page[] = [];
  const asked = new Set<string>();
  for (let next: string | undefined = ""; next !== undefined; ) {
    if (next !== "") url.searchParams.set("page", next);
    if (asked.has(next) || pages.length === PAGES_MOST)
      throw unavailable(`${place.api.maker} says again and again that there is another page of ${url.pathname}. Try it for fewer days.`);
    asked.add(next);
    const page: Page = pageOf(await answerOf(url, place, key), url.origin + url.pathname);
    pages.push({ ...page, hasMore: page.hasMore && page.next === undefined });
    next = page.hasMore ? page.next : undefined;
  }
  return pages;
}

/** An answer about a month takes seconds. */
const PATIENCE_MS = 60_000;

async function answerOf(url: URL, place: BillingPlace, key: string): Promise<unknown> {
  const { api, patienceMs } = place;
  let response: Response;
  let text: string;
  try {
    // A key must not follow to wherever an answer points.
    response = await fetch(url, { headers: api.headers(key), redirect: "error", signal: AbortSignal.timeout(patienceMs) });
    text = await response.text();
  } catch (cause) {
    const isLate = cause instanceof DOMException && cause.name === "TimeoutError";
    if (isLate)
      throw new PurserError("provider_timeout", `${url.origin} did not answer within ${patienceMs / 1000} s. Try again later.`, { cause });
    const why = cause instanceof Error && cause.cause instanceof Error ? ` (${cause.cause.message})` : "";
    throw new PurserError("provider_unreachable", `${url.origin} cannot be reached${why}. Is its base_url right?`, { cause });
  }
  const answer = jsonOf(text);
  if (!response.ok) throw refused(response, answer, place, key);
  if (answer === undefined)
    throw unavailable(`${url.origin}${url.pathname} answered with something else than JSON. Is its base_url that of ${api.maker}?`);
  return answer;
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function refused(
  { status, headers }: Response,
  answer: unknown,
  { api: { maker, keys }, variable }: BillingPlace,
  key: string,
): PurserError {
  const error = isFields(answer) && isFields(answer.error) ? answer.error.message : undefined;
  const reason = typeof error === "string" ? ` It says: ${error.replaceAll(key, "…")}` : "";
  if (status === 401 || status === 403)
    return unavailable(
      `${maker} answered ${status}: ${variable} must be the key of an administrator, made at ${keys}. Keys for models do not do.${reason}`,
    );
  if (status === 429) {
    const after = headers.get("retry-after");
    return unavailable(
      `${maker} answered 429: it was asked too often.${after === null ? " Try again in a minute." : ` Try again in ${after} s.`}${reason}`,
    );
  }
  return unavailable(`${maker} answered ${status}.${status >= 500 ? " Try again later." : ""}${reason}`);
}
