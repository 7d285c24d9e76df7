import type { MinutesBy } from "../../../gateway/src/admin/minutes.ts";
import { isMeasure, type Measure } from "./measure.ts";

/** What the chart of the overview shows, as its address says it: whoever gets the address sees the same. */
export interface OverviewQuestion {
  readonly time?: "minutes" | "hours" | "days";
  /** What the last hour is taken apart by, and what of it is shown. */
  readonly by?: MinutesBy;
  readonly show?: Measure;
}

export const MINUTES_BY = ["team", "user", "feature", "model", "endpoint", "key"] as const satisfies readonly MinutesBy[];

export function readOverviewQuestion({ time, by, show }: Record<string, unknown>): OverviewQuestion {
  const known = MINUTES_BY.find((one) => one === by);
  return {
    ...((time === "minutes" || time === "hours" || time === "days") && { time }),
    ...(known && { by: known }),
    ...(isMeasure(show) && { show }),
  };
}
