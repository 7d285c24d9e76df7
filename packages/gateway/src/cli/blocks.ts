import { table } from "./table.ts";

/** A part of a report that is read on a terminal or in a comment on a change. Parts without content are left out. */
export type Block =
  | { readonly kind: "heading"; readonly text: string }
  | { readonly kind: "line"; readonly text: string; readonly isStrong?: boolean }
  | { readonly kind: "list"; readonly title: string; readonly items: readonly string[] }
  | {
      readonly kind: "table";
      readonly heading: readonly string[];
      readonly rows: readonly (readonly string[])[];
      /** Columns whose numbers stand to the right. */
      readonly right: readonly number[];
    };

export function textOf(blocks: readonly Block[]): string {
  return blocks.filter(hasContent).map(blockText).join("\n\n");
}

export function markdownOf(blocks: readonly Block[]): string {
  return blocks.filter(hasContent).map(blockMarkdown).join("\n\n");
}

/** A comment on GitHub has at most 65,536 characters. */
const ROWS_MOST = 100;
const ITEMS_MOST = 50;

function hasContent(block: Block): boolean {
  if (block.kind === "list") return block.items.length > 0;
  return block.kind !== "table" || block.rows.length > 0;
}

function blockText(block: Block): string {
  if (block.kind === "list") return [block.title, ...block.items.map((item) => `  ${item}`)].join("\n");
  return block.kind === "table" ? table(block.heading, block.rows, block.right) : block.text;
}

function blockMarkdown(block: Block): string {
  if (block.kind === "heading") return `### ${escaped(block.text)}`;
  if (block.kind === "line") return block.isStrong ? `**${escaped(block.text)}**` : escaped(block.text);
  if (block.kind === "list") return [`**${escaped(block.title)}**`, "", ...listMarkdown(block.items)].join("\n");
  const { heading, rows, right } = block;
  const row = (cells: readonly string[]) => `| ${cells.map(escaped).join(" | ")} |`;
  const line = `|${heading.map((_, column) => (right.includes(column) ? "---:" : "---")).join("|")}|`;
  // The last row has what all of them come to.
  const shown = rows.length > ROWS_MOST ? [...rows.slice(0, ROWS_MOST - 1), ...rows.slice(-1)] : rows;
  const left = rows.length - shown.length;
  return [row(heading), line, ...shown.map(row), ...(left > 0 ? ["", `… and ${left.toLocaleString("en-US")} rows more.`] : [])].join("\n");
}

function listMarkdown(items: readonly string[]): readonly string[] {
  const left = items.length - ITEMS_MOST;
  const shown = items.slice(0, ITEMS_MOST).map((item) => `- ${escaped(item)}`);
  return left > 0 ? [...shown, `- … and ${left.toLocaleString("en-US")} more.`] : shown;
}

/** Whoever writes a name decides nothing of how it is shown, and calls nobody: a zero-width space stands behind an @. */
function escaped(text: string): string {
  return text
    .replace(/\s+/g, " ")
    .replace(/[\\`*_[\]<>|~#&]/g, "\\$&")
    .replaceAll("@", "@\u200b");
}
