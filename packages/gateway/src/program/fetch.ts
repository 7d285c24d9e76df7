import { PurserError } from "@purser/core";
import { budgetedFetch, type Fetch } from "./budgeted-fetch.ts";
import { type FetchOptions, termsOf } from "./fetch-options.ts";

export type { FetchOptions } from "./fetch-options.ts";

/**
 * A `fetch` that gives every call to a model a budget. Hand it to an SDK: `new OpenAI({ fetch: createFetch({ budgets, subject }) })`.
 * A refusal is an answer as the provider would send it, so the SDK throws its own error. What cannot be metered is refused.
 */
export function createFetch(options: FetchOptions): Fetch {
  // Whoever writes JavaScript can leave it out, and would hear of it at the first call only.
  if (typeof (options as Partial<FetchOptions> | undefined)?.budgets?.reserve !== "function")
    throw new PurserError(
      "config_invalid",
      "createFetch needs budgets, which hold the money of its calls: createFetch({ budgets: new Budgets({ store, prices, budgets: [ … ] }) }).",
    );
  return budgetedFetch(termsOf(options, "req_"));
}
