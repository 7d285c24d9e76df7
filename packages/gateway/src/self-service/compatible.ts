import type { Balance } from "@purser/core";
import type { Caller } from "../callers/identify.ts";

/** What tools that know other gateways read of a key: balances in the shapes that they expect, in dollars. */

interface MoneyLimit {
  readonly balance: Balance;
  readonly limit: number;
  readonly spent: number;
  readonly left: number;
}

/** The limits of money, the one of which most is used first. Exact amounts are in `/budget`. */
function moneyLimits(balances: readonly Balance[]): readonly MoneyLimit[] {
  return balances
    .filter(({ unit }) => unit === "nanodollars")
    .map((balance) => ({ balance, limit: balance.limit / 1e9, spent: balance.spent / 1e9, left: balance.left / 1e9 }))
    .sort((a, b) => usedOf(b) - usedOf(a));
}

function usedOf({ limit, left }: MoneyLimit): number {
  return limit === 0 ? 1 : (limit - left) / limit;
}

/** Durations as LiteLLM writes them. Windows of other lengths have none. */
const DURATIONS: Readonly<Record<string, string>> = { minute: "60s", hour: "1h", day: "24h", week: "7d", month: "1mo", year: "12mo" };

/** `GET /key/info` as LiteLLM answers it. */
export function keyInfo({ key, subject }: Caller, balances: readonly Balance[]): object {
  const limits = moneyLimits(balances);
  const [tightest] = limits;
  const resetsAt = ({ balance: { resetsAt: at } }: MoneyLimit) => (at === undefined ? null : new Date(at).toISOString());
  return {
    key: key?.id ?? null,
    info: {
      key_name: key?.id ?? null,
      key_alias: key?.name ?? null,
      spend: tightest?.spent ?? 0,
      max_budget: tightest?.limit ?? null,
      budget_duration: tightest ? (DURATIONS[tightest.balance.window] ?? null) : null,
      budget_reset_at: tightest ? resetsAt(tightest) : null,
      budget_limits: limits.map((one) => ({
        budget_duration: DURATIONS[one.balance.window] ?? null,
        max_budget: one.limit,
        reset_at: resetsAt(one),
      })),
      expires: key?.expiresAt === undefined ? null : new Date(key.expiresAt).toISOString(),
      user_id: subject.user ?? null,
      team_id: subject.team ?? null,
      blocked: false,
      metadata: {},
    },
  };
}

const RESETS: Readonly<Record<string, string>> = { day: "daily", week: "weekly", month: "monthly" };

/** `GET /api/v1/key` as OpenRouter answers it. What was used in a day, week or month is known where a budget has that window. */
export function openRouterKey({ key }: Caller, balances: readonly Balance[]): object {
  const limits = moneyLimits(balances);
  const [tightest] = limits;
  const usages = Object.entries(RESETS).flatMap(([window, name]) => {
    const found = limits.find(({ balance }) => balance.window === window);
    return found ? [[`usage_${name}`, found.spent] as const] : [];
  });
  return {
    data: {
      label: key?.name ?? "owner",
      limit: tightest?.limit ?? null,
      limit_remaining: tightest?.left ?? null,
      limit_reset: tightest ? (RESETS[tightest.balance.window] ?? null) : null,
      usage: tightest?.spent ?? 0,
      ...Object.fromEntries(usages),
      is_free_tier: false,
      expires_at: key?.expiresAt === undefined ? null : new Date(key.expiresAt).toISOString(),
    },
  };
}
