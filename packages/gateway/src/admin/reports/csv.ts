/** RFC 4180, with a value that a spreadsheet would run as a formula shown as the text that it is: callers can choose their own names. */
export function csv(lines: readonly (readonly string[])[]): string {
  return lines.map((line) => line.map(csvCell).join(",")).join("\n");
}

/** `-5` is an amount; `-5+cmd|…` is not. */
const NUMBER = /^-?\d+(\.\d+)?$/;

function csvCell(text: string): string {
  const isFormula = /^[=+@\t\r-]/.test(text) && !NUMBER.test(text);
  const shown = isFormula ? `'${text}` : text;
  return /[",\n\r]/.test(shown) ? `"${shown.replaceAll('"', '""')}"` : shown;
}
