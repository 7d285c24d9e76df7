import type { AmountsJson } from "../../../gateway/src/admin/overview.ts";
import { money, short } from "../format.ts";

/** What of use is looked at. */
export type Measure = "cost" | "tokens" | "calls";

export const MEASURES = [
  ["cost", "Cost"],
  ["tokens", "Tokens"],
  ["calls", "Calls"],
] as const satisfies readonly (readonly [Measure, string])[];

export function isMeasure(value: unknown): value is Measure {
  return MEASURES.some(([measure]) => measure === value);
}

export function measureOf(row: Omit<AmountsJson, "refusals">, show: Measure): number {
  if (show === "cost") return row.cost_nanodollars;
  return show === "tokens" ? row.input_tokens + row.output_tokens : row.calls;
}

export function measureText(value: number, show: Measure): string {
  return show === "cost" ? money(value) : short(value);
}

export function measureName(show: Measure): string {
  return MEASURES.find(([measure]) => measure === show)?.[1] ?? "";
}
