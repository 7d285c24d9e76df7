/** Numbers, money and times for people. Amounts come as integers; money in nano-dollars. */

const NANO = 1e9;
const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const cents = new Intl.NumberFormat("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const small = new Intl.NumberFormat("en-US", { maximumSignificantDigits: 2, minimumSignificantDigits: 2 });
const compact = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 });

/** `$1,234.56`; what is less than a cent with two digits that count: `$0.0013`. */
export function money(nanodollars: number): string {
  const sign = nanodollars < 0 ? "−" : "";
  const dollars = Math.abs(nanodollars) / NANO;
  if (dollars > 0 && dollars < 0.01) return `${sign}$${small.format(dollars)}`;
  return `${sign}$${dollars >= 10_000 ? whole.format(dollars) : cents.format(dollars)}`;
}

/** All of it, to the nano-dollar. */
export function exactMoney(nanodollars: number): string {
  const digits = String(Math.abs(nanodollars)).padStart(10, "0");
  const fraction = digits.slice(-9).replace(/0{1,7}$/, "");
  return `${nanodollars < 0 ? "−" : ""}$${whole.format(Number(digits.slice(0, -9)))}.${fraction}`;
}

export function count(value: number): string {
  return whole.format(value);
}

/** `12.4M`: for what is looked at, not added up. */
export function short(value: number): string {
  return value < 10_000 ? whole.format(value) : compact.format(value);
}

export function percent(share: number): string {
  if (share > 0 && share < 0.01) return "<1 %";
  return `${whole.format(share * 100)} %`;
}

/** An amount of a limit's unit: `$12.50`, `60,000 tokens`; `60,000 weighted tokens` where kinds of them count by weights. */
export function amount(value: number, unit: string, weights?: object): string {
  return unit === "nanodollars" ? money(value) : `${short(value)} ${unitName(unit, value, weights)}`;
}

/** The same without its unit, where a column says it. */
export function bareAmount(value: number, unit: string): string {
  return unit === "nanodollars" ? money(value) : short(value);
}

export function exactAmount(value: number, unit: string, weights?: object): string {
  return unit === "nanodollars" ? exactMoney(value) : `${whole.format(value)} ${unitName(unit, value, weights)}`;
}

function unitName(unit: string, value = 2, weights?: object): string {
  if (unit === "nanodollars") return "dollars";
  if (unit === "concurrent") return "at once";
  const name = `${weights === undefined ? "" : "weighted "}${unit.replace("_", " ")}`;
  return value === 1 ? name.replace(/s$/, "") : name;
}

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** `3 minutes ago`, `in 4 days`. */
export function relative(iso: string, now = Date.now()): string {
  const ms = Date.parse(iso) - now;
  const size = Math.abs(ms);
  if (size < 45_000) return ms <= 0 ? "just now" : "in a moment";
  const [unit, length] =
    size < 50 * MINUTE ? (["minute", MINUTE] as const) : size < 22 * HOUR ? (["hour", HOUR] as const) : (["day", DAY] as const);
  return new Intl.RelativeTimeFormat("en", { numeric: "auto" }).format(Math.round(ms / length), unit);
}

/** `Thu 3 Dec`, with the hour where it is near. */
export function dayName(iso: string, timeZone: string, now = Date.now()): string {
  const at = Date.parse(iso);
  const isNear = Math.abs(at - now) < 2 * DAY;
  return new Intl.DateTimeFormat("en-GB", {
    timeZone,
    weekday: "short",
    day: "numeric",
    month: "short",
    ...(isNear && { hour: "2-digit", minute: "2-digit" }),
  }).format(at);
}

export function instant(iso: string, timeZone?: string): string {
  return new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium", ...(timeZone && { timeZone }) }).format(
    Date.parse(iso),
  );
}

/** `observes until 16 Dec 2026, 00:00` */
export function observing({ observes_until, time_zone }: { readonly observes_until: string | null; readonly time_zone: string }): string {
  return observes_until === null ? "observes only" : `observes until ${instant(observes_until, time_zone)}`;
}

/** The time of today, and the date of what is older. */
export function clock(iso: string, now = new Date()): string {
  const at = new Date(iso);
  const isToday = at.toDateString() === now.toDateString();
  return new Intl.DateTimeFormat(
    "en-GB",
    isToday ? { timeStyle: "medium" } : { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" },
  ).format(at);
}

/** `team=search, feature=chatbot`: whom a call or a selector is about. */
export function selectorText(selector: Readonly<Record<string, unknown>>): string {
  return Object.entries(selector)
    .map(([path, value]) => `${path}=${[value].flat().join("|")}`)
    .join(", ");
}
