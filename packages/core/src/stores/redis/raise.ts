import type { Ask, ExtendResult, More } from "../../domain/command.ts";
import type { Answer } from "./connection.ts";
import { limitsText } from "./limits.ts";

/** What is asked of its script: to hold more for a call. */
export function raiseArgs(id: string, leaseMs: number, { limits, asks, output }: More, prefix: string): readonly string[] {
  const { least, most } = output;
  const askArgs = ({ base, perOutputToken, scale }: Ask) => [String(base), String(perOutputToken), String(scale)];
  return [
    id,
    String(leaseMs),
    String(least),
    String(most),
    ...askArgs(asks.output_tokens),
    ...askArgs(asks.nanodollars),
    limitsText(limits, asks),
    prefix,
  ];
}

export function raiseResult({ outcome, rest }: Answer): ExtendResult {
  if (outcome === "extended") return { outcome, expiresAt: Number(rest[0]), outputTokens: Number(rest[1]) };
  return { outcome: outcome === "refused" ? "refused" : "unknown" };
}
