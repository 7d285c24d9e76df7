import { stripVTControlCharacters } from "node:util";

/** Rows under a heading, in columns as wide as they need to be. Numbers stand to the right. */
export function table(heading: readonly string[], rows: readonly (readonly string[])[], right: readonly number[] = []): string {
  // Not all at once as arguments: a table can have more rows than a call takes.
  const widths = heading.map((title, column) => rows.reduce((most, row) => Math.max(most, width(row[column] ?? "")), width(title)));
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, column) => {
        const padding = " ".repeat(Math.max(0, (widths[column] ?? 0) - width(cell)));
        return right.includes(column) ? padding + cell : cell + padding;
      })
      .join("  ")
      .trimEnd();
  return [heading, ...rows].map(line).join("\n");
}

/** The places that a text takes on a terminal: colours take none. */
function width(text: string): number {
  return [...stripVTControlCharacters(text)].length;
}

const BAR_PLACES = 16;

/** `█████▌░░░░`: a share from 0 to 1 as a bar. */
export function bar(share: number): string {
  const halves = Math.round(Math.min(1, Math.max(0, share)) * BAR_PLACES * 2);
  const full = "█".repeat(Math.floor(halves / 2)) + (halves % 2 === 1 ? "▌" : "");
  return full + "░".repeat(BAR_PLACES - Math.ceil(halves / 2));
}
