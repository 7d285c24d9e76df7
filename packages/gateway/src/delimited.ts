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
  return csvRecords(line, () => fail)[0]?.cells ?? [""];
}

/** A record of a file, with the line on which it begins, from 1 on. */
export interface CsvRecord {
  readonly line: number;
  readonly cells: readonly string[];
}

/** A value in quotes, which may hold commas, line breaks and doubled quotes; or one without, which holds none of them. */
const CELL = /(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r?\n|\r|$)/y;

/** RFC 4180: a record ends with a line, but a value in quotes may have several. Empty lines are none. `failAt`: what is wrong on a line. */
export function csvRecords(text: string, failAt: (line: number) => Fail): readonly CsvRecord[] {
  const records: CsvRecord[] = [];
  const cell = new RegExp(CELL);
  let cells: string[] = [];
  let [line, begins] = [1, 1];
  for (cell.lastIndex = text.startsWith("\uFEFF") ? 1 : 0; cell.lastIndex < text.length || cells.length > 0; ) {
    const found = cell.exec(text);
    if (!found) throw failAt(line)("It is no CSV: a value with quotes in it stands in quotes, and its own are doubled.");
    const [whole, quoted, plain = "", end = ""] = found;
    cells.push(quoted?.replaceAll('""', '"') ?? plain.trim());
    line += whole.match(/\r\n|\n|\r/g)?.length ?? 0;
    if (end === ",") continue;
    if (cells.length > 1 || cells[0] !== "") records.push({ line: begins, cells });
    [cells, begins] = [[], line];
  }
  return records;
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
