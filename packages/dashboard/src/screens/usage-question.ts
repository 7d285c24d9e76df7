import { isMeasure, type Measure } from "./measure.ts";

/** What the usage explorer is asked, as its address says it: whoever gets the address sees the same. */
export interface UsageQuestion {
  readonly by?: readonly string[];
  readonly step?: "hour" | "day" | "month";
  readonly since?: string;
  readonly until?: string;
  readonly filter?: string;
  readonly show?: Measure;
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
    ...(isMeasure(show) && { show }),
  };
}

export const UNIT_MS = { h: 3_600_000, d: 86_400_000 } as const;

/** `30d` begins with a whole day, `24h` with a whole hour: so sums by day and hour answer. */
export function startOf(since: string): string {
  const [, number, unit] = /^(\d+)([hd])$/.exec(since) ?? [];
  if (number === undefined) return since;
  const at = Date.now() - Number(number) * UNIT_MS[unit as "h" | "d"];
  if (unit === "d") return new Date(at + UNIT_MS.d).toISOString().slice(0, 10);
  return new Date(Math.floor(at / UNIT_MS.h) * UNIT_MS.h + UNIT_MS.h).toISOString();
}

function isTime(value: unknown): value is string {
  return typeof value === "string" && /^(\d{4}-\d{2}(-\d{2})?|\d+[hd])$/.test(value);
}
