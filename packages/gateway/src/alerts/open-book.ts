import type { Config } from "../config/config.ts";
import { openRedis } from "../redis-client.ts";
import type { AlertBook } from "./alert-book.ts";
import { type FileBookOptions, openFileBook } from "./file-book.ts";
import { RedisBook } from "./redis-book.ts";

/** Telling is in no hurry, and must not wait for a server that does not answer. */
const COMMAND_MS = 5_000;

/** Opens the book that a configuration names: in the Redis of several gateways, or in the data folder of one. */
export async function openAlertBook(
  { store, dataDir }: Pick<Config, "store" | "dataDir">,
  options: FileBookOptions = {},
): Promise<AlertBook> {
  const { redis, sentinels, namespace } = store;
  if (!redis) return openFileBook(dataDir, options);
  // A connection of its own: notices do not stand in the way of decisions about calls.
  return new RedisBook({ namespace, connect: () => openRedis(redis, { sentinels, commandTimeout: COMMAND_MS }) });
}
