import type { Budgets } from "@purser/core";
import type { CallInFlight } from "./gateway.ts";

export const RENEW_EVERY_MS = 60_000;

/** A call may be silent for longer than its lease; while this process lives, the hold does too. */
export async function renewLeases(budgets: Budgets, inFlight: ReadonlyMap<string, CallInFlight>, now = Date.now()): Promise<void> {
  const soon = now + 5 * RENEW_EVERY_MS;
  for (const { reservation } of inFlight.values()) if (reservation && reservation.expiresAt < soon) await budgets.extend(reservation);
}
