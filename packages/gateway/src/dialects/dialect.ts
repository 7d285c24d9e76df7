import { type Denial, type ErrorCode, PurserError, type RateCard, type ServiceTier, type Usage } from "@purser/core";
import type { Countable, ImageInput } from "@purser/core/tokens";
import type { AuthHeader, DialectName } from "../providers/provider.ts";
import type { FormFields } from "./form-body.ts";
import type { JsonBody } from "./json-body.ts";
import type { PathNames } from "./path.ts";
import type { ToolStep } from "./tool-steps.ts";

/** What a request says that budgets need to know. Everything else passes untouched. */
export interface ModelCall {
  readonly body: JsonBody;
  readonly model: string;
  readonly stream: boolean;
  /** The caller's own cap for one answer. */
  readonly outputCap: number | undefined;
  /** The bytes of a text that may be charged as output on top of the cap, such as a prediction that turns out wrong. */
  readonly beyondCapBytes?: number;
  /** The cap must not be lowered below this, or the provider would refuse the call. */
  readonly outputLeast: number;
  /** How many answers are asked for. */
  readonly copies: number;
  readonly messages: number;
  readonly tools: number;
  readonly images: readonly ImageInput[];
  /** A bound in tokens for what is neither text nor image. */
  readonly opaqueTokens: number;
  /** Whether the call names input that it does not carry, such as an earlier answer: then nobody here knows how much it is. */
  readonly hidesInput: boolean;
  /** The most calls of tools that the provider charges for, by the name in the rate card. */
  readonly toolCalls: Readonly<Record<string, number>>;
  /** Attributes that the body itself carries. */
  readonly user: string | undefined;
  readonly tags: Readonly<Record<string, string>>;
  /** Whether the caller asked to see usage in the stream. */
  readonly wantsUsage: boolean;
  /** Whether the model thinks where nobody sees it, and charges for it: what passed of a cut answer then says little of what it cost. */
  readonly hidesReasoning: boolean;
  /** The tier that the call asks for, as far as it can cost more. */
  readonly service: ServiceTier;
  /** A mode that is priced as a model of its own: `fast` makes `claude-opus-4-6` be priced as `claude-opus-4-6-fast`. */
  readonly priceVariant: string | undefined;
}

/** How a call is changed before it is sent. */
export interface CallChanges {
  /** The name under which the provider knows the model. */
  readonly model: string;
  /** The output cap to send; none leaves the call's own. */
  readonly outputTokens: number | undefined;
}

/** Usage as a provider writes it. In streams later events complete and replace what earlier ones said, field by field. */
export type RawUsage = Readonly<Record<string, unknown>>;

/** What one event of a stream, or a whole answer, says. */
export interface AnswerPart {
  readonly usage?: RawUsage;
  /** The tier at which the provider served the call, where it says so. */
  readonly service?: ServiceTier;
  /** Whether this is the end that the dialect promises: without it the stream was cut. */
  readonly isEnd?: boolean;
  /** The status that this would have been, had the provider refused the call before it began its answer: nothing was done. */
  readonly refusedAs?: number;
  /** Whether the event has nothing for the client but usage that it did not ask for. */
  readonly isOnlyUsage?: boolean;
  /** Whether the event only keeps the connection awake. */
  readonly isSilent?: boolean;
}

/** What has passed of a stream that is to end before its time. */
export interface PassedStream {
  /** The last event that said anything; none where nothing did. */
  readonly last: unknown;
  /** What has to be written first, where the last event is not finished. */
  readonly gap: string;
  /** As the provider reported it so far. */
  readonly usage: Usage | undefined;
  /** Counted by us. */
  readonly outputTokens: number;
}

/** An answer that is no JSON: how much of it is known, and the text that is to be counted. */
export interface OtherAnswer {
  readonly usage: Usage | undefined;
  readonly text: string;
}

/** A refusal or failure on its way to the client. */
export interface Refusal {
  readonly code: ErrorCode;
  readonly message: string;
  readonly denial?: Denial;
  readonly requestId: string;
}

/** A wire format: how its calls are read and changed, how its usage is read, how its errors are written. */
export interface Dialect {
  readonly name: DialectName;
  /** Appended to the provider's base URL. Names in braces are those of the call's own path, and the model. */
  readonly path: string;
  /** The header in which providers take the key, where nothing else is known of them. */
  readonly authHeader: AuthHeader;
  /** Whether its calls cost nothing and change no balance: they only count what another call would have. */
  readonly isFree: boolean;
  /** Fields of a call that are text through and through, and counted whole. */
  readonly textFields: readonly string[];
  /** The field that every event with usage has, and that tells it from the others. */
  readonly usageField: string;
  /** Whether its answers have output tokens. */
  readonly hasOutput: boolean;
  /** Usage does not say how often tools were used that the provider charges for, so that all that a call allows are charged. */
  readonly hidesToolCalls: boolean;
  /** Headers that change what a call costs, and are read by nobody here: a call that has one is refused, with what to do instead. */
  readonly refusedHeaders?: { readonly names: readonly string[]; readonly instead: string };
  /** What the fields of its calls are, where those are forms. */
  readonly form?: FormFields;
  /** By what calls are charged where their model is not charged by tokens, as rate cards name it among the tools: `audio_second`. */
  readonly measure?: string;
  /** Reads a call. Throws `body_invalid` with what to do. */
  readCall(body: JsonBody, names: PathNames): ModelCall;
  /** A call that was read as one charged by the measure, where its model is charged by tokens. */
  inTokens?(call: ModelCall, card: RateCard): ModelCall;
  /** The texts of a call, to count it exactly. */
  countable(call: ModelCall): Countable;
  /** The bytes to send: the caller's own wherever nothing has to change. */
  writeCall(call: ModelCall, changes: CallChanges): Buffer;
  /** Reads the JSON of a whole answer, or of one event of a stream. */
  readPart(part: unknown): AnswerPart;
  /** Usage that a provider reports in the headers of a whole answer. What the answer says itself counts before it. */
  readHeaders?(headers: readonly string[]): RawUsage | undefined;
  readUsage(raw: RawUsage): Usage;
  /** The texts that a model wrote, in a whole answer or in one event: for counting where no usage is reported. */
  readText(part: unknown): string;
  /** What a whole answer that is no JSON says: a sound by its length. */
  readOther?(bytes: Buffer, call: ModelCall): OtherAnswer;
  writeError(refusal: Refusal, status: number): unknown;
  /** How a conversation can be cut short; none where it cannot. */
  readonly turns?: ConversationForm;
  /** The members of a body that make it the last call of its task: the text is said where the conversation goes on, and no tool is called. */
  finish?(body: Readonly<Record<string, unknown>>, text: string): ReadonlyMap<string, string>;
  /** How messages are read where a conversation cannot be cut short. */
  readonly messages?: MessagesForm;
  /** The same whole, where this one is a stream by its path. */
  readonly whole?: Dialect;
  /** The same call in another format, where there is no text that had to be translated: of calls that are only recorded. */
  inFormat?(name: DialectName): Dialect;
  /** Whether a call says that its beginning is to be read from the provider's prompt cache. */
  usesCache?(call: ModelCall): boolean;
  /** The events that end a stream as if its output cap had been reached. Without it, streams run to their own end. */
  writeEnd?(call: ModelCall, passed: PassedStream, terms: EndTerms): string | Buffer;
  /** An answer that no model wrote, in the form in which the call wants it. */
  writeAnswer?(call: ModelCall, text: string, terms: ReadyTerms): WrittenAnswer;
}

/** What is said about an answer that no model wrote. */
export interface ReadyTerms {
  readonly id: string;
  /** Epoch seconds, as the formats have it. */
  readonly createdAt: number;
}

/** Refuses a call with a header that changes what it costs. */
export function refuseHeaders({ refusedHeaders }: Dialect, has: (name: string) => boolean): void {
  const name = refusedHeaders?.names.find(has);
  if (refusedHeaders && name !== undefined)
    throw new PurserError(
      "body_invalid",
      `The header "${name}" changes what a call costs, and is not read here. ${refusedHeaders.instead}.`,
    );
}

/** Where the messages of a call are, and what is known of each. */
export interface MessagesForm {
  readonly member: string;
  /** Whether it can stand without what came before it. */
  beginsTurn(message: unknown): boolean;
  /** The tools that it calls, and what came of those that were called before it, in its order. */
  toolSteps(message: unknown): readonly ToolStep[];
}

/** How a conversation goes on without its oldest messages. */
export interface ConversationForm extends MessagesForm {
  /** What stands in the place of messages that are left out: the user says this, and the model takes note, so that turns alternate as they did. */
  note(text: string): readonly unknown[];
  /** The body of a call that asks a model something, whole and by itself. */
  question(question: Question): unknown;
  /** What the model says in its whole answer to that, without its thoughts. */
  said(answer: unknown): string;
}

export interface Question {
  readonly model: string;
  /** What is to be done, and with which text. */
  readonly task: string;
  readonly text: string;
  readonly outputTokensMost: number;
}

/** What a model says to a note. */
export const NOTED = "Noted.";

/** What the end of a stream says that the stream itself does not know. */
export interface EndTerms {
  readonly id: string;
  readonly inputTokens: number;
}

export interface WrittenAnswer {
  readonly contentType: string;
  readonly body: string;
}
