import type { Balance, Unit } from "@purser/core";

/** A balance as programs read it: amounts are integers, money in nano-dollars. */
export interface BalanceJson {
  readonly budget: string;
  readonly subject: string;
  readonly unit: Unit;
  readonly window: string;
  readonly limit: number;
  readonly spent: number;
  readonly held: number;
  readonly left: number;
  /** ISO 8601; null where it never resets. */
  readonly resets_at: string | null;
}

export function balanceJson({ budget, subject, unit, window, limit, spent, held, left, resetsAt }: Balance): BalanceJson {
  return { budget, subject, unit, window, limit, spent, held, left, resets_at: resetsAt === undefined ? null : instantJson(resetsAt) };
}

export function instantJson(instant: number): string {
  return new Date(instant).toISOString();
}
