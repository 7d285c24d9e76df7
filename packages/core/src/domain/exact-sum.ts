import { PurserError } from "../errors.ts";

/** Adds two amounts of a report. Throws `amount_too_large` where a number cannot hold the sum exactly. */
export function exactSum(a: number, b: number): number {
  const sum = a + b;
  if (Number.isSafeInteger(sum)) return sum;
  throw sumTooLarge();
}

export function sumTooLarge(): PurserError {
  return new PurserError(
    "amount_too_large",
    "A sum of this report is beyond what is counted exactly, 9 million dollars or 9 quadrillion tokens in one row. Ask for shorter steps or more attributes.",
  );
}
