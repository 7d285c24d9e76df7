import type { Allowance, Budget } from "@purser/core";
import type { PriceOverride } from "@purser/core/prices";
import type { Channel } from "../alerts/channel.ts";
import type { GuardedBudget } from "../guards/guards.ts";
import type { Provider } from "../providers/provider.ts";

/** Everything the gateway was told, read once, checked and completed. Nothing else reads files or the environment. */
export interface Config {
  /** The file it was read from; none when everything is a default. */
  readonly file: string | undefined;
  readonly server: ServerConfig;
  /** The folder for the journal and the keys. */
  readonly dataDir: string;
  readonly providers: readonly Provider[];
  /** Which provider serves which models, in order, before the providers' own patterns: `{ pattern: "gpt-*", provider: "azure" }`. */
  readonly routes: readonly { readonly pattern: string; readonly provider: string }[];
  readonly budgets: readonly Budget[];
  /** Which budgets watch over their calls, and for what. */
  readonly guards: readonly GuardedBudget[];
  /** Where people are told. */
  readonly channels: readonly Channel[];
  readonly prices: readonly PriceOverride[];
  /** The price of every model that has none: the configured default of law 9. */
  readonly defaultPrice: PriceOverride | undefined;
  readonly allowances: readonly Allowance[];
  /** The output cap of a call that names none to a model whose maximum is unknown. */
  readonly defaultMaxOutput: number;
  /** Abort the provider and charge what was delivered, or read its answer to the end, when the caller goes away. */
  readonly onDisconnect: "abort" | "drain";
  /** What answers may reveal in headers. */
  readonly expose: { readonly cost: boolean; readonly left: boolean };
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
