import { createHash } from "node:crypto";
import { messageOf, type RedisClient } from "./client.ts";
import { SHARED } from "./scripts/shared.lua.ts";

/** A script and the name by which a server that saw it once knows it. */
export interface Script {
  readonly text: string;
  readonly sha1: string;
}

export function scriptOf(verb: string): Script {
  const text = `${SHARED}${verb}`;
  return { text, sha1: createHash("sha1").update(text).digest("hex") };
}

/** Runs a script by its name; by its text where the server does not know it, as after a restart or a fail-over. */
export async function runScript(
  redis: RedisClient,
  { text, sha1 }: Script,
  keys: readonly string[],
  args: readonly string[],
): Promise<unknown> {
  const rest = [String(keys.length), ...keys, ...args];
  try {
    return await redis.call("evalsha", sha1, ...rest);
  } catch (error) {
    if (!messageOf(error).includes("NOSCRIPT")) throw error;
    return redis.call("eval", text, ...rest);
  }
}
