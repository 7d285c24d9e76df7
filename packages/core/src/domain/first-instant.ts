/** The first instant after `early`, up to `late`, from which a condition holds. */
export function firstInstant(early: number, late: number, holds: (instant: number) => boolean): number {
  let before = early;
  let from = late;
  while (from - before > 1) {
    const middle = Math.floor((before + from) / 2);
    if (holds(middle)) from = middle;
    else before = middle;
  }
  return from;
}
