import cluster, { type Worker } from "node:cluster";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { PurserError } from "@purser/core";
import { AuditLog } from "../audit-log/audit-log.ts";
import { budgetChanges, startDetails } from "../audit-log/config-deeds.ts";
import { SEAL_EVERY_MS, Sealer } from "../audit-log/sealer.ts";
import { ledgerName } from "../audit-log/seals.ts";
import { both } from "../call-events.ts";
import { readOrCreateAdminToken } from "../callers/admin-token.ts";
import type { Keys } from "../callers/key.ts";
import type { Config } from "../config/config.ts";
import type { GuardEvent } from "../guards/trip-book.ts";
import { Figures } from "../metrics/figures.ts";
import { GatheredFigures } from "../metrics/metrics.ts";
import { openRecords, type Records } from "../records.ts";
import { openTelemetry, type RunningTelemetry } from "../telemetry/open.ts";
import { Central } from "./central.ts";
import { type Answer, type ConfigSource, type FromWorker, Outbox, type ToWorker } from "./messages.ts";
import { KeptTrips } from "./told-trips.ts";

export interface StartWorkersOptions {
  readonly config: Config;
  /** Where the configuration was read from. */
  readonly source: ConfigSource;
  readonly count: number;
  readonly onNotice: (notice: string) => void;
}

/** Several gateways on one port, each a process, and one store for all of them in this one. */
export interface RunningWorkers {
  readonly url: string;
  readonly keys: Keys;
  /** Takes over a configuration in all of them at once: no call is admitted by the old one after the first was by the new one. */
  reload(config: Config, text: string): Promise<void>;
  /** Lets the calls in flight end in all of them, and closes the store. */
  close(): Promise<void>;
}

/** Stopping a worker takes as long as its calls may, and a little more. */
const CLOSE_MORE_MS = 10_000;
const RESTART_AFTER_MS = 1_000;
const RELOAD_MOST_MS = 60_000;

export async function startWorkers(options: StartWorkersOptions): Promise<RunningWorkers> {
  const { config, onNotice } = options;
  refuseOneProcessParts(config);
  const onError = (error: unknown) => onNotice(error instanceof Error ? error.message : String(error));
  const records = await openRecords(config, { onNotice, onError });
  try {
    await readOrCreateAdminToken(config.dataDir);
    const figures = new Figures();
    const telemetry = config.telemetry && (await openTelemetry(config.telemetry, (what, count) => figures.lost(what, count)));
    const events = telemetry ? both(figures, telemetry.events, onError) : figures;
    const log = new AuditLog(config.dataDir, { onError });
    await log.write({ by: "purser", what: "gateway.started", details: { ...startDetails(config), workers: options.count } });
    const workers = new Workers({
      ...options,
      onError,
      records,
      log,
      sealer: new Sealer({ store: records.store, log, ledger: ledgerName(config), onError }),
      figures,
      telemetry,
      central: config.store.redis ? undefined : new Central(config, records, events, onError),
    });
    const url = await workers.start();
    return { url, keys: records.keys, reload: (next, text) => workers.reload(next, text), close: () => workers.close() };
  } catch (error) {
    await records.close();
    throw error;
  }
}

/** Whether somebody was told is known to one process only, and so is which calls wait: several would tell and make the same several times. */
function refuseOneProcessParts({ channels, budgets }: Config): void {
  if (channels.length > 0)
    throw new PurserError("config_invalid", "Several workers cannot tell people yet: leave out channels in purser.yaml, or --workers.");
  if (budgets.some(({ ladder }) => ladder.some(({ rungs }) => rungs.some(({ kind }) => kind === "queue"))))
    throw new PurserError(
      "config_invalid",
      "Several workers cannot let calls wait on disk yet: leave out queue in purser.yaml, or --workers.",
    );
}

interface WorkersParts extends StartWorkersOptions {
  readonly records: Records;
  readonly log: AuditLog;
  readonly sealer: Sealer;
  /** Where the store is in this process; else each worker opens the one that it shares with other machines. */
  readonly central: Central | undefined;
  /** What is counted in this process. */
  readonly figures: Figures;
  readonly telemetry: RunningTelemetry | undefined;
  readonly onError: (error: unknown) => void;
}

/** One worker as this process sees it. */
interface One {
  readonly worker: Worker;
  readonly answers: Outbox<Answer>;
  isListening: boolean;
  /** Told what the worker says to a change of the configuration, or that it has died. */
  onStep: ((step: "paused" | { readonly failure: string | undefined }) => void) | undefined;
}

class Workers {
  readonly #parts: WorkersParts;
  readonly #all = new Set<One>();
  readonly #gathered: GatheredFigures;
  readonly #trips = new KeptTrips();
  readonly #sealing: NodeJS.Timeout;
  #source: ConfigSource;
  #budgets: Config["budgets"];
  #isClosing = false;
  #reloading: Promise<unknown> = Promise.resolve();

  constructor(parts: WorkersParts) {
    this.#parts = parts;
    this.#source = parts.source;
    this.#budgets = parts.config.budgets;
    this.#gathered = new GatheredFigures(parts.figures);
    const { sealer, onError } = parts;
    this.#sealing = setInterval(() => sealer.seal().catch(onError), SEAL_EVERY_MS).unref();
    cluster.setupPrimary({ exec: fileURLToPath(new URL("./worker.js", import.meta.url)), args: [], serialization: "advanced" });
  }

  /** Puts the limits in force, and starts the workers: the first one takes the port, or says why it cannot. */
  async start(): Promise<string> {
    const { central, count, sealer } = this.#parts;
    await sealer.open();
    await central?.start();
    sealer.begin().catch(this.#parts.onError);
    try {
      const { url } = await this.#startOne();
      await Promise.all(Array.from({ length: count - 1 }, () => this.#startOne()));
      return url;
    } catch (error) {
      this.#isClosing = true;
      for (const { worker } of this.#all) worker.process.kill("SIGKILL");
      clearInterval(this.#sealing);
      await central?.close();
      throw error;
    }
  }

  reload(config: Config, text: string): Promise<void> {
    const reloaded = this.#reloading.then(() => this.#reload(config, text));
    this.#reloading = reloaded.catch(() => undefined);
    return reloaded;
  }

  async close(): Promise<void> {
    const { config, central, records, log, sealer, telemetry, onError } = this.#parts;
    this.#isClosing = true;
    central?.drain();
    await this.#reloading;
    const ended = [...this.#all].map(async ({ worker }) => {
      const timer = setTimeout(() => worker.process.kill("SIGKILL"), config.server.drainMs + CLOSE_MORE_MS);
      send(worker, { kind: "close" });
      if (!worker.isDead()) await once(worker, "exit");
      clearTimeout(timer);
    });
    await Promise.all(ended);
    await central?.close();
    clearInterval(this.#sealing);
    await sealer.end().catch(onError);
    await log.write({ by: "purser", what: "gateway.stopped" }).catch(onError);
    await telemetry?.close();
    await records.close();
  }

  /** Starts a worker, and another one in its place whenever it dies. */
  #startOne(): Promise<{ readonly url: string }> {
    return new Promise((resolve, reject) => {
      const worker = cluster.fork();
      const answers = new Outbox<Answer>((items) => send(worker, { kind: "answers", answers: items }));
      const one: One = { worker, answers, isListening: false, onStep: undefined };
      this.#all.add(one);
      worker.on("message", (message: FromWorker) => {
        if (message.kind === "ready") {
          send(worker, { kind: "start", source: this.#source });
          const events = this.#trips.standing(Date.now());
          if (events.length > 0) send(worker, { kind: "guards", events });
        } else if (message.kind === "listening") {
          one.isListening = true;
          resolve(message);
        } else if (message.kind === "failed") {
          reject(new PurserError(message.failure.code, message.failure.message));
        } else this.#take(one, message);
      });
      worker.on("error", this.#parts.onError);
      worker.on("exit", (code, signal) => {
        this.#all.delete(one);
        this.#gathered.ended(worker.id);
        one.onStep?.({ failure: undefined });
        reject(new PurserError("internal", `A worker ended before it listened (${signal ?? `exit code ${code}`}).`));
        if (one.isListening) this.#replace(signal ?? `exit code ${code}`);
      });
    });
  }

  /** What a worker that died had admitted is charged when its leases run out. */
  #replace(why: string): void {
    if (this.#isClosing) return;
    this.#parts.onNotice(`A worker has died (${why}). Another one takes its place.`);
    this.#startOne().catch((error) => {
      this.#parts.onError(error);
      setTimeout(() => this.#replace("it could not start"), RESTART_AFTER_MS);
    });
  }

  #take(one: One, message: FromWorker): void {
    if (message.kind === "questions")
      for (const question of message.questions) void this.#parts.central?.answer(question).then((answer) => one.answers.add(answer));
    else if (message.kind === "counted") this.#count(one, message);
    else if (message.kind === "guard") this.#tellOthers(one, message.event);
    else if (message.kind === "notice") this.#parts.onNotice(message.notice);
    else if (message.kind === "paused") one.onStep?.("paused");
    else if (message.kind === "configured") one.onStep?.({ failure: message.failure });
  }

  #tellOthers(one: One, event: GuardEvent): void {
    this.#trips.add(event, Date.now());
    for (const other of this.#all) if (other !== one) send(other.worker, { kind: "guards", events: [event] });
  }

  #count({ worker }: One, { snapshot, asks }: FromWorker & { kind: "counted" }): void {
    this.#gathered.take(worker.id, snapshot);
    if (!asks) return;
    const counted = { counted: this.#gathered.snapshot(), audit: this.#parts.central?.audit, startedAt: performance.timeOrigin };
    send(worker, { kind: "counted", counted });
  }

  /**
   * All workers stop to admit calls, then the limits are put in force once, then all go on with the new ones. A worker that cannot keeps
   * the others on the old ones.
   */
  async #reload(config: Config, text: string): Promise<void> {
    if (this.#isClosing) return;
    refuseOneProcessParts(config);
    await this.#parts.central?.prepare(config);
    const changes = [...this.#all].map((one) => new Change(one, text));
    let failure: string | undefined;
    try {
      const paused = await Promise.all(changes.map(({ paused }) => paused));
      failure = paused.find((one) => one !== undefined);
      if (failure === undefined) {
        await this.#parts.log.write({ by: "purser", what: "config.changed", details: budgetChanges(this.#budgets, config.budgets) });
        this.#budgets = config.budgets;
        await this.#parts.central?.configure(config);
        this.#source = { ...this.#source, text };
      }
    } catch (error) {
      failure = (error as Error).message;
    }
    // Where each worker has put the limits in force by itself, nobody waits for this word.
    for (const { one } of changes) send(one.worker, { kind: "adopted", failure });
    const failures = await Promise.all(changes.map(({ done }) => done));
    failure ??= failures.find((one) => one !== undefined);
    if (failure !== undefined) throw new PurserError("config_invalid", failure);
  }
}

/** The way of one worker to another configuration. Either promise resolves with what went wrong, or nothing. */
class Change {
  readonly one: One;
  readonly paused: Promise<string | undefined>;
  readonly done: Promise<string | undefined>;

  constructor(one: One, text: string) {
    this.one = one;
    let setPaused: (failure: string | undefined) => void = () => undefined;
    let setDone: (failure: string | undefined) => void = () => undefined;
    this.paused = new Promise((resolve) => {
      setPaused = resolve;
    });
    this.done = new Promise((resolve) => {
      setDone = resolve;
    });
    const finish = (failure: string | undefined) => {
      clearTimeout(timer);
      one.onStep = undefined;
      setPaused(failure);
      setDone(failure);
    };
    const timer = setTimeout(() => finish("A worker did not take the configuration over in time."), RELOAD_MOST_MS);
    one.onStep = (step) => (step === "paused" ? setPaused(undefined) : finish(step.failure));
    send(one.worker, { kind: "configure", text });
  }
}

function send(worker: Worker, message: ToWorker): void {
  if (worker.isConnected()) worker.send(message);
}
