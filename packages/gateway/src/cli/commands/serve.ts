import { readFileSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { PurserError } from "@purser/core";
import type { RunningGateway } from "../../app.ts";
import { readAdminToken } from "../../callers/admin-token.ts";
import { isOpenToAll } from "../../callers/open-minute.ts";
import { type BudgetFile, openBudgetFile } from "../../config/change-budgets.ts";
import type { Config } from "../../config/config.ts";
import { postgresPlace } from "../../config/postgres-place.ts";
import { readConfig } from "../../config/read-config.ts";
import { problemText } from "../../config/source.ts";
import { type ConfigChange, watchConfig } from "../../config/watch.ts";
import { type Demo, openDemo } from "../../demo/demo.ts";
import { introduction } from "../../demo/introduction.ts";
import { People } from "../../people/people.ts";
import { hostOf } from "../../redis-client.ts";
import type { Command, CommandContext, CommandInput, CommandResult } from "../command.ts";
import { DEMO_FOLDER } from "../demo-folder.ts";
import { programName } from "../program-name.ts";
import { readRunning, removeRunning, writeRunning } from "../running-gateway.ts";

export const serve: Command = {
  name: "serve",
  summary: "run the gateway",
  usage: "[--config FILE] [--port N] [--host H] [--data DIR] [--workers N] [--demo]",
  help: [
    "  --config FILE   the configuration; purser.yaml in this folder where it is left out.",
    "                  Changes of the file are taken over without a restart.",
    "  --port N        4100 where nothing says otherwise; 0 takes a free one",
    "  --host H        127.0.0.1 where nothing says otherwise: this machine only",
    "  --data DIR      the folder for the journal and the keys; .purser where nothing says otherwise",
    "  --workers N     so many processes on one port, for more calls than one core can carry; together they keep every limit",
    "  --demo          a provider, budgets and a key of its own: everything can be tried without any provider's key",
    "  --json          one line of JSON when it listens",
    "",
    "Ctrl-C lets the calls in flight end, settles them, and stops. A second Ctrl-C stops at once.",
  ].join("\n"),
  options: {
    config: { type: "string" },
    port: { type: "string" },
    host: { type: "string" },
    data: { type: "string" },
    workers: { type: "string" },
    demo: { type: "boolean" },
  },
  wordsMost: 0,
  async run(input, context) {
    const { options } = input;
    const flags = {
      host: options.host as string | undefined,
      port: options.port as string | undefined,
      data: options.data as string | undefined,
    };
    const onWarning = (warning: Parameters<typeof problemText>[0]) => context.say(`Warning: ${problemText(warning)}`);
    const source = { file: options.config as string | undefined, environment: context.env, flags, cwd: context.cwd };
    const config = readConfig({ ...source, onWarning });
    const workers = readWorkers(options.workers as string | undefined);
    if (options.demo !== true) return serveConfig(config, { ...source, onWarning, workers }, input, context);
    if (workers > 1) throw new PurserError("config_invalid", "The demo runs in one process. Leave out --workers, or --demo.");
    return serveDemo(config, input, context);
  },
};

const WORKERS_MOST = 256;

function readWorkers(text = "1"): number {
  const count = Number(text);
  if (Number.isInteger(count) && count >= 1 && count <= WORKERS_MOST) return count;
  throw new PurserError("config_invalid", `--workers is a number of processes from 1 to ${WORKERS_MOST}, not "${text}".`);
}

interface ServeSource extends Omit<Parameters<typeof watchConfig>[2], "current"> {
  readonly file: string | undefined;
  readonly cwd: string;
  readonly workers: number;
}

async function serveConfig(config: Config, source: ServeSource, input: CommandInput, context: CommandContext): Promise<CommandResult> {
  const { say } = context;
  const gateway = source.workers > 1 ? await startShared(config, source, context) : await startAlone(config, source, context);
  const unwatch =
    config.file === undefined
      ? () => undefined
      : watchConfig(
          config.file,
          (change) => {
            const { needsRestart } = change;
            gateway.reload(change).then(
              () =>
                say(
                  `${config.file} is taken over.${needsRestart.length > 0 ? ` A restart is needed for ${needsRestart.join(", ")}.` : ""}`,
                ),
              (error: unknown) => say(`${config.file} cannot be taken over: ${(error as Error).message}`),
            );
          },
          { ...source, current: config, onError: (error) => say(`${error.message}\nNothing was changed.`) },
        );
  announce(input, context, gateway, welcome(config, gateway, context));
  await untilStopped(gateway, config.dataDir, context);
  unwatch();
  return { exit: 0, text: "", json: undefined };
}

/** A gateway in one process or several. */
interface Served extends Pick<RunningGateway, "url" | "keys" | "close"> {
  reload(change: ConfigChange): Promise<void>;
}

async function startAlone(config: Config, source: ServeSource, context: CommandContext): Promise<Served> {
  const gateway = await start(config, context, openBudgetFile(config, source));
  return { ...gateway, reload: (change) => gateway.reload(change.config) };
}

async function startShared(config: Config, source: ServeSource, { say }: CommandContext): Promise<Served> {
  const { startWorkers } = await import("../../workers/workers.ts");
  const { cwd, flags = {}, workers: count } = source;
  const text = config.file === undefined ? undefined : readFileSync(resolve(cwd, config.file), "utf8");
  const texts = { file: config.file, text, flags: textFlags(flags), cwd };
  const workers = await startWorkers({ config, source: texts, count, onNotice: say });
  return { ...workers, reload: (change) => workers.reload(change.config, change.text) };
}

function textFlags({ host, port, data }: NonNullable<ServeSource["flags"]>) {
  return { host, port: port === undefined ? undefined : String(port), data };
}

async function serveDemo(config: Config, input: CommandInput, context: CommandContext): Promise<CommandResult> {
  const dataDir = join(config.dataDir, DEMO_FOLDER);
  const other = readRunning(dataDir);
  if (other)
    throw new PurserError("store_locked", `A demo runs here already, at ${other.url} (process ${other.pid}). Use it, or stop it first.`);
  // What an earlier demo spent is of no interest, and its key is gone with it.
  rmSync(dataDir, { recursive: true, force: true });
  const demo = await openDemo({ server: config.server, dataDir });
  try {
    const gateway = await start(demo.config, context);
    const token = (await readAdminToken(dataDir)) ?? "";
    announce(input, context, gateway, demoWelcome({ ...demo, token }, gateway, context));
    await untilStopped(gateway, dataDir, context);
  } finally {
    await demo.close();
  }
  return { exit: 0, text: "", json: undefined };
}

function demoWelcome(
  { secret, token }: Demo & { readonly token: string },
  { url }: RunningGateway,
  { style, cwd }: CommandContext,
): string {
  return introduction({ url, secret, token, program: programName(cwd), style });
}

function announce({ options }: CommandInput, { print }: CommandContext, { url }: Pick<RunningGateway, "url">, welcome: string): void {
  print(options.json === true ? JSON.stringify({ url, pid: process.pid }) : welcome);
}

function welcome(config: Config, { url, keys }: Pick<RunningGateway, "url" | "keys">, { style, cwd }: CommandContext): string {
  const program = programName(cwd);
  const withKey = config.providers.filter(({ apiKey }) => apiKey !== undefined).map(({ name }) => name);
  const isOpen = isOpenToAll(config, keys, new People(config.dataDir, { configured: () => config.login.people }));
  const budgets = config.budgets.length;
  return [
    `${style.bold("Purser is up:")} ${url}`,
    `Configuration: ${config.file ?? "none, so all is as it is by default"}. Data: ${config.dataDir}.`,
    ...(config.store.redis ? [`Balances: ${config.store.redis.map(hostOf).join(", ")}, namespace ${config.store.namespace}.`] : []),
    ...(config.store.postgres === undefined ? [] : [`Ledger and keys: PostgreSQL at ${postgresPlace(config.store.postgres)}.`]),
    budgets === 0
      ? "There are no budgets: calls are counted, and none is refused."
      : `${budgets} budget${budgets === 1 ? "" : "s"}: ${config.budgets.map(({ name }) => name).join(", ")}.`,
    withKey.length > 0 ? `Providers with a key: ${withKey.join(", ")}.` : "No provider has a key: each caller's own is passed on.",
    isOpen
      ? `There are no keys yet, so every program on this machine is the owner. Make one: ${program} keys create --name NAME`
      : "Calls need a key.",
    `Dashboard: ${url}${isOpen ? "" : `   sign in with the token in ${join(config.dataDir, "admin.token")}`}`,
    "",
    `  export OPENAI_BASE_URL=${url}/v1`,
    `  export ANTHROPIC_BASE_URL=${url}`,
    "",
  ].join("\n");
}

/** The server is loaded only by the commands that need it: it takes as long as everything else together. */
async function start(config: Config, { say }: CommandContext, budgetFile?: BudgetFile): Promise<RunningGateway> {
  const { startGateway } = await import("../../app.ts");
  return startGateway({ config, onNotice: say, ...(budgetFile && { budgetFile }) });
}

/** Waits for the signal to stop, then lets calls end. The second signal is the system's to act on: it ends the process at once. */
async function untilStopped(gateway: Pick<RunningGateway, "url" | "close">, dataDir: string, { say }: CommandContext): Promise<void> {
  writeRunning(dataDir, { url: gateway.url, pid: process.pid });
  await new Promise<void>((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => resolve());
  });
  process.removeAllListeners("SIGINT");
  process.removeAllListeners("SIGTERM");
  say("Stopping: calls in flight may end, and no new ones are taken.");
  removeRunning(dataDir);
  await gateway.close();
}
