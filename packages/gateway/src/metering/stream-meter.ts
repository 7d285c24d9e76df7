import type { ServiceTier, Usage } from "@purser/core";
import type { AnswerPart, Dialect, PassedStream, RawUsage } from "../dialects/dialect.ts";

/** What a meter needs to know of a wire format. */
export type PartReader = Pick<Dialect, "usageField" | "hasOutput" | "readPart" | "readText" | "readUsage">;

/** Counts the text that a model wrote, a piece at a time. */
export interface TextCounter {
  add(text: string): void;
  tokens(): number;
}

const NEWLINE = 0x0a;
const USAGE = Buffer.from('"usage"');
/** The names of fields in the bytes of an event, by field. */
const MARKERS = new Map([["usage", USAGE]]);
const NULL_USAGE = Buffer.from(',"usage":null');
/** Events in the middle of a stream say that there is no usage yet and no reason to end: they are passed on unread. */
const NO_USAGE = Buffer.from('"usage":null');
const NO_END = Buffer.from('"finish_reason":null');
const DATA = Buffer.from("data:");
const NOTHING = Buffer.alloc(0);
const COLON = 0x3a;
/** Takes the place of an event of which only the name has passed. */
const PING = 'event: ping\ndata: {"type":"ping"}\n\n';
/** Ends of streams are announced in short lines; longer lines are content. */
const SHORT_LINE = 64;
/** Content is counted only when this much is waiting, or when the provider reported no usage in the end. */
const UNCOUNTED_MOST = 64 * 1024;
/** A line this long is no event that anybody sends: the stream is passed on and no longer read. */
const LINE_MOST = 16 * 1024 * 1024;

export interface StreamOptions {
  /** The client did not ask for usage in the stream, so what only we asked for is taken out again. */
  readonly hidesUsage: boolean;
  /** Server-sent events, or lines of JSON. Events where it is left out. */
  readonly framing?: "events" | "lines";
}

/** The framing of a stream by the content type of an answer; none of an answer that comes whole. */
export function framingOf(contentType: string | null | undefined): StreamOptions["framing"] | undefined {
  if (contentType?.includes("text/event-stream")) return "events";
  return contentType?.includes("ndjson") || contentType?.includes("jsonl") ? "lines" : undefined;
}

/**
 * Reads usage out of server-sent events as they flow. Lines are handed on in the call in which they are whole, so that a stream can be ended
 * behind any of them; only lines that can matter are decoded, and no more than one unfinished line is kept.
 */
export class StreamMeter {
  readonly #reader: PartReader;
  readonly #counter: TextCounter;
  readonly #hidesUsage: boolean;
  readonly #marker: Buffer;
  readonly #prefix: Buffer;
  #unfinished: Buffer[] = [];
  #unfinishedBytes = 0;
  #uncounted: Buffer[] = [];
  #uncountedBytes = 0;
  #skipsBlank = false;
  #usage: RawUsage | undefined;
  #service: ServiceTier | undefined;
  #isComplete = false;
  #refusedAs: number | undefined;
  /** The last event that said anything, and what of it has passed: all of it, or a line that more belongs to. */
  #last: Buffer | undefined;
  #open: "nothing" | "a name" | "an event" = "nothing";
  #isUnread = false;

  constructor(reader: PartReader, counter: TextCounter, { hidesUsage, framing = "events" }: StreamOptions) {
    this.#reader = reader;
    this.#counter = counter;
    this.#hidesUsage = hidesUsage;
    this.#marker = markerOf(reader.usageField);
    this.#prefix = framing === "events" ? DATA : NOTHING;
  }

  /** Usage as the provider reported it so far. */
  get usage(): Usage | undefined {
    return this.#usage && this.#reader.readUsage(this.#usage);
  }

  /** The tier at which the call was served, where the provider says so beside its usage. */
  get service(): ServiceTier | undefined {
    return this.#service;
  }

  /** Whether the end that the wire format promises was seen. */
  get isComplete(): boolean {
    return this.#isComplete;
  }

  /** The status of a refusal that came as an event, of a call of which nothing came before it. */
  get refusedAs(): number | undefined {
    return this.#refusedAs !== undefined && !this.#usage && this.outputTokens() === 0 ? this.#refusedAs : undefined;
  }

  /** Takes bytes as they came and returns what the client is to get of them. */
  write(chunk: Buffer): readonly Buffer[] {
    if (this.#isUnread) return [chunk];
    const lastNewline = chunk.lastIndexOf(NEWLINE);
    if (lastNewline < 0) return this.#keep(chunk) ? [] : this.#giveUp();
    const whole = chunk.subarray(0, lastNewline + 1);
    const lines = this.#unfinishedBytes === 0 ? whole : Buffer.concat([...this.#unfinished, whole]);
    this.#unfinished = [];
    this.#unfinishedBytes = 0;
    if (lastNewline + 1 < chunk.length) this.#keep(chunk.subarray(lastNewline + 1));
    return this.#readLines(lines);
  }

  /** The last line, where the stream ended without a newline. */
  end(): readonly Buffer[] {
    if (this.#unfinishedBytes === 0) return [];
    const rest = Buffer.concat(this.#unfinished);
    this.#unfinished = [];
    this.#unfinishedBytes = 0;
    return this.#readLines(rest);
  }

  /** What has passed of a stream that ends here, before its time. */
  cut(): PassedStream {
    const gap = this.#open === "nothing" ? "" : this.#open === "a name" ? PING : "\n";
    return { last: this.#last && this.#valueOf(this.#last), gap, usage: this.usage, outputTokens: this.outputTokens() };
  }

  /** How many tokens of text passed, counted by us. */
  outputTokens(): number {
    this.#count();
    return this.#counter.tokens();
  }

  /** Whether the line can still be an event. */
  #keep(bytes: Buffer): boolean {
    this.#unfinished.push(bytes);
    this.#unfinishedBytes += bytes.length;
    return this.#unfinishedBytes <= LINE_MOST;
  }

  #giveUp(): readonly Buffer[] {
    const kept = this.#unfinished;
    this.#unfinished = [];
    this.#unfinishedBytes = 0;
    this.#isUnread = true;
    return kept;
  }

  /** Reads complete lines. Where usage is hidden, returns what is left to show; the search for usage never starts over. */
  #readLines(lines: Buffer): readonly Buffer[] {
    const shown: Buffer[] = [];
    let usageAt = lines.indexOf(this.#marker);
    let shownFrom = 0;
    for (let start = 0; start < lines.length; ) {
      const newline = lines.indexOf(NEWLINE, start);
      const next = newline < 0 ? lines.length : newline + 1;
      if (usageAt >= 0 && usageAt < start) usageAt = lines.indexOf(this.#marker, start);
      const mayHaveUsage = usageAt >= 0 && usageAt < next;
      const isHidden = this.#readLine(lines.subarray(start, next), mayHaveUsage);
      if (this.#hidesUsage && (isHidden || mayHaveUsage)) {
        if (start > shownFrom) shown.push(lines.subarray(shownFrom, start));
        if (!isHidden) shown.push(...withoutNullUsage(lines.subarray(start, next)));
        shownFrom = next;
      }
      start = next;
    }
    if (shownFrom < lines.length) shown.push(shownFrom === 0 ? lines : lines.subarray(shownFrom));
    return shown;
  }

  /** Returns whether the line is to be hidden. */
  #readLine(line: Buffer, mayHaveUsage: boolean): boolean {
    const isBlank = line.length <= 2 && (line[0] === NEWLINE || line[0] === 0x0d);
    if (isBlank) {
      const isHidden = this.#skipsBlank;
      this.#skipsBlank = false;
      this.#open = "nothing";
      return isHidden;
    }
    const { length } = this.#prefix;
    if (line.length < length || line.compare(this.#prefix, 0, length, 0, length) !== 0) {
      if (line[0] !== COLON && this.#open === "nothing") this.#open = "a name";
      return false;
    }
    this.#open = "an event";
    if (line.length > SHORT_LINE && (!mayHaveUsage || saysNothing(line))) {
      this.#addUncounted(line);
      return false;
    }
    const text = line.toString("utf8", length).trim();
    if (text === "[DONE]") {
      this.#isComplete = true;
      return false;
    }
    return this.#readEvent(line, text);
  }

  #readEvent(line: Buffer, text: string): boolean {
    const part = this.#partOf(text);
    if (part === undefined) {
      this.#addUncounted(line);
      return false;
    }
    const { usage, service, isEnd, isOnlyUsage, isSilent, refusedAs } = part;
    if (isSilent) return false;
    if (usage) this.#usage = completed(this.#usage ?? {}, usage);
    this.#service = service ?? this.#service;
    if (isEnd) this.#isComplete = true;
    this.#refusedAs = refusedAs ?? this.#refusedAs;
    const isHidden = this.#hidesUsage && isOnlyUsage === true;
    if (isHidden) this.#skipsBlank = true;
    else this.#addUncounted(line);
    return isHidden;
  }

  #partOf(text: string): AnswerPart | undefined {
    try {
      return this.#reader.readPart(JSON.parse(text));
    } catch {
      return undefined;
    }
  }

  #valueOf(line: Buffer): unknown {
    try {
      return JSON.parse(line.toString("utf8", this.#prefix.length));
    } catch {
      return undefined;
    }
  }

  /** What the model wrote in a line. A line that nobody here can read counts as it stands: that is more, and never nothing. */
  #textOf(line: Buffer): string {
    const text = line.toString("utf8", this.#prefix.length).trim();
    try {
      return this.#reader.readText(JSON.parse(text));
    } catch {
      return text;
    }
  }

  #addUncounted(line: Buffer): void {
    this.#last = line;
    this.#uncounted.push(line);
    this.#uncountedBytes += line.length;
    if (this.#uncountedBytes > UNCOUNTED_MOST) this.#count();
  }

  #count(): void {
    const texts = this.#uncounted.map((line) => this.#textOf(line));
    this.#counter.add(texts.join(""));
    this.#uncounted = [];
    this.#uncountedBytes = 0;
  }
}

function markerOf(field: string): Buffer {
  const marker = MARKERS.get(field) ?? Buffer.from(JSON.stringify(field));
  MARKERS.set(field, marker);
  return marker;
}

/** Counts in streams are cumulative, so the later one holds; but nothing that was used is ever unused again. */
function completed(before: RawUsage, after: RawUsage): RawUsage {
  const usage: Record<string, unknown> = { ...before };
  for (const [field, value] of Object.entries(after))
    if ((value !== null && value !== 0) || usage[field] === undefined) usage[field] = value;
  return usage;
}

/** Whether an event's only usage is null and it goes on. */
function saysNothing(line: Buffer): boolean {
  const usageAt = line.indexOf(NO_USAGE);
  return usageAt >= 0 && line.indexOf(USAGE) === usageAt && line.indexOf(USAGE, usageAt + USAGE.length) < 0 && line.includes(NO_END);
}

function withoutNullUsage(line: Buffer): readonly Buffer[] {
  const at = line.indexOf(NULL_USAGE);
  return at < 0 ? [line] : [line.subarray(0, at), line.subarray(at + NULL_USAGE.length)];
}
