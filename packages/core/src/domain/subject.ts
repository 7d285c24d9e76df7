/** The attributes that a call is charged to. Anything else is a tag. */
export const ATTRIBUTES = [
  "org",
  "team",
  "product",
  "feature",
  "user",
  "tier",
  "session",
  "task",
  "key",
  "provider",
  "model",
  "endpoint",
] as const;

export type Attribute = (typeof ATTRIBUTES)[number];

/** Who and what a call is charged to. Tags are any further pairs: `{ customer: "acme" }`. */
export type Subject = { readonly [attribute in Attribute]?: string } & { readonly tags?: Readonly<Record<string, string>> };

/** Names one value of a subject: an attribute, or `tag.NAME`. */
export type SubjectPath = Attribute | `tag.${string}`;

/** The value of a subject at a path, if it has one. */
export function subjectValue(subject: Subject, path: SubjectPath): string | undefined {
  if (!path.startsWith("tag.")) return subject[path as Attribute];
  const name = path.slice(4);
  // Tags are named by callers, and every object has a "constructor".
  return subject.tags && Object.hasOwn(subject.tags, name) ? subject.tags[name] : undefined;
}

export function isSubjectPath(text: string): text is SubjectPath {
  return (ATTRIBUTES as readonly string[]).includes(text) || (text.startsWith("tag.") && text.length > 4);
}

/**
 * Which calls a budget is for: every named value must match. A value is a text in which `*` stands for anything,
 * or a list of such texts. `*` alone asks only that the value is there.
 */
export type Selector = { readonly [path in SubjectPath]?: string | readonly string[] };

/** A selector compiled once, asked for every call. */
export function compileSelector(selector: Selector): (subject: Subject) => boolean {
  const tests = Object.entries(selector).map(([path, wanted]) => ({ path: path as SubjectPath, matches: compileValues(path, wanted) }));
  return (subject) => tests.every(({ path, matches }) => matches(subjectValue(subject, path)));
}

/** Whether a value is there and is one of those that a selector names at its path. */
export function compileValues(path: string, wanted: string | readonly string[] = []): (value: string | undefined) => boolean {
  const fold = path === "model" ? foldModel : (value: string) => value;
  const patterns = (typeof wanted === "string" ? [wanted] : wanted).map((pattern) => compilePattern(fold(pattern)));
  return (value) => value !== undefined && patterns.some((matches) => matches(fold(value)));
}

/** Whether all that `narrow` selects is selected by `wide`. */
export function includesSelection(wide: Selector, narrow: Selector): boolean {
  return (Object.entries(wide) as [SubjectPath, string | readonly string[]][]).every(([path, allowed]) => {
    const values = narrow[path];
    if (values === undefined) return false;
    const patterns = [allowed].flat().map(compilePattern);
    return [values].flat().every((value) => patterns.some((matches) => matches(value)));
  });
}

/** Some providers take `GPT-4o` for `gpt-4o`, so a budget for the one is for the other too. */
export function foldModel(model: string): string {
  return model.toLowerCase();
}

/** A text in which `*` stands for any run of characters, as a test. Model lists and selectors use the same rule. */
export function compilePattern(pattern: string): (value: string) => boolean {
  const [head = "", ...rest] = pattern.split("*");
  const tail = rest.pop();
  if (tail === undefined) return (value) => value === pattern;
  // Searched part by part and not as a regular expression, which a long value could keep busy for very long.
  return (value) => {
    if (value.length < head.length + tail.length || !value.startsWith(head) || !value.endsWith(tail)) return false;
    const end = value.length - tail.length;
    let from = head.length;
    for (const part of rest) {
      const found = value.indexOf(part, from);
      if (found < 0 || found + part.length > end) return false;
      from = found + part.length;
    }
    return true;
  };
}
