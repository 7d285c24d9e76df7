import { PurserError } from "@purser/core";

/** A line that is no JSON, or of another form than this version writes. */
export interface UnreadLine {
  /** From 1. */
  readonly number: number;
  readonly text: string;
  /** Whether the file ends in the middle of it, as after a crash. */
  readonly isCut: boolean;
}

/** Reads lines of JSON, each by itself: one that cannot be read takes no other with it. */
export function readLines<Line>(
  text: string,
  isLine: (value: unknown) => value is Line,
): { readonly lines: readonly Line[]; readonly unread: readonly UnreadLine[] } {
  const lines: Line[] = [];
  const unread: UnreadLine[] = [];
  const all = text.split("\n");
  for (const [i, one] of all.entries()) {
    if (one.trim() === "") continue;
    const value = parsed(one);
    if (isLine(value)) lines.push(value);
    else unread.push({ number: i + 1, text: one, isCut: i === all.length - 1 });
  }
  return { lines, unread };
}

/** So many lines are named. */
const NAMED_MOST = 3;

/** What is told of lines that are passed over; nothing where there are none. */
export function unreadError(file: string, unread: readonly UnreadLine[], advice: string): PurserError | undefined {
  const [first] = unread;
  if (!first) return undefined;
  const named = unread.slice(0, NAMED_MOST).map(({ number }) => number);
  const more = unread.length > NAMED_MOST ? ` and ${unread.length - NAMED_MOST} more` : "";
  const what =
    unread.length === 1
      ? `Line ${first.number} of ${file} is not one that Purser wrote, or another version did. It is passed over.`
      : `Lines ${named.join(", ")}${more} of ${file} are not ones that Purser wrote, or another version did. They are passed over.`;
  return new PurserError("config_invalid", `${what} ${advice}`);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
