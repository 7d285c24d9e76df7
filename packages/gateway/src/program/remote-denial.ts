import type { Balance, Decision, DenialReason, Unit } from "@purser/core";
import { AdminProblem } from "../client/admin-client.ts";
import type { Operations } from "../client/operations.ts";

type BalanceJson = NonNullable<Operations["reserveCall"]["answer"]["balances"]>[number];

/** A balance as a gateway tells it. Its calendar is in the gateway's own words already. */
export function balanceOf({ resets_at: resetsAt, ...balance }: BalanceJson): Balance {
  return { ...balance, resetsAt: instantOf(resetsAt), timezone: "UTC" };
}

/** The budget behind a refusal, as a gateway tells it. */
interface RefusingJson extends Omit<Balance, "budget" | "subject" | "resetsAt" | "timezone"> {
  readonly name?: string;
  readonly subject: string | null;
  readonly asked: number | null;
  readonly resets_at: string | null;
}

interface RefusalJson {
  readonly budget?: RefusingJson;
  readonly retry_after_ms?: number;
}

const REASONS: Readonly<Record<DenialReason, true>> = {
  budget_exhausted: true,
  budget_busy: true,
  rate_limited: true,
  request_too_large: true,
  model_not_allowed: true,
  model_unpriced: true,
  switched_off: true,
  guard_tripped: true,
  handed_over: true,
  store_unavailable: true,
};

/** The refusal of a call by the budgets of a gateway; nothing where an error is something else. */
export function deniedBy(error: unknown): Extract<Decision, { readonly outcome: "denied" }> | undefined {
  if (!(error instanceof AdminProblem) || !Object.hasOwn(REASONS, error.code)) return undefined;
  const { budget, retry_after_ms: retryAfterMs } = (error.problem ?? {}) as RefusalJson;
  const balance = budget && refusingBalance(budget);
  const reason = error.code as DenialReason;
  const denial = { reason, balance, asked: budget?.asked ?? undefined, retryAfterMs, message: error.message };
  return { outcome: "denied", denial, balances: balance ? [balance] : [] };
}

function refusingBalance({ name, subject, unit, window, limit, spent, held, left, resets_at }: RefusingJson): Balance | undefined {
  if (name === undefined) return undefined;
  const resetsAt = instantOf(resets_at);
  return { budget: name, subject: subject ?? "", unit: unit as Unit, window, limit, spent, held, left, resetsAt, timezone: "UTC" };
}

function instantOf(text: string | null | undefined): number | undefined {
  return text ? Date.parse(text) : undefined;
}
