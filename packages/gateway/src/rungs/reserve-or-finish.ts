import type { Decision } from "@purser/core";
import { type Climber, climb, type RoutedCall } from "./climb.ts";

/** A call as it asked to be admitted at last, and what was decided. */
export interface Asked {
  readonly call: RoutedCall;
  readonly decision: Decision;
}

/** Asks for a call. With `mayFinish` a refusal that makes it the last one of its task is not written down. */
type Ask = (call: RoutedCall, terms: { readonly mayFinish: boolean }) => Promise<Decision>;

/**
 * Asks for a call. Where there is only room that is kept for the last call of its task, it becomes that, with what the ladder says of it, and
 * asks again: so no task meets its end unprepared because one call was larger than the step was far.
 */
export async function reserveOrFinish(climber: Climber, routed: RoutedCall, ask: Ask): Promise<Asked> {
  let call = routed;
  for (;;) {
    const mayFinish = call.dialect.finish !== undefined;
    const decision = await ask(call, { mayFinish });
    const ending = mayFinish && decision.outcome === "denied" ? decision.denial.lastOf : undefined;
    if (ending === undefined) return { call, decision };
    const last = await lastOf(climber, call, ending);
    // What stays refused is written down.
    if (!last) return { call, decision: await ask(call, { mayFinish: false }) };
    call = last;
  }
}

async function lastOf(climber: Climber, routed: RoutedCall, budget: string): Promise<RoutedCall | undefined> {
  const { call } = await climb(climber, routed, undefined, [...(routed.finishes ?? []), budget]);
  return call.finishes?.includes(budget) ? { ...call, rungs: [...new Set(call.rungs)] } : undefined;
}
