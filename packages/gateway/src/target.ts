import { PurserError } from "@purser/core";
import type { Dialect } from "./dialects/dialect.ts";
import { fillPath, type PathNames } from "./dialects/path.ts";
import type { Provider } from "./providers/provider.ts";

/** Where a call goes. */
export interface Target {
  readonly origin: string;
  readonly path: string;
}

export interface Addressed {
  readonly provider: Provider;
  readonly dialect: Dialect;
  /** The target of the request as it came, and what its path names. */
  readonly url: string;
  readonly names: PathNames;
  /** The model as the provider is to be told. */
  readonly model: string;
}

/** Azure's address without a date. Calls with an `api-version` go to what stands beside it, and some name a deployment there. */
const AZURE_UNDATED = "/openai/v1";

/** A key in the query is ours or nobody's. The others are Google's ways to have usage left out of an answer, or written as no JSON. */
const NOT_FORWARDED = ["key", "fields", "$fields", "$alt", "callback"];

/** Where a call goes. Query parameters such as Anthropic's `?beta=true` and Google's `?alt=sse` go along. */
export function targetOf({ provider, dialect, url, names, model }: Addressed): Target {
  const base = baseOf(provider, dialect);
  const isDated = url.startsWith("/openai/") && !url.startsWith(`${AZURE_UNDATED}/`);
  const [, query = ""] = url.split("?");
  if (query === "" && !isDated && !dialect.path.includes("{")) return base;
  const parameters = new URLSearchParams(query);
  for (const name of NOT_FORWARDED) parameters.delete(name);
  if (parameters.getAll("alt").some((form) => form !== "sse")) parameters.delete("alt");
  let path = withoutPath(base, dialect);
  if (isDated && path.endsWith(AZURE_UNDATED)) {
    path = path.slice(0, -"/v1".length) + (names.deployment === undefined ? "" : `/deployments/${encodeURIComponent(model)}`);
  } else if (isDated) {
    parameters.delete("api-version");
  }
  path += fillPath(dialect.path, { ...names, model });
  return { origin: base.origin, path: parameters.size === 0 ? path : `${path}?${parameters}` };
}

function withoutPath({ path }: Target, dialect: Dialect): string {
  return path.slice(0, path.length - dialect.path.length);
}

/** Addresses as URLs, taken apart once for each provider of a configuration. */
const bases = new WeakMap<Provider, Map<Dialect, Target>>();

/** The provider's address with the path of the dialect, whose braces are still to be filled. */
function baseOf(provider: Provider, dialect: Dialect): Target {
  const known = bases.get(provider) ?? new Map<Dialect, Target>();
  bases.set(provider, known);
  let base = known.get(dialect);
  if (!base) {
    const url = provider.baseUrls[dialect.name];
    if (url === undefined)
      throw new PurserError("internal", `Provider ${provider.name} was chosen for ${dialect.name}, which it does not speak.`);
    const { origin, pathname } = new URL(url);
    base = { origin, path: pathname.replace(/\/$/, "") + dialect.path };
    known.set(dialect, base);
  }
  return base;
}
