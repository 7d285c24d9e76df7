import type { IncomingMessage } from "node:http";
import { type Admitted, admittedBody } from "./budgeted-call.ts";
import type { Caller } from "./callers/identify.ts";
import type { Dialect } from "./dialects/dialect.ts";
import { ACCOUNT_HEADERS, credentialHeader, forwardedHeaders, headerLines, ownHeaders } from "./headers.ts";
import type { Provider } from "./providers/provider.ts";
import type { RoutedCall } from "./rungs/climb.ts";
import { targetOf } from "./target.ts";
import type { UpstreamRequest } from "./upstream.ts";

/** What of a client's request goes to the provider, beside its body. */
export type ClientRequest = Pick<IncomingMessage, "headers" | "rawHeaders" | "url">;

/** An admitted call as its provider gets it. */
export function upstreamRequest(request: ClientRequest, routed: RoutedCall, decision: Admitted | undefined): UpstreamRequest {
  const { provider, dialect, names, sentAs, caller } = routed;
  const { origin, path } = targetOf({ provider, dialect, names, url: request.url ?? "", model: sentAs });
  const headers = upstreamHeaders(request, dialect, provider, caller);
  return { origin, path, headers, body: admittedBody(routed, decision), timeoutMs: provider.timeoutMs };
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
