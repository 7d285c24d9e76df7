import { createLeasedStore, type LeasedStore, PurserError } from "@purser/core";
import { type RunningGateway, type StartOptions, startGateway } from "../app.ts";
import type { Config } from "../config/config.ts";
import { readConfig } from "../config/read-config.ts";
import { keepWhatHoldsFromStart } from "../config/watch.ts";
import { Circuits } from "../failover/circuits.ts";
import { OpenHandovers } from "../handovers/open-handovers.ts";
import { Figures } from "../metrics/figures.ts";
import type { Counted } from "../metrics/metrics.ts";
import { Questions } from "./asking.ts";
import type { ConfigSource, FromWorker, ToWorker } from "./messages.ts";
import { createRemoteStore } from "./remote-store.ts";
import { failureOf, remoteCounts, remoteDecisions, remoteOnce } from "./served.ts";
import { ToldTrips } from "./told-trips.ts";

/** What a worker that dies has counted since then is missing from the figures; the ledger has it. */
const COUNTED_EVERY_MS = 1_000;

/** One of several gateways on one port: a process whose store is that of the process which started it. */
class WorkerGateway {
  readonly #questions = new Questions((questions) => tell({ kind: "questions", questions }));
  #store: LeasedStore | undefined;
  #source: ConfigSource | undefined;
  #config: Config | undefined;
  #gateway: RunningGateway | undefined;
  readonly #figures = new Figures();
  readonly #circuits = new Circuits(
    (provider, change) => this.#figures.circuit(provider, change),
    (event) => tell({ kind: "circuit", event }),
  );
  readonly #trips = new ToldTrips((event) => tell({ kind: "guard", event }), remoteCounts(this.#questions.ask));
  readonly #openHandovers = new OpenHandovers();
  /** Those who wait to be told what all workers have counted. */
  readonly #readers: ((counted: Counted) => void)[] = [];
  #adopted: { readonly resolve: () => void; readonly reject: (error: PurserError) => void } | undefined;

  take(message: ToWorker): void {
    if (message.kind === "answers") this.#questions.take(message.answers);
    else if (message.kind === "start") void this.#start(message.source);
    else if (message.kind === "configure") void this.#configure(message.text);
    else if (message.kind === "guards") this.#trips.take(message.events);
    else if (message.kind === "circuits") for (const event of message.events) this.#circuits.hear(event);
    else if (message.kind === "handovers") for (const event of message.events) this.#openHandovers.hear(event);
    else if (message.kind === "adopted") this.#goOn(message.failure);
    else if (message.kind === "counted") for (const resolve of this.#readers.splice(0)) resolve(message.counted);
    else void this.#close();
  }

  async #start(source: ConfigSource): Promise<void> {
    try {
      this.#source = source;
      this.#config = read(source);
      const counting = { figures: this.#figures, read: () => this.#readCounted() };
      const own = { config: this.#config, onNotice: notice, counting, circuits: this.#circuits, openHandovers: this.#openHandovers };
      this.#gateway = await startGateway({ ...own, ...this.#sharedParts(this.#config) });
      setInterval(() => this.#tellCounted(false), COUNTED_EVERY_MS).unref();
      const { url, host, port } = this.#gateway;
      tell({ kind: "listening", url, host, port });
    } catch (error) {
      tell({ kind: "failed", failure: failureOf(error) });
    }
  }

  /** A store that several machines share is opened by each gateway for itself. */
  #sharedParts({ store }: Config): Pick<StartOptions, "store" | "shared" | "trips" | "once"> {
    const { ask } = this.#questions;
    const once = remoteOnce(ask);
    if (store.redis) return { once };
    this.#store = createLeasedStore(createRemoteStore(ask), { onError: (error) => notice(failureOf(error).message) });
    const shared = { untilAdopted: () => this.#untilAdopted(), decide: remoteDecisions(ask) };
    return { once, store: this.#store, trips: this.#trips, shared };
  }

  #tellCounted(asks: boolean): void {
    tell({ kind: "counted", snapshot: this.#figures.snapshot(), asks });
  }

  #readCounted(): Promise<Counted> {
    return new Promise((resolve) => {
      if (this.#readers.push(resolve) === 1) this.#tellCounted(true);
    });
  }

  async #configure(text: string): Promise<void> {
    try {
      if (!this.#source || !this.#config || !this.#gateway) throw new PurserError("internal", "The worker has not started yet.");
      const config = keepWhatHoldsFromStart(this.#config, read({ ...this.#source, text }));
      await this.#gateway.reload(config);
      this.#config = config;
      tell({ kind: "configured", failure: undefined });
    } catch (error) {
      tell({ kind: "configured", failure: failureOf(error).message });
    }
  }

  /** All that was admitted here has to be in the ledger before new limits start from it. */
  async #untilAdopted(): Promise<void> {
    await this.#store?.report();
    await new Promise<void>((resolve, reject) => {
      this.#adopted = { resolve, reject };
      tell({ kind: "paused" });
    });
  }

  #goOn(failure: string | undefined): void {
    const adopted = this.#adopted;
    this.#adopted = undefined;
    if (failure === undefined) adopted?.resolve();
    else adopted?.reject(new PurserError("config_invalid", failure));
  }

  async #close(): Promise<void> {
    await this.#gateway?.close().catch((error: unknown) => notice(failureOf(error).message));
    process.disconnect();
  }
}

/** The file and the flags are those of the process that watches them. */
function read({ file, text, flags, cwd }: ConfigSource): Config {
  return readConfig({ file, text, flags, cwd, environment: process.env });
}

function tell(message: FromWorker): void {
  if (process.connected) process.send?.(message);
}

function notice(text: string): void {
  tell({ kind: "notice", notice: text });
}

// A signal to the whole group reaches this process too; it is the other one that says when to stop.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => undefined);
const worker = new WorkerGateway();
process.on("message", (message: ToWorker) => worker.take(message));
tell({ kind: "ready" });
