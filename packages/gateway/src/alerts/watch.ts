import type { Balance, Budget, Limit } from "@purser/core";

/** Something about a budget that somebody is told of, beside the thresholds of its ladder. */
export type Watch = {
  /** Names of channels; none means all. */
  readonly channels: readonly string[] | undefined;
} & (
  | /** It will be used up before it resets. */
  { readonly kind: "forecast" } /** An hour, or a day, costs so many times what the dearest of them lately did. */
  | { readonly kind: "anomaly"; readonly times: number } /** More than this is spent within an hour. */
  | { readonly kind: "hourly"; readonly amount: number; readonly unit: Limit["unit"] } /** It was used up, and there is room again. */
  | { readonly kind: "reset" }
  /** Its rule changes its amount, or proposes to. */
  | { readonly kind: "adjusted" }
  /** A balance costs so many times in a day what its dearest day lately did. */
  | { readonly kind: "anomaly each"; readonly times: number }
  /** It only observes, and soon refuses calls. */
  | { readonly kind: "trial" }
);

export interface WatchedBudget {
  readonly budget: Budget;
  readonly watches: readonly Watch[];
}

/** Somebody is told when so much of the calls to a provider fail, or less than so much of its bill was captured. */
export interface ShareWatch {
  /** In hundredths of a per cent. */
  readonly share: number;
  readonly channels: readonly string[] | undefined;
}

/** `Budget "chatbot"`, `Budget "each" (user=ann)`: whose a balance is. */
export function nameOf({ budget, subject }: Pick<Balance, "budget" | "subject">): string {
  return subject === "" ? `Budget "${budget}"` : `Budget "${budget}" (${subject})`;
}
