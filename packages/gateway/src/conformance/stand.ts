import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { setImmediate } from "node:timers/promises";
import { createMemoryStore, type Entry, type EntryKind, type Store } from "@purser/core";
import { type RunningGateway, startGateway } from "../app.ts";
import type { BodyRoom } from "../body-room.ts";
import type { Config } from "../config/config.ts";
import { readConfig } from "../config/read-config.ts";

/** A gateway on a free port, and its books. */
export interface Stand {
  readonly gateway: RunningGateway;
  readonly url: string;
  readonly port: number;
  /** Where its data lie. */
  readonly directory: string;
  /** What the gateway would have told its operator. */
  readonly notices: readonly string[];
  /** The whole ledger, oldest first. */
  ledger(...kinds: readonly EntryKind[]): Promise<readonly Entry[]>;
  /** Waits until so many entries of these kinds stand in the ledger, and returns them. */
  entries<Kind extends EntryKind>(count: number, ...kinds: readonly Kind[]): Promise<readonly (Entry & { kind: Kind })[]>;
  /** No hold is left, and every balance is the sum of its entries. Waits for calls that are still being settled. */
  checkBooks(): Promise<void>;
}

export interface StandOptions {
  /** The text of purser.yaml, without `server:`. */
  readonly config: string;
  readonly server?: string;
  readonly requestTimeoutMs?: number;
  readonly bodies?: BodyRoom;
  /** Changes what the file cannot say. */
  readonly adjust?: (config: Config) => Config;
  /** Balances in memory, or on disk as an operator has them. */
  readonly store?: "memory" | "sqlite";
}

/** $3 and $15 for a million tokens: 3,000 and 15,000 nano-dollars for one. */
export const PRICES = "prices: [{ model: '*', input: 3, output: 15, cache_read: 0.3, cache_write: 3.75, max_output: 8192 }]";
export const NANODOLLARS = { input: 3_000, output: 15_000, cacheRead: 300, cacheWrite: 3_750 } as const;

/** All dialects at one address. */
export function providersAt(url: string, more = ""): string {
  return [
    "providers:",
    `  mock: { base_url: { openai: "${url}/v1", anthropic: "${url}", gemini: "${url}", ollama: "${url}", vertex: "${url}/v1/projects/crew/locations/global", cohere: "${url}", bedrock: "${url}" }, api_key: provider-secret, models: ["*"]${more} }`,
  ].join("\n");
}

function same(config: Config): Config {
  return config;
}

/** Starts a gateway that ends with the test. */
export async function startStand(
  context: TestContext,
  { config, server = "", adjust = same, requestTimeoutMs, bodies, store = "memory" }: StandOptions,
): Promise<Stand> {
  const directory = await mkdtemp(join(tmpdir(), "purser-conformance-"));
  const notices: string[] = [];
  const gateway = await startGateway({
    config: adjust(readConfig({ text: `server: { port: 0${server} }\ndata: ${JSON.stringify(directory)}\n${config}\n`, environment: {} })),
    onNotice: (notice) => notices.push(notice),
    ...(store === "memory" && { store: createMemoryStore() }),
    ...(requestTimeoutMs !== undefined && { requestTimeoutMs }),
    ...(bodies && { bodies }),
  });
  let isClosed = false;
  const close = gateway.close.bind(gateway);
  const closing: RunningGateway = {
    ...gateway,
    close: () => {
      isClosed = true;
      return close();
    },
  };
  context.after(async () => {
    if (!isClosed) await close();
    await rm(directory, { recursive: true, force: true });
  });
  const ledger = (...kinds: readonly EntryKind[]) => readLedger(gateway.store, kinds);
  return {
    gateway: closing,
    url: gateway.url,
    port: gateway.port,
    directory,
    notices,
    ledger,
    async entries<Kind extends EntryKind>(count: number, ...kinds: readonly Kind[]) {
      const enough = await eventually(`${count} entries of ${kinds}`, async () => {
        const entries = await ledger(...kinds);
        return entries.length >= count ? entries : undefined;
      });
      assert.equal(enough.length, count, `${enough.length} entries of ${kinds}`);
      return enough as readonly (Entry & { kind: Kind })[];
    },
    checkBooks: () => checkBooks(gateway.store),
  };
}

/** Waits for what others are doing, turn by turn of the event loop. */
export async function eventually<Value>(
  what: string,
  look: () => Promise<Value | undefined> | Value | undefined,
  patienceMs = 5_000,
): Promise<Value> {
  const until = performance.now() + patienceMs;
  for (;;) {
    const value = await look();
    if (value !== undefined) return value;
    if (performance.now() > until) throw new Error(`Waited in vain for ${what}.`);
    await setImmediate();
  }
}

/** The whole ledger of a store, oldest first. */
export async function readLedger(store: Store, kinds: readonly EntryKind[]): Promise<readonly Entry[]> {
  const entries: Entry[] = [];
  for (;;) {
    const page = await store.entries({ after: entries.at(-1)?.seq ?? 0, ...(kinds.length > 0 && { kinds }) });
    entries.push(...page);
    if (page.length === 0) return entries;
  }
}

/** No hold is left, and every balance is the sum of its entries. Waits for calls that are still being settled. */
export async function checkBooks(store: Store): Promise<void> {
  await eventually("the last hold to end", async () => {
    const counters = await store.counters();
    return counters.every(({ held }) => held === 0) || undefined;
  });
  const sums = new Map<string, { spent: number; held: number }>();
  for (const { postings } of await readLedger(store, [])) {
    for (const { counter, spent, held } of postings) {
      const sum = sums.get(counter.key) ?? { spent: 0, held: 0 };
      sums.set(counter.key, { spent: sum.spent + spent, held: sum.held + held });
    }
  }
  for (const { ref, spent, held } of await store.counters()) assert.deepEqual({ spent, held }, sums.get(ref.key), ref.key);
}

/** Replays the ledger and returns the most that was ever spent and held together on each counter. */
export function highWater(entries: readonly Entry[]): ReadonlyMap<string, number> {
  const standing = new Map<string, number>();
  const most = new Map<string, number>();
  for (const { postings } of entries) {
    for (const { counter, spent, held } of postings) {
      const used = (standing.get(counter.key) ?? 0) + spent + held;
      standing.set(counter.key, used);
      most.set(counter.key, Math.max(most.get(counter.key) ?? 0, used));
    }
  }
  return most;
}
