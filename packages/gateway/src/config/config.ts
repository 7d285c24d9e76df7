import type { Budget } from "@purser/core";
import type { PriceOverride } from "@purser/core/prices";
import type { Channel } from "../alerts/channel.ts";
import type { EndingWatch, ShareWatch, WatchedBudget } from "../alerts/watch.ts";
import type { Commitment } from "../commitments/commitment.ts";
import type { GuardedBudget } from "../guards/guards.ts";
import type { PersonRole, StoredPerson } from "../people/person.ts";
import type { Provider } from "../providers/provider.ts";
import type { ConfiguredRoute } from "../providers/routing.ts";
import type { AnswerList } from "../rungs/answer-list.ts";
import type { ConfiguredAllowance } from "./allowances.ts";
import type { ConfiguredModel } from "./counted-models.ts";

/** Everything the gateway was told, read once, checked and completed. Nothing else reads files or the environment. */
export interface Config {
  /** The file it was read from; none when everything is a default. */
  readonly file: string | undefined;
  /** Other files that it names, by their whole paths. */
  readonly otherFiles: readonly string[];
  readonly server: ServerConfig;
  /** The folder for the journal and the keys. */
  readonly dataDir: string;
  readonly store: StoreConfig;
  readonly providers: readonly Provider[];
  /** Which providers serve which models, in order, before the providers' own patterns. */
  readonly routes: readonly ConfiguredRoute[];
  /** How models are counted, where that is said. */
  readonly models: readonly ConfiguredModel[];
  readonly budgets: readonly Budget[];
  /** Which budgets watch over their calls, and for what. */
  readonly guards: readonly GuardedBudget[];
  /** What of budgets is told beside the thresholds of their ladders. */
  readonly watched: readonly WatchedBudget[];
  /** From which share of failing calls on people are told of a provider. */
  readonly failing: readonly ShareWatch[];
  /** Below which share of what a provider billed people are told. */
  readonly captured: readonly ShareWatch[];
  /** From which share of a commitment on that will be paid for nothing people are told. */
  readonly unused: readonly ShareWatch[];
  /** From which share of an allowance on that is used people are told. */
  readonly allowanceUsed: readonly ShareWatch[];
  /** How long before a commitment or an allowance ends people are told. */
  readonly ending: readonly EndingWatch[];
  /** Where people are told. */
  readonly channels: readonly Channel[];
  /** Questions whose answers are ready, by the names that ladders use. */
  readonly answers: ReadonlyMap<string, AnswerList>;
  /** The zone whose calendar holds where nothing else says. */
  readonly timezone: string;
  readonly prices: readonly PriceOverride[];
  /** The price of every model that has none: the configured default of law 9. */
  readonly defaultPrice: PriceOverride | undefined;
  readonly allowances: readonly ConfiguredAllowance[];
  /** What was promised to providers. */
  readonly commitments: readonly Commitment[];
  /** The output cap of a call that names none to a model whose maximum is unknown. */
  readonly defaultMaxOutput: number;
  /** What is held for input that a call names and does not carry. None: what the model can read. */
  readonly unseenInput: number | undefined;
  /** Whether all that an answer can have is held, or of a stream what is usual, and more as it needs it. */
  readonly holds: "full" | "learned";
  /** Abort the provider and charge what was delivered, or read its answer to the end, when the caller goes away. */
  readonly onDisconnect: "abort" | "drain";
  /** Who signs in to the screen, besides with a token or key. */
  readonly login: LoginConfig;
  /** Where traces and metrics go; nowhere if it is left out. */
  readonly telemetry: TelemetryConfig | undefined;
  /** What answers may reveal in headers. */
  readonly expose: { readonly cost: boolean; readonly left: boolean; readonly owner: boolean };
}

/** Where balances and ledger live. */
export interface StoreConfig {
  /** A Redis or Valkey that several gateways share: its address, or those of some nodes of a cluster. The data folder where it is left out. */
  readonly redis?: readonly string[] | undefined;
  /** The sentinels that know which server is the primary; the host of `redis` is their name for it. */
  readonly sentinels?: readonly string[] | undefined;
  /** Whose balances these are: gateways with the same namespace share them. */
  readonly namespace: string;
  /** Whether a gateway decides from allotments of that Redis what it can. */
  readonly leases?: boolean | undefined;
  /** The address of a PostgreSQL database, with user and password: the book of record. */
  readonly postgres?: string | undefined;
}

export interface LoginConfig {
  readonly people: readonly StoredPerson[];
  readonly oidc: OidcConfig | undefined;
}

/** Nobody signs in by name. */
export const NO_LOGIN: LoginConfig = { people: [], oidc: undefined };

/** A provider of identities, by OpenID Connect. */
export interface OidcConfig {
  readonly issuer: string;
  readonly clientId: string;
  /** None for a client that has no secret. */
  readonly clientSecret: string | undefined;
  readonly scopes: readonly string[];
  /** The claim that is somebody's name here. */
  readonly name: string;
  /** Which values of which claim give which role. */
  readonly roles: { readonly claim: string } & { readonly [role in PersonRole]: readonly string[] };
  /** What those get who have none of these values. */
  readonly otherwise: "refuse" | "member" | "viewer";
  /** What it is called on the screen. */
  readonly label: string;
}

/** An OpenTelemetry collector, and what it is told. */
export interface TelemetryConfig {
  /** Its base URL: `/v1/traces` and `/v1/metrics` are appended. */
  readonly otlp: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly serviceName: string;
  /** Which share of the traces that begin here is sent, from 0 to 1. Those that callers began are sent as they decided. */
  readonly sample: number;
  /** What else is said of this gateway: `{ "deployment.environment.name": "production" }`. */
  readonly attributes: Readonly<Record<string, string>>;
}

/** Balances in the data folder, and nothing elsewhere. */
export const EMBEDDED: StoreConfig = { namespace: "purser" };

/** The name of the ledger that the gateways on one Redis have together; none where a gateway has its own. */
export function sharedLedger({ redis, namespace }: StoreConfig): string | undefined {
  return redis && `redis/${namespace}`;
}

export interface ServerConfig {
  readonly host: string;
  readonly port: number;
  /** Where people reach the server, for links; where it listens, if it is left out. */
  readonly publicUrl: string | undefined;
  readonly maxBodyBytes: number;
  /** How long running calls may take to end when the server is told to stop. */
  readonly drainMs: number;
}
