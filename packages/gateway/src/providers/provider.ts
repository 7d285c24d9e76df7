/** Wire formats by who made them. Those of one maker live at one address, and who speaks one of them mostly speaks them all. */
export const FAMILIES = {
  openai: [
    "openai-chat",
    "openai-responses",
    "openai-completions",
    "openai-embeddings",
    "openai-moderations",
    "openai-images",
    "openai-speech",
    "openai-transcriptions",
  ],
  anthropic: ["anthropic-messages"],
  gemini: ["gemini-content", "gemini-interactions", "gemini-embeddings"],
  vertex: ["vertex-content", "vertex-messages"],
  ollama: ["ollama-chat", "ollama-generate", "ollama-embeddings"],
  cohere: ["cohere-chat", "cohere-embed"],
  bedrock: ["bedrock-converse", "bedrock-invoke"],
} as const;

export type FamilyName = keyof typeof FAMILIES;
export type DialectName = (typeof FAMILIES)[FamilyName][number];

export const FAMILY_NAMES = Object.keys(FAMILIES) as readonly FamilyName[];
/** The wire formats that the gateway speaks. */
export const DIALECTS: readonly DialectName[] = Object.values(FAMILIES).flat();

/** Where each dialect lives: `{ "openai-chat": "https://api.openai.com/v1" }`. Paths of the dialect are appended. */
export type BaseUrls = { readonly [dialect in DialectName]?: string };

/** One address for several dialects. */
export function at<Name extends DialectName>(url: string, dialects: readonly Name[]): { readonly [dialect in Name]: string } {
  return Object.fromEntries(dialects.map((dialect) => [dialect, url])) as { [dialect in Name]: string };
}

/** The dialects that a word of the configuration means: one by its own name, or all of a family. */
export function dialectsOf(word: FamilyName | DialectName): readonly DialectName[] {
  return word in FAMILIES ? FAMILIES[word as FamilyName] : [word as DialectName];
}

/** The families of which the addresses have a dialect. */
export function familiesOf(baseUrls: BaseUrls): readonly FamilyName[] {
  return FAMILY_NAMES.filter((family) => FAMILIES[family].some((dialect) => baseUrls[dialect] !== undefined));
}

/** How a provider wants to be told the key. */
export type AuthHeader = "authorization" | "x-api-key" | "api-key" | "x-goog-api-key";

/** What is known about a provider before anybody configures it: one data file each, see `presets/`. */
export interface ProviderPreset {
  readonly name: string;
  readonly baseUrls: BaseUrls;
  /** None: whichever is usual in the dialect of a call. */
  readonly authHeader: AuthHeader | undefined;
  /** The environment variables that hold the key, the first that is set wins. */
  readonly env: readonly string[];
  /** The same for the key of an administrator, which says what was billed. */
  readonly adminEnv?: readonly string[];
  /** Patterns of the models that it serves, for routing. */
  readonly models: readonly string[];
  /** Whether its streams have their usage without being asked for it, and a call that asks is refused. */
  readonly refusesToBeAskedForUsage?: true;
}

/** A provider as configured: where calls of each dialect go, and with which key. */
export interface Provider {
  readonly name: string;
  readonly baseUrls: BaseUrls;
  /** None: whichever is usual in the dialect of a call. */
  readonly authHeader: AuthHeader | undefined;
  /** None: the caller's own key is passed through while every caller is the owner. */
  readonly apiKey: string | undefined;
  /** The key of an administrator. It asks what was billed, and is sent with no call. */
  readonly adminKey?: string | undefined;
  readonly models: readonly string[];
  /** Names of its own for models, as Azure has them: `{ "our-chat": "gpt-4o" }`. */
  readonly deployments: Readonly<Record<string, string>>;
  /** Whether its streams have their usage without being asked for it, and a call that asks is refused. */
  readonly refusesToBeAskedForUsage?: true;
  /** Sent with every call. */
  readonly headers: Readonly<Record<string, string>>;
  /** The longest silence of the provider, before and between its bytes. */
  readonly timeoutMs: number;
}
