/** A small generator with a seed (mulberry32), so that the order of a run and its arrivals can be had again. */
export function seededRandom(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

export function shuffled(items, random) {
  const result = [...items];
  for (let last = result.length - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1));
    [result[last], result[other]] = [result[other], result[last]];
  }
  return result;
}

/** The value below which this part of the numbers lies, by linear interpolation; undefined for no numbers. */
export function quantile(numbers, part) {
  if (numbers.length === 0) return undefined;
  const sorted = Float64Array.from(numbers).sort();
  const place = (sorted.length - 1) * part;
  const below = Math.floor(place);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below] + (sorted[above] - sorted[below]) * (place - below);
}

export const median = (numbers) => quantile(numbers, 0.5);

/** The median with the interval that holds it in 95 % of resamples. One or two numbers have no honest interval: theirs is what they span. */
export function medianInterval(numbers, random = seededRandom(1)) {
  if (numbers.length === 0) return undefined;
  if (numbers.length < 3) return { median: median(numbers), low: Math.min(...numbers), high: Math.max(...numbers), count: numbers.length };
  const medians = Array.from({ length: 2000 }, () => median(numbers.map(() => numbers[Math.floor(random() * numbers.length)])));
  return { median: median(numbers), low: quantile(medians, 0.025), high: quantile(medians, 0.975), count: numbers.length };
}
