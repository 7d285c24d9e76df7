/** Milliseconds by the letter that people write behind a number. */
const UNITS: readonly (readonly [letter: string, ms: number])[] = [
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["m", 60_000],
  ["s", 1_000],
];

const FORM = /^(\d{1,6})\s*([smhd])$/i;

/** Reads `24h`, `15m`, `30s`, `7d`; nothing where the text is no duration. A day is 24 hours. */
export function parseDuration(text: string): number | undefined {
  const [, digits, letter] = FORM.exec(text.trim()) ?? [];
  const unit = UNITS.find(([name]) => name === letter?.toLowerCase());
  return unit && Number(digits) * unit[1];
}

/** A duration in the largest unit that says it exactly: `24h` is `1d`. */
export function formatDuration(ms: number): string {
  const [letter, unit] = UNITS.find(([, size]) => ms % size === 0) ?? (["ms", 1] as const);
  return `${ms / unit}${letter}`;
}

const NAMES: Readonly<Record<string, string>> = { d: "day", h: "hour", m: "minute", s: "second" };

/** A duration in words: `15 minutes`, `day`. */
export function durationPhrase(ms: number): string {
  const [letter, unit] = UNITS.find(([, size]) => ms % size === 0) ?? (["s", 1_000] as const);
  const count = ms / unit;
  return count === 1 ? (NAMES[letter] as string) : `${count} ${NAMES[letter]}s`;
}
