import type { BudgetJson } from "../../../gateway/src/admin/budget-tree.ts";
import { api } from "../api.ts";

const TAKEN_OVER_MOST_MS = 10_000;
const LOOK_EVERY_MS = 250;

/** Waits until the gateway has taken the file over, so that the screen shows what holds. */
export async function untilTakenOver(name: string, isTakenOver: (now: BudgetJson | undefined) => boolean): Promise<void> {
  const until = Date.now() + TAKEN_OVER_MOST_MS;
  while (Date.now() < until) {
    if (isTakenOver((await api.budgets()).find((one) => one.name === name))) return;
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
}
