import type { IncomingHttpHeaders } from "node:http";
import type { Balance, ErrorCode } from "@purser/core";
import type { Refusal } from "./dialects/dialect.ts";
import { rateLimit, rateLimitPolicy } from "./rate-limit-fields.ts";

/** What a refusal looks like on the wire, but for its body. */
export interface RefusalHead {
  readonly status: number;
  readonly headers: Record<string, string>;
}

/**
 * Statuses as real clients take them. 402 is final for all SDKs and agents but Codex, which retries it and stops at its own
 * `usage_limit_reached`; 429 with a short wait is retried by all; 400 and 413 by none.
 */
const STATUS: { readonly [code in ErrorCode]?: number } = {
  budget_exhausted: 402,
  switched_off: 402,
  guard_tripped: 402,
  handed_over: 402,
  budget_busy: 429,
  rate_limited: 429,
  request_too_large: 413,
  body_too_large: 413,
  model_not_allowed: 400,
  model_unpriced: 400,
  body_invalid: 400,
  attribute_forbidden: 403,
  key_missing: 401,
  key_invalid: 401,
  provider_key_missing: 401,
  route_unknown: 404,
  provider_unknown: 404,
  queued_call_unknown: 404,
  handover_unknown: 404,
  batch_unknown: 404,
  batch_running: 409,
  provider_unreachable: 502,
  provider_timeout: 504,
  store_unavailable: 503,
  shutting_down: 503,
};

const RETRY_AFTER_MOST_MS = 60_000;
const STORE_RETRY_S = 5;

/** Status and headers of a refusal. No `Retry-After` where waiting a minute does not help: clients would hang on it. */
export function refusalHead({ code, denial, requestId }: Refusal, balances: readonly Balance[] = [], now = Date.now()): RefusalHead {
  const status = STATUS[code] ?? 500;
  const headers: Record<string, string> = { "content-type": "application/json", "x-purser-request-id": requestId };
  if (status === 429) {
    const waitMs = Math.min(RETRY_AFTER_MOST_MS, Math.max(1, Math.ceil(denial?.retryAfterMs ?? 1000)));
    headers["retry-after-ms"] = String(waitMs);
    headers["retry-after"] = String(Math.ceil(waitMs / 1000));
  } else if (status === 503) {
    headers["retry-after"] = String(STORE_RETRY_S);
  } else if (status < 500) {
    headers["x-should-retry"] = "false";
  }
  const told = denial ? tightest(balances, denial.balance) : [];
  if (told.length > 0) {
    headers["ratelimit-policy"] = told.map(rateLimitPolicy).join(", ");
    headers.ratelimit = told.map((balance) => rateLimit(balance, now)).join(", ");
  }
  return { status, headers };
}

const TIGHTEST = 3;

/** The limit that refused comes first, then the others that are closest to their end. */
function tightest(balances: readonly Balance[], refusing: Balance | undefined): readonly Balance[] {
  const others = balances.filter(
    (one) => !refusing || one.budget !== refusing.budget || one.unit !== refusing.unit || one.window !== refusing.window,
  );
  return [...(refusing ? [refusing] : []), ...others].slice(0, TIGHTEST);
}

/**
 * Codex retries 402 and 403 five times, and stops at once at the refusal of its own service, of which it shows no message but one in a header
 * (`originator: codex_*`; measured with codex-cli 0.169).
 */
export function codexRefusal(
  headers: IncomingHttpHeaders,
  { code, denial, message }: Refusal,
): { readonly status: number; readonly headers: Record<string, string>; readonly body: unknown } | undefined {
  const isCodex = String(headers.originator ?? "").startsWith("codex") || String(headers["user-agent"] ?? "").startsWith("codex_");
  if (!isCodex || STATUS[code] !== 402) return undefined;
  const resetsAt = denial?.balance?.resetsAt;
  const resets = resetsAt === undefined ? {} : { resets_at: Math.ceil(resetsAt / 1000) };
  // It goes on with a comma and the time of the reset. A header carries ASCII only.
  const shown = message.replace(/\.$/, "").replace(/[^\x20-\x7e]/g, "?");
  return {
    status: 429,
    headers: { "x-codex-promo-message": shown },
    body: { error: { type: "usage_limit_reached", code: "insufficient_quota", message, ...resets } },
  };
}
