import { formatAmount, formatDollars, formatInstant, type Unit } from "@purser/core";
import { type Commitment, partOf } from "./commitment.ts";
import type { CommitmentStanding, Expected } from "./standing.ts";

const CENT = 10_000_000;
const FULL = 10_000;

/** Commitments are of whole dollars, and nobody reads nano-dollars beside them. */
export function roundText(amount: number, unit: Unit, weights?: object): string {
  return unit === "nanodollars" ? centsText(amount) : formatAmount(amount, unit, weights);
}

function centsText(amount: number): string {
  // Less than a cent is shown as it is, so that it is not taken for nothing.
  return Math.abs(amount) < CENT ? formatDollars(amount) : formatDollars(Math.round(amount / CENT) * CENT);
}

/** `$10,000.00 / month`, `100,000 tokens / minute for $2.00 / hour`. */
export function committedText({ amount, unit, period, price, discount, weights }: Commitment): string {
  const paid = price ? ` for ${formatDollars(price.amount)} / ${price.period}` : discount > 0 ? ` for ${discountText(discount)}` : "";
  return `${formatAmount(amount, unit, weights)} / ${period}${paid}`;
}

/** `12%`, of hundredths of a per cent. */
export function discountText(discount: number): string {
  return `${discount / 100}%`;
}

/** `$6,200.00 of $10,000.00 (62 %)`. */
export function shareUsed({ commitment: { unit, weights }, used, committed }: CommitmentStanding): string {
  const percent = partOf(used, FULL, committed) / 100;
  return `${roundText(used, unit, weights)} of ${roundText(committed, unit, weights)} (${Math.floor(percent)} %)`;
}

/** What will be paid for nothing: `$6,200.00 of $10,000.00 (62 %) are used; at this pace $1,300.00 will be paid for nothing by …`. */
export function shortfallText(standing: CommitmentStanding, { unusedCost }: Expected): string {
  const { commitment, window } = standing;
  const by = formatInstant(window.endsAt, commitment.timeZone);
  return `${shareUsed(standing)} are used; at this pace ${centsText(unusedCost)} will be paid for nothing by ${by}.`;
}
