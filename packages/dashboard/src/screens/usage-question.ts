/** What the usage explorer is asked, as its address says it: whoever gets the address sees the same. */
export interface UsageQuestion {
  readonly by?: readonly string[];
  readonly step?: "hour" | "day" | "month";
  readonly since?: string;
  readonly until?: string;
  readonly filter?: string;
  readonly show?: "cost" | "tokens" | "calls";
}

export const PATHS = [
  "team",
  "user",
  "feature",
  "model",
  "key",
  "provider",
  "product",
  "org",
  "tier",
  "session",
  "task",
  "endpoint",
  "cost_center",
  "owner",
] as const;

export function readUsageQuestion({ by, step, since, until, filter, show }: Record<string, unknown>): UsageQuestion {
  const paths = (Array.isArray(by) ? by : typeof by === "string" ? [by] : []).filter((path): path is string => typeof path === "string");
  return {
    ...(paths.length > 0 && { by: paths }),
    ...((step === "hour" || step === "day" || step === "month") && { step }),
    ...(isTime(since) && { since }),
    ...(isTime(until) && { until }),
    ...(typeof filter === "string" && filter !== "" && { filter }),
    ...((show === "cost" || show === "tokens" || show === "calls") && { show }),
  };
}

function isTime(value: unknown): value is string {
  return typeof value === "string" && /^(\d{4}-\d{2}(-\d{2})?|\d+[hd])$/.test(value);
}
