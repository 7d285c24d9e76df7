/** What the path of a call names, where a format puts it there: `{ model: "gemini-2.5-pro" }`. */
export type PathNames = Readonly<Record<string, string>>;

/** What may stand for a name of a path. Others are whatever has no slash, and no colon where one follows. */
const FORMS: Readonly<Record<string, string>> = { version: "v1(?:alpha|beta1?)?" };
const NAME = /\{(\w+)\}/g;
const NAME_BEFORE = /\{(\w+)\}(?=(:?))/g;

/** Reads paths of a template such as `/{version}/models/{model}:generateContent`, or that end as it says. */
export function compilePath(template: string, at: "whole" | "end" = "whole"): (path: string) => PathNames | undefined {
  const escaped = template.replace(/[.*+?^$()|[\]\\]/g, "\\$&");
  const pattern = escaped.replace(NAME_BEFORE, (_, name: string, colon: string) => `(?<${name}>${FORMS[name] ?? `[^/${colon}]+`})`);
  const form = new RegExp(`${at === "whole" ? "^" : ""}${pattern}$`);
  return (path) => {
    const found = form.exec(path);
    return found ? decoded(found.groups ?? {}) : undefined;
  };
}

/** Writes the path of a template. */
export function fillPath(template: string, names: PathNames): string {
  return template.replace(NAME, (_, name: string) => encodeURIComponent(names[name] ?? ""));
}

/** Steps up and down a path are no names. */
const STEP = /^\.{1,2}$/;

function decoded(groups: Readonly<Record<string, string>>): PathNames | undefined {
  try {
    const names = Object.entries(groups).map(([name, text]) => [name, decodeURIComponent(text)] as const);
    return names.some(([, text]) => STEP.test(text)) ? undefined : Object.fromEntries(names);
  } catch {
    return undefined;
  }
}
