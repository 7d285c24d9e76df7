import { randomBytes } from "node:crypto";
import { mkdir } from "node:fs/promises";
import type { IncomingMessage, Server } from "node:http";
import type { AddressInfo } from "node:net";
import { Budgets, Drain, type PriceSource, PurserError, type Reservation, type Store } from "@purser/core";
import { openSqliteStore } from "@purser/core/stores/sqlite";
import { encodingOf, loadEncoding } from "@purser/core/tokens";
import { Decisions } from "./admin/decisions.ts";
import { createAdmin } from "./admin/routes.ts";
import type { Books } from "./books.ts";
import { readOrCreateAdminToken } from "./callers/admin-token.ts";
import { type Identified, identify } from "./callers/identify.ts";
import type { Keys } from "./callers/key.ts";
import { openKeys } from "./callers/keys.ts";
import type { Config } from "./config/config.ts";
import { isLoopback } from "./config/loopback.ts";
import { priceBookOf } from "./config/price-book.ts";
import type { Gateway } from "./pipeline.ts";
import { createRouter } from "./providers/routing.ts";
import { createHttpServer } from "./server.ts";
import { Upstream } from "./upstream.ts";

export interface StartOptions {
  readonly config: Config;
  /** Told what an operator should know and no caller waits for. */
  readonly onNotice?: (notice: string) => void;
  /** Where balances live; the embedded store in the data folder where it is left out. */
  readonly store?: Store;
  /** How long a client may take to send its request. A minute where it is left out. */
  readonly requestTimeoutMs?: number;
}

/** A gateway that listens. */
export interface RunningGateway {
  readonly url: string;
  readonly host: string;
  readonly port: number;
  readonly budgets: Budgets;
  readonly store: Store;
  readonly keys: Keys;
  /** Takes over budgets, providers and prices without a restart. */
  reload(config: Config): Promise<void>;
  /** Takes no new calls, lets the running ones end, settles them, and lets go of everything. */
  close(): Promise<void>;
}

const EXPIRE_EVERY_MS = 1_000;
const RENEW_EVERY_MS = 60_000;
const CUT_AFTER_MS = 500;

/** Starts a gateway: opens the books, the store and the keys, and listens. */
export async function startGateway(options: StartOptions): Promise<RunningGateway> {
  const { config, onNotice = () => undefined } = options;
  const onError = (error: unknown) => onNotice(error instanceof Error ? error.message : String(error));
  await mkdir(config.dataDir, { recursive: true, mode: 0o700 });
  const books = await openBooksOf(config, onError);
  try {
    return await startWith(books, onError, options);
  } catch (error) {
    await books?.close();
    throw error;
  }
}

async function startWith(
  books: Books | undefined,
  onError: (error: unknown) => void,
  { config, store: given, requestTimeoutMs }: StartOptions,
): Promise<RunningGateway> {
  const store = given ?? (await openSqliteStore({ directory: config.dataDir, onError }));
  const archiving = books && new Drain({ journal: store, archive: books.archive, onError });
  const keys = books?.keys ?? (await openKeys(config.dataDir, { onError }));
  const adminToken = await readOrCreateAdminToken(config.dataDir);
  const upstream = new Upstream();
  const prices = priceBookOf(config);
  const budgets = new Budgets({ store, budgets: config.budgets, allowances: config.allowances, prices, onError });
  await budgets.adopt();

  const inFlight = new Map<string, Reservation>();
  const identifyCaller = (request: IncomingMessage) => identifyRequest(request, keys, gateway.config, adminToken);
  let gateway: Gateway = {
    config,
    budgets,
    prices,
    upstream,
    route: createRouter(config),
    inFlight,
    identify: identifyCaller,
    newId: createIds(),
    onError,
  };
  let isDraining = false;
  const calls = new Set<Promise<void>>();
  const pricesNow: PriceSource = { card: (...model) => gateway.prices.card(...model) };
  const decisions = new Decisions({ budgets, store, prices: pricesNow, isDraining: () => isDraining });
  const timeZone = () => gateway.config.timezone;
  const admin = createAdmin({ budgets, store, keys, prices: pricesNow, decisions, timeZone, ...(books && { archive: books.archive }) });
  const server = createHttpServer({
    gateway: () => gateway,
    admin,
    isDraining: () => isDraining,
    calls,
    ...(archiving && { lag: () => archiving.lag() }),
    ...(requestTimeoutMs !== undefined && { requestTimeoutMs }),
  });
  await listen(server, config.server);
  archiving?.start();
  loadVocabularies(config).catch(onError);
  const timers = [
    every(EXPIRE_EVERY_MS, () => budgets.expire(), onError),
    every(RENEW_EVERY_MS, () => renewLeases(budgets, inFlight), onError),
  ];

  const { port } = server.address() as AddressInfo;
  const host = config.server.host;
  return {
    url: `http://${host.includes(":") ? `[${host}]` : host}:${port}`,
    host,
    port,
    budgets,
    store,
    keys,
    async reload(next) {
      const nextPrices = priceBookOf(next);
      await budgets.configure({ budgets: next.budgets, prices: nextPrices, allowances: next.allowances });
      gateway = { ...gateway, config: next, prices: nextPrices, route: createRouter(next) };
    },
    async close() {
      isDraining = true;
      await drain(server, calls, upstream, config.server.drainMs);
      for (const timer of timers) clearInterval(timer);
      await budgets.close();
      await archiving?.close();
      keys.close();
      await store.close();
      await books?.close();
    },
  };
}

/** Loaded only where it is used: most gateways have no PostgreSQL. */
async function openBooksOf({ store, dataDir }: Config, onError: (error: unknown) => void): Promise<Books | undefined> {
  if (store.postgres === undefined) return undefined;
  const { openBooks, ledgerNameOf } = await import("./books.ts");
  return openBooks({ url: store.postgres, ledger: await ledgerNameOf(dataDir), directory: dataDir, onError });
}

/** Reading a vocabulary takes a moment, once. Those of the providers in use are read now, so that no call waits for them. */
async function loadVocabularies({ providers }: Config): Promise<void> {
  const used = providers.filter(({ apiKey }) => apiKey !== undefined);
  const names = new Set(used.flatMap(({ models }) => models.map((pattern) => encodingOf(pattern.replaceAll("*", "")).encoding)));
  for (const name of names) await loadEncoding(name);
}

/** While there is no key and only this machine can reach the server, every caller is the owner. */
function identifyRequest(request: IncomingMessage, keys: Keys, config: Config, adminToken: string): Identified {
  const ownerMode = keys.isEmpty && isLoopback(config.server.host);
  if (ownerMode && !isLoopback(hostName(request.headers.host))) {
    return {
      ok: false,
      code: "key_missing",
      message: `The host "${request.headers.host ?? ""}" is not this machine's own name. Use 127.0.0.1 or localhost, or make a key: purser keys create.`,
    };
  }
  return identify(request.headers, request.url ?? "/", keys, { ownerMode, now: Date.now(), adminToken });
}

/** A page in the browser can point a name of its own at this machine; the name in `Host` gives it away. */
function hostName(host = ""): string {
  return host.startsWith("[") ? host.slice(1, host.indexOf("]")) : (host.split(":")[0] as string);
}

function listen(server: Server, { host, port }: Config["server"]): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause: NodeJS.ErrnoException) => {
      const what =
        cause.code === "EADDRINUSE"
          ? `Port ${port} on ${host} is in use. Stop what listens there, or choose another with --port.`
          : cause.message;
      reject(new PurserError("config_invalid", what, { cause }));
    });
    server.listen(port, host, resolve);
  });
}

/** Running calls get `drainMs` to end. What is left then is cut, and settled as any cut call is. */
async function drain(server: Server, calls: ReadonlySet<Promise<void>>, upstream: Upstream, drainMs: number): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeIdleConnections();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<"late">((resolve) => {
    timer = setTimeout(() => resolve("late"), drainMs);
  });
  const isLate = (await Promise.race([Promise.allSettled(calls), late])) === "late";
  clearTimeout(timer);
  if (isLate) {
    await upstream.destroy();
    // Whoever waits for an answer gets one; whoever is still sending a request cannot hold us up.
    const cut = setTimeout(() => server.closeAllConnections(), CUT_AFTER_MS);
    await Promise.allSettled(calls);
    clearTimeout(cut);
  } else {
    await upstream.close();
  }
  server.closeAllConnections();
  await closed;
}

function every(intervalMs: number, work: () => Promise<unknown>, onError: (error: unknown) => void): NodeJS.Timeout {
  const timer = setInterval(() => work().catch(onError), intervalMs);
  timer.unref();
  return timer;
}

/** A call may be silent for longer than its lease; while this process lives, the hold does too. */
async function renewLeases(budgets: Budgets, inFlight: ReadonlyMap<string, Reservation>): Promise<void> {
  const soon = Date.now() + 5 * RENEW_EVERY_MS;
  for (const reservation of inFlight.values()) if (reservation.expiresAt < soon) await budgets.extend(reservation);
}

const ID_BYTES = 9;
/** Random bytes for so many ids are drawn at a time: one draw costs as much as a hundred slices. */
const IDS_DRAWN = 256;

/** Makes ids of `req_`, the time, and 72 random bits: an index over ids that ascend by time stays small and warm. */
function createIds(): () => string {
  let drawn = Buffer.alloc(0);
  let at = 0;
  return () => {
    if (at + ID_BYTES > drawn.length) {
      drawn = randomBytes(ID_BYTES * IDS_DRAWN);
      at = 0;
    }
    at += ID_BYTES;
    return `req_${Date.now().toString(36)}${drawn.toString("base64url", at - ID_BYTES, at)}`;
  };
}
