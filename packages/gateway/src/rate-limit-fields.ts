import { type Balance, parseDuration } from "@purser/core";

/*
 * The `RateLimit` fields of draft-ietf-httpapi-ratelimit-headers, in answers and refusals alike. Providers that have such fields of their own keep them:
 * the fields are lists, and ours is one more item.
 */

const QUOTA_UNITS = {
  nanodollars: "usd-micros",
  tokens: "tokens",
  input_tokens: "input-tokens",
  output_tokens: "output-tokens",
  requests: "requests",
  concurrent: "concurrent-requests",
} as const;

const WINDOW_SECONDS: Readonly<Record<string, number>> = { minute: 60, hour: 3_600, day: 86_400, week: 604_800 };

/** How long a window is; nothing where it is not always the same, or drains and has no end. */
function windowSeconds(window: string): number | undefined {
  const rolling = window.startsWith("rolling ") ? parseDuration(window.slice("rolling ".length)) : undefined;
  return rolling === undefined ? WINDOW_SECONDS[window] : rolling / 1000;
}

/** The item of `RateLimit-Policy` that says what a limit is. Money in micro-dollars, so that it fits their integers. */
export function rateLimitPolicy(balance: Balance): string {
  const seconds = windowSeconds(balance.window);
  return `${policyName(balance)};q=${quotaAmount(balance, balance.limit)};qu="${quotaUnit(balance)}"${seconds ? `;w=${seconds}` : ""}`;
}

/** The item of `RateLimit` that says what is left of it, and in how many seconds it resets. */
export function rateLimit(balance: Balance, now: number): string {
  const resets = balance.resetsAt === undefined ? "" : `;t=${Math.max(0, Math.ceil((balance.resetsAt - now) / 1000))}`;
  return `${policyName(balance)};r=${quotaAmount(balance, balance.left)}${resets}`;
}

/** What an answer says of the limit of its call that is closest to its end: for programs that know us, and for those that know the standard. */
export function leftHeaders(balance: Balance, now: number): readonly string[] {
  const { budget, left, unit, weights, resetsAt } = balance;
  const resets = resetsAt === undefined ? "" : `; resets_at=${instants.of(resetsAt)}`;
  return [
    "x-purser-left",
    `${encodeURI(budget)}; left=${left}; unit=${weights ? "weighted_" : ""}${unit}${resets}`,
    "ratelimit-policy",
    rateLimitPolicy(balance),
    "ratelimit",
    rateLimit(balance, now),
  ];
}

function quotaUnit({ unit, weights }: Balance): string {
  return `${weights ? "weighted-" : ""}${QUOTA_UNITS[unit]}`;
}

/** A structured-field string: printable ASCII only, with quotes and backslashes taken out. */
function policyName({ budget, unit, window }: Balance): string {
  return names.of(`${budget}-${unit}-${window}`);
}

/** Texts that every answer has, and that are always the same for some time. */
class Texts<Key> {
  readonly #make: (key: Key) => string;
  readonly #made = new Map<Key, string>();

  constructor(make: (key: Key) => string) {
    this.#make = make;
  }

  of(key: Key): string {
    const known = this.#made.get(key);
    if (known !== undefined) return known;
    const made = this.#make(key);
    if (this.#made.size >= TEXTS_MOST) this.#made.clear();
    this.#made.set(key, made);
    return made;
  }
}

const TEXTS_MOST = 1_000;
const names = new Texts((name: string) => `"${name.replace(/[^\x20-\x7e]|["\\]/g, "_")}"`);
const instants = new Texts((at: number) => new Date(at).toISOString());

function quotaAmount({ unit }: Balance, amount: number): number {
  return Math.min(unit === "nanodollars" ? Math.floor(amount / 1000) : amount, 999_999_999_999_999);
}
