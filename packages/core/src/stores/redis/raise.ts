import type { ExtendResult, More } from "../../domain/command.ts";
import { UNITS } from "../../domain/limit.ts";
import type { Answer } from "./connection.ts";
import { limitsText } from "./limits.ts";

/** What is asked of its script: to hold more for a call. */
export function raiseArgs(id: string, leaseMs: number, { limits, asks, output }: More, prefix: string): readonly string[] {
  const { least, most } = output;
  const asksText = UNITS.map((unit) => {
    const { base, perOutputToken, scale } = asks[unit];
    return `${unit}=${base},${perOutputToken},${scale};`;
  }).join("");
  return [id, String(leaseMs), String(least), String(most), asksText, limitsText(limits, asks), prefix];
}

export function raiseResult({ outcome, rest }: Answer): ExtendResult {
  if (outcome === "extended") return { outcome, expiresAt: Number(rest[0]), outputTokens: Number(rest[1]) };
  return { outcome: outcome === "refused" ? "refused" : "unknown" };
}
