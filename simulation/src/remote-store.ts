import { PurserError, type Store } from "../../packages/core/dist/index.js";
import type { Network } from "./network.js";
import type { Due, Process, VirtualTime } from "./virtual-time.js";

/** A store as others reach it. An attempt to hold a call has a number of its own, so that it can be undone without undoing another. */
export interface RemoteServer extends Store {
  reserve(command: Parameters<Store["reserve"]>[0], attempt?: number): ReturnType<Store["reserve"]>;
  /** Returns what this attempt holds, or comes to hold later; nothing that another attempt was told of. */
  undo(id: string, attempt: number): Promise<unknown>;
  time(): Promise<number>;
  /** Gives the lock to a holder for a while, or prolongs it. Returns whether it is the holder's. */
  lock(holder: number, ms: number): Promise<boolean>;
  unlock(holder: number): Promise<void>;
}

/** Makes a store one that others share: it goes by its own clock, and keeps apart the attempts to hold the same call. */
export function remoteServer(store: Store, now: () => number): RemoteServer {
  const undone = new Set<number>();
  /** Who holds a call; nobody alone, once a second attempt was told of it. */
  const holders = new Map<string, number | "shared">();
  let lock: { readonly holder: number; readonly until: number } | undefined;
  return {
    ...store,
    reserve: async (command, attempt = 0) => {
      if (undone.has(attempt)) return { outcome: "ended" };
      const holder = holders.get(command.id);
      const isMoved = command.limits.some(({ counter }) => now() < counter.startsAt || now() >= (counter.resetsAt ?? Infinity));
      if (holder === undefined && isMoved) return { outcome: "moved", now: now() };
      const result = await store.reserve(command);
      if (result.outcome === "reserved") holders.set(command.id, holder === undefined || holder === attempt ? attempt : "shared");
      return result;
    },
    undo: async (id, attempt) => {
      undone.add(attempt);
      return holders.get(id) === attempt ? store.release({ id, why: "the reservation was not acknowledged" }) : undefined;
    },
    time: async () => now(),
    lock: async (holder, ms) => {
      if (lock && lock.holder !== holder && now() < lock.until) return false;
      lock = { holder, until: now() + ms };
      return true;
    },
    unlock: async (holder) => {
      if (lock?.holder === holder) lock = undefined;
    },
  };
}

export interface RemoteStoreOptions {
  readonly time: VirtualTime;
  readonly network: Network;
  readonly server: RemoteServer;
  readonly serverProcess: Process;
  readonly process: Process;
  /** How long an answer is waited for, and how often it is asked for. */
  readonly timeoutMs: number;
  readonly tries: number;
  /** A number that nothing had before: no attempt, and nobody who is alone. */
  nextNumber(): number;
}

const OWED_AGAIN_MS = 3_000;
const LOCK_MS = 30_000;
const LOCK_TRY_MS = 100;

/**
 * A store on another machine, as a client of it behaves: a verb that gets no answer is given up as `store_unavailable`. What was used, or
 * is to be returned, is owed from then on, and said again until the store has heard it.
 */
export class RemoteStore implements Store {
  readonly #options: RemoteStoreOptions;

  constructor(options: RemoteStoreOptions) {
    this.#options = options;
  }

  async reserve(command: Parameters<Store["reserve"]>[0]): ReturnType<Store["reserve"]> {
    const attempt = this.#options.nextNumber();
    try {
      return await this.#ask((server) => server.reserve(command, attempt), { isOnce: true });
    } catch (error) {
      if (isUnavailable(error)) this.#owe((server) => server.undo(command.id, attempt));
      throw error;
    }
  }

  extend: Store["extend"] = (command) => this.#ask((server) => server.extend(command));
  settle: Store["settle"] = (command) => this.#written((server) => server.settle(command));
  release: Store["release"] = (command) => this.#written((server) => server.release(command));
  expire: Store["expire"] = () => this.#ask((server) => server.expire());
  /** What is written down beside calls has no id by which a repetition would be known. */
  record: Store["record"] = (entry) => this.#ask((server) => server.record(entry), { isOnce: true });
  standings: Store["standings"] = (limits) => this.#ask((server) => server.standings(limits));
  counters: Store["counters"] = (filter) => this.#ask((server) => server.counters(filter));
  entries: Store["entries"] = (query) => this.#ask((server) => server.entries(query));

  time = () => this.#ask((server) => server.time());

  /** Runs work that no other gateway does at the same time, unless this one stands still for longer than its lock lasts. */
  async alone<Result>(work: () => Promise<Result>): Promise<Result> {
    const holder = this.#options.nextNumber();
    while (!(await this.#ask((server) => server.lock(holder, LOCK_MS)))) await this.#wait(LOCK_TRY_MS);
    let isOver = false;
    const renew = () => {
      if (!isOver) this.#ask((server) => server.lock(holder, LOCK_MS)).then(renewLater, renewLater);
    };
    const renewLater = () => void this.#options.time.after(this.#options.process, LOCK_MS / 3, renew);
    renewLater();
    try {
      return await work();
    } finally {
      isOver = true;
      await this.#ask((server) => server.unlock(holder));
    }
  }

  async close(): Promise<void> {}

  #wait(ms: number): Promise<void> {
    const { time, process } = this.#options;
    return new Promise((resolve) => {
      time.after(process, ms, resolve);
    });
  }

  async #written<Result>(verb: (server: RemoteServer) => Promise<Result>): Promise<Result> {
    try {
      return await this.#ask(verb);
    } catch (error) {
      if (isUnavailable(error)) this.#owe(verb);
      throw error;
    }
  }

  #owe(verb: (server: RemoteServer) => Promise<unknown>): void {
    const { time, process } = this.#options;
    time.after(process, OWED_AGAIN_MS, () => {
      this.#ask(verb).catch(() => this.#owe(verb));
    });
  }

  #ask<Result>(verb: (server: RemoteServer) => Promise<Result>, { isOnce = false } = {}): Promise<Result> {
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

function isUnavailable(error: unknown): boolean {
  return error instanceof PurserError && error.code === "store_unavailable";
}
