import { type PriceSource, PurserError } from "@purser/core";
import { createPriceBook } from "@purser/core/prices";
import { noticesTo } from "../notices.ts";
import { budgetedFetch, type Fetch } from "./budgeted-fetch.ts";
import { type FetchOptions, termsOf } from "./fetch-options.ts";
import { RemoteBudgets } from "./remote-budgets.ts";
import { warn } from "./warn.ts";

export interface ConnectOptions {
  /** Where the gateway is: `http://127.0.0.1:4100`. */
  readonly url: string;
  /** An admin key of it, or the owner's token. None while everybody on its machine is the owner. */
  readonly key?: string;
  /** `closed`: calls are refused while the gateway cannot be asked. `open`: they are made, and not counted. Closed where it is left out. */
  readonly failMode?: "closed" | "open";
  /** What is known here of models: how long their answers can be. What is known of all where it is left out. What calls cost is the gateway's to say. */
  readonly prices?: PriceSource;
  /** Told what whoever runs the program should know. A warning of the process where it is left out. */
  readonly onNotice?: (notice: string) => void;
  /** What asks the gateway; the global `fetch` where it is left out. */
  readonly fetch?: Fetch;
}

/** A program whose calls are on the budgets of a gateway, and go to their providers directly. */
export interface ConnectedPurser {
  /** A `fetch` for an SDK, whose calls are held and charged by the gateway. */
  fetch(options?: Omit<FetchOptions, "budgets">): Fetch;
  /** Tells the gateway what it has not heard yet, and lets go. */
  close(): Promise<void>;
}

/** Shares the budgets of a running gateway: it is asked before every call, and told after it what was used. */
export function connectPurser(options: ConnectOptions): ConnectedPurser {
  const { url, key, failMode = "closed", fetch = globalThis.fetch, onNotice = warn, prices = createPriceBook() } = options;
  if (!URL.canParse(url) || !/^https?:/.test(url))
    throw new PurserError("config_invalid", `"${url}" is no URL of a gateway. Write one like http://127.0.0.1:4100.`);
  if (failMode !== "closed" && failMode !== "open")
    throw new PurserError("config_invalid", `failMode is "closed" or "open", not "${failMode}".`);
  const { tellOnce } = noticesTo(onNotice);
  const onError = (error: unknown) => tellOnce(error instanceof Error ? error.message : String(error));
  const budgets = new RemoteBudgets({ url, key, failMode, prices, onError, fetch });
  return {
    // As of other gateways: what begins with req_ is settled by the gateway itself.
    fetch: (terms = {}) => budgetedFetch(termsOf({ ...terms, budgets }, "dec_")),
    close: () => budgets.close(),
  };
}
