import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from "yaml";

/** Something wrong or doubtful in the configuration, with the place where it stands. */
export interface Problem {
  /** The file as it was named; none for the environment and flags. */
  readonly file: string | undefined;
  readonly line: number | undefined;
  readonly column: number | undefined;
  /** `budgets[1].limits[0]`, `PURSER_PORT`; empty where the text is no YAML at all. */
  readonly path: string;
  readonly message: string;
}

/** `purser.yaml:12:5  budgets[1].limit: unknown field. Did you mean "limits"?` */
export function problemText({ file, line, column, path, message }: Problem): string {
  const position = file === undefined ? "" : line === undefined ? `${file}  ` : `${file}:${line}:${column}  `;
  return `${position}${path === "" ? "" : `${path}: `}${message}`;
}

/** A value in the file that is being read: it can be asked for its parts, and told what is wrong with it. */
export interface Place {
  readonly path: string;
  /** Where it stands in the file, counted from 1. */
  readonly line: number;
  /** The YAML value; none where the field is there and empty, or not there. */
  readonly node: Node | undefined;
  /** The text as it stands, and with `${NAME}` filled in. */
  text(): Text | undefined;
  /** The fields of a map in their order, or nothing where it is no map. */
  entries(): readonly Entry[] | undefined;
  /** The items of a list, or nothing where it is no list. */
  items(): readonly Place[] | undefined;
  /** One field of a map; the place itself, under the longer path, where the map does not have it. */
  field(name: string): Place;
  /** Notes what is wrong. Returns nothing, so that `return place.problem(…)` reads as what it does. */
  problem(message: string): undefined;
  warning(message: string): undefined;
  /** What is wrong, for what is found out later. */
  problemHere(message: string): Problem;
}

export interface Entry {
  readonly key: string;
  /** Where the key stands, for saying that it should not. */
  readonly keyPlace: Place;
  readonly value: Place;
}

export interface Text {
  /** As written, so that no secret is repeated in a message. */
  readonly written: string;
  /** With every `${NAME}` filled in. */
  readonly value: string;
  /** Variables without a value and without a default. */
  readonly unset: readonly string[];
}

/** A configuration text, parsed, with all that was found wrong so far. */
export interface Source {
  readonly root: Place;
  readonly problems: readonly Problem[];
  readonly warnings: readonly Problem[];
}

export interface SourceInput {
  readonly file: string | undefined;
  readonly text: string;
  /** What `${NAME}` stands for. None: it stands for itself. */
  readonly environment: Readonly<Record<string, string | undefined>> | undefined;
}

/** A configuration is written by people. What is larger than this was not, or is the wrong file. */
const TEXT_MOST = 1_048_576;

/** Parses a text as YAML. What is wrong with it is noted, never thrown. */
export function openSource({ file, text, environment }: SourceInput): Source {
  const problems: Problem[] = [];
  const warnings: Problem[] = [];
  const lines = new LineCounter();
  const problemAt = (offset: number, path: string, message: string): Problem => {
    const { line, col } = lines.linePos(offset);
    return { file, line, column: col, path, message };
  };
  const note = (list: Problem[], offset: number, path: string, message: string): undefined =>
    void list.push(problemAt(offset, path, message));
  const isTooLarge = text.length > TEXT_MOST;
  const document = parsedText(isTooLarge ? "" : text, lines);
  if (isTooLarge) problems.push({ file, line: 1, column: 1, path: "", message: `the file is larger than 1 MiB. Is it the right one?` });
  const reserved = text.search(/[\ue000-\ue07f]/);
  if (reserved >= 0 && !isTooLarge) note(problems, reserved, "", "this character is for private use and shows as nothing. Remove it.");
  // What is no UTF-8 was read as this sign. In a budget's name it would be another budget than the one that is meant.
  const unreadable = text.indexOf("\ufffd");
  if (unreadable >= 0 && !isTooLarge) note(problems, unreadable, "", "this is not text in UTF-8. Save the file as UTF-8.");
  for (const { code, message, pos } of [...document.errors, ...document.warnings]) {
    const what = code === "MULTIPLE_DOCS" ? "a second document begins here. Put all into one, without a line of ---" : unprotected(message);
    note(problems, pos[0], "", `this is not YAML: ${what.replace(/\.$/, "")}.`);
  }

  const isReadable = document.errors.length === 0 && unreadable < 0;

  function placeOf(path: string, given: unknown, start: number): Place {
    const node = resolved(given);
    // An alias is told where it is used, not where its anchor stands.
    const offset = (given as Node | null | undefined)?.range?.[0] ?? start;
    return {
      path,
      line: lines.linePos(offset).line,
      node,
      text() {
        if (!isScalar(node) || node.value === null) return undefined;
        const written = typeof node.value === "string" ? node.value : (node.source ?? String(node.value));
        return expanded(unprotected(written), environment);
      },
      entries() {
        if (!isMap(node)) return undefined;
        return node.items.map((pair) => {
          const key = keyText(pair.key);
          const at = (pair.key as Node | null)?.range?.[0] ?? offset;
          const inner = fieldPath(path, key);
          return { key, keyPlace: placeOf(inner, pair.key, at), value: placeOf(inner, pair.value, at) };
        });
      },
      items() {
        return isSeq(node) ? node.items.map((item, index) => placeOf(`${path}[${index}]`, item, offset)) : undefined;
      },
      field(name) {
        return this.entries()?.find(({ key }) => key === name)?.value ?? placeOf(fieldPath(path, name), undefined, offset);
      },
      problem: (message) => note(problems, offset, path, message),
      warning: (message) => note(warnings, offset, path, message),
      problemHere: (message) => problemAt(offset, path, message),
    };
  }

  function resolved(given: unknown): Node | undefined {
    return (isAlias(given) ? given.resolve(document) : (given as Node | null | undefined)) ?? undefined;
  }

  return { root: placeOf("", isReadable ? document.contents : undefined, 0), problems, warnings };
}

/** A text as YAML, in which everything stands where it stands in the text, and some characters stand for others: see `protectedText`. */
export function parsedText(text: string, lineCounter = new LineCounter()) {
  return parseDocument(protectedText(text), { lineCounter, prettyErrors: false, uniqueKeys: false, keepSourceTokens: true });
}

/** The name of a field. */
export function keyText(key: unknown): string {
  return unprotected(String(isScalar(key) ? (key.source ?? key.value) : key));
}

/** `budgets[0].for`, `providers.openai`, `tools."web search"`. */
function fieldPath(path: string, key: string): string {
  const name = /^[\w-]+(\.[\w-]+)*$/.test(key) ? key : JSON.stringify(key);
  return path === "" ? name : `${path}.${name}`;
}

// YAML ends a plain value at `{`, `}` and `,` inside brackets, so `{ api_key: ${KEY} }` and `[$50,000 / month]` would not mean
// what everybody reads. Inside a variable and inside a number such characters are moved, one for one, to a range that YAML
// leaves alone, and moved back in the values: every position stays where it was. A decimal comma, `$1,50`, is kept together too, so that
// it is refused as no number, and not read as one dollar and fifty tokens.
const PROTECTED =
  /\$\{[A-Za-z_]\w*(?::-[^}\n]*)?\}|\$\d{1,3}(?:,\d{3})+(?!\d)|\$\d+,\d{1,2}(?= *[/\],\n])|(?<![\w,.])\d{1,3}(?:,\d{3})+(?=(?: ?[kKmMbB])? *(?:\/|[a-z]))/g;
const SHIFT = 0xe000;

export function protectedText(text: string): string {
  return text.replace(PROTECTED, (match) =>
    match.replace(/[^\w$]/g, (sign) => (sign < "\x7f" ? String.fromCharCode(SHIFT + sign.charCodeAt(0)) : sign)),
  );
}

export function unprotected(text: string): string {
  return text.replace(/[\ue000-\ue07f]/g, (sign) => String.fromCharCode(sign.charCodeAt(0) - SHIFT));
}

/** Fills in `${NAME}` and `${NAME:-default}`. An empty variable counts as unset; `$${` is a plain `${`. */
function expanded(written: string, environment: SourceInput["environment"]): Text {
  const unset: string[] = [];
  if (!environment) return { written, value: written, unset };
  const value = written.replace(/\$(\$\{)|\$\{([A-Za-z_]\w*)(?::-([^}]*))?\}/g, (_, escaped?: string, name?: string, fallback?: string) => {
    if (escaped !== undefined) return escaped;
    const found = environment[name ?? ""];
    if (found !== undefined && found !== "") return found;
    if (fallback === undefined) unset.push(name ?? "");
    return fallback ?? "";
  });
  return { written, value, unset };
}
