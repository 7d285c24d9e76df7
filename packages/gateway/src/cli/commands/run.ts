import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { constants, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { defineBudget, type Entry, type Store, type Usage } from "@purser/core";
import { type BalanceJson, balanceJson } from "../../admin/balances.ts";
import { openKeys } from "../../callers/keys.ts";
import { type Config, EMBEDDED, NO_LOGIN } from "../../config/config.ts";
import { readConfig } from "../../config/read-config.ts";
import { PRESETS } from "../../providers/presets/index.ts";
import { at, FAMILIES, type Provider } from "../../providers/provider.ts";
import { shortDollars } from "../amounts.ts";
import type { Command, CommandContext, CommandInput } from "../command.ts";
import { openLedger } from "../ledger.ts";
import { addressesOf } from "../program-settings.ts";
import { styleFor } from "../style.ts";
import { table } from "../table.ts";
import { balancesText } from "./budgets.ts";
import { UsageError } from "./outcome.ts";

export const run: Command = {
  name: "run",
  summary: "put a budget around any program",
  usage: "--budget '$2' [--budget '100k tokens'] [--config FILE] [--data DIR] -- COMMAND [ARGUMENTS]",
  help: [
    "Starts a gateway for this one command, points the program's base URLs at it, and prints the bill at the end.",
    "The exit code is the program's own. Providers and prices come from purser.yaml where there is one; its budgets do not apply.",
    "",
    "  --budget LIMIT  what the whole run may use; may be repeated: '$2', '100k tokens', '50 requests'",
    "  --data DIR      keeps the ledger of the run, for `purser explain`, in a folder of its own below DIR; else it is gone with the run",
    "  --own-keys      the program has keys of its own: they are passed on to the provider",
    "  --json          the bill as JSON, on stderr: stdout is the program's own",
    "",
    "The program finds the gateway by OPENAI_BASE_URL, OPENAI_API_BASE, ANTHROPIC_BASE_URL and GOOGLE_GEMINI_BASE_URL; by OLLAMA_HOST and",
    "AZURE_OPENAI_ENDPOINT too where purser.yaml has such a provider, and by GROQ_BASE_URL, CO_API_URL, GOOGLE_VERTEX_BASE_URL and",
    "AWS_ENDPOINT_URL_BEDROCK_RUNTIME where the gateway has the key. Keys of providers stay with the gateway; the program gets one that is",
    "worth this budget and no more.",
    "",
    "Example: purser run --budget '$2' -- node agent.js",
  ].join("\n"),
  options: {
    budget: { type: "string", multiple: true },
    config: { type: "string" },
    data: { type: "string" },
    "own-keys": { type: "boolean" },
  },
  async run(input, context) {
    const { options, rest, positionals } = input;
    const limits = (options.budget ?? []) as readonly string[];
    if (limits.length === 0) throw new UsageError("Say what the run may use: purser run --budget '$2' -- COMMAND");
    for (const limit of limits) refuseBareNumber(limit);
    const [command, ...args] = rest ?? [];
    if (command === undefined || positionals.length > 0)
      throw new UsageError("Write the command after two dashes: purser run --budget '$2' -- node agent.js");
    const task = `run-${randomBytes(4).toString("hex")}`;
    const keptData = options.data as string | undefined;
    // Every run has a ledger of its own: runs may overlap, and none begins with what another one spent.
    const dataDir = keptData === undefined ? mkdtempSync(join(tmpdir(), "purser-run-")) : resolve(context.cwd, keptData, task);
    try {
      const plan = planRun({ limits, dataDir, task }, input, context);
      const since = context.now();
      const exit = await runWithGateway(plan, [command, ...args], context);
      const bill = await billOf(plan.config, since, context);
      const style = styleFor(process.stderr, context.env);
      context.say(options.json === true ? JSON.stringify({ exit, ...bill }) : billText(bill, { ...context, style, hasKeys: plan.hasKeys }));
      if (keptData !== undefined && options.json !== true)
        context.say(`\nThe ledger is in ${join(keptData, task)}: purser explain last --data ${join(keptData, task)}`);
      return { exit, text: "", json: undefined };
    } finally {
      if (keptData === undefined) rmSync(dataDir, { recursive: true, force: true });
    }
  },
};

/** What is left of an unquoted `$20` when the shell is done with it: a number of tokens that nobody means. */
function refuseBareNumber(limit: string): void {
  const [, number] = /^\s*([\d.,_]*)\s*(?:\/|$)/.exec(limit) ?? [];
  if (number === undefined) return;
  throw new UsageError(
    `"${limit}" has no unit. Write dollars as '$5', in single quotes, or the shell takes $5 for a variable; tokens as '5 tokens'.`,
  );
}

/** One run: the configuration of its gateway, and what its calls are known by. */
interface Run {
  readonly config: Config;
  readonly task: string;
  readonly isPassedThrough: boolean;
  /** Whether a provider's key is known here. */
  readonly hasKeys: boolean;
}

/** The providers and prices of the file, and one budget. The gateway serves this run alone, so whatever it is asked is the run's. */
function planRun(
  { limits, dataDir, task }: { readonly limits: readonly string[]; readonly dataDir: string; readonly task: string },
  { options }: CommandInput,
  { env, cwd }: CommandContext,
): Run {
  const config = readConfig({ file: options.config as string | undefined, environment: env, cwd, flags: { host: "127.0.0.1", port: 0 } });
  const providers = config.file === undefined ? config.providers.map((provider) => elsewhere(provider, env)) : config.providers;
  const budget = defineBudget({ name: "run", limits });
  const hasKeys = providers.some(({ apiKey }) => apiKey !== undefined);
  return {
    config: { ...config, dataDir, store: EMBEDDED, providers, budgets: [budget], allowances: [], login: NO_LOGIN },
    task,
    isPassedThrough: options["own-keys"] === true || !hasKeys,
    hasKeys,
  };
}

/** Where the environment already points a program at another server, that is where its calls go on to. */
function elsewhere(provider: Provider, env: CommandContext["env"]): Provider {
  const url = (name: string) => env[name]?.trim().replace(/\/+$/, "") || undefined;
  if (provider.name === "openai") {
    const openai = url("OPENAI_BASE_URL") ?? url("OPENAI_API_BASE");
    return openai === undefined
      ? provider
      : { ...provider, baseUrls: { ...provider.baseUrls, ...at(openai, FAMILIES.openai) }, models: ["*"] };
  }
  const anthropic = provider.name === "anthropic" ? url("ANTHROPIC_BASE_URL") : undefined;
  const gemini = provider.name === "google" ? url("GOOGLE_GEMINI_BASE_URL") : undefined;
  return {
    ...provider,
    baseUrls: {
      ...provider.baseUrls,
      ...(anthropic !== undefined && at(anthropic, FAMILIES.anthropic)),
      ...(gemini !== undefined && at(gemini, FAMILIES.gemini)),
    },
  };
}

async function runWithGateway(
  { config, task, isPassedThrough }: Run,
  command: readonly string[],
  context: CommandContext,
): Promise<number> {
  const secret = isPassedThrough ? undefined : await makeKey(config.dataDir, task);
  // Loaded here, so that no other command waits for the server to be loaded.
  const { startGateway } = await import("../../app.ts");
  const gateway = await startGateway({ config, onNotice: context.say });
  try {
    return await runProgram(command, environmentOf(context.env, config, gateway.url, secret), context);
  } finally {
    await gateway.close();
  }
}

async function makeKey(dataDir: string, task: string): Promise<string> {
  const keys = await openKeys(dataDir);
  const { secret } = await keys.create({ name: task, attributes: { task }, maySet: ["user", "session", "feature", "tag.*"] });
  keys.close();
  return secret;
}

/** What the program gets to see: our addresses, and where we hold the keys of providers, our key in their place. */
function environmentOf(env: CommandContext["env"], config: Config, url: string, secret: string | undefined): NodeJS.ProcessEnv {
  const addresses = {
    ...addressesOf(url),
    ...keyedAddresses(config.providers, url),
    ...(config.file !== undefined && configuredAddresses(config.providers, url)),
  };
  if (secret === undefined) return { ...env, ...addresses };
  const variables = [...PRESETS.values()].flatMap((preset) => preset.env).filter((name) => env[name] !== undefined);
  const held = Object.fromEntries(
    [
      "OPENAI_API_KEY",
      "ANTHROPIC_API_KEY",
      "GEMINI_API_KEY",
      ...variables,
      ...OTHER_KEYS.filter(({ address }) => address in addresses).map(({ key }) => key),
    ].map((name) => [name, secret]),
  );
  const token = env.ANTHROPIC_AUTH_TOKEN === undefined ? {} : { ANTHROPIC_AUTH_TOKEN: secret };
  return { ...env, ...addresses, ...held, ...token };
}

/** Programs that find what runs here, or on Azure, are sent through the gateway only where it knows the way there. */
function configuredAddresses(providers: readonly Provider[], url: string): Readonly<Record<string, string>> {
  return {
    ...(providers.some(({ baseUrls }) => baseUrls["ollama-chat"] !== undefined) && { OLLAMA_HOST: url }),
    ...(providers.some(({ name }) => name === "azure") && { AZURE_OPENAI_ENDPOINT: url }),
  };
}

/** Where clients of single makers look. They are sent through the gateway where it has the key that they would have used. */
const MAKERS_ADDRESSES: Readonly<Record<string, string>> = {
  groq: "GROQ_BASE_URL",
  vertex: "GOOGLE_VERTEX_BASE_URL",
  cohere: "CO_API_URL",
  bedrock: "AWS_ENDPOINT_URL_BEDROCK_RUNTIME",
};

function keyedAddresses(providers: readonly Provider[], url: string): Readonly<Record<string, string>> {
  const known = providers.filter(({ name, apiKey }) => apiKey !== undefined && Object.hasOwn(MAKERS_ADDRESSES, name));
  return Object.fromEntries(known.map(({ name }) => [MAKERS_ADDRESSES[name], url]));
}

const OTHER_KEYS = [
  { address: "OLLAMA_HOST", key: "OLLAMA_API_KEY" },
  { address: "AZURE_OPENAI_ENDPOINT", key: "AZURE_OPENAI_API_KEY" },
] as const;

async function runProgram([command = "", ...args]: readonly string[], env: NodeJS.ProcessEnv, { cwd }: CommandContext): Promise<number> {
  const child = spawn(command, args, { cwd, env, stdio: "inherit" });
  const stop = forwardSignals(child);
  try {
    return await new Promise<number>((done, fail) => {
      child.once("error", (cause: NodeJS.ErrnoException) => {
        const what = cause.code === "ENOENT" ? `There is no command "${command}".` : `"${command}" cannot be run (${cause.code}).`;
        fail(new UsageError(cause.code === "EACCES" ? `${what} Is it a program, and may you run it?` : what));
      });
      child.once("exit", (code, signal) => done(code ?? 128 + (signal ? constants.signals[signal] : 0)));
    });
  } finally {
    stop();
  }
}

/** The program decides what a signal means, and the bill comes after it. Ctrl-C reaches it through the terminal by itself. */
function forwardSignals(child: ChildProcess): () => void {
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  const listeners = signals.map((signal) => {
    const listener = () => {
      if (signal !== "SIGINT" || !process.stdin.isTTY) child.kill(signal);
    };
    process.on(signal, listener);
    return [signal, listener] as const;
  });
  return () => {
    for (const [signal, listener] of listeners) process.off(signal, listener);
  };
}

/** What a run used, by model, and what is left. */
export interface Bill {
  readonly calls: number;
  readonly refused: number;
  /** null where a call was to a model without a price. */
  readonly cost_nanodollars: number | null;
  readonly models: readonly ModelBill[];
  readonly budgets: readonly BalanceJson[];
  /** The last refusal in its own words. */
  readonly refusal: string | null;
}

export interface ModelBill {
  readonly model: string;
  readonly calls: number;
  readonly input_tokens: number;
  readonly cache_read_input_tokens: number;
  readonly cache_write_input_tokens: number;
  readonly output_tokens: number;
  readonly reasoning_output_tokens: number;
  readonly cost_nanodollars: number | null;
}

const PAGE = 1_000;

async function billOf(config: Config, since: number, { now }: CommandContext): Promise<Bill> {
  const ledger = await openLedger(config, now);
  try {
    const models = new Map<string, ModelBill>();
    let refused = 0;
    let refusal: string | null = null;
    for await (const entry of entriesSince(ledger.store, since)) {
      if (entry.kind === "denied") {
        refused += entry.times ?? 1;
        refusal = entry.message;
      } else if (entry.kind === "settled" || entry.kind === "expired") {
        const model = entry.detail.subject.model ?? "unknown";
        models.set(model, added(models.get(model), model, entry.charge.usage, entry.charge.cost));
      }
    }
    const bills = [...models.values()];
    const balances = await ledger.budgets.balances();
    return {
      calls: bills.reduce((total, { calls }) => total + calls, 0),
      refused,
      cost_nanodollars: sum(bills.map(({ cost_nanodollars }) => cost_nanodollars)),
      models: bills,
      budgets: balances.map(balanceJson),
      refusal,
    };
  } finally {
    await ledger.close();
  }
}

async function* entriesSince(store: Pick<Store, "entries">, since: number): AsyncGenerator<Entry> {
  for (let after = 0; ; ) {
    const page = await store.entries({ since, after, kinds: ["settled", "expired", "denied"], most: PAGE });
    yield* page;
    const last = page.at(-1);
    if (!last || page.length < PAGE) return;
    after = last.seq;
  }
}

function added(bill: ModelBill | undefined, model: string, usage: Usage, cost: number | undefined): ModelBill {
  return {
    model,
    calls: (bill?.calls ?? 0) + 1,
    input_tokens: (bill?.input_tokens ?? 0) + (usage.inputTokens ?? 0),
    cache_read_input_tokens: (bill?.cache_read_input_tokens ?? 0) + (usage.cacheReadInputTokens ?? 0),
    cache_write_input_tokens: (bill?.cache_write_input_tokens ?? 0) + (usage.cacheWriteInputTokens ?? 0),
    output_tokens: (bill?.output_tokens ?? 0) + (usage.outputTokens ?? 0),
    reasoning_output_tokens: (bill?.reasoning_output_tokens ?? 0) + (usage.reasoningOutputTokens ?? 0),
    cost_nanodollars: sum([bill ? bill.cost_nanodollars : 0, cost ?? null]),
  };
}

/** A sum with an unknown part is unknown. */
function sum(amounts: readonly (number | null)[]): number | null {
  return amounts.reduce((total, amount) => (total === null || amount === null ? null : total + amount), 0);
}

/** The bill for people. Kinds of tokens that nobody used are left out. */
function billText(
  { calls, refused, cost_nanodollars, models, budgets, refusal }: Bill,
  context: Pick<CommandContext, "style" | "now"> & Pick<Run, "hasKeys">,
): string {
  const { style } = context;
  const refusals = refused === 0 ? "none refused" : style.red(`${refused} refused`);
  const total = `${style.bold("Purser:")} ${calls} call${calls === 1 ? "" : "s"}, ${refusals}, ${style.bold(cost_nanodollars === null ? "at a cost that is not known" : shortDollars(cost_nanodollars))}.`;
  const kinds = KINDS.filter(({ field }) => models.some((model) => model[field] > 0));
  const rows = models.map((model) => [
    model.model,
    String(model.calls),
    ...kinds.map(({ field }) => model[field].toLocaleString("en-US")),
    model.cost_nanodollars === null ? "no price" : shortDollars(model.cost_nanodollars),
  ]);
  const heading = ["Model", "Calls", ...kinds.map(({ title }) => title), "Cost"].map(style.dim);
  const byModel = models.length === 0 ? [] : ["", table(heading, rows, heading.map((_, column) => column).slice(1))];
  const unseen = calls + refused === 0 ? ["", UNSEEN, ...(context.hasKeys ? [] : ["", KEYLESS])] : [];
  const left = budgets.length === 0 ? [] : ["", balancesText(budgets, context)];
  return ["", total, ...unseen, ...byModel, ...left, ...(refusal === null ? [] : ["", `Last refusal: ${refusal}`])].join("\n");
}

const UNSEEN =
  "No call came through Purser. A program that makes calls must take its base URL from OPENAI_BASE_URL or ANTHROPIC_BASE_URL;\n" +
  "one that has its own built in, or that speaks another format, is not limited by this budget.";

const KEYLESS =
  "No key of a provider is known here, so the program had to have its own: set OPENAI_API_KEY, ANTHROPIC_API_KEY or GEMINI_API_KEY,\n" +
  "or name a provider and its key in purser.yaml.";

const KINDS = [
  { field: "input_tokens", title: "Input" },
  { field: "cache_read_input_tokens", title: "of it cached" },
  { field: "cache_write_input_tokens", title: "of it written to cache" },
  { field: "output_tokens", title: "Output" },
  { field: "reasoning_output_tokens", title: "of it reasoning" },
] as const;
