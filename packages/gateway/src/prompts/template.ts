/** How variables are written in a text, by the names that prompts.yaml has for it. */
export const VARIABLE_FORMS = ["double-braces", "single-braces", "dollar-braces", "none"] as const;

export type VariableForm = (typeof VARIABLE_FORMS)[number];

/** A text with its variables filled in, and what could not be. */
export interface FilledIn {
  readonly text: string;
  /** Variables that there is no value for. */
  readonly missing: readonly Unfilled[];
  /** What is no variable: a loop, a condition, an expression. */
  readonly logic: readonly Unfilled[];
  readonly used: ReadonlySet<string>;
  /** Whether it would be longer than it may be: then the text is only its beginning. */
  readonly isTooLong: boolean;
}

export interface Unfilled {
  readonly name: string;
  /** Counted from 1. */
  readonly line: number;
}

const NAME = "[A-Za-z_][\\w.-]*";

/** Each finds a variable, by the group `name`; or a sign that is written twice to stand for itself; or else what only a template engine can fill in. */
const FORMS: { readonly [form in Exclude<VariableForm, "none">]: RegExp } = {
  // Mustache, Handlebars, Jinja: a filter behind the name changes little of its length.
  "double-braces": new RegExp(
    `\\{\\{\\{?&?[ \\t]*(?<name>${NAME})[ \\t]*(?:\\|[^{}\\n]*)?\\}\\}\\}?|\\{\\{[^{}\\n]{0,60}|\\{%[^{}\\n]{0,60}`,
    "g",
  ),
  // Python's format: a brace that is meant is written twice.
  "single-braces": new RegExp(`(?<twice>\\{\\{|\\}\\})|\\{(?<name>${NAME})(?:[!:][^{}\\n]*)?\\}`, "g"),
  "dollar-braces": new RegExp(`\\$\\{(?<name>${NAME})\\}`, "g"),
};

/** Fills in the variables of a template, up to a length. Values are not looked at for variables of their own. */
export function fillIn(template: string, form: VariableForm, values: ReadonlyMap<string, string>, lengthMost: number): FilledIn {
  const missing: Unfilled[] = [];
  const logic: Unfilled[] = [];
  const used = new Set<string>();
  if (form === "none") return { text: template, missing, logic, used, isTooLong: template.length > lengthMost };
  const pieces: string[] = [];
  let [from, line, length] = [0, 1, template.length];
  for (const found of template.matchAll(FORMS[form])) {
    const before = template.slice(from, found.index);
    line += linesIn(before);
    pieces.push(before);
    from = found.index + found[0].length;
    const { name, twice } = found.groups ?? {};
    const value = name === undefined ? twice?.charAt(0) : values.get(name);
    if (value !== undefined) pieces.push(value);
    else if (name === undefined) logic.push({ name: found[0].replace(/\p{Cc}/gu, " ").trim(), line });
    else missing.push({ name, line });
    if (name !== undefined) used.add(name);
    length += (value?.length ?? 0) - found[0].length;
    if (length > lengthMost) break;
  }
  pieces.push(template.slice(from));
  return { text: pieces.join(""), missing, logic, used, isTooLong: length > lengthMost };
}

function linesIn(text: string): number {
  let lines = 0;
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) lines++;
  return lines;
}
