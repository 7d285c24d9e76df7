/** The wire formats that the gateway speaks. */
export const DIALECTS = ["openai-chat", "anthropic-messages"] as const;
export type DialectName = (typeof DIALECTS)[number];

/** How a provider wants to be told the key. */
export type AuthHeader = "authorization" | "x-api-key" | "api-key" | "x-goog-api-key";

/** What is known about a provider before anybody configures it: one data file each, see `presets/`. */
export interface ProviderPreset {
  readonly name: string;
  /** Where each dialect lives: `{ "openai-chat": "https://api.openai.com/v1" }`. Paths of the dialect are appended. */
  readonly baseUrls: { readonly [dialect in DialectName]?: string };
  readonly authHeader: AuthHeader;
  /** The environment variables that hold the key, the first that is set wins. */
  readonly env: readonly string[];
  /** Patterns of the models that it serves, for routing. */
  readonly models: readonly string[];
}

/** A provider as configured: where calls of each dialect go, and with which key. */
export interface Provider {
  readonly name: string;
  readonly baseUrls: { readonly [dialect in DialectName]?: string };
  readonly authHeader: AuthHeader;
  /** None: the caller's own key is passed through while every caller is the owner. */
  readonly apiKey: string | undefined;
  readonly models: readonly string[];
  /** Sent with every call. */
  readonly headers: Readonly<Record<string, string>>;
  /** The longest silence of the provider, before and between its bytes. */
  readonly timeoutMs: number;
}
