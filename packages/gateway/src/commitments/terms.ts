import { type Nanodollars, PurserError, parseLimit } from "@purser/core";
import { COMMITTED_PERIODS, type Commitment, type CommittedPeriod, PRICE_PERIODS, type PricePeriod } from "./commitment.ts";

/** Reads what is committed to: `$10,000 / month`, `100k tokens / minute`. Throws `config_invalid`, or `limit_invalid`, with what to write. */
export function parseCommitted(text: string): Pick<Commitment, "unit" | "amount" | "period"> {
  const { unit, amount, window, rollover } = parseLimit(text, "UTC");
  const period = window.kind === "calendar" ? COMMITTED_PERIODS.find((one): one is CommittedPeriod => one === window.period) : undefined;
  if (unit === "concurrent" || !period || rollover !== undefined || amount === 0)
    throw wrong(
      `"${text}" is nothing to commit to. Write an amount for each ${COMMITTED_PERIODS.join(", ")}: $10,000 / month, 100k tokens / minute.`,
    );
  if (unit === "nanodollars" && period === "minute") throw wrong(`"${text}" is money by the minute. Write it by the hour or longer.`);
  return { unit, amount, period };
}

/** Reads what capacity costs: `$2 / hour`. */
export function parseCapacityPrice(text: string): { readonly amount: Nanodollars; readonly period: PricePeriod } {
  const { unit, amount, window, rollover } = parseLimit(text, "UTC");
  const period = window.kind === "calendar" ? PRICE_PERIODS.find((one): one is PricePeriod => one === window.period) : undefined;
  if (unit === "nanodollars" && period && rollover === undefined) return { amount, period };
  throw wrong(`"${text}" is no price of capacity. Write dollars for each ${PRICE_PERIODS.join(", ")}: $2 / hour.`);
}

const FULL = 10_000;

/** Reads a discount, `12%`, in hundredths of a per cent. */
export function parseDiscount(text: string): number {
  const percent = /^(\d{1,2}(?:\.\d{1,2})?)\s*%?$/.exec(text.trim())?.[1];
  const discount = Math.round(Number(percent) * 100);
  if (discount > 0 && discount < FULL) return discount;
  throw wrong(`"${text}" is no discount. Write per cent of the price, such as 12%.`);
}

/** What a provider offers: money for a discount, or capacity for a price. */
export type OfferedTerms = Pick<Commitment, "unit" | "amount" | "period" | "discount" | "price">;

/** Reads an offer: `$10,000 / month for 12%`, `100k tokens / minute for $2 / hour`. */
export function parseOffer(text: string): OfferedTerms {
  const [, what, price] = /^(.+?)\s+for\s+(.+)$/i.exec(text.trim()) ?? [];
  if (what === undefined || price === undefined)
    throw wrong(`"${text}" is no offer. Write $10,000 / month for 12%, or 100k tokens / minute for $2 / hour.`);
  const committed = parseCommitted(what);
  if (committed.unit === "nanodollars") return { ...committed, discount: parseDiscount(price) };
  return { ...committed, discount: 0, price: parseCapacityPrice(price) };
}

function wrong(message: string): PurserError {
  return new PurserError("config_invalid", message);
}
