import { describeBudget } from "../budget-error.ts";
import type { Refusal } from "../dialect.ts";

/** Ollama's error shape: a sentence. The budget stands beside it for programs. */
export function writeError({ code, message, denial }: Refusal): unknown {
  return { error: message, code, ...(denial && { budget: describeBudget(denial) }) };
}
