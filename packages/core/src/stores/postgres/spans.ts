import type { ReportSpan } from "../../domain/report.ts";

/** The largest part of a span that begins and ends at whole multiples; empty where there is none. */
export function inner({ from, to }: ReportSpan, multiple: number): ReportSpan {
  const first = Math.ceil(from / multiple) * multiple;
  return { from: first, to: Math.max(first, Math.floor(to / multiple) * multiple) };
}

/** What an inner span leaves of a span. */
export function around({ from, to }: ReportSpan, within: ReportSpan): readonly ReportSpan[] {
  if (within.from >= within.to) return [{ from, to }];
  return [
    { from, to: within.from },
    { from: within.to, to },
  ];
}

/** Without empty spans, and with neighbours made one. */
export function joined(spans: readonly ReportSpan[]): readonly ReportSpan[] {
  const result: ReportSpan[] = [];
  for (const span of spans) {
    if (span.from >= span.to) continue;
    const last = result.at(-1);
    if (last?.to === span.from) result[result.length - 1] = { from: last.from, to: span.to };
    else result.push(span);
  }
  return result;
}
