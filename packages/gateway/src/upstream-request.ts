import type { IncomingMessage } from "node:http";
import { type Admitted, admittedBody } from "./budgeted-call.ts";
import type { Caller } from "./callers/identify.ts";
import type { Dialect } from "./dialects/dialect.ts";
import { ACCOUNT_HEADERS, credentialHeader, forwardedHeaders, headerLines, ownHeaders } from "./headers.ts";
import type { Provider } from "./providers/provider.ts";
import type { RoutedCall } from "./rungs/climb.ts";
import { targetOf } from "./target.ts";
import { headersOf, streamQueryOf } from "./translation/translation.ts";
import type { UpstreamRequest } from "./upstream.ts";

/** What of a client's request goes to the provider, beside its body. */
export type ClientRequest = Pick<IncomingMessage, "headers" | "rawHeaders" | "url">;

/** An admitted call as its provider gets it. `trace`: what stands in the place of the caller's own trace headers. */
export function upstreamRequest(
  request: ClientRequest,
  routed: RoutedCall,
  decision: Admitted | undefined,
  trace?: readonly string[],
): UpstreamRequest {
  const { provider, dialect, names, sentAs, caller, asked, call } = routed;
  // What the client's address and headers say, they say in another format.
  const url = asked ? `?${call.stream ? streamQueryOf(dialect.name) : ""}` : (request.url ?? "");
  const { origin, path } = targetOf({ provider, dialect, names, url, model: sentAs });
  const headers = asked ? translatedHeaders(request, dialect, provider) : upstreamHeaders(request, dialect, provider, caller);
  if (trace) replaceTrace(headers, trace);
  return { origin, path, headers, body: admittedBody(routed, decision), timeoutMs: provider.timeoutMs };
}

const TRACE_HEADERS: ReadonlySet<string> = new Set(["traceparent", "tracestate"]);

function replaceTrace(headers: string[], trace: readonly string[]): void {
  for (let i = headers.length - 2; i >= 0; i -= 2) if (TRACE_HEADERS.has(headers[i] as string)) headers.splice(i, 2);
  headers.push(...trace);
}

/** Of the client's own headers only those that follow a call through all that it passes. */
const OF_ANY_FORMAT: ReadonlySet<string> = new Set(["content-type", "traceparent", "tracestate"]);

/** The headers of a call in another format than its client's. The client's own key is for another provider, and stays here. */
function translatedHeaders({ rawHeaders }: ClientRequest, dialect: Dialect, provider: Provider): string[] {
  const kept = rawHeaders.filter((_, i) => OF_ANY_FORMAT.has((rawHeaders[i - (i % 2)] as string).toLowerCase()));
  const own =
    provider.apiKey === undefined ? headerLines(provider.headers) : ownHeaders(provider, provider.authHeader ?? dialect.authHeader);
  const needed = Object.entries(headersOf(dialect.name)).filter(([name]) => !own.names.has(name));
  return forwardedHeaders([...kept, ...needed.flat()], own);
}

/** The provider's own key, or the caller's as it came: a login and a key travel in different headers. */
export function upstreamHeaders(
  { headers, rawHeaders }: ClientRequest,
  dialect: Pick<Dialect, "authHeader">,
  provider: Provider,
  { providerKey }: Pick<Caller, "providerKey">,
): string[] {
  const usual = provider.authHeader ?? dialect.authHeader;
  if (provider.apiKey !== undefined) return forwardedHeaders(rawHeaders, ownHeaders(provider, usual), ACCOUNT_HEADERS);
  const header = providerKey !== undefined && headers.authorization?.endsWith(providerKey) ? "authorization" : usual;
  const credential = providerKey === undefined ? {} : credentialHeader(header, providerKey);
  return forwardedHeaders(rawHeaders, headerLines({ ...provider.headers, ...credential }));
}
