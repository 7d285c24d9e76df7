import type { SqlValue } from "./rows.ts";

/** Rows in the text format of COPY. */
export function copyText(rows: readonly (readonly SqlValue[])[]): string {
  let text = "";
  for (const row of rows) {
    for (let i = 0; i < row.length; i++) {
      if (i > 0) text += "\t";
      const value = row[i] as SqlValue;
      text += value === null ? "\\N" : typeof value === "number" ? value : escaped(value);
    }
    text += "\n";
  }
  return text;
}

const SPECIAL = /[\\\t\n\r]/;
const ESCAPES: Readonly<Record<string, string>> = { "\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r" };

function escaped(text: string): string {
  return SPECIAL.test(text) ? text.replace(/[\\\t\n\r]/g, (sign) => ESCAPES[sign] as string) : text;
}
