/**
 * The part of a Redis client that the store uses. An instance of ioredis' `Redis` or `Cluster` is one; another client needs a
 * function that sends a command: `{ call: (command, ...args) => client.sendCommand([command, ...args]) }`.
 */
export interface RedisClient {
  call(command: string, ...args: string[]): Promise<unknown>;
  /** The nodes of a cluster. */
  nodes?(role: "master"): readonly RedisClient[];
}

/** What of an error a client shows. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
