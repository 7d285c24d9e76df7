import cluster, { type Worker } from "node:cluster";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { fileURLToPath } from "node:url";
import { PurserError } from "@purser/core";
import { type FirstGateway, startFirst } from "../app.ts";
import type { Keys } from "../callers/key.ts";
import type { Config } from "../config/config.ts";
import { type CircuitEvent, Circuits } from "../failover/circuits.ts";
import { type CountBook, OwnCounts } from "../guards/count-book.ts";
import type { GuardEvent } from "../guards/trip-book.ts";
import { OpenHandovers } from "../handovers/open-handovers.ts";
import { Figures } from "../metrics/figures.ts";
import { GatheredFigures } from "../metrics/metrics.ts";
import type { DoneOnce } from "./done-once.ts";
import { type Answer, type ConfigSource, type FromWorker, Outbox, type Question, type ToWorker } from "./messages.ts";
import { answerBy, countVerbs, decisionVerbs, leasingStore, onceVerbs, storeVerbs, type Verbs } from "./served.ts";
import { KeptTrips, ToldTrips } from "./told-trips.ts";

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
  const workers = new Workers(options);
  const { url, keys } = await workers.start();
  return { url, keys, reload: (next, text) => workers.reload(next, text), close: () => workers.close() };
}

/** What runs in this process. */
interface Started {
  readonly first: FirstGateway;
  readonly verbs: Verbs;
}

/** One worker as this process sees it. */
interface One {
  readonly worker: Worker;
  readonly answers: Outbox<Answer>;
  /** The batches that it is sending. */
  readonly batches: Set<string>;
  isListening: boolean;
  /** Told what the worker says to a change of the configuration, or that it has died. */
  onStep: ((step: "paused" | { readonly failure: string | undefined }) => void) | undefined;
}

class Workers {
  readonly #options: StartWorkersOptions;
  readonly #all = new Set<One>();
  /** Those that do not listen yet. */
  readonly #starting = new Set<Promise<unknown>>();
  readonly #kept = new KeptTrips();
  readonly #figures = new Figures();
  readonly #gathered = new GatheredFigures(this.#figures);
  /** What is passed over, for a worker that starts. */
  readonly #failing = new Map<string, CircuitEvent>();
  readonly #circuits = new Circuits(
    (provider, change) => this.#figures.circuit(provider, change),
    (event) => this.#tellCircuit(undefined, event),
  );
  readonly #openHandovers = new OpenHandovers((event) => {
    for (const { worker } of this.#all) send(worker, { kind: "handovers", events: [event] });
  });
  readonly #counts = new OwnCounts();
  readonly #trips = new ToldTrips((event) => this.#tellOthers(undefined, event), this.#counts);
  readonly #onError: (error: unknown) => void;
  #started: Started | undefined;
  #source: ConfigSource;
  #isClosing = false;
  #reloading: Promise<unknown> = Promise.resolve();

  constructor(options: StartWorkersOptions) {
    this.#options = options;
    this.#source = options.source;
    this.#onError = (error) => options.onNotice(error instanceof Error ? error.message : String(error));
    cluster.setupPrimary({ exec: fileURLToPath(new URL("./worker.js", import.meta.url)), args: [], serialization: "advanced" });
  }

  /** Puts the limits in force, and starts the workers: the first one takes the port, or says why it cannot. */
  async start(): Promise<{ readonly url: string; readonly keys: Keys }> {
    const { config, count: workers, onNotice } = this.#options;
    const counted = () => this.#gathered.snapshot();
    const trips = config.store.redis ? {} : { trips: this.#trips };
    const shared = { figures: this.#figures, circuits: this.#circuits, openHandovers: this.#openHandovers, ...trips };
    const first = await startFirst({ config, onNotice, workers, counted, ...shared });
    try {
      this.#started = { first, verbs: verbsOf(config, first, this.#counts) };
      // Whoever takes the place of another one takes its port, also where the system had given it.
      const { host, port } = config.server;
      if (port === 0) this.#source = { ...this.#source, flags: { ...this.#source.flags, port: String(await freePort(host)) } };
      const { url } = await this.#startOne();
      first.reachedAt(url);
      await Promise.all(Array.from({ length: workers - 1 }, () => this.#startOne()));
      return { url, keys: first.keys };
    } catch (error) {
      this.#isClosing = true;
      for (const { worker } of this.#all) worker.process.kill("SIGKILL");
      await first.close();
      throw error;
    }
  }

  reload(config: Config, text: string): Promise<void> {
    const reloaded = this.#reloading.then(() => this.#reload(config, text));
    this.#reloading = reloaded.catch(() => undefined);
    return reloaded;
  }

  async close(): Promise<void> {
    const { config } = this.#options;
    this.#isClosing = true;
    this.#started?.first.drain();
    await this.#reloading;
    const ended = [...this.#all].map(async ({ worker, isListening }) => {
      const timer = setTimeout(() => worker.process.kill("SIGKILL"), config.server.drainMs + CLOSE_MORE_MS);
      // One that only starts has no calls, and may not hear what it is told.
      if (isListening) send(worker, { kind: "close" });
      else worker.process.kill("SIGKILL");
      if (!worker.isDead()) await once(worker, "exit");
      clearTimeout(timer);
    });
    await Promise.all(ended);
    await this.#started?.first.close();
  }

  /** Starts a worker, and another one in its place whenever it dies. */
  #startOne(): Promise<{ readonly url: string }> {
    const starting = this.#fork().finally(() => this.#starting.delete(starting));
    this.#starting.add(starting);
    return starting;
  }

  #fork(): Promise<{ readonly url: string }> {
    return new Promise((resolve, reject) => {
      const worker = cluster.fork();
      const answers = new Outbox<Answer>((items) => send(worker, { kind: "answers", answers: items }));
      const one: One = { worker, answers, batches: new Set(), isListening: false, onStep: undefined };
      this.#all.add(one);
      worker.on("message", (message: FromWorker) => {
        if (message.kind === "ready") {
          send(worker, { kind: "start", source: this.#source });
          const events = this.#kept.standing(Date.now());
          if (events.length > 0) send(worker, { kind: "guards", events });
          if (this.#openHandovers.size > 0) send(worker, { kind: "handovers", events: this.#openHandovers.all() });
          if (this.#failing.size > 0) send(worker, { kind: "circuits", events: [...this.#failing.values()] });
        } else if (message.kind === "listening") {
          one.isListening = true;
          resolve(message);
        } else if (message.kind === "failed") {
          worker.process.kill("SIGKILL");
          reject(new PurserError(message.failure.code, message.failure.message));
        } else this.#take(one, message);
      });
      worker.on("error", this.#onError);
      // Only now nothing more of it can come.
      worker.on("disconnect", () => {
        for (const id of one.batches) this.#started?.first.abandonBatch(id);
      });
      worker.on("exit", (code, signal) => {
        this.#all.delete(one);
        this.#gathered.ended(worker.id);
        if (!this.#isClosing) this.#started?.first.lookBack();
        one.onStep?.({ failure: undefined });
        reject(new PurserError("internal", `A worker ended before it listened (${signal ?? `exit code ${code}`}).`));
        if (one.isListening) this.#replace(signal ?? `exit code ${code}`);
      });
    });
  }

  /** What a worker that died had admitted is charged when its leases run out. */
  #replace(why: string): void {
    if (this.#isClosing) return;
    this.#options.onNotice(`A worker has died (${why}). Another one takes its place.`);
    // One that started amid a change of the configuration would have the old one.
    this.#reloading
      .then(() => (this.#isClosing ? undefined : this.#startOne()))
      .catch((error) => {
        if (this.#isClosing) return;
        this.#onError(error);
        setTimeout(() => this.#replace("it could not start"), RESTART_AFTER_MS);
      });
  }

  #take(one: One, message: FromWorker): void {
    if (message.kind === "questions") for (const question of message.questions) this.#answer(one, question);
    else if (message.kind === "counted") this.#count(one, message);
    else if (message.kind === "guard") this.#tellOthers(one, message.event);
    else if (message.kind === "circuit") this.#tellCircuit(one, message.event);
    else if (message.kind === "notice") this.#options.onNotice(message.notice);
    else if (message.kind === "paused") one.onStep?.("paused");
    else if (message.kind === "configured") one.onStep?.({ failure: message.failure });
  }

  #answer(one: One, question: Question): void {
    const { verbs = {} } = this.#started ?? {};
    const sent = sentBatch(question);
    if (sent?.isSent === false) one.batches.add(sent.id);
    void answerBy(verbs, question).then((answer) => {
      if (sent?.isSent) one.batches.delete(sent.id);
      one.answers.add(answer);
    });
  }

  /** Tells what a guard tripped on or let go of: one of a worker, or of this process. */
  #tellOthers(one: One | undefined, event: GuardEvent): void {
    this.#kept.add(event, Date.now());
    if (one) this.#trips.take([event]);
    for (const other of this.#all) if (other !== one) send(other.worker, { kind: "guards", events: [event] });
  }

  /** Tells what a worker, or this process, found out about a provider. */
  #tellCircuit(one: One | undefined, event: CircuitEvent): void {
    if (event.circuit) this.#failing.set(event.key, event);
    else this.#failing.delete(event.key);
    if (one) this.#circuits.hear(event);
    for (const other of this.#all) if (other !== one) send(other.worker, { kind: "circuits", events: [event] });
  }

  #count({ worker }: One, { snapshot, asks }: FromWorker & { kind: "counted" }): void {
    this.#gathered.take(worker.id, snapshot);
    if (!asks) return;
    const counted = { counted: this.#gathered.snapshot(), audit: this.#started?.first.audit(), startedAt: performance.timeOrigin };
    send(worker, { kind: "counted", counted });
  }

  /**
   * All workers stop to admit calls, then the limits are put in force once, then all go on with the new ones. A worker that cannot keeps
   * the others on the old ones.
   */
  async #reload(config: Config, text: string): Promise<void> {
    if (this.#isClosing) return;
    await Promise.allSettled(this.#starting);
    await this.#started?.first.prepare(config);
    const changes = [...this.#all].map((one) => new Change(one, text));
    let failure: string | undefined;
    try {
      const paused = await Promise.all(changes.map(({ paused }) => paused));
      failure = paused.find((one) => one !== undefined);
      if (failure === undefined) {
        await this.#started?.first.reload(config);
        // Every worker begins anew.
        this.#failing.clear();
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

/** What is served to the workers. A store that several machines share each opens for itself. */
function verbsOf({ store: { redis } }: Config, { store, once, decide }: FirstGateway, counts: CountBook): Verbs {
  if (redis) return onceVerbs(once);
  return { ...storeVerbs(leasingStore(store)), ...decisionVerbs(decide), ...countVerbs(counts), ...onceVerbs(once) };
}

/** The batch that a worker begins to send with a question, or has sent. */
function sentBatch({ verb, argument }: Question): { readonly id: string; readonly isSent: boolean } | undefined {
  if (verb === "batches.add") {
    const [{ id }] = argument as Parameters<DoneOnce["batches"]["add"]>;
    return { id, isSent: false };
  }
  if (verb !== "batches.taken" && verb !== "batches.returned" && verb !== "batches.lost") return undefined;
  const [id] = argument as readonly [string];
  return { id, isSent: true };
}

/** A port that is free now; 0 where there is none, which is said when it is listened on. */
async function freePort(host: string): Promise<number> {
  const server = createServer();
  const isFound = await new Promise<boolean>((resolve) => server.once("error", () => resolve(false)).listen(0, host, () => resolve(true)));
  if (!isFound) return 0;
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

function send(worker: Worker, message: ToWorker): void {
  if (worker.isConnected()) worker.send(message);
}
