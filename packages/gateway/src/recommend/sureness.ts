/** How sure a proposal is, by how long was looked: a guess, a trial of some days, or weeks. */
export type Sureness = "low" | "fair" | "good";

const FAIR_DAYS = 3;
const GOOD_DAYS = 14;

export function surenessOf(days: number): Sureness {
  if (days < FAIR_DAYS) return "low";
  return days < GOOD_DAYS ? "fair" : "good";
}
