import { existsSync, readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { PurserError, parseMode } from "@purser/core";
import type { Provider } from "../providers/provider.ts";
import { configuredProviderWatches, configuredWatches, warnOfUntoldTrials } from "./alerts.ts";
import { configuredAllowances } from "./allowances.ts";
import { configuredAnswers, warnOfUnasked } from "./answers.ts";
import { configuredBudgets } from "./budgets.ts";
import { configuredChannels } from "./channels.ts";
import { configuredCommitments } from "./commitments.ts";
import type { Config, ServerConfig, TelemetryConfig } from "./config.ts";
import { configuredModels } from "./counted-models.ts";
import { CONFIGURATION, type ConfigurationFields, DEFAULTS } from "./description.ts";
import type { Located } from "./field.ts";
import { configuredGuards } from "./guards.ts";
import { configuredLogin } from "./login.ts";
import { configuredDefaultPrice, configuredPrices } from "./prices.ts";
import { configuredProvider, type Environment, presetProviders } from "./providers.ts";
import { configuredRoutes } from "./routes.ts";
import { openSource, type Problem, problemText } from "./source.ts";

/** The file that is read where none is named. */
export const CONFIG_FILE = "purser.yaml";

export interface ConfigInput {
  /** The file to read. Without it, `purser.yaml` in the working folder, if there is one. */
  readonly file?: string | undefined;
  /** The text of the file, where it is at hand already. */
  readonly text?: string | undefined;
  readonly environment: Environment;
  /** What the command line says. It wins over the environment, which wins over the file. */
  readonly flags?: ConfigFlags | undefined;
  /** The working folder; the process's own where it is left out. */
  readonly cwd?: string | undefined;
  /** Epoch milliseconds, for what is over by then; now where it is left out. */
  readonly now?: number | undefined;
}

export interface ConfigFlags {
  readonly host?: string | undefined;
  readonly port?: string | number | undefined;
  readonly data?: string | undefined;
}

/** What a reading found: a configuration where there is no problem, and all problems where there is one. */
export type Reading = (
  | { readonly config: Config; readonly problems: readonly [] }
  | { readonly config: undefined; readonly problems: readonly Problem[] }
) & {
  readonly warnings: readonly Problem[];
  /** Other files that were read for it, by their whole paths. */
  readonly otherFiles: readonly string[];
};

/** Reads the configuration. Throws `config_invalid` with every problem in it, or `config_missing` where a named file cannot be read. */
export function readConfig(input: ConfigInput & { readonly onWarning?: (warning: Problem) => void }): Config {
  return acceptedConfig(examineConfig(input), input.onWarning);
}

/** The configuration that was read, where nothing is wrong with it. Throws `config_invalid` with every problem in it. */
export function acceptedConfig({ config, problems, warnings }: Reading, onWarning?: (warning: Problem) => void): Config {
  if (!config) throw new PurserError("config_invalid", problemsText(problems));
  for (const warning of warnings) onWarning?.(warning);
  return config;
}

/** All problems of a configuration, one a line under a headline. */
export function problemsText(problems: readonly Problem[]): string {
  const count = problems.length === 1 ? "a problem" : `${problems.length} problems`;
  return [`The configuration has ${count}:`, ...problems.map((problem) => `  ${problemText(problem)}`)].join("\n");
}

/** Reads the configuration and says all that is wrong or doubtful in it. */
export function examineConfig(input: ConfigInput): Reading {
  const { environment, cwd = process.cwd(), now = Date.now() } = input;
  const { file, text } = configText(input, cwd);
  const source = openSource({ file, text, environment });
  const settings = openSettings(environment, input.flags ?? {});
  // An empty file is a file that asks for nothing.
  const fields = source.root.node === undefined ? {} : (CONFIGURATION.read(source.root) ?? {});

  const expose = { cost: fields.expose?.cost ?? true, left: fields.expose?.left ?? true, owner: fields.expose?.owner ?? true };
  const providers = readProviders(fields, environment);
  const channels = configuredChannels(fields.channels ?? new Map());
  const answers = configuredAnswers(fields.answers, { file, cwd, environment });
  const budgets = configuredBudgets(fields.budgets ?? [], {
    timezone: fields.timezone ?? "UTC",
    mode: fields.mode,
    providers,
    channels: fields.channels,
    answers: fields.answers,
    showsOwner: expose.owner,
    now,
  });
  warnOfUnasked(fields.answers, budgets);
  const models = configuredModels(fields.models ?? [], { file, cwd });
  const otherFiles = [...answers.files, ...models.flatMap(({ vocabulary }) => vocabulary?.path ?? [])];
  if (isOver(fields, now))
    source.root.field("mode").warning("the trial is over, and budgets without a mode of their own refuse calls. Take it out.");
  const watched = configuredWatches(fields, source.root, budgets);
  warnOfUntoldTrials(fields, { root: source.root, budgets, watched, now });
  const server = readServer(fields, settings);
  const config: Config = {
    file,
    server,
    dataDir: readDataDir(fields, settings, file, cwd),
    store: {
      redis: fields.store?.redis,
      ...(fields.store?.sentinels && { sentinels: readSentinels(fields.store.sentinels, fields.store.redis) }),
      namespace: fields.store?.namespace ?? DEFAULTS.namespace,
      ...(fields.store?.leases && { leases: true }),
      postgres: fields.store?.postgres,
    },
    providers,
    routes: configuredRoutes(fields.routes ?? [], providers),
    models,
    budgets,
    guards: configuredGuards(fields.budgets ?? [], budgets, fields.channels),
    watched,
    ...configuredProviderWatches(fields, source.root),
    channels,
    answers: answers.lists,
    otherFiles,
    timezone: fields.timezone ?? "UTC",
    prices: configuredPrices(fields.prices ?? []),
    defaultPrice: fields.default_price && configuredDefaultPrice(fields.default_price),
    allowances: configuredAllowances(fields.allowances ?? [], { providers, now }),
    commitments: configuredCommitments(fields.commitments ?? [], { providers, now }),
    defaultMaxOutput: fields.default_max_output ?? DEFAULTS.defaultMaxOutput,
    unseenInput: fields.unseen_input,
    holds: fields.holds ?? "full",
    onDisconnect: fields.on_disconnect ?? "abort",
    login: configuredLogin(fields, server),
    telemetry: fields.telemetry && readTelemetry(fields.telemetry),
    expose,
  };
  const problems = [...settings.problems, ...source.problems.toSorted(byPosition), ...answers.problems.toSorted(byPosition)];
  const warnings = source.warnings.toSorted(byPosition);
  const found = { warnings, otherFiles };
  return problems.length === 0 ? { ...found, config, problems: [] } : { ...found, config: undefined, problems };
}

function isOver({ mode, timezone }: ConfigurationFields, now: number): boolean {
  const observesUntil = mode === undefined ? 0 : parseMode(mode, timezone ?? "UTC");
  return observesUntil > 0 && observesUntil <= now;
}

/** Sentinels lead to one primary, which they know by a name. */
function readSentinels({ value, place }: Located<readonly string[]>, redis: readonly string[] | undefined): readonly string[] {
  const [primary, ...others] = redis ?? [];
  if (primary === undefined)
    place.problem("lead to a Redis that is not named. Add redis: redis://NAME, with the name that they have for it.");
  else if (others.length > 0)
    place.problem("lead to one primary. Write one URL in redis, with the name that they have for it as its host.");
  else if (new URL(primary).port !== "")
    place.problem("know the port of the primary. Leave it out of redis, whose host is the name that they have for it.");
  return value;
}

function configText({ file, text }: ConfigInput, cwd: string): { readonly file: string | undefined; readonly text: string } {
  if (text !== undefined) return { file, text };
  if (file === undefined && !existsSync(resolve(cwd, CONFIG_FILE))) return { file: undefined, text: "" };
  const named = file ?? CONFIG_FILE;
  try {
    return { file: named, text: readFileSync(resolve(cwd, named), "utf8") };
  } catch (cause) {
    throw new PurserError(
      "config_missing",
      `${named} cannot be read (${(cause as NodeJS.ErrnoException).code ?? cause}). Check the path and who may read it.`,
      { cause },
    );
  }
}

/** What the environment and the flags say about the server, and what is wrong with it. */
interface Settings {
  readonly problems: readonly Problem[];
  /** The flag, or else the variable. An empty variable counts as unset. */
  value(flag: keyof ConfigFlags, variable: string): { readonly name: string; readonly value: string } | undefined;
  problem(path: string, message: string): void;
}

function openSettings(environment: Environment, flags: ConfigFlags): Settings {
  const problems: Problem[] = [];
  return {
    problems,
    value(flag, variable) {
      const given = flags[flag];
      if (given !== undefined) return { name: `--${flag}`, value: String(given) };
      const value = environment[variable]?.trim();
      return value ? { name: variable, value } : undefined;
    },
    problem: (path, message) => problems.push({ file: undefined, line: undefined, column: undefined, path, message }),
  };
}

function readServer({ server }: ConfigurationFields, settings: Settings): ServerConfig {
  const host = settings.value("host", "PURSER_HOST");
  const port = settings.value("port", "PURSER_PORT");
  if (host && !/^[A-Za-z0-9.:_-]{1,255}$/.test(host.value)) {
    settings.problem(host.name, `"${host.value}" is not an address to listen on. Write one like 127.0.0.1, 0.0.0.0 or ::1.`);
  }
  const portNumber = port && (/^\d{1,5}$/.test(port.value) ? Number(port.value) : Number.NaN);
  if (port && !(Number(portNumber) <= 65_535))
    settings.problem(port.name, `"${port.value}" is not a port. Write a whole number from 0 to 65,535.`);
  return {
    host: host?.value ?? server?.host ?? DEFAULTS.host,
    port: portNumber ?? server?.port ?? DEFAULTS.port,
    publicUrl: server?.public_url,
    maxBodyBytes: server?.max_body ?? DEFAULTS.maxBodyBytes,
    drainMs: server?.drain ?? DEFAULTS.drainMs,
  };
}

function readTelemetry(fields: NonNullable<ConfigurationFields["telemetry"]>): TelemetryConfig {
  const { otlp = "", headers, service_name, sample, attributes } = fields;
  return {
    otlp,
    headers: Object.fromEntries(headers ?? []),
    serviceName: service_name ?? DEFAULTS.serviceName,
    sample: sample ?? 1,
    attributes: Object.fromEntries(attributes ?? []),
  };
}

/** A folder in the file is meant from the file; one on the command line from where the command runs. */
function readDataDir({ data }: ConfigurationFields, settings: Settings, file: string | undefined, cwd: string): string {
  const given = settings.value("data", "PURSER_DATA");
  if (given) return resolve(cwd, given.value);
  return data === undefined ? resolve(cwd, DEFAULTS.dataDir) : resolve(cwd, dirname(file ?? ""), data);
}

function readProviders({ providers }: ConfigurationFields, environment: Environment): readonly Provider[] {
  if (!providers) return presetProviders(environment);
  return [...providers].map(([name, entry]) => configuredProvider(name, entry, environment));
}

function byPosition(a: Problem, b: Problem): number {
  return (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0);
}
