import type { Usage } from "@purser/core";
import type { DialectName } from "../providers/provider.ts";
import { anthropicMessagesForm } from "./anthropic-messages/index.ts";
import { geminiContentForm } from "./gemini-content/index.ts";
import { openaiChatForm } from "./openai-chat/index.ts";
import { respondsOnly } from "./openai-models.ts";
import { openaiResponsesForm } from "./openai-responses/index.ts";
import type { AnswerTerms, EventReader, EventWriter, PlainEvent, PlainForm, TargetModel } from "./plain.ts";
import { Untranslatable } from "./untranslatable.ts";

/** In the order in which a model is looked for that is served in several: that of its maker before one that others speak too. */
const FORMS: ReadonlyMap<DialectName, PlainForm> = new Map<DialectName, PlainForm>([
  ["gemini-content", geminiContentForm],
  ["openai-chat", openaiChatForm],
  ["anthropic-messages", anthropicMessagesForm],
  ["openai-responses", openaiResponsesForm],
  // Models of others are served on Vertex AI too, in formats of their own.
  ["vertex-content", geminiContentForm],
]);

/** The formats into which calls of a format can be translated, the best first. The same format at another address is no other. */
export function otherForms(dialect: DialectName): readonly DialectName[] {
  const own = FORMS.get(dialect);
  return own ? [...FORMS.keys()].filter((name) => FORMS.get(name) !== own) : [];
}

/** The formats in which a call of a format can go to a model, the best first. */
export function formsFor(model: string, own: DialectName): readonly DialectName[] {
  const forms = [own, ...otherForms(own)];
  return respondsOnly(model) && forms.includes("openai-responses") ? [...new Set<DialectName>(["openai-responses", ...forms])] : forms;
}

export interface FormPair {
  readonly from: DialectName;
  readonly to: DialectName;
}

/** A call in another format; or why there is none, as a part of a sentence. */
export type TranslatedCall = { readonly body: unknown } | { readonly because: string };

/** A call as its client made it. That it is a stream may stand in its address. */
export interface ClientCall {
  readonly body: Readonly<Record<string, unknown>>;
  readonly isStream: boolean;
}

/** Translates the body of a call. Nothing that it asks for is left out silently. */
export function translateCall({ body, isStream }: ClientCall, { from, to }: FormPair, model: TargetModel): TranslatedCall {
  try {
    return { body: formOf(to).writeCall(formOf(from).readCall(body, isStream), model) };
  } catch (error) {
    if (error instanceof Untranslatable) return { because: error.message };
    throw error;
  }
}

/** The headers with which a provider takes calls of a format. */
export function headersOf(dialect: DialectName): Readonly<Record<string, string>> {
  return formOf(dialect).headers;
}

/** The query of the address to which streams of a format go. */
export function streamQueryOf(dialect: DialectName): string {
  return formOf(dialect).streamQuery;
}

function formOf(dialect: DialectName): PlainForm {
  const form = FORMS.get(dialect);
  if (!form) throw new Error(`There is no translation of ${dialect}.`);
  return form;
}

/** What a client gets in the place of an answer that came in another format. */
export interface WrittenAnswer {
  readonly status: number;
  readonly bytes: Buffer;
}

const UNWRITABLE = 502;
/** Errors are short. What proxies in front of a provider say is a page. */
const ERROR_TEXT_MOST = 500;

/** Writes the answer to one call in the format of its client. */
export class AnswerTranslation {
  readonly #reads: PlainForm;
  readonly #writes: PlainForm;
  readonly #terms: AnswerTerms;

  /** `from` is the format of the provider here, `to` that of the client. */
  constructor({ from, to }: FormPair, terms: AnswerTerms) {
    this.#reads = formOf(from);
    this.#writes = formOf(to);
    this.#terms = terms;
  }

  /** The content type of a stream, as its client reads it. */
  get streamType(): string {
    return this.#terms.asList ? "application/json" : "text/event-stream";
  }

  /** A whole answer, with the usage that was read out of it. */
  whole(status: number, bytes: Buffer, usage: Usage | undefined): WrittenAnswer {
    try {
      const answer = this.#reads.readAnswer(JSON.parse(bytes.toString("utf8")));
      return { status, bytes: json(this.#writes.writeAnswer(answer, usage, this.#terms)) };
    } catch (error) {
      const message = `The answer of the provider cannot be written in this format: ${(error as Error).message}`;
      return { status: UNWRITABLE, bytes: this.#error(UNWRITABLE, message) };
    }
  }

  /** What a provider said when it refused the call. */
  refusal(status: number, bytes: Buffer): WrittenAnswer {
    const text = bytes.toString("utf8");
    const error = this.#reads.readError(parsed(text));
    if (error) return { status, bytes: json(this.#writes.writeError(error, status)) };
    return { status, bytes: this.#error(status, `The provider answered ${status}: ${text.slice(0, ERROR_TEXT_MOST)}`) };
  }

  /** A stream; `usage` is what was read of it so far. */
  stream(usage: () => Usage | undefined): StreamTranslation {
    return new StreamTranslation(this.#reads.eventReader(), this.#writes.eventWriter(this.#terms), usage);
  }

  #error(status: number, message: string): Buffer {
    return json(this.#writes.writeError({ type: "", message }, status));
  }
}

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const NEWLINE = 0x0a;
const DATA = "data:";

/** Translates server-sent events as they flow: each as soon as its line is whole. */
export class StreamTranslation {
  readonly #reader: EventReader;
  readonly #writer: EventWriter;
  readonly #usage: () => Usage | undefined;
  #unfinished: readonly Buffer[] = [];
  #hasBegun = false;

  constructor(reader: EventReader, writer: EventWriter, usage: () => Usage | undefined) {
    this.#reader = reader;
    this.#writer = writer;
    this.#usage = usage;
  }

  write(pieces: readonly Buffer[]): Buffer {
    const bytes = Buffer.concat([...this.#unfinished, ...pieces]);
    const end = bytes.lastIndexOf(NEWLINE) + 1;
    this.#unfinished = end < bytes.length ? [bytes.subarray(end)] : [];
    return this.#written(
      bytes
        .toString("utf8", 0, end)
        .split("\n")
        .flatMap((line) => this.#read(line)),
    );
  }

  /** The end of the bytes, with what stood in them without a newline. */
  end(): Buffer {
    const rest = Buffer.concat(this.#unfinished).toString("utf8");
    this.#unfinished = [];
    return this.#written([...this.#read(rest), ...this.#reader.end()]);
  }

  /** Ends the stream before its time, as if its cap had been reached. */
  cut(usage: Usage, { id, model }: Omit<PlainEvent & { kind: "begin" }, "kind">): Buffer {
    const begin: PlainEvent[] = this.#hasBegun ? [] : [{ kind: "begin", id, model }];
    return this.#written([...begin, { kind: "stop", stop: "cap" }, { kind: "end" }], usage);
  }

  #read(line: string): readonly PlainEvent[] {
    return line.startsWith(DATA) ? this.#reader.read(line.slice(DATA.length).trim()) : [];
  }

  #written(events: readonly PlainEvent[], usage = this.#usage()): Buffer {
    this.#hasBegun ||= events.some(({ kind }) => kind === "begin");
    return Buffer.from(events.map((event) => this.#writer.write(event, usage)).join(""));
  }
}
