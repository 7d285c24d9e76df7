import { describeBudget } from "../budget-error.ts";
import type { Refusal } from "../dialect.ts";

/** AWS' error shape (https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html): a type that its clients throw, and a sentence. */
export function writeError({ code, message, denial }: Refusal, status: number): unknown {
  const type = TYPES[status] ?? (status >= 500 ? "InternalServerException" : "ValidationException");
  return { __type: type, message, reason: code, ...(denial && { budget: describeBudget(denial) }) };
}

/** Of these the clients try only throttling and what is unavailable again. */
const TYPES: Readonly<Record<number, string>> = {
  401: "AccessDeniedException",
  402: "ServiceQuotaExceededException",
  403: "AccessDeniedException",
  404: "ResourceNotFoundException",
  429: "ThrottlingException",
  503: "ServiceUnavailableException",
  504: "ModelTimeoutException",
};
