import { PurserError } from "@purser/core";
import type { RedisClient } from "@purser/core/stores/redis";

export type GuardClient = RedisClient & { disconnect(): void };

/** The connection by which guards of several gateways tell each other, opened when it is needed first. */
export class GuardConnection {
  readonly #connect: () => Promise<GuardClient>;
  #client: Promise<GuardClient> | undefined;

  constructor(connect: () => Promise<GuardClient>) {
    this.#connect = connect;
  }

  /** `what` cannot be done where it fails. */
  async send(what: string, command: string, ...args: readonly string[]): Promise<unknown> {
    try {
      return await (await this.#connected()).call(command, ...args);
    } catch (cause) {
      if (cause instanceof PurserError) throw cause;
      const message = cause instanceof Error ? cause.message : String(cause);
      throw new PurserError("store_unavailable", `Guards cannot ${what}: ${message}. It is tried again.`, { cause });
    }
  }

  close(): void {
    this.#client?.then((client) => client.disconnect()).catch(() => undefined);
  }

  #connected(): Promise<GuardClient> {
    this.#client ??= this.#connect().catch((error) => {
      this.#client = undefined;
      throw error;
    });
    return this.#client;
  }
}
