/** The name that somebody most likely meant, if one is near enough to say so: `limit` is near `limits`. */
export function nearestName(written: string, names: readonly string[]): string | undefined {
  const plain = simplified(written);
  let nearest: string | undefined;
  let least = Number.POSITIVE_INFINITY;
  for (const name of names) {
    const distance = editDistance(plain, simplified(name));
    // A third of the letters may be wrong: more, and the suggestion is a guess.
    if (distance < least && distance <= Math.max(1, Math.floor(Math.max(plain.length, name.length) / 3))) {
      nearest = name;
      least = distance;
    }
  }
  return nearest;
}

/** ` Did you mean "limits"?`, or all names where none is near, ready to follow a sentence. */
export function suggestion(written: string, names: readonly string[]): string {
  const nearest = nearestName(written, names);
  if (nearest !== undefined) return ` Did you mean "${nearest}"?`;
  return names.length === 0 ? "" : ` Known here: ${names.join(", ")}.`;
}

/** `maxBody`, `max-body` and `max_body` are the same words. */
function simplified(name: string): string {
  return name.toLowerCase().replace(/[-_ ]/g, "");
}

/** Letters to insert, drop, replace or swap with their neighbour until two words are the same. */
export function editDistance(a: string, b: string): number {
  // Names from a file can be long; beyond this no name of ours is near.
  if (a.length > 64 || b.length > 64) return a === b ? 0 : Number.POSITIVE_INFINITY;
  let beforePrevious: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let distance = Math.min((row[j - 1] ?? 0) + 1, (previous[j] ?? 0) + 1, (previous[j - 1] ?? 0) + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) distance = Math.min(distance, (beforePrevious[j - 2] ?? 0) + 1);
      row.push(distance);
    }
    beforePrevious = previous;
    previous = row;
  }
  return previous[b.length] ?? 0;
}
