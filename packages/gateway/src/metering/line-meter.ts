import type { ServiceTier, Usage } from "@purser/core";
import type { PassedStream } from "../dialects/dialect.ts";
import { type PartReader, StreamAccount, type StreamReader, type TextCounter } from "./stream-account.ts";

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
/** A line this long is no event that anybody sends: the stream is passed on and no longer read. */
const LINE_MOST = 16 * 1024 * 1024;

export interface LineOptions {
  /** The client did not ask for usage in the stream, so what only we asked for is taken out again. */
  readonly hidesUsage: boolean;
  /** Server-sent events, or lines of JSON. Events where it is left out. */
  readonly framing?: "events" | "lines";
}

/**
 * Reads usage out of server-sent events as they flow. Lines are handed on in the call in which they are whole, so that a stream can be ended
 * behind any of them; only lines that can matter are decoded, and no more than one unfinished line is kept.
 */
export class LineMeter implements StreamReader {
  readonly #account: StreamAccount;
  readonly #hidesUsage: boolean;
  readonly #marker: Buffer;
  readonly #prefix: Buffer;
  #unfinished: Buffer[] = [];
  #unfinishedBytes = 0;
  #skipsBlank = false;
  /** What of the last event has passed: all of it, or a line that more belongs to. */
  #open: "nothing" | "a name" | "an event" = "nothing";
  #isUnread = false;
  /** The first event is always read: it may be a refusal. */
  #isFirst = true;

  constructor(reader: PartReader, counter: TextCounter, { hidesUsage, framing = "events" }: LineOptions) {
    this.#hidesUsage = hidesUsage;
    this.#marker = markerOf(reader.usageField);
    this.#prefix = framing === "events" ? DATA : NOTHING;
    this.#account = new StreamAccount(reader, counter, this.#prefix.length);
  }

  get usage(): Usage | undefined {
    return this.#account.usage;
  }

  get service(): ServiceTier | undefined {
    return this.#account.service;
  }

  get model(): string | undefined {
    return this.#account.model;
  }

  get isComplete(): boolean {
    return this.#account.isComplete;
  }

  get refusedAs(): number | undefined {
    return this.#account.refusedAs;
  }

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

  cut(): PassedStream {
    const gap = this.#open === "nothing" ? "" : this.#open === "a name" ? PING : "\n";
    return { ...this.#account.passed(), gap };
  }

  outputTokens(): number {
    return this.#account.outputTokens();
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
      const next = endOfLine(lines, start);
      if (usageAt >= 0 && usageAt < start) usageAt = lines.indexOf(this.#marker, start);
      const mayHaveUsage = usageAt >= 0 && usageAt < next;
      const isHidden = this.#readLine(lines.subarray(start, next), mayHaveUsage ? usageAt - start : -1);
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

  /** Returns whether the line is to be hidden. `usageAt`: where it may say usage; negative where it does not. */
  #readLine(line: Buffer, usageAt: number): boolean {
    const isBlank = line.length <= 2 && (line[0] === NEWLINE || line[0] === 0x0d);
    if (isBlank) {
      const isHidden = this.#skipsBlank;
      this.#skipsBlank = false;
      this.#open = "nothing";
      return isHidden;
    }
    if (!standsAt(line, 0, this.#prefix)) {
      if (line[0] !== COLON && this.#open === "nothing") this.#open = "a name";
      return false;
    }
    this.#open = "an event";
    const isFirst = this.#isFirst;
    this.#isFirst = false;
    if (!isFirst && line.length > SHORT_LINE && (usageAt < 0 || saysNothing(line, usageAt))) {
      this.#account.add(line);
      return false;
    }
    const text = line.toString("utf8", this.#prefix.length).trim();
    if (text === "[DONE]") {
      this.#account.isComplete = true;
      return false;
    }
    const part = this.#account.read(text);
    if (part?.isSilent) return false;
    const isHidden = this.#hidesUsage && part?.isOnlyUsage === true;
    if (isHidden) this.#skipsBlank = true;
    else this.#account.add(line);
    return isHidden;
  }
}

function markerOf(field: string): Buffer {
  const marker = MARKERS.get(field) ?? Buffer.from(JSON.stringify(field));
  MARKERS.set(field, marker);
  return marker;
}

/** Whether an event's only usage is null and it goes on. */
function saysNothing(line: Buffer, usageAt: number): boolean {
  return standsAt(line, usageAt, NO_USAGE) && line.indexOf(USAGE, usageAt + USAGE.length) < 0 && line.includes(NO_END);
}

/** Every other line is blank, and need not be searched. */
function endOfLine(lines: Buffer, start: number): number {
  if (lines[start] === NEWLINE) return start + 1;
  const newline = lines.indexOf(NEWLINE, start);
  return newline < 0 ? lines.length : newline + 1;
}

/** For a few bytes this is cheaper than to compare buffers. */
function standsAt(line: Buffer, at: number, bytes: Buffer): boolean {
  for (let i = 0; i < bytes.length; i++) if (line[at + i] !== bytes[i]) return false;
  return true;
}

function withoutNullUsage(line: Buffer): readonly Buffer[] {
  const at = line.indexOf(NULL_USAGE);
  return at < 0 ? [line] : [line.subarray(0, at), line.subarray(at + NULL_USAGE.length)];
}
