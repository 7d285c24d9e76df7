import { describeBudget } from "../budget-error.ts";
import type { Refusal } from "../dialect.ts";

/** Cohere's error shape (https://docs.cohere.com/reference/errors): an id and a sentence. The budget stands beside them for programs. */
export function writeError({ code, message, denial, requestId }: Refusal): unknown {
  return { id: requestId, message, code, ...(denial && { budget: describeBudget(denial) }) };
}
