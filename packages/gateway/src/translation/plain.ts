import type { Usage } from "@purser/core";

/** What a call asks of a model, in the words of no format. Whatever a format can say beyond that cannot be translated. */
export interface PlainCall {
  readonly stream: boolean;
  readonly system: readonly string[];
  readonly messages: readonly PlainMessage[];
  readonly tools: readonly PlainTool[];
  readonly toolChoice: ToolChoice;
  /** Whether the model may call several tools at once. */
  readonly severalTools: boolean;
  readonly outputTokens: number | undefined;
  readonly temperature: number | undefined;
  readonly topP: number | undefined;
  /** How hard the model is to think: a wish, of which one that does not think knows nothing. */
  readonly effort: Effort | undefined;
  /** Texts at which the answer stops. */
  readonly stops: readonly string[];
  /** The form that the answer must have. */
  readonly schema: PlainSchema | undefined;
}

export type Effort = "low" | "medium" | "high";

/** Results of tools stand in a message of their own, right behind the message that called them. */
export type PlainMessage =
  | { readonly from: "user"; readonly parts: readonly (TextPart | ImagePart)[] }
  | { readonly from: "model"; readonly parts: readonly (TextPart | ToolCall)[] }
  | { readonly from: "tools"; readonly results: readonly ToolResult[] };

export interface TextPart {
  readonly kind: "text";
  readonly text: string;
}

export interface ImagePart {
  readonly kind: "image";
  /** The address of the image, or all of it. */
  readonly source: { readonly url: string } | { readonly mediaType: string; readonly base64: string };
}

export interface ToolCall {
  readonly kind: "tool-call";
  readonly id: string;
  readonly name: string;
  /** A JSON object, as text. */
  readonly input: string;
}

export interface ToolResult {
  readonly id: string;
  readonly texts: readonly string[];
  readonly isError: boolean;
}

export interface PlainTool {
  readonly name: string;
  readonly description: string | undefined;
  /** The JSON schema of its input. */
  readonly schema: Readonly<Record<string, unknown>>;
  /** Whether the input is promised to have exactly that form. */
  readonly isStrict: boolean;
}

export type ToolChoice =
  | { readonly kind: "auto" | "none" | "any" }
  /** This one must be called. */
  | { readonly kind: "one"; readonly name: string };

export interface PlainSchema {
  readonly name: string;
  readonly schema: Readonly<Record<string, unknown>>;
}

/** Why a model stopped: by itself, at the cap, to have tools called, or because it or its provider refused. */
export type Stop = "end" | "cap" | "tools" | "refusal";

/** A whole answer. */
export interface PlainAnswer {
  readonly id: string;
  readonly model: string;
  readonly parts: readonly (TextPart | ToolCall)[];
  readonly stop: Stop;
}

/** What a stream says next. */
export type PlainEvent =
  | { readonly kind: "begin"; readonly id: string; readonly model: string }
  | { readonly kind: "text"; readonly text: string }
  /** A tool is called: its input follows in pieces. */
  | { readonly kind: "tool"; readonly id: string; readonly name: string }
  /** A piece of the input of the tool that was called last. */
  | { readonly kind: "input"; readonly json: string }
  | { readonly kind: "stop"; readonly stop: Stop }
  /** All is said: usage is known, as far as it will be. */
  | { readonly kind: "end" }
  | { readonly kind: "error"; readonly error: PlainError }
  /** Nothing yet; the connection is to stay awake. */
  | { readonly kind: "wait" };

/** What a provider says of a call that it refuses, or cannot go on with. */
export interface PlainError {
  readonly type: string;
  readonly message: string;
}

/** What a model that is to get a call can do, as far as that matters here. */
export interface TargetModel {
  readonly name: string;
  /** The most that it can write, where that is known. */
  readonly outputTokensMost: number | undefined;
  /** The cap of a call that names none, where the format asks for one. */
  readonly outputTokensUsual: number;
}

/** How an answer is written for its client. */
export interface AnswerTerms {
  /** Whether the client asked to see usage in its stream. */
  readonly wantsUsage: boolean;
  /** Seconds since 1970. */
  readonly createdAt: number;
  /** The model that the client asked for. */
  readonly askedModel: string;
  /** Whether the client reads a stream as one list of JSON, and not as events. */
  readonly asList: boolean;
}

/** Reads the events of one stream, in their order. */
export interface EventReader {
  /** The JSON of one event, or `[DONE]`. */
  read(data: string): readonly PlainEvent[];
  /** What is still to be said where the bytes of the stream ended. */
  end(): readonly PlainEvent[];
}

/** Writes the events of one stream. */
export interface EventWriter {
  write(event: PlainEvent, usage: Usage | undefined): string;
}

/** A wire format into which, and out of which, calls and answers are translated. */
export interface PlainForm {
  /** Throws `Untranslatable` where the call asks for anything that a plain call cannot say. Whether it is a stream may stand in its address. */
  readCall(body: Readonly<Record<string, unknown>>, isStream: boolean): PlainCall;
  /** The body of a call. Throws `Untranslatable` where the format, or the model, cannot do what is asked. */
  writeCall(call: PlainCall, model: TargetModel): unknown;
  /** The headers without which a provider does not take its calls. */
  readonly headers: Readonly<Record<string, string>>;
  /** The query without which a provider does not answer in events; empty where there is none. */
  readonly streamQuery: string;
  readAnswer(answer: unknown): PlainAnswer;
  writeAnswer(answer: PlainAnswer, usage: Usage | undefined, terms: AnswerTerms): unknown;
  eventReader(): EventReader;
  eventWriter(terms: AnswerTerms): EventWriter;
  readError(body: unknown): PlainError | undefined;
  writeError(error: PlainError, status: number): unknown;
}
