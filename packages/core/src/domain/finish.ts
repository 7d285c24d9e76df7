import type { Budget } from "./budget.ts";
import type { BoundLimit } from "./command.ts";
import type { Ladder } from "./ladder.ts";
import { FULL, type LadderStep, type MeasuredLimit, measures } from "./ladder-step.ts";
import type { Limit } from "./limit.ts";

/** The limit by which a task has one last answer, for its whole life. */
export const ONE_LAST_ANSWER: Limit = { unit: "requests", amount: 1, window: { kind: "lifetime" } };
/** What stands for it on its counter: no window that a limit can have. */
const LAST_ANSWER = "last answer";

/** Whether a budget keeps room for a last answer once it refuses calls. */
export function finishes({ ladder, observesUntil }: Pick<Budget, "ladder" | "observesUntil">): boolean {
  return observesUntil < Number.POSITIVE_INFINITY && ladder.some(({ rungs }) => rungs.some(({ kind }) => kind === "finish"));
}

/** How much of a limit is kept for the last answer: all above the step that says `finish`. Rounded up, so that there is something. */
export function keptOf(ladder: Ladder, limit: MeasuredLimit, amount: number): number {
  const steps = ladder.filter((step) => step.rungs.some(({ kind }) => kind === "finish") && measures(step, limit));
  return steps.length === 0 ? 0 : amount - Math.min(...steps.map((step) => usedAt(step, amount)));
}

/** How much of an amount is used where a step begins. */
function usedAt({ from, amount: at }: LadderStep, amount: number): number {
  if (at === undefined) return Math.floor((amount * from) / FULL);
  return at.isLeft ? Math.max(0, amount - at.value) : Math.min(at.value, amount);
}

/** Where it is counted whether the last answer was given. */
export function lastAnswer(budget: string, subject: string): BoundLimit {
  const { unit, amount } = ONE_LAST_ANSWER;
  const key = `${budget}|${unit}/${LAST_ANSWER}|${subject}|0`;
  return { counter: { key, budget, subject, unit, window: LAST_ANSWER, startsAt: 0, resetsAt: undefined }, amount, enforced: true };
}

/** `Task refactor-7`, `Session s1`, or the balance as it is labelled. */
function taskName({ name, per }: Pick<Budget, "name" | "per">, subject: string): string {
  const [path] = per;
  const isOne = per.length === 1 && (path === "task" || path === "session");
  if (isOne) return `${path === "task" ? "Task" : "Session"} ${subject.slice(path.length + 1)}`;
  return subject === "" ? `What budget "${name}" is for` : `What budget "${name}" is for (${subject})`;
}

/** Why a call is refused after the last one of its task, or while that is on its way. */
export function describeEnded(
  budget: Pick<Budget, "name" | "per">,
  subject: string,
  { isOver, giver }: { isOver: boolean; giver: string },
): string {
  const who = taskName(budget, subject);
  if (!isOver) return `${who} is ending: its last answer is on its way, and no other call begins meanwhile. Try again in a moment.`;
  return `${who} has ended: budget "${budget.name}" had room for one last answer, and that was given. Report what you have. Begin a new task, or ask ${giver} for more.`;
}
