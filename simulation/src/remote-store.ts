import { PurserError, type Store } from "../../packages/core/dist/index.js";
import type { Network } from "./network.js";
import type { Due, Process, VirtualTime } from "./virtual-time.js";

export interface RemoteStoreOptions {
  readonly time: VirtualTime;
  readonly network: Network;
  readonly server: Store;
  readonly serverProcess: Process;
  readonly process: Process;
  /** How long an answer is waited for, and how often it is asked for. */
  readonly timeoutMs: number;
  readonly tries: number;
}

const UNDO_AGAIN_MS = 3_000;

/**
 * A store on another machine, as a client of it behaves: a verb that gets no answer is repeated, and given up as `store_unavailable`. A
 * reservation that was given up may have been made all the same, so it is released for as long as it takes.
 */
export class RemoteStore implements Store {
  readonly #options: RemoteStoreOptions;

  constructor(options: RemoteStoreOptions) {
    this.#options = options;
  }

  async reserve(command: Parameters<Store["reserve"]>[0]): ReturnType<Store["reserve"]> {
    try {
      return await this.#ask((server) => server.reserve(command));
    } catch (error) {
      if (error instanceof PurserError && error.code === "store_unavailable") this.#undo(command.id);
      throw error;
    }
  }

  extend: Store["extend"] = (command) => this.#ask((server) => server.extend(command));
  settle: Store["settle"] = (command) => this.#ask((server) => server.settle(command));
  release: Store["release"] = (command) => this.#ask((server) => server.release(command));
  expire: Store["expire"] = () => this.#ask((server) => server.expire());
  /** What is written down beside calls has no id by which a repetition would be known. */
  record: Store["record"] = (entry) => this.#ask((server) => server.record(entry), { isOnce: true });
  counters: Store["counters"] = (filter) => this.#ask((server) => server.counters(filter));
  entries: Store["entries"] = (query) => this.#ask((server) => server.entries(query));

  async close(): Promise<void> {}

  #undo(id: string): void {
    const { time, process } = this.#options;
    const again = () => time.after(process, UNDO_AGAIN_MS, () => this.#undo(id));
    this.#ask((server) => server.release({ id, why: "the reservation was given up" })).catch(again);
  }

  #ask<Result>(verb: (server: Store) => Promise<Result>, { isOnce = false } = {}): Promise<Result> {
    const { time, network, server, serverProcess, process, timeoutMs, tries } = this.#options;
    return new Promise((resolve, reject) => {
      let timer: Due | undefined;
      const answer = (tell: () => void) => {
        network.send(serverProcess, process, () => {
          if (timer) timer.isCancelled = true;
          tell();
        });
      };
      const arrive = () => {
        verb(server).then(
          (result) => answer(() => resolve(result)),
          (error) => answer(() => reject(error)),
        );
      };
      const attempt = (left: number) => {
        if (left === 0) return reject(new PurserError("store_unavailable", "The store does not answer."));
        network.send(process, serverProcess, arrive, isOnce);
        timer = time.after(process, timeoutMs, () => attempt(left - 1));
      };
      attempt(isOnce ? 1 : tries);
    });
  }
}
