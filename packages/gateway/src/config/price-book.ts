import { createPriceBook, type PriceBook } from "@purser/core/prices";
import type { Provider } from "../providers/provider.ts";
import type { Config } from "./config.ts";
import { isLoopback } from "./loopback.ts";

/** Names of servers that people run themselves. */
const OWN_SERVERS: ReadonlySet<string> = new Set(["ollama", "vllm", "local"]);

/** The prices of a configuration: the catalogue, and what the file says on top. */
export function priceBookOf({ prices, defaultPrice, file, providers }: Config): PriceBook {
  return createPriceBook({
    overrides: prices,
    ...(defaultPrice && { fallback: defaultPrice }),
    ...(file !== undefined && { source: file }),
    ownMachine: providers.filter(isOwnMachine).map(({ name }) => name),
  });
}

/** A model on this machine costs nothing. The name alone does not say so: it may lead to somebody who charges. */
function isOwnMachine({ name, baseUrls }: Provider): boolean {
  return OWN_SERVERS.has(name) && Object.values(baseUrls).every((url) => isLoopback(new URL(url).hostname));
}
