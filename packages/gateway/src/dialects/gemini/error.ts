import { describeBudget } from "../budget-error.ts";
import type { Refusal } from "../dialect.ts";

/** Google's error shape (https://cloud.google.com/apis/design/errors), with the budget in its details. */
export function writeError({ code, message, denial }: Refusal, status: number): unknown {
  const details = denial
    ? {
        details: [
          {
            "@type": "type.googleapis.com/google.rpc.QuotaFailure",
            violations: [{ subject: `budget:${denial.balance?.budget ?? ""}`, description: message }],
          },
          {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            reason: status === 402 ? "BUDGET_EXCEEDED" : code.toUpperCase(),
            domain: "purser",
            metadata: textsOf(describeBudget(denial)),
          },
          ...(status === 429 && denial.retryAfterMs !== undefined ? [retryInfo(denial.retryAfterMs)] : []),
        ],
      }
    : {};
  return { error: { code: status, message, status: statusWord(status), ...details } };
}

/** Google's word for a status. */
export function statusWord(status: number): string {
  return STATUS[status] ?? (status >= 500 ? "INTERNAL" : "INVALID_ARGUMENT");
}

const STATUS: Readonly<Record<number, string>> = {
  401: "UNAUTHENTICATED",
  402: "RESOURCE_EXHAUSTED",
  403: "PERMISSION_DENIED",
  404: "NOT_FOUND",
  429: "RESOURCE_EXHAUSTED",
  502: "UNAVAILABLE",
  503: "UNAVAILABLE",
  504: "DEADLINE_EXCEEDED",
};

function retryInfo(retryAfterMs: number): unknown {
  return { "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay: `${Math.min(60, Math.ceil(retryAfterMs / 1000))}s` };
}

/** The values of an ErrorInfo are texts. */
function textsOf(budget: unknown): Record<string, string> {
  const known = Object.entries(budget as Record<string, unknown>).filter(([, value]) => value !== null);
  return Object.fromEntries(known.map(([name, value]) => [name, String(value)]));
}
