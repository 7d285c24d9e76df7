import type { Denial } from "@purser/core";

/** The budget behind a refusal, for programs: amounts are integers, money in nano-dollars. */
export function describeBudget({ reason, balance, asked }: Denial): unknown {
  if (!balance) return { reason, asked: asked ?? null };
  const { budget, subject, unit, weights, window, limit, spent, held, left, resetsAt } = balance;
  return {
    name: budget,
    subject: subject === "" ? null : subject,
    unit,
    ...(weights && { weights }),
    limit,
    spent,
    held,
    left,
    asked: asked ?? null,
    window,
    resets_at: resetsAt === undefined ? null : new Date(resetsAt).toISOString(),
    reason,
    request_url: null,
  };
}
