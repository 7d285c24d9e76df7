import { posix } from "node:path";
import { PurserError, type Subject } from "@purser/core";
import type { Located } from "../config/field.ts";
import { suggestion } from "../config/nearest-name.ts";
import { openSource, type Place, type Problem } from "../config/source.ts";
import { parseBody, readJsonBody } from "../dialects/json-body.ts";
import { findCall, refusedRoute } from "../routes.ts";
import { PROMPTS, type PromptFields, type SampleFields } from "./description.ts";
import { fillIn, type VariableForm } from "./template.ts";
import type { Tree } from "./tree.ts";

/** A prompt as its calls carry it, with what is expected of them. */
export interface Prompt {
  readonly name: string;
  /** The line of the file on which it begins. */
  readonly line: number;
  readonly content: Texts | Body;
  /** What its calls are charged to; of what differs from call to call, the value of any one. */
  readonly subject: Subject;
  /** Output tokens of a usual answer; none where the file does not say. */
  readonly answerTokens: number | undefined;
  readonly callsADay: number | undefined;
  /** The share of its input that is usually read from the provider's cache, in hundredths of a per cent. */
  readonly cachedShare: number;
  /** How many of a day's calls one value of an attribute makes. */
  readonly per: ReadonlyMap<string, number>;
  /** By how much it may grow, in hundredths of a per cent. */
  readonly growsMost: number | undefined;
}

export interface Texts {
  readonly kind: "texts";
  readonly model: string;
  readonly system: string | undefined;
  readonly message: string | undefined;
  readonly outputCap: number | undefined;
}

export interface Body {
  readonly kind: "body";
  readonly path: string;
  /** The model, where neither body nor path says it. */
  readonly model: string | undefined;
  readonly bytes: Buffer;
}

export interface PromptsInput {
  /** As it was named, for problems. */
  readonly file: string;
  readonly text: string;
  /** The files of its folder. */
  readonly tree: Tree;
  /** What is larger is no call. */
  readonly bytesMost: number;
}

export interface ReadPrompts {
  readonly prompts: readonly Prompt[];
  readonly problems: readonly Problem[];
  readonly warnings: readonly Problem[];
}

/** Reads prompts.yaml and every file that it names. What is wrong is noted where it stands, never thrown. */
export function readPrompts({ file, text, tree, bytesMost }: PromptsInput): ReadPrompts {
  // What the environment has is nobody's prompt: a report of it can be public.
  const source = openSource({ file, text, environment: undefined });
  const fields = source.root.node === undefined && source.problems.length > 0 ? undefined : PROMPTS.read(source.root);
  const files = new Files(tree, bytesMost);
  const names = new Set<string>();
  const prompts = (fields?.prompts ?? []).flatMap(({ value, place }) => {
    if (value.name === undefined) return [];
    if (names.has(value.name)) place.field("name").problem(`"${value.name}" names two prompts. Each needs a name of its own.`);
    names.add(value.name);
    const prompt = new PromptReader(value, place, files, fields?.grows_most).read();
    return prompt ? [prompt] : [];
  });
  return { prompts, problems: source.problems, warnings: source.warnings };
}

/** What all texts may have together: nobody writes more, and it has to fit into memory. */
const ALL_MOST = 256 * 1024 * 1024;
const TOO_MUCH = "is too much: all texts together are larger than 256 MiB";

/** The texts of files, each read once. */
class Files {
  readonly #tree: Tree;
  readonly #bytesMost: number;
  #left = ALL_MOST;
  readonly #texts = new Map<string, { readonly text: string } | { readonly because: string }>();

  constructor(tree: Tree, bytesMost: number) {
    this.#tree = tree;
    this.#bytesMost = bytesMost;
  }

  /** What one more text may have. */
  get lengthMost(): number {
    return Math.min(this.#bytesMost, this.#left);
  }

  /** Notes that a text was made of others. */
  take(length: number): void {
    this.#left = Math.max(0, this.#left - length);
  }

  text(path: string, place: Place): string | undefined {
    const name = posix.normalize(path);
    let found = this.#texts.get(name);
    if (!found) {
      found = this.#read(name);
      this.#texts.set(name, found);
    }
    return "text" in found ? found.text : place.problem(`${name} ${found.because}.`);
  }

  #read(path: string): { readonly text: string } | { readonly because: string } {
    const found = this.#tree.read(path, this.#bytesMost);
    if ("because" in found) return found;
    if (found.bytes.length > this.#left) return { because: TOO_MUCH };
    this.take(found.bytes.length);
    const text = textOf(found.bytes);
    if (text === undefined) return { because: "is no text in UTF-8" };
    if (text.startsWith(LFS_POINTER)) return { because: "is only a pointer of Git LFS: fetch the file itself (git lfs pull)" };
    return text.trim() === "" ? { because: "is empty" } : { text };
  }
}

const LFS_POINTER = "version https://git-lfs.github.com/spec/";

/** Nothing where the bytes are no text. */
export function textOf(bytes: Uint8Array): string | undefined {
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    return text.includes("\0") ? undefined : text;
  } catch {
    return undefined;
  }
}

const CHAT_PATH = "/v1/chat/completions";

/** Puts one prompt together from its fields and files. */
class PromptReader {
  readonly #fields: PromptFields;
  readonly #place: Place;
  readonly #files: Files;
  readonly #growsMost: number | undefined;
  readonly #form: VariableForm;
  readonly #used = new Set<string>();

  constructor(fields: PromptFields, place: Place, files: Files, growsMost: number | undefined) {
    this.#fields = fields;
    this.#place = place;
    this.#files = files;
    this.#growsMost = fields.grows_most ?? growsMost;
    this.#form = fields.variables ?? "double-braces";
  }

  read(): Prompt | undefined {
    const { name = "", answer, calls_a_day, cached = 0 } = this.#fields;
    const values = this.#sampleValues();
    const content = this.#fields.body ? this.#body(this.#fields.body, values) : this.#textsOf(values);
    this.#checkPer();
    this.#warnOfUnused();
    return (
      content && {
        name,
        line: this.#place.line,
        content,
        subject: this.#subject(),
        answerTokens: answer,
        callsADay: calls_a_day,
        cachedShare: cached,
        per: new Map([...(this.#fields.per?.value ?? [])].map(([attribute, { value }]) => [attribute, value])),
        growsMost: this.#growsMost,
      }
    );
  }

  #textsOf(values: ReadonlyMap<string, string>): Texts | undefined {
    const { system, message, model, path, max_output } = this.#fields;
    path?.place.problem("is about a body. Texts go to their model in the format in which it is served.");
    if (system === undefined && message === undefined)
      return this.#place.problem("names no text. Write the file of its system prompt, of its message, or of a whole body.");
    const systemText = system === undefined ? undefined : this.#filledFile("system", system, values);
    const messageText = message === undefined ? undefined : this.#filledFile("message", message, values);
    if (!model) return this.#place.problem("model is missing. Name the model that is asked.");
    return { kind: "texts", model: model.value, system: systemText, message: messageText, outputCap: max_output?.value };
  }

  #filledFile(field: string, path: string, values: ReadonlyMap<string, string>): string | undefined {
    const text = this.#files.text(path, this.#place.field(field));
    return text === undefined ? undefined : this.#filled(text, path, values);
  }

  #filled(template: string, path: string, values: ReadonlyMap<string, string>, at?: string): string {
    const { text, missing, logic, used, isTooLong } = fillIn(template, this.#form, values, this.#files.lengthMost);
    for (const name of used) this.#used.add(name);
    if (isTooLong) this.#place.problem(`${path} is larger than any call may be (server.max_body) once its samples stand in it.`);
    if (isTooLong || used.size > 0) this.#files.take(text.length);
    for (const { name, line } of missing)
      this.#place
        .field("samples")
        .problem(
          `${path} has the variable "${name}" ${at ?? `in line ${line}`}, and no sample says what stands for it.${near(name, values)}`,
        );
    for (const { name, line } of logic)
      this.#place.problem(
        `${path} has "${name}" ${at ?? `in line ${line}`}, which is more than a variable. Name a file that your own template engine has written, or say ` +
          "variables: none where it is only text.",
      );
    return text;
  }

  /** A body whose strings are filled in one by one, so that a quote in a value breaks nothing. What has no variable stays byte for byte. */
  #body({ value: path, place }: Located<string>, values: ReadonlyMap<string, string>): Body | undefined {
    const { system, message, model, max_output } = this.#fields;
    for (const [field, given] of Object.entries({ system, message }))
      if (given !== undefined) this.#place.field(field).problem("stands beside a body, which has all that is sent. Keep one of them.");
    max_output?.place.problem("is said by the body itself. Leave it out here.");
    const route = this.#route();
    const text = this.#files.text(path, place);
    if (text === undefined || route === undefined) return undefined;
    const bytes = Buffer.from(text);
    try {
      const parsed = parseBody(readJsonBody(bytes));
      const filled = this.#filledValue(parsed, path, values);
      const isChanged = this.#used.size > 0;
      return { kind: "body", path: route, model: model?.value, bytes: isChanged ? Buffer.from(JSON.stringify(filled)) : bytes };
    } catch (error) {
      if (!(error instanceof PurserError)) throw error;
      return place.problem(`${path} is no body: ${error.message}`);
    }
  }

  #filledValue(value: unknown, path: string, values: ReadonlyMap<string, string>): unknown {
    if (typeof value === "string") return this.#filled(value, path, values, "in one of its texts");
    if (Array.isArray(value)) return value.map((item) => this.#filledValue(item, path, values));
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, this.#filledValue(inner, path, values)]));
  }

  #route(): string | undefined {
    const { path } = this.#fields;
    if (!path) return CHAT_PATH;
    const found = findCall(path.value);
    if (!found) return path.place.problem(refusedRoute("POST", path.value));
    if (found.dialect.isFree) return path.place.problem("only counts tokens, and costs nothing. Name the path of the call itself.");
    if (found.dialect.form) return path.place.problem("takes a form with files, which is no prompt.");
    return path.value;
  }

  #sampleValues(): ReadonlyMap<string, string> {
    const values = new Map<string, string>();
    for (const [name, sample] of this.#fields.samples ?? []) values.set(name, this.#sampleValue(sample) ?? "");
    return values;
  }

  #sampleValue({ value, place }: Located<SampleFields>): string | undefined {
    if (typeof value === "string") return value;
    return value.file === undefined ? undefined : this.#files.text(value.file, place.field("file"));
  }

  #subject(): Subject {
    const fixed = [...(this.#fields.for ?? [])];
    const anyOne = [...(this.#fields.per?.value.keys() ?? [])].map((path) => [path, anyOf(path)] as const);
    const all = [...fixed, ...anyOne];
    const tags = all.filter(([path]) => path.startsWith("tag.")).map(([path, value]) => [path.slice(4), value]);
    const attributes = all.filter(([path]) => !path.startsWith("tag."));
    return { ...Object.fromEntries(attributes), ...(tags.length > 0 && { tags: Object.fromEntries(tags) }) };
  }

  #checkPer(): void {
    const { per, calls_a_day } = this.#fields;
    if (!per) return;
    if (calls_a_day === undefined) per.place.problem("says which share of a day's calls is whose. Say calls_a_day too.");
    for (const [path, { value, place }] of per.value) {
      if (this.#fields.for?.has(path)) place.problem(`${path} has one value under for, so all calls are its own. Keep one of them.`);
      if (calls_a_day !== undefined && value > calls_a_day)
        place.problem(`is more than the ${calls_a_day.toLocaleString("en-US")} calls of a day by all of them.`);
    }
  }

  #warnOfUnused(): void {
    for (const [name, { place }] of this.#fields.samples ?? [])
      if (!this.#used.has(name)) place.warning(`no text of this prompt has the variable "${name}".`);
  }
}

function near(name: string, values: ReadonlyMap<string, string>): string {
  return suggestion(name, [...values.keys()]);
}

/** What stands for any one value of an attribute: no budget is for this one by name. */
function anyOf(path: string): string {
  return `one ${path.replace(/^tag\./, "")}`;
}
