import { type Config, sharedLedger } from "../config/config.ts";
import { type FamilyName, familiesOf } from "../providers/provider.ts";
import { entryText, missingKey } from "../providers/routing.ts";

/** How the gateway is configured now, without any secret: what an operator compares with what they meant. */
export interface SettingsJson {
  /** The configuration file; null where everything is a default. */
  readonly file: string | null;
  readonly data_dir: string;
  readonly node: string;
  readonly started_at: string;
  readonly time_zone: string;
  readonly server: {
    readonly host: string;
    readonly port: number;
    readonly public_url: string | null;
    readonly max_body_bytes: number;
    readonly drain_ms: number;
  };
  readonly store: StoreSettingsJson;
  readonly providers: readonly ProviderSettingsJson[];
  /** Which providers serve which models, before the providers' own patterns. */
  readonly routes: readonly RouteSettingsJson[];
  readonly calls: {
    readonly default_max_output: number;
    /** Null: what the model can read. */
    readonly unseen_input: number | null;
    readonly on_disconnect: "abort" | "drain";
    readonly shows_cost: boolean;
    readonly shows_left: boolean;
    readonly shows_owner: boolean;
  };
}

export interface StoreSettingsJson {
  readonly balances: "data folder" | "redis";
  /** Whose balances these are, where several gateways share them; null where they are this gateway's own. */
  readonly namespace: string | null;
  /** Whether it decides from allotments. */
  readonly leases: boolean;
  /** Where the ledger is kept for good. */
  readonly ledger: "data folder" | "redis" | "postgres";
}

export interface ProviderSettingsJson {
  readonly name: string;
  /** Where its calls go; without what an address could hide in its user, password or query. */
  readonly urls: readonly string[];
  readonly formats: readonly FamilyName[];
  readonly has_key: boolean;
  /** What is missing for calls to reach it; null where nothing is. */
  readonly problem: string | null;
  readonly timeout_ms: number;
}

export interface RouteSettingsJson {
  readonly pattern: string;
  /** The first choice first, each with its own name for the model where it has one: `openrouter/openai/gpt-4o`. */
  readonly providers: readonly string[];
  /** How many attempts a call has in all. */
  readonly attempts: number;
}

export function settingsJson(config: Config, startedAt: number): SettingsJson {
  const { server, store, defaultMaxOutput, unseenInput, onDisconnect, expose } = config;
  const shared = sharedLedger(store);
  return {
    file: config.file ?? null,
    data_dir: config.dataDir,
    node: process.version,
    started_at: new Date(startedAt).toISOString(),
    time_zone: config.timezone,
    server: {
      host: server.host,
      port: server.port,
      public_url: server.publicUrl ?? null,
      max_body_bytes: server.maxBodyBytes,
      drain_ms: server.drainMs,
    },
    store: {
      balances: shared === undefined ? "data folder" : "redis",
      namespace: shared === undefined ? null : store.namespace,
      leases: store.leases === true,
      ledger: store.postgres !== undefined ? "postgres" : shared === undefined ? "data folder" : "redis",
    },
    providers: config.providers.map((provider) => ({
      name: provider.name,
      urls: [...new Set(Object.values(provider.baseUrls).map(shownUrl))],
      formats: familiesOf(provider.baseUrls),
      has_key: provider.apiKey !== undefined,
      problem: missingKey(provider) ?? null,
      timeout_ms: provider.timeoutMs,
    })),
    routes: config.routes.map(({ pattern, entries, retry }) => ({
      pattern,
      providers: entries.map(entryText),
      attempts: retry?.attempts ?? 1,
    })),
    calls: {
      default_max_output: defaultMaxOutput,
      unseen_input: unseenInput ?? null,
      on_disconnect: onDisconnect,
      shows_cost: expose.cost,
      shows_left: expose.left,
      shows_owner: expose.owner,
    },
  };
}

/** An address without what could be a secret in it. Those with places for a model or region are no URLs yet, and have none. */
function shownUrl(url: string): string {
  if (!URL.canParse(url)) return url;
  const { origin, pathname } = new URL(url);
  return `${origin}${pathname === "/" ? "" : pathname}`;
}
