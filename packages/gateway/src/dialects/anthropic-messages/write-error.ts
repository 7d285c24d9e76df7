import { describeBudget } from "../budget-error.ts";
import type { Refusal } from "../dialect.ts";

/** Anthropic's error shape (https://platform.claude.com/docs/en/api/errors); its SDK shows `details.error_code` as `errorCode`. */
export function writeError({ code, message, denial, requestId }: Refusal, status: number): unknown {
  const details = denial && {
    details: { error_code: code === "budget_exhausted" ? "budget_exceeded" : code, budget: describeBudget(denial) },
  };
  return { type: "error", error: { type: errorType(status), message, ...details }, request_id: requestId };
}

function errorType(status: number): string {
  if (status === 401) return "authentication_error";
  if (status === 402) return "billing_error";
  if (status === 403) return "permission_error";
  if (status === 404) return "not_found_error";
  if (status === 413) return "request_too_large";
  if (status === 429) return "rate_limit_error";
  if (status === 504) return "timeout_error";
  return status >= 500 ? "api_error" : "invalid_request_error";
}
