import type { BudgetItem } from "../../../gateway/src/config/change-budgets.ts";

type Value = BudgetItem[string];

/** How a field of a budget is filled in, and read again. */
interface Writing {
  write(value: Value): string;
  /** Nothing where there is nothing in it. */
  read(text: string): Value | undefined;
}

const TEXT: Writing = { write: String, read: (text) => text.trim() || undefined };
const LIST: Writing = { write: (value) => textsOf(value).join("\n"), read: (text) => filled(linesIn(text)) };
const NAMES: Writing = {
  write: (value) => textsOf(value).join(", "),
  read: (text) => filled(text.split(",").map(trimmed).filter(Boolean)),
};
/** `team=search`, `tier=free|trial` */
const SELECTOR: Writing = {
  write: (value) =>
    entriesOf(value)
      .map(([path, values]) => `${path}=${values.join("|")}`)
      .join("\n"),
  read: (text) => gathered(linesIn(text), "=", (values) => values.split("|")),
};
/** `80%: use gpt-4o-mini`, with a line for each rung of a step. */
const STEPS: Writing = {
  write: (value) =>
    entriesOf(value)
      .flatMap(([share, rungs]) => rungs.map((rung) => `${share}: ${rung}`))
      .join("\n"),
  read: (text) => gathered(linesIn(text), ":", (rung) => [rung]),
};

const WRITINGS = { name: TEXT, for: SELECTOR, per: NAMES, limits: LIST, owner: TEXT, cost_center: TEXT, mode: TEXT, ladder: STEPS };
const FIELDS = Object.keys(WRITINGS) as readonly LinesField[];

type LinesField = keyof typeof WRITINGS;

/** A budget as people fill it in: whatever there can be several of stands in lines. */
export type BudgetLines = { readonly [field in LinesField]: string };

const ENFORCE = "enforce";

export function linesOf(item: BudgetItem): BudgetLines {
  const line = (field: LinesField) => (item[field] === undefined ? "" : WRITINGS[field].write(item[field]));
  const lines = Object.fromEntries(FIELDS.map((field) => [field, line(field)])) as BudgetLines;
  return { ...lines, mode: lines.mode || ENFORCE };
}

/** The budget that lines say. What they say nothing of, or nothing else, is as it was. */
export function itemOf(lines: BudgetLines, before: BudgetItem = {}): BudgetItem {
  const item: Record<string, Value> = { ...before };
  for (const field of FIELDS) {
    if (isFixed(before, field)) continue;
    const value = WRITINGS[field].read(lines[field]);
    if (value === undefined) delete item[field];
    else if (!isAlike(value, before[field] ?? (field === "mode" ? ENFORCE : null))) item[field] = value;
  }
  return item;
}

/** Whether lines cannot say what a field has, such as a value with `|` in it. Then it is kept. */
export function isFixed(item: BudgetItem, field: LinesField): boolean {
  const { [field]: value } = item;
  return value !== undefined && !isAlike(WRITINGS[field].read(WRITINGS[field].write(value)) ?? null, value);
}

/** The fields that nobody fills in here. */
export function otherFields(item: BudgetItem): readonly string[] {
  return Object.keys(item).filter((field) => !FIELDS.some((one) => one === field));
}

/** Whether two values are the same in the file, where a list of one is its item. */
function isAlike(a: Value, b: Value): boolean {
  return plain(a) === plain(b);
}

function plain(value: Value): string {
  return JSON.stringify(value, (_, one) => (Array.isArray(one) && one.length === 1 ? one[0] : typeof one === "number" ? String(one) : one));
}

/** `a=1`, `b=2`, `a=3` as `{ a: [1, 3], b: 2 }`. */
function gathered(lines: readonly string[], sign: string, split: (text: string) => readonly string[]): BudgetItem | undefined {
  const found = new Map<string, readonly string[]>();
  for (const line of lines) {
    const [, name = line, text = ""] = new RegExp(`^([^${sign}]*)${sign}(.*)$`).exec(line) ?? [];
    found.set(name.trim(), [...(found.get(name.trim()) ?? []), ...split(text).map(trimmed)]);
  }
  const single = (values: readonly string[]) => (values.length === 1 ? (values[0] ?? "") : values);
  return found.size === 0 ? undefined : Object.fromEntries([...found].map(([name, values]) => [name, single(values)]));
}

function linesIn(text: string): readonly string[] {
  return text.split("\n").map(trimmed).filter(Boolean);
}

function trimmed(text: string): string {
  return text.trim();
}

function filled(list: readonly string[]): readonly string[] | undefined {
  return list.length === 0 ? undefined : list;
}

function textsOf(value: Value): readonly string[] {
  return [value].flat().map(String);
}

function entriesOf(value: Value): readonly (readonly [string, readonly string[]])[] {
  return Object.entries((value ?? {}) as BudgetItem).map(([name, one]) => [name, textsOf(one)] as const);
}
