import { type Budget, PurserError, parseRungs, type Rung, rungText } from "@purser/core";
import type { GuardRung } from "../guards/guard.ts";
import type { GuardedBudget } from "../guards/guards.ts";
import { checkTells } from "./budgets.ts";
import type { BudgetFields, ConfigurationFields } from "./description.ts";
import type { Located } from "./field.ts";
import type { Place } from "./source.ts";

const LASTS_MS = 300_000;

/** The budgets that watch over their calls. */
export function configuredGuards(
  entries: readonly Located<BudgetFields>[],
  budgets: readonly Budget[],
  channels: ConfigurationFields["channels"],
): readonly GuardedBudget[] {
  return entries.flatMap(({ value: { name, guard }, place }) => {
    const budget = budgets.find((one) => one.name === name);
    if (!guard || !budget) return [];
    const { repeats, same_tool: sameTool, growth, surge, do: rungTexts = ["block"], lasts = LASTS_MS } = guard;
    const guardPlace = place.field("guard");
    if ([repeats, sameTool, growth, surge].every((trigger) => trigger === undefined))
      guardPlace.problem("guards against nothing. Write repeats, same_tool, growth or surge.");
    const rungs = rungsOf(rungTexts, guardPlace.field("do"));
    checkTells(budget, rungs, guardPlace, channels);
    return [{ budget, guard: { repeats, sameTool, growth, surge, rungs, lastsMs: lasts } }];
  });
}

/** The rungs of a guard are those of a ladder, as far as they are of use against a loop. */
function rungsOf(texts: readonly string[], place: Place): readonly GuardRung[] {
  try {
    const rungs = parseRungs(texts);
    const wrong = rungs.find((rung) => !isGuardRung(rung));
    if (wrong) place.problem(`"${rungText(wrong)}" is nothing that a guard does. It can block, slow, shorten and tell.`);
    return rungs.filter(isGuardRung);
  } catch (error) {
    if (!(error instanceof PurserError)) throw error;
    place.problem(error.message);
    return [];
  }
}

function isGuardRung(rung: Rung): rung is GuardRung {
  return rung.kind === "block" || rung.kind === "slow" || rung.kind === "shorten" || rung.kind === "tell";
}
