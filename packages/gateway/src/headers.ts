import type { AuthHeader, Provider } from "./providers/provider.ts";

/** Headers that belong to one connection, or that we write ourselves (RFC 9110, section 7.6.1). */
const NOT_FORWARDED = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "proxy-authenticate",
  "proxy-authorization",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "host",
  "content-length",
  "expect",
  "accept-encoding",
  // Credentials are the gateway's to choose, and cookies belong to another site.
  "authorization",
  "x-api-key",
  "api-key",
  "x-goog-api-key",
  "x-amz-security-token",
  "x-amz-date",
  "x-amz-content-sha256",
  "cookie",
  "forwarded",
  // Where a caller comes from is not the provider's business.
  "x-forwarded-for",
  "x-forwarded-host",
  "x-forwarded-proto",
  "x-real-ip",
  "baggage",
  // Parts of an answer, or none: what it used would not be in it.
  "range",
  "if-match",
  "if-none-match",
  "if-modified-since",
  "if-unmodified-since",
  "if-range",
  "x-goog-fieldmask",
  "x-http-method-override",
]);

const NOT_RETURNED = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "transfer-encoding",
  "upgrade",
  "trailer",
  "set-cookie",
  "alt-svc",
]);

/** Headers that choose whose account pays. With a key that is ours, that is ours to choose. */
export const ACCOUNT_HEADERS: ReadonlySet<string> = new Set(["openai-organization", "openai-project", "x-goog-user-project"]);

/** The headers to send to a provider: the caller's own, but for what belongs to the connection, to us, or names who they are. */
export function forwardedHeaders(
  raw: readonly string[],
  { names: replaced, lines }: HeaderLines,
  withheld: ReadonlySet<string> = NONE,
): string[] {
  // Compressed answers could not be metered.
  const headers = ["accept-encoding", "identity"];
  const connection = namesInConnection(raw);
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = (raw[i] as string).toLowerCase();
    if (NOT_FORWARDED.has(name) || name.startsWith("x-purser-") || connection.has(name) || replaced.has(name) || withheld.has(name))
      continue;
    headers.push(name, raw[i + 1] as string);
  }
  for (const text of lines) headers.push(text);
  return headers;
}

/** Headers of ours, which stand in the place of what the caller calls the same. */
export interface HeaderLines {
  readonly names: ReadonlySet<string>;
  /** Names and values in turn. */
  readonly lines: readonly string[];
}

export function headerLines(headers: Readonly<Record<string, string>>): HeaderLines {
  return { names: new Set(Object.keys(headers).map((name) => name.toLowerCase())), lines: Object.entries(headers).flat() };
}

/** The headers of providers that have a key of ours, made once for each provider of a configuration. */
const known = new WeakMap<Provider, Map<AuthHeader, HeaderLines>>();

export function ownHeaders(provider: Provider, header: AuthHeader): HeaderLines {
  const ofProvider = known.get(provider) ?? new Map<AuthHeader, HeaderLines>();
  known.set(provider, ofProvider);
  let lines = ofProvider.get(header);
  if (!lines) {
    lines = headerLines({ ...provider.headers, ...credentialHeader(header, provider.apiKey ?? "") });
    ofProvider.set(header, lines);
  }
  return lines;
}

/** The headers of a provider's answer that the client is to get, names and values in turn. */
export function returnedHeaders(raw: readonly string[], without: ReadonlySet<string>): string[] {
  const headers: string[] = [];
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = (raw[i] as string).toLowerCase();
    if (!NOT_RETURNED.has(name) && !without.has(name)) headers.push(raw[i] as string, raw[i + 1] as string);
  }
  return headers;
}

export function credentialHeader(header: AuthHeader, key: string): Record<string, string> {
  return { [header]: header === "authorization" ? `Bearer ${key}` : key };
}

export function headerValue(raw: readonly string[], wanted: string): string | undefined {
  for (let i = 0; i + 1 < raw.length; i += 2) if ((raw[i] as string).toLowerCase() === wanted) return raw[i + 1];
  return undefined;
}

/** A header carries ASCII only. */
export function headerText(text: string): string {
  return /^[\x20-\x7e]*$/.test(text) ? text : encodeURI(text);
}

/** `Connection: close, x-internal` makes `x-internal` a header of this connection too. */
function namesInConnection(raw: readonly string[]): ReadonlySet<string> {
  const value = headerValue(raw, "connection");
  if (value === undefined || value === "keep-alive" || value === "close") return NONE;
  return new Set(
    value
      .toLowerCase()
      .split(",")
      .map((name) => name.trim()),
  );
}

const NONE: ReadonlySet<string> = new Set();
