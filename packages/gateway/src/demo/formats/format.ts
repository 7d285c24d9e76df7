/** What all formats say, in the words of none. */
export interface Question {
  readonly model: string;
  readonly texts: readonly string[];
  /** None: the provider's own cap. */
  readonly outputTokensMost: number | undefined;
  readonly stream: boolean;
  readonly wantsUsage: boolean;
}

export interface Answer {
  readonly id: string;
  readonly pieces: readonly string[];
  readonly isCut: boolean;
  readonly inputTokens: number;
  readonly outputTokens: number;
}

export interface StreamEvent {
  readonly text: string | Buffer;
  readonly isText: boolean;
}

// biome-ignore lint/suspicious/noExplicitAny: JSON from outside has no type.
export type Body = any;

/** A format of the demo's provider: how it reads a call, and how it writes an answer. */
export interface Format {
  /** The paths of its calls. What they name goes into `read`. */
  readonly path: RegExp;
  /** The content type of its streams; server-sent events where it is left out. */
  readonly streamType?: string;
  /** Nothing where the body is no call. May throw. */
  read(body: Body, path: RegExpExecArray): Question | undefined;
  whole(question: Question, answer: Answer): unknown;
  events(question: Question, answer: Answer): Iterable<StreamEvent>;
  error(status: number, type: string, message: string): unknown;
}

/** The texts of a content: a text, or a list of parts that have one. */
export function textsOf(content: unknown): readonly string[] {
  if (typeof content === "string") return [content];
  if (!Array.isArray(content)) return [];
  return content.flatMap((part) => (typeof part?.text === "string" ? [part.text] : []));
}

/** A cap as a call names it, where it is one. */
export function capOf(value: unknown): number | undefined {
  return typeof value === "number" && Number.isInteger(value) && value > 0 ? value : undefined;
}
