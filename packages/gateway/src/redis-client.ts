import { PurserError } from "@purser/core";
import type { Cluster, Redis } from "ioredis";

/** Long enough for a server far away. How long a command may take is the store's to say. */
const CONNECT_MS = 2_000;
const RECONNECT_MOST_MS = 1_000;

/** A connection that mends itself. Commands fail soon while it is broken; nobody is kept waiting for its return. */
const OPTIONS = { connectionName: "purser", connectTimeout: CONNECT_MS, maxRetriesPerRequest: 1 };

function retryAfterMs(times: number): number {
  return Math.min(50 * times, RECONNECT_MOST_MS);
}

export interface RedisOptions {
  /** How long a command may take; for as long as it likes where it is left out. */
  readonly commandTimeout?: number;
}

/** Connects to a Redis or Valkey, or to the cluster that it is a node of. */
export async function openRedis(urls: readonly string[], options: RedisOptions = {}): Promise<Redis | Cluster> {
  const { Redis } = await import("ioredis");
  const [url = ""] = urls;
  const node = quiet(
    new Redis(url, {
      ...OPTIONS,
      ...options,
      retryStrategy: retryAfterMs,
      // A primary that became a replica: the name leads to the new one by now, and what it refused it has not done.
      reconnectOnError: (error) => (error.message.startsWith("READONLY") ? 2 : false),
    }),
  );
  if (urls.length === 1) {
    try {
      if (!(await isClusterNode(node))) return node;
    } catch (cause) {
      node.disconnect();
      throw new PurserError(
        "store_unavailable",
        `Redis at ${hostOf(url)} cannot be used: ${(cause as Error).message}. Is it running, and is the URL right?`,
        {
          cause,
        },
      );
    }
  }
  node.disconnect();
  return openCluster(urls, options);
}

async function openCluster(urls: readonly string[], options: RedisOptions): Promise<Cluster> {
  const { Cluster } = await import("ioredis");
  const { username, password, protocol } = new URL(urls[0] ?? "");
  const nodes = urls.map((url) => {
    const { hostname, port } = new URL(url);
    return { host: hostname.replace(/^\[|\]$/g, ""), port: Number(port || 6379) };
  });
  const isEncrypted = protocol === "rediss:";
  const cluster = new Cluster(nodes, {
    redisOptions: {
      ...OPTIONS,
      ...options,
      ...(username !== "" && { username: decodeURIComponent(username) }),
      ...(password !== "" && { password: decodeURIComponent(password) }),
      ...(isEncrypted && { tls: {} }),
    },
    // A certificate is for the name, so the name must not be replaced by an address.
    ...(isEncrypted && { dnsLookup: (address, callback) => callback(null, address) }),
    clusterRetryStrategy: retryAfterMs,
  });
  return quiet(cluster);
}

/** Failures are told by the commands that meet them. */
function quiet<Client extends Redis | Cluster>(client: Client): Client {
  client.on("error", () => undefined);
  return client;
}

async function isClusterNode(node: Redis): Promise<boolean> {
  try {
    return (await node.info("cluster")).includes("cluster_enabled:1");
  } catch (error) {
    if ((error as Error).message.startsWith("NOPERM")) return false;
    throw error;
  }
}

/** An address without user and password, for people. */
export function hostOf(url: string): string {
  return new URL(url).host;
}
