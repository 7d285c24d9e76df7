import { suggestion } from "./config/nearest-name.ts";

/** Makes an error of what is wrong with a line, or with what was said of its columns. */
export type Fail = (what: string) => Error;

/** A row of a table by the names of its columns. */
export type Row = ReadonlyMap<string, string>;

/** The names of a heading, with our own in the place of those that are called otherwise. */
export function headingOf(names: readonly string[], columns: ReadonlyMap<string, string>, fail: Fail): readonly string[] {
  for (const column of columns.keys())
    if (!names.includes(column)) throw fail(`There is no column "${column}" to take.${suggestion(column, names)}`);
  return names.map((name) => columns.get(name) ?? name);
}

export function csvRow(line: string, heading: readonly string[], fail: Fail): Row {
  const cells = csvCells(line, fail);
  if (cells.length !== heading.length) throw fail(`It has ${cells.length} values, and the heading ${heading.length}.`);
  return new Map(heading.map((name, i) => [name, cells[i] as string]));
}

/** RFC 4180, a record a line. */
export function csvCells(line: string, fail: Fail): readonly string[] {
  const cells: string[] = [];
  for (let rest = line; ; ) {
    const cell = /^(?:"((?:[^"]|"")*)"|([^",]*))(,|$)/.exec(rest);
    if (!cell) throw fail("It is no CSV: a value with quotes in it stands in quotes, and its own are doubled.");
    cells.push(cell[1]?.replaceAll('""', '"') ?? (cell[2] as string).trim());
    if (cell[3] === "") return cells;
    rest = rest.slice(cell[0].length);
  }
}

/** A value; none where it is empty. */
export function value(row: Row, name: string): string | undefined {
  return row.get(name) || undefined;
}

export interface KnownColumns {
  readonly columns: readonly string[];
  /** What they are columns of, for people: `a trace`. */
  readonly of: string;
  readonly fail: Fail;
  isOther?(name: string): boolean;
}

/** Reads `--columns time=TIMESTAMP,input_tokens=ContextTokens`: which column of the file is which of ours. */
export function readColumns(text: string, { columns, of, fail, isOther }: KnownColumns): ReadonlyMap<string, string> {
  const pairs = text.split(",").map((pair) => pair.split("="));
  return new Map(
    pairs.map(([ours = "", theirs = ""]) => {
      const name = ours.trim();
      if (theirs.trim() === "") throw fail(`"${ours}" names no column of the file. Write --columns ${columns[0]}=COLUMN.`);
      if (!columns.includes(name) && !isOther?.(name)) throw fail(`"${name}" is no column of ${of}.${suggestion(name, columns)}`);
      return [theirs.trim(), name];
    }),
  );
}
