import type { Config } from "../config/config.ts";
import { openRedis } from "../redis-client.ts";
import { RedisTripBook } from "./redis-trip-book.ts";
import { NO_TRIP_BOOK, type TripBook } from "./trip-book.ts";

/** Nobody waits for it, and it must not wait for a server that does not answer. */
const COMMAND_MS = 5_000;

/** Where a gateway tells others what its guards trip on: in the Redis that they share. */
export function openTripBook(
  { store: { redis, sentinels, namespace } }: Pick<Config, "store">,
  onError: (error: unknown) => void,
): TripBook {
  if (!redis) return NO_TRIP_BOOK;
  return new RedisTripBook({ namespace, onError, connect: () => openRedis(redis, { sentinels, commandTimeout: COMMAND_MS }) });
}
