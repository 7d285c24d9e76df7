import type { ServiceTier, Usage } from "@purser/core";
import type { AnswerPart, Dialect, PassedStream, RawUsage } from "../dialects/dialect.ts";
import { answeringModel } from "./answering-model.ts";

/** What a meter needs to know of a wire format. */
export type PartReader = Pick<Dialect, "usageField" | "hasOutput" | "readPart" | "readText" | "readUsage">;

/** Counts the text that a model wrote, a piece at a time. */
export interface TextCounter {
  add(text: string): void;
  tokens(): number;
}

/** Reads usage out of a stream as it flows, in whatever frames it comes. */
export interface StreamReader {
  /** Usage as the provider reported it so far. */
  readonly usage: Usage | undefined;
  /** The tier at which the call was served, where the provider says so beside its usage. */
  readonly service: ServiceTier | undefined;
  /** The model that answers, where the provider says so beside its usage. */
  readonly model: string | undefined;
  /** Whether the end that the wire format promises was seen. */
  readonly isComplete: boolean;
  /** The status of a refusal that came as an event, of a call of which nothing came before it. */
  readonly refusedAs: number | undefined;
  /** Takes bytes as they came and returns what the client is to get of them. */
  write(chunk: Buffer): readonly Buffer[];
  /** What is left where the stream ended. */
  end(): readonly Buffer[];
  /** What has passed of a stream that ends here, before its time. */
  cut(): PassedStream;
  /** How many tokens of text passed, counted by us. */
  outputTokens(): number;
}

/** Content is counted only when this much is waiting, or when the provider reported no usage in the end. */
const UNCOUNTED_MOST = 64 * 1024;

/** What the events of a stream said, added up. */
export class StreamAccount {
  readonly #reader: PartReader;
  readonly #counter: TextCounter;
  /** How many bytes stand before the JSON of an event. */
  readonly #skipped: number;
  #uncounted: Buffer[] = [];
  #uncountedBytes = 0;
  #usage: RawUsage | undefined;
  #refusedAs: number | undefined;
  /** The last event that said anything. */
  #last: Buffer | undefined;
  service: ServiceTier | undefined;
  model: string | undefined;
  isComplete = false;

  constructor(reader: PartReader, counter: TextCounter, skipped: number) {
    this.#reader = reader;
    this.#counter = counter;
    this.#skipped = skipped;
  }

  get usage(): Usage | undefined {
    return this.#usage && this.#reader.readUsage(this.#usage);
  }

  get refusedAs(): number | undefined {
    return this.#refusedAs !== undefined && !this.#usage && this.outputTokens() === 0 ? this.#refusedAs : undefined;
  }

  passed(): Omit<PassedStream, "gap"> {
    return { last: this.#last && this.#valueOf(this.#last), usage: this.usage, outputTokens: this.outputTokens() };
  }

  outputTokens(): number {
    this.#count();
    return this.#counter.tokens();
  }

  /** Takes what the JSON of an event says of usage and of the end. Nothing where it cannot be read. */
  read(text: string): AnswerPart | undefined {
    let part: AnswerPart;
    try {
      const json: unknown = JSON.parse(text);
      part = this.#reader.readPart(json);
      this.model ??= answeringModel(json);
    } catch {
      return undefined;
    }
    const { usage, service, isEnd, isSilent, refusedAs } = part;
    if (isSilent) return part;
    if (usage) this.#usage = completed(this.#usage ?? {}, usage);
    this.service = service ?? this.service;
    if (isEnd) this.isComplete = true;
    this.#refusedAs = refusedAs ?? this.#refusedAs;
    return part;
  }

  /** Takes an event whose text is to be counted, should the provider report no usage. */
  add(event: Buffer): void {
    this.#last = event;
    this.#uncounted.push(event);
    this.#uncountedBytes += event.length;
    if (this.#uncountedBytes > UNCOUNTED_MOST) this.#count();
  }

  #valueOf(event: Buffer): unknown {
    try {
      return JSON.parse(event.toString("utf8", this.#skipped));
    } catch {
      return undefined;
    }
  }

  /** What the model wrote in an event. One that nobody here can read counts as it stands: that is more, and never nothing. */
  #textOf(event: Buffer): string {
    const text = event.toString("utf8", this.#skipped).trim();
    try {
      return this.#reader.readText(JSON.parse(text));
    } catch {
      return text;
    }
  }

  #count(): void {
    const texts = this.#uncounted.map((event) => this.#textOf(event));
    this.#counter.add(texts.join(""));
    this.#uncounted = [];
    this.#uncountedBytes = 0;
  }
}

/** Counts in streams are cumulative, so the later one holds; but nothing that was used is ever unused again. */
function completed(before: RawUsage, after: RawUsage): RawUsage {
  const usage: Record<string, unknown> = { ...before };
  for (const [field, value] of Object.entries(after))
    if ((value !== null && value !== 0) || usage[field] === undefined) usage[field] = value;
  return usage;
}
