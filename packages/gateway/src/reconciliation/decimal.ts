const DECIMAL = /^([+-]?)\$?(\d+(?:,\d{3})*)(?:\.(\d+))?(?:e([+-]?\d{1,3}))?$/i;
/** Far more digits than any amount of money has. */
const LENGTH_MOST = 400;

/**
 * A decimal number as a bill writes it, as an integer of so many places, rounded to the nearest digit by digit: 12.5 dollars to nine places are
 * 12,500,000,000 nano-dollars. It may have any number of digits, an exponent and a sign. Undefined for what is no number, or too large.
 */
export function decimalIn(text: string | number, places: number): number | undefined {
  const match = String(text).length > LENGTH_MOST ? null : DECIMAL.exec(String(text).trim());
  if (!match) return undefined;
  const [, sign, whole = "", fraction = "", exponent = "0"] = match;
  const digits = whole.replaceAll(",", "") + fraction;
  const point = digits.length - fraction.length + places + Number(exponent);
  const kept = point <= 0 ? 0n : BigInt(digits.slice(0, point).padEnd(point, "0"));
  const isHalfOrMore = point >= 0 && Number(digits[point] ?? 0) >= 5;
  const amount = Number(isHalfOrMore ? kept + 1n : kept);
  if (!Number.isSafeInteger(amount)) return undefined;
  return sign === "-" && amount !== 0 ? -amount : amount;
}
