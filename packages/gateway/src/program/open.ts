import { Budgets, PurserError } from "@purser/core";
import type { Config } from "../config/config.ts";
import { priceBookOf } from "../config/price-book.ts";
import { CONFIG_FILE, readConfig } from "../config/read-config.ts";
import { problemText } from "../config/source.ts";
import { type ConfigChange, watchConfig } from "../config/watch.ts";
import { type Counting, openCounting } from "../counting.ts";
import { noticesTo } from "../notices.ts";
import { createRouter, type Router } from "../providers/routing.ts";
import { openRecords, type Records } from "../records.ts";
import { openSwitches } from "../switches/switches.ts";
import { budgetedFetch, type Fetch } from "./budgeted-fetch.ts";
import type { ProgramFetchOptions } from "./fetch-options.ts";
import { placeAt, providerNamed } from "./places.ts";
import { leftToGateway, Rungs } from "./rungs.ts";
import { warn } from "./warn.ts";

export interface OpenOptions {
  /** The configuration, as `purser serve --config` reads it; `purser.yaml` in the working folder where it is left out. */
  readonly file?: string;
  /** Fills in the file's variables; the environment of the process where it is left out. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** Told what whoever runs the program should know. A warning of the process where it is left out. */
  readonly onNotice?: (notice: string) => void;
}

/** A program with the budgets of a file. */
export interface OpenedPurser {
  readonly budgets: Budgets;
  /** A `fetch` for an SDK, whose calls are on the budgets of the file. */
  fetch(options?: ProgramFetchOptions): Fetch;
  /** Writes down what is still to be written, and lets go of the store. Holds of calls that are in flight then end by their leases. */
  close(): Promise<void>;
}

const EXPIRE_EVERY_MS = 1_000;
const SHARE_EVERY_MS = 60_000;

/** Opens what `purser.yaml` says inside a program: the same budgets, prices and balances as a gateway with that file has. */
export async function openPurser(options: OpenOptions = {}): Promise<OpenedPurser> {
  const { file = CONFIG_FILE, environment = process.env, onNotice = warn } = options;
  const { tell, tellOnce } = noticesTo(onNotice);
  const onError = (error: unknown) => tellOnce(error instanceof Error ? error.message : String(error));
  const source = { file, environment, onWarning: (warning: Parameters<typeof problemText>[0]) => tell(problemText(warning)) };
  const config = readConfig(source);
  const counting = await openCounting(config);
  try {
    return await opened(config, counting, { file, source, tell, onError });
  } catch (error) {
    counting.close();
    throw error;
  }
}

interface Opening extends Told {
  readonly file: string;
  readonly source: Parameters<typeof readConfig>[0];
}

async function opened(config: Config, counting: Counting, { file, source, tell, onError }: Opening): Promise<OpenedPurser> {
  const records = await openShareable(config, { onNotice: tell, onError });
  try {
    const program = new Program(config, records, counting, { tell, onError });
    await program.start();
    const unwatch = watchConfig(file, (change) => program.reload(change), {
      ...source,
      current: config,
      onError: ({ message }) => tell(`${message}\nNothing was changed.`),
    });
    return {
      budgets: program.budgets,
      fetch: (terms) => program.fetch(terms),
      async close() {
        unwatch();
        await program.close();
      },
    };
  } catch (error) {
    await records.close();
    throw error;
  }
}

interface Told {
  readonly tell: (notice: string) => void;
  readonly onError: (error: unknown) => void;
}

/** The budgets of a configuration in this process, for as long as it is open. */
class Program {
  readonly budgets: Budgets;
  readonly #records: Records;
  readonly #counting: Counting;
  readonly #told: Told;
  readonly #rungs: Rungs;
  readonly #timers: NodeJS.Timeout[] = [];
  #config: Config;
  #route: Router;
  #isClosed = false;

  constructor(config: Config, records: Records, counting: Counting, told: Told) {
    const { onError } = told;
    this.#config = config;
    this.#records = records;
    this.#counting = counting;
    this.#told = told;
    this.#route = createRouter(config);
    const { budgets, allowances } = config;
    const { explain: switchedOff } = openSwitches(config.dataDir, { onError });
    this.budgets = new Budgets({ store: records.store, budgets, allowances, prices: priceBookOf(config), switchedOff, onError });
    this.#rungs = new Rungs({
      budgets: this.budgets,
      config: () => this.#config,
      route: () => this.#route,
      provider: (name) => providerNamed(this.#config, name),
    });
  }

  async start(): Promise<void> {
    await this.budgets.adopt();
    this.#records.archiving?.start();
    this.#every(EXPIRE_EVERY_MS, () => this.budgets.expire());
    this.#every(SHARE_EVERY_MS, () => this.budgets.share());
    this.#tellLeftOut();
  }

  fetch({ subject = {}, provider, fetch: send = globalThis.fetch }: ProgramFetchOptions = {}): Fetch {
    // A wrong name is better known when the program starts.
    if (provider !== undefined) providerNamed(this.#config, provider);
    return budgetedFetch({
      budgets: this.budgets,
      subject,
      placeOf: (url, model) => {
        if (this.#isClosed)
          throw new PurserError("shutting_down", "This program has closed its budgets, so it makes no calls on them any more.");
        return placeAt(this.#config, { url, provider, model });
      },
      climb: (asked) => this.#rungs.climb(asked),
      defaultMaxOutput: () => this.#config.defaultMaxOutput,
      unseenInput: () => this.#config.unseenInput,
      send,
      idPrefix: "req_",
    });
  }

  reload({ config, needsRestart }: ConfigChange): void {
    const { tell } = this.#told;
    this.#takeOver(config).then(
      () => {
        this.#tellLeftOut();
        if (needsRestart.length > 0) tell(`${config.file} is taken over. A restart is needed for ${needsRestart.join(", ")}.`);
      },
      (error: unknown) => tell(`${config.file} cannot be taken over: ${(error as Error).message}`),
    );
  }

  async #takeOver(config: Config): Promise<void> {
    const { budgets, allowances } = config;
    // What cannot be counted is told before anything is changed.
    const counted = await this.#counting.read(config);
    await this.budgets.configure({ budgets, allowances, prices: priceBookOf(config) });
    if (!this.#isClosed) this.#counting.use(counted);
    this.#config = config;
    this.#route = createRouter(config);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const timer of this.#timers) clearInterval(timer);
    await this.budgets.close();
    await this.#records.close();
    this.#counting.close();
  }

  #every(intervalMs: number, work: () => Promise<unknown>): void {
    this.#timers.push(setInterval(() => work().catch(this.#told.onError), intervalMs).unref());
  }

  #tellLeftOut(): void {
    const left = leftToGateway(this.#config);
    if (left.length > 0)
      this.#told.tell(`${this.#config.file} asks for what only a gateway does, and this program does not: ${left.join("; ")}.`);
  }
}

/** A data folder belongs to one process; whoever meets another one there is told how to share. */
async function openShareable(
  config: Config,
  told: { onNotice: (notice: string) => void; onError: (error: unknown) => void },
): Promise<Records> {
  try {
    return await openRecords(config, told);
  } catch (error) {
    if (!(error instanceof PurserError) || error.code !== "store_locked") throw error;
    const how = "Or share its balances: ask it with connectPurser of purser/connect, or name a Redis under store in the file for both.";
    throw new PurserError("store_locked", `${error.message} ${how}`, { cause: error });
  }
}
