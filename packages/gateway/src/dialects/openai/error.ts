import { describeBudget } from "../budget-error.ts";
import type { Refusal } from "../dialect.ts";

/** OpenAI's error shape (https://platform.openai.com/docs/guides/error-codes), with the budget beside it for programs. */
export function writeError({ code, message, denial }: Refusal, status: number): unknown {
  const [type, openaiCode] = classify(code, status);
  return { error: { message, type, param: null, code: openaiCode, ...(denial && { budget: describeBudget(denial) }) } };
}

function classify(code: string, status: number): readonly [type: string, code: string] {
  if (status === 402) return ["insufficient_quota", code === "budget_exhausted" ? "insufficient_quota" : code];
  if (status === 429) return ["rate_limit_error", "rate_limit_exceeded"];
  if (status === 401) return ["authentication_error", code];
  if (status >= 500) return ["server_error", code];
  return ["invalid_request_error", code];
}
