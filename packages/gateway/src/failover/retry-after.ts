import { headerValue } from "../headers.ts";

/** How long a provider asks to be left alone, in milliseconds: by `retry-after-ms`, or by `retry-after` in seconds or as a date. */
export function retryAfterOf(headers: readonly string[], now: number): number | undefined {
  const exact = Number(headerValue(headers, "retry-after-ms") ?? Number.NaN);
  if (exact >= 0) return exact;
  const given = headerValue(headers, "retry-after");
  if (given === undefined || given.trim() === "") return undefined;
  const seconds = Number(given);
  if (seconds >= 0) return seconds * 1_000;
  const date = /^[A-Z]/i.test(given) ? Date.parse(given) : Number.NaN;
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}
