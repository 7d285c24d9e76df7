/** The smallest of ascending numbers that so many in a hundred are not above. */
export function nearestRank(ascending: readonly number[], percent: number): number {
  return ascending[rankOf(ascending.length, percent)] ?? 0;
}

/** Where it stands among so many: the last place where there are few. */
export function rankOf(count: number, percent: number): number {
  return Math.max(0, Math.ceil((count * percent) / 100) - 1);
}
