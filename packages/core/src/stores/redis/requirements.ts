import { PurserError } from "../../errors.ts";
import { messageOf, type RedisClient } from "./client.ts";

const VERSION_LEAST: readonly [major: number, minor: number] = [6, 2];

/** Refuses a server that would lose balances by itself, and says what to set. Returns what an operator should know besides. */
export async function checkServers(redis: RedisClient): Promise<readonly string[]> {
  const masters = redis.nodes?.("master") ?? [];
  const servers = masters.length > 0 ? masters : [redis];
  const notices = new Set<string>();
  for (const server of servers) {
    let info: string;
    try {
      info = String(await server.call("info"));
    } catch (error) {
      if (!messageOf(error).startsWith("NOPERM")) throw error;
      notices.add(
        "Redis does not let this user read INFO, so its version, its maxmemory-policy and its append-only file are not checked, and after a fail-over calls are admitted before all gateways were asked what is missing. Give it +info.",
      );
      continue;
    }
    for (const notice of checkServer(info)) notices.add(notice);
  }
  return [...notices];
}

/** Judges what a server says of itself. */
export function checkServer(info: string): readonly string[] {
  const fields = new Map(
    info.split(/\r?\n/).map((line): [string, string] => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1)]),
  );
  const version = fields.get("redis_version") ?? "0";
  const [major = 0, minor = 0] = version.split(".").map(Number);
  if (major < VERSION_LEAST[0] || (major === VERSION_LEAST[0] && minor < VERSION_LEAST[1])) {
    throw new PurserError(
      "store_unsuitable",
      `This Redis is version ${version}. Purser needs ${VERSION_LEAST.join(".")} or newer, or Valkey.`,
    );
  }
  const policy = fields.get("maxmemory_policy") ?? "noeviction";
  if (policy !== "noeviction") {
    throw new PurserError(
      "store_unsuitable",
      `This Redis has maxmemory-policy ${policy}: when its memory is full it would forget balances. Set it to noeviction: CONFIG SET maxmemory-policy noeviction, and the same in redis.conf.`,
    );
  }
  const notices: string[] = [];
  if (fields.get("aof_enabled") === "0") {
    notices.push(
      "This Redis has no append-only file: when it restarts, the balances are gone, and Purser refuses calls until you say what to do. Set appendonly yes and appendfsync always in redis.conf.",
    );
  }
  // The number of replicas that keep up is there only where one is asked for.
  const isGuarded = fields.has("min_slaves_good_slaves") || fields.has("min_replicas_good_replicas");
  if (Number(fields.get("connected_slaves") ?? 0) > 0 && !isGuarded) {
    notices.push(
      "This Redis has replicas, and goes on without them when it is cut off: what it admits then is lost when one of them takes over. Set min-replicas-to-write 1 and min-replicas-max-lag 3 in redis.conf.",
    );
  }
  return notices;
}
