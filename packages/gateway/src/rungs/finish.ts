import type { ModelCall } from "../dialects/dialect.ts";
import { parseBody } from "../dialects/json-body.ts";
import type { RoutedCall } from "./climb.ts";
import { withMembers } from "./turns.ts";

/** What the last call of a task tells its model, in the place where the conversation goes on. */
export const LAST_CALL =
  "The budget of this task is used up but for this answer, which is the last one. Answer now with what you have, and call no tools: say what is done, what was found, and what is left.";

/** The call as the last one of its task: it says so, and its tools are not called. Nothing where its format has no way to say that here. */
export function lastCall(routed: RoutedCall): ModelCall | undefined {
  const { dialect, call } = routed;
  const changes = dialect.finish?.(parseBody(call.body), LAST_CALL);
  return changes && withMembers(routed, changes);
}
