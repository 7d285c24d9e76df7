import type { Decision, Denial } from "@purser/core";
import { reserveCall } from "../budgeted-call.ts";
import { type Climber, climb, type RoutedCall } from "./climb.ts";

/** A call as it asked to be admitted at last, and what was decided. */
export interface Asked {
  readonly call: RoutedCall;
  readonly decision: Decision;
}

/** What a caller gets in the place of an answer where its call is refused, for the ledger. */
type ReadyRung = (call: RoutedCall, denial: Denial) => string | undefined;

/**
 * Asks for a call. Where there is only room that is kept for the last call of its task, it becomes that, with what the ladder says of it, and
 * asks again: so no task meets its end unprepared because one call was larger than the step was far.
 */
export async function reserveOrFinish(
  climber: Climber,
  id: string,
  routed: RoutedCall,
  gone: () => AbortSignal | undefined,
  readyRung: ReadyRung = () => undefined,
): Promise<Asked> {
  let call = routed;
  const ask = (mayFinish: boolean) => {
    const asking = call;
    return reserveCall(climber.budgets, id, asking, gone, { mayFinish, readyText: (denial) => readyRung(asking, denial) });
  };
  for (;;) {
    const mayFinish = call.dialect.finish !== undefined;
    const decision = await ask(mayFinish);
    const ending = mayFinish && decision.outcome === "denied" ? decision.denial.lastOf : undefined;
    if (ending === undefined) return { call, decision };
    const last = await lastOf(climber, call, ending);
    // What stays refused is written down.
    if (!last) return { call, decision: await ask(false) };
    call = last;
  }
}

async function lastOf(climber: Climber, routed: RoutedCall, budget: string): Promise<RoutedCall | undefined> {
  const { call } = await climb(climber, routed, undefined, [...(routed.finishes ?? []), budget]);
  return call.finishes?.includes(budget) ? { ...call, rungs: [...new Set(call.rungs)] } : undefined;
}
