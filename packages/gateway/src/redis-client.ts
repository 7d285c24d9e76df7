import { PurserError } from "@purser/core";
import type { Cluster, Redis } from "ioredis";

/** Long enough for a server far away. How long a command may take is the store's to say. */
const CONNECT_MS = 2_000;
const RECONNECT_MOST_MS = 1_000;
/** A server that says nothing for so long may be frozen or cut off, and another in its place by now. */
const SILENCE_MOST_MS = 3_000;

/** A connection that mends itself. Commands fail soon while it is broken; nobody is kept waiting for its return. */
const OPTIONS = { connectionName: "purser", connectTimeout: CONNECT_MS, socketTimeout: SILENCE_MOST_MS, maxRetriesPerRequest: 1 };

function retryAfterMs(times: number): number {
  return Math.min(50 * times, RECONNECT_MOST_MS);
}

// A primary that became a replica: whoever is asked leads to the new one by now, and what it refused it has not done.
function reconnectOnError({ message }: Error): false | 2 {
  return message.startsWith("READONLY") ? 2 : false;
}

export interface RedisOptions {
  /** The sentinels that know where the primary is. The host in its URL is the name that they have for it. */
  readonly sentinels?: readonly string[] | undefined;
  /** How long a command may take; for as long as it likes where it is left out. */
  readonly commandTimeout?: number;
}

/** Connects to a Redis or Valkey, to the cluster that it is a node of, or to the primary of some sentinels. */
export async function openRedis(urls: readonly string[], { sentinels, ...options }: RedisOptions = {}): Promise<Redis | Cluster> {
  const [url = ""] = urls;
  if (sentinels) return openPrimary(url, sentinels, options);
  if (urls.length > 1) return openCluster(urls, options);
  const { Redis } = await import("ioredis");
  const node = quiet(new Redis(url, { ...OPTIONS, ...options, retryStrategy: retryAfterMs, reconnectOnError }));
  let trouble: unknown;
  const onTrouble = (error: unknown) => {
    trouble = error;
  };
  node.on("error", onTrouble);
  try {
    if (!(await isClusterNode(node))) return node;
  } catch (error) {
    node.disconnect();
    // That it tried often enough says nothing; what it met each time does.
    const cause = (error as Error).name === "MaxRetriesPerRequestError" ? (trouble ?? error) : error;
    throw unusable(`Redis at ${hostOf(url)} cannot be used`, cause, "Is it running, and is the URL right?");
  } finally {
    node.off("error", onTrouble);
  }
  node.disconnect();
  return openCluster(urls, options);
}

/**
 * Asks sentinels for the primary each time it connects. It does not listen for what they announce: the client ends for good where that comes
 * while it connects anew. A primary that is replaced closes its connections, or is silent for too long.
 */
async function openPrimary(url: string, sentinels: readonly string[], options: CommandOptions): Promise<Redis> {
  const { Redis } = await import("ioredis");
  const [primary, watch] = [partsOf(url), sentinels.map((sentinel) => partsOf(sentinel))] as const;
  const [{ username, password, isEncrypted } = primary] = watch;
  const node = new Redis({
    ...OPTIONS,
    ...options,
    ...credentialsOf(primary),
    db: primary.database,
    name: primary.host,
    sentinels: watch.map(({ host, port = 26_379 }) => ({ host, port })),
    ...(username !== undefined && { sentinelUsername: username }),
    ...(password !== undefined && { sentinelPassword: password }),
    ...(isEncrypted && { sentinelTLS: {} }),
    enableTLSForSentinelMode: primary.isEncrypted,
    sentinelCommandTimeout: CONNECT_MS,
    retryStrategy: retryAfterMs,
    sentinelRetryStrategy: retryAfterMs,
    reconnectOnError,
  });
  try {
    await new Promise((resolve, reject) => node.once("ready", resolve).once("error", reject));
  } catch (cause) {
    node.disconnect();
    const known = `${sentinels.map(hostOf).join(", ")} as ${primary.host}`;
    throw unusable(
      `The primary that is known to ${known} cannot be used`,
      cause,
      "Do the sentinels run, is that its name, and is it running?",
    );
  }
  return quiet(node);
}

async function openCluster(urls: readonly string[], options: CommandOptions): Promise<Cluster> {
  const { Cluster } = await import("ioredis");
  const nodes = urls.map((url) => partsOf(url)) as [RedisParts, ...RedisParts[]];
  const cluster = new Cluster(
    nodes.map(({ host, port = 6_379 }) => ({ host, port })),
    {
      redisOptions: { ...OPTIONS, ...options, ...credentialsOf(nodes[0]) },
      // A certificate is for the name, so the name must not be replaced by an address.
      ...(nodes[0].isEncrypted && { dnsLookup: (address, callback) => callback(null, address) }),
      clusterRetryStrategy: retryAfterMs,
    },
  );
  return quiet(cluster);
}

type CommandOptions = Omit<RedisOptions, "sentinels">;

/** What a URL says. */
interface RedisParts {
  readonly host: string;
  readonly port: number | undefined;
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly database: number;
  readonly isEncrypted: boolean;
}

function partsOf(text: string): RedisParts {
  const url = new URL(text);
  const decoded = (part: string) => (part === "" ? undefined : decodeURIComponent(part));
  return {
    host: url.hostname.replace(/^\[|\]$/g, ""),
    port: url.port === "" ? undefined : Number(url.port),
    username: decoded(url.username),
    password: decoded(url.password),
    database: Number(url.pathname.slice(1)),
    isEncrypted: url.protocol === "rediss:",
  };
}

function credentialsOf({ username, password, isEncrypted }: RedisParts) {
  return { ...(username !== undefined && { username }), ...(password !== undefined && { password }), ...(isEncrypted && { tls: {} }) };
}

function unusable(what: string, cause: unknown, advice: string): PurserError {
  return new PurserError("store_unavailable", `${what}: ${(cause as Error).message.replace(/\.$/, "")}. ${advice}`, { cause });
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
