import { formatAmount, formatDollars, type Unit } from "@purser/core";

/** An amount for people at a glance: cents above a dollar, hundredths of a cent and at least two digits that say something below. Programs read the exact one. */
export function shortAmount(amount: number, unit: Unit): string {
  if (unit === "nanodollars") return shortDollars(amount);
  if (unit === "concurrent") return String(amount);
  return formatAmount(amount, unit).split(" ", 1)[0] as string;
}

export function shortDollars(nanodollars: number): string {
  if (nanodollars === 0) return "$0";
  const decimals = Math.abs(nanodollars) >= 1e9 ? 2 : Math.max(4, 1 - Math.floor(Math.log10(Math.abs(nanodollars) / 1e9)));
  const step = 10 ** Math.max(0, 9 - decimals);
  return formatDollars(Math.round(nanodollars / step) * step);
}

/** `$20.00 / month`, `20,000 tokens / day`, `4 at once`. */
export function limitText(limit: number, unit: Unit, window: string, weights?: object): string {
  const amount = formatAmount(limit, unit, weights);
  return window === "lifetime" ? amount : `${amount} / ${window}`;
}

const STEPS: readonly (readonly [ms: number, name: string])[] = [
  [86_400_000, "day"],
  [3_600_000, "hour"],
  [60_000, "minute"],
];

/** `in 9 days`, `in 5 hours`, `in less than a minute`. */
export function untilText(instant: string | null, now: number): string {
  if (instant === null) return "never";
  const left = Date.parse(instant) - now;
  for (const [ms, name] of STEPS) {
    const count = Math.round(left / ms);
    if (count >= 1 && left >= ms) return `in ${count} ${name}${count === 1 ? "" : "s"}`;
  }
  return "in less than a minute";
}
