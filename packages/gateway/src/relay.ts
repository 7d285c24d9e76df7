import type { ServerResponse } from "node:http";
import type { ServiceTier, Usage } from "@purser/core";
import { chunk as asChunk, LAST_CHUNK, takesChunks } from "./chunks.ts";
import type { Dialect, EndTerms, ModelCall, PassedStream } from "./dialects/dialect.ts";
import { retryAfterOf } from "./failover/retry-after.ts";
import { headerValue, returnedHeaders } from "./headers.ts";
import type { GrowingHold } from "./holds/growing-hold.ts";
import { AnswerMeter } from "./metering/answer-meter.ts";
import type { StreamReader, TextCounter } from "./metering/stream-account.ts";
import { framingOf, streamMeter } from "./metering/stream-meter.ts";
import { answerOutcome, type Outcome, REFUSED_FROM, streamOutcome, UNREADABLE } from "./outcome.ts";
import type { Recording } from "./rungs/answers.ts";
import type { AnswerTranslation, StreamTranslation, WrittenAnswer } from "./translation/translation.ts";
import type { Upstream, UpstreamError, UpstreamFlow, UpstreamListener, UpstreamRequest } from "./upstream.ts";

export interface RelayOptions {
  readonly upstream: Pick<Upstream, "send">;
  readonly request: UpstreamRequest;
  readonly response: ServerResponse;
  /** Told when the provider begins to answer. */
  readonly onBegin: () => void;
  readonly dialect: Dialect;
  readonly call: ModelCall;
  readonly counter: TextCounter;
  readonly onDisconnect: "abort" | "drain";
  /** Writes the answer in the client's format, where that is another one than the provider's. */
  readonly translation?: AnswerTranslation | undefined;
  /** Headers of ours for every answer. */
  readonly headers: readonly string[];
  /** What is held for the answer, where that grows with it. */
  readonly hold?: GrowingHold | undefined;
  /** Takes the answer down as it passes, where it may be given again. */
  readonly recording?: Recording | undefined;
  /**
   * Where a call may go on to another provider: nothing is written before there is something of an answer, and a refusal with a status of which it
   * says so is held back.
   */
  readonly holdsBack?: ((status: number) => boolean) | undefined;
  /** Called with the usage of a short answer, before it is written: more headers of ours. */
  readonly headersForUsage: (usage: Usage | undefined, service: ServiceTier | undefined) => readonly string[];
}

/** Whole answers up to this size, in bytes, wait for their end, so that they can say in a header what they cost. */
const HELD_ANSWER_MOST = 1024 * 1024;
/** Before an event passes, so many of the largest that came are held for. */
const EVENTS_AHEAD = 2;
const CONTENT_LENGTH = new Set(["content-length"]);
/** Of a translated answer's headers only those that mean the same in all formats. */
const OF_ANY_FORMAT: ReadonlySet<string> = new Set(["retry-after", "retry-after-ms", "x-should-retry", "request-id", "x-request-id"]);
/** Refusals are short. What is longer than this is not read. */
const REFUSAL_MOST = 1024 * 1024;

/** A call that was sent and whose answer is passed on. */
export interface RelayedCall {
  /** Resolves when all is over. */
  readonly outcome: Promise<Outcome>;
  /** Ends a stream before its time, as if its output cap had been reached. */
  endGracefully(terms: EarlyEnd): void;
  /** Writes the refusal that was held back, if one was. */
  passOn(): void;
}

export interface EarlyEnd extends EndTerms {
  /** Answers a client to which nothing was written yet. */
  refuse(): void;
}

/** Sends a call and passes its answer on as it comes, metering it on the way. `onSpent`: no more can be held for it, so it is to be ended. */
export function relay(options: RelayOptions, onSpent: () => Promise<void> = async () => undefined): RelayedCall {
  const { promise: outcome, resolve } = withResolvers<Outcome>();
  const relayed = new Relay(options, resolve, onSpent);
  relayed.start();
  return { outcome, endGracefully: (terms) => relayed.endGracefully(terms), passOn: () => relayed.passOn() };
}

class Relay implements UpstreamListener {
  readonly #options: RelayOptions;
  readonly #resolve: (outcome: Outcome) => void;
  #abort: () => void = () => undefined;
  #flow: UpstreamFlow | undefined;
  #status = 0;
  #answerHeaders: readonly string[] = [];
  #stream: StreamReader | undefined;
  #translated: StreamTranslation | undefined;
  #answer: AnswerMeter | undefined;
  /** A refusal that is to be translated, or is held back. */
  #refusal: Buffer[] | undefined;
  #refusalBytes = 0;
  /** A whole answer waits for its end: in any case, or as long as it is short. */
  #holdsAnswer: "always" | "while short" | undefined;
  /** Writes the head before the first bytes of the answer, where that waits for them. */
  #pendingHead: (() => void) | undefined;
  /** Writes the refusal that is held back. */
  #heldBack: (() => void) | undefined;
  #isReadable = true;
  /** What is written of a stream is framed here. */
  #writesChunks = false;
  /** The client has not taken what was written, so the provider is ahead of it. */
  #isBehind = false;
  #patience: NodeJS.Timeout | undefined;
  /** Nothing more goes to the client: it left, or its answer was ended. */
  #isClientGone = false;
  #isOver = false;
  readonly #onSpent: () => Promise<void>;
  /** What is not read yet, because nothing is held for what came before it. */
  #unread: Buffer[] | undefined;
  /** The provider has ended what still waits. */
  #hasEnded = false;
  #isSpent = false;
  /** The end of the stream is being written. */
  #isEnding = false;
  /** Bytes since what passed was last counted: no token has less than one. */
  #uncounted = 0;
  #counted = 0;
  #largest = 0;

  constructor(options: RelayOptions, resolve: (outcome: Outcome) => void, onSpent: () => Promise<void>) {
    this.#options = options;
    this.#resolve = resolve;
    this.#onSpent = onSpent;
  }

  start(): void {
    const { upstream, request, response } = this.#options;
    const { socket } = response.req;
    response.once("close", this.#clientLeft);
    // An answer that waits for another one on its connection is not told that the connection closed.
    if (response.socket === null) socket.once("close", this.#clientLeft);
    if (response.destroyed || socket.destroyed) {
      this.#finish({
        kind: "not-sent",
        error: { wasSent: false, isTimeout: false, cause: new Error("the caller left before the call was sent") },
      });
      return;
    }
    try {
      this.#abort = upstream.send(request, this);
    } catch (cause) {
      this.#finish({ kind: "not-sent", error: { wasSent: false, isTimeout: false, cause: cause as Error } });
    }
  }

  began(status: number, headers: readonly string[], flow: UpstreamFlow): void {
    const { response, dialect, call, counter, onBegin, translation } = this.#options;
    onBegin();
    this.#status = status;
    this.#answerHeaders = headers;
    // We ask for no compression. Who compresses all the same is passed on, and cannot be metered.
    this.#isReadable = (headerValue(headers, "content-encoding") ?? "identity") === "identity";
    const contentType = headerValue(headers, "content-type");
    const framing = framingOf(contentType);
    this.#options.recording?.begin(status, (framing && translation?.streamType) ?? contentType);
    if (status >= REFUSED_FROM && this.#options.holdsBack?.(status)) {
      this.#refusal = [];
      this.#heldBack = () => this.#writeRefusal();
    } else if (translation && (status >= REFUSED_FROM || !this.#isReadable)) {
      this.#refusal = [];
    } else if (status >= REFUSED_FROM || !this.#isReadable) {
      this.#writeHead(NO_HEADERS, NONE);
    } else if (framing) {
      const hidesUsage = call.stream && !call.wantsUsage && !translation;
      const stream = streamMeter(dialect, counter, { hidesUsage, framing });
      this.#stream = stream;
      this.#translated = translation?.stream(() => stream.usage);
      this.#writeHeadInTime(CONTENT_LENGTH);
    } else {
      this.#answer = new AnswerMeter(dialect, dialect.readHeaders?.(headers), call);
      this.#holdsAnswer = this.#howToHold(headers, contentType);
      if (!this.#holdsAnswer) this.#writeHeadInTime(NONE);
    }
    response.on("drain", this.#drained);
    this.#flow = flow;
  }

  readonly #drained = (): void => {
    this.#isBehind = false;
    clearTimeout(this.#patience);
    this.#flow?.resume();
  };

  received(chunk: Buffer): void {
    if (this.#stream) {
      this.#receiveStream(this.#stream, chunk);
      return;
    }
    if (this.#refusal) {
      this.#refusalBytes += chunk.length;
      if (this.#refusalBytes <= REFUSAL_MOST) this.#refusal.push(chunk);
      else if (this.#heldBack && !this.#options.translation) this.#letGo(this.#refusal, chunk);
      return;
    }
    if (this.#answer) this.#receiveAnswer(this.#answer, chunk);
    else this.#write(chunk);
  }

  #howToHold(headers: readonly string[], contentType: string | null | undefined): "always" | "while short" | undefined {
    const { call, translation } = this.#options;
    if (translation) return "always";
    const length = headerValue(headers, "content-length");
    if (length !== undefined) return Number(length) <= HELD_ANSWER_MOST ? "always" : undefined;
    // A stream can be a list in JSON, and sounds are heard as they come.
    return !call.stream && isJson(contentType) ? "while short" : undefined;
  }

  /** Blanks before an answer keep its connection alive while a provider is slow: they pass at once, and with them the head. */
  #receiveAnswer(answer: AnswerMeter, chunk: Buffer): void {
    const isFirst = answer.size === 0;
    answer.write(chunk);
    if (!this.#holdsAnswer) this.#write(chunk);
    else if (this.#holdsAnswer === "while short" && (answer.size > HELD_ANSWER_MOST || (isFirst && isBlank(chunk)))) {
      this.#holdsAnswer = undefined;
      this.#writeHeadInTime(NONE);
      this.#write(answer.bytes());
    }
  }

  ended(): void {
    if (this.#unread || this.#isEnding) {
      this.#hasEnded = true;
      return;
    }
    try {
      this.#passEnd();
    } catch {
      // undici forgets what is thrown here. A call must end all the same, and the client must see that something is missing.
      this.#finish(UNREADABLE);
      this.#options.response.destroy();
    }
  }

  #passEnd(): void {
    const { response, translation } = this.#options;
    if (this.#stream) this.#endStream(this.#stream);
    const outcome = this.#outcome(true);
    if (this.#heldBack) {
      this.#finish(outcome);
      return;
    }
    if (translation && outcome.kind === "unknown") {
      // Nothing that could be written in another format came: the client is told.
      this.#finish({ ...outcome, isClientWaiting: !this.#isClientGone && !response.headersSent });
      return;
    }
    if (translation && !this.#stream && !this.#isClientGone) {
      this.#writeTranslated(translation, outcome);
    } else if (this.#holdsAnswer && this.#answer && !this.#isClientGone) {
      const { usage, service } = outcome.kind === "answered" ? outcome : { usage: undefined, service: undefined };
      this.#writeHead(this.#options.headersForUsage(usage, service), NONE);
      const bytes = this.#answer.bytes();
      this.#options.recording?.add(bytes);
      response.end(bytes);
    } else if (!this.#isClientGone) {
      this.#pendingHead?.();
      this.#end();
    }
    this.#finish(outcome);
  }

  /** Writes the refusal that was held back, if one was: there is nobody else to ask. */
  passOn(): void {
    if (!this.#isClientGone && !this.#options.response.destroyed) this.#heldBack?.();
    this.#heldBack = undefined;
  }

  #writeRefusal(): void {
    const { translation, response } = this.#options;
    if (translation) {
      this.#writeTranslated(translation, { kind: "refused", status: this.#status });
      return;
    }
    this.#writeHead(NO_HEADERS, NONE);
    response.end(Buffer.concat(this.#refusal ?? []));
  }

  /** A refusal that is too long to be held back is passed on after all. */
  #letGo(refusal: readonly Buffer[], chunk: Buffer): void {
    this.#heldBack = undefined;
    this.#refusal = undefined;
    this.#writeHead(NO_HEADERS, NONE);
    this.#writeAll([...refusal, chunk]);
  }

  /** A stream can begin with the event of a refusal, under a status that says nothing of it. */
  #writeUnlessRefused(stream: StreamReader, pieces: readonly Buffer[]): void {
    const { holdsBack } = this.#options;
    const held = this.#refusal;
    if (held) {
      for (const piece of pieces) this.#refusalBytes += piece.length;
      if (this.#refusalBytes <= REFUSAL_MOST) held.push(...pieces);
      return;
    }
    if (!this.#pendingHead || !holdsBack || stream.refusedAs === undefined || !holdsBack(stream.refusedAs)) {
      this.#writeAll(pieces);
      return;
    }
    const refusal = [...pieces];
    this.#refusal = refusal;
    this.#heldBack = () => {
      this.#pendingHead?.();
      this.#end(Buffer.concat(refusal));
    };
  }

  /** Passes on what is held for, event by event where that is not much more, and leaves the rest unread until it is. */
  #receiveStream(stream: StreamReader, chunk: Buffer): void {
    const { hold } = this.#options;
    if (this.#unread) {
      this.#unread.push(chunk);
      return;
    }
    // What comes after the end was decided is the provider's own: nobody gets it.
    if (this.#isSpent && !stream.isComplete) return;
    if (!hold || this.#isSpent || hold.isFarFrom(this.#counted + this.#uncounted + chunk.length)) {
      this.#uncounted += chunk.length;
      this.#pass(stream, chunk);
      return;
    }
    for (let start = 0; start < chunk.length; ) {
      const end = endOfEvent(chunk, start);
      this.#pass(stream, chunk.subarray(start, end));
      start = end;
      if (this.#isHeld(stream, hold)) continue;
      if (this.#unread && start < chunk.length) (this.#unread as Buffer[]).push(chunk.subarray(start));
      return;
    }
  }

  #pass(stream: StreamReader, bytes: Buffer): void {
    const pieces = stream.write(bytes);
    this.#writeUnlessRefused(stream, this.#translated ? [this.#translated.write(pieces)] : pieces);
  }

  /** Whether the stream may go on at once. What passed is always held for, unless a single event is larger than what was held ahead of it. */
  #isHeld(stream: StreamReader, hold: GrowingHold): boolean {
    const tokens = stream.outputTokens();
    this.#largest = Math.max(this.#largest, tokens - this.#counted);
    this.#counted = tokens;
    this.#uncounted = 0;
    const next = tokens + EVENTS_AHEAD * this.#largest;
    if (stream.isComplete || hold.passed(tokens, next)) return true;
    this.#unread = [];
    this.#flow?.pause();
    void hold.cover(next).then((isCovered) => this.#covered(stream, isCovered));
    return false;
  }

  #covered(stream: StreamReader, isCovered: boolean): void {
    const unread = Buffer.concat(this.#unread ?? []);
    this.#unread = undefined;
    if (this.#isOver) return;
    if (!isCovered) {
      this.#spent();
      return;
    }
    if (unread.length > 0) this.#receiveStream(stream, unread);
    if (this.#unread) return;
    this.#goOn();
    if (this.#hasEnded) this.ended();
  }

  /** Nothing more can be held: the provider is to write no more, and the client gets the end of a stream. One that has its end already gets none. */
  #spent(): void {
    this.#isSpent = true;
    if (this.#isClientGone) {
      this.#abort();
      return;
    }
    this.#isEnding = true;
    this.#flow?.pause();
    void this.#onSpent().then(() => {
      this.#isEnding = false;
      this.#goOn();
      if (this.#hasEnded) this.ended();
    });
  }

  #goOn(): void {
    if (!this.#isBehind) this.#flow?.resume();
  }

  #endStream(stream: StreamReader): void {
    const rest = stream.end();
    this.#writeUnlessRefused(stream, this.#translated ? [this.#translated.write(rest), this.#translated.end()] : rest);
  }

  /** A whole answer, or a refusal. */
  #writeTranslated(translation: AnswerTranslation, outcome: Outcome): void {
    const { usage, service } = outcome.kind === "answered" ? outcome : { usage: undefined, service: undefined };
    const { status, bytes }: WrittenAnswer = this.#answer
      ? translation.whole(this.#status, this.#answer.bytes(), usage)
      : translation.refusal(this.#status, Buffer.concat((this.#isReadable && this.#refusal) || []));
    this.#status = status;
    const length = ["content-length", String(bytes.length)];
    this.#writeHead(this.#answer ? [...this.#options.headersForUsage(usage, service), ...length] : length, NONE);
    this.#options.recording?.add(bytes);
    this.#options.response.end(bytes);
  }

  failed(error: UpstreamError): void {
    if (this.#refusal && (this.#heldBack || this.#status >= REFUSED_FROM)) {
      this.ended();
      return;
    }
    const { response } = this.#options;
    if (this.#status === 0) {
      this.#finish(error.wasSent ? { kind: "unknown", error, isClientWaiting: !this.#isClientGone } : { kind: "not-sent", error });
      return;
    }
    // What came is passed on, and the connection ends as the provider's did: the client must see that something is missing.
    const outcome = this.#outcome(false);
    if (!this.#isClientGone && !response.headersSent) this.#finish({ kind: "unknown", error, isClientWaiting: true });
    else this.#finish(outcome);
    if (response.headersSent && !response.writableEnded) response.destroy();
  }

  /**
   * Nothing goes on at the provider, and the client gets the end of a stream: never a connection that just breaks. A whole answer is not cut:
   * it is paid for.
   */
  endGracefully({ refuse, ...terms }: EarlyEnd): void {
    const { dialect, call, translation } = this.#options;
    const writeEnd = translation ? this.#endTranslated : dialect.writeEnd;
    if (this.#isOver || this.#isClientGone || !call.stream || !writeEnd) return;
    if (this.#status === 0) refuse();
    else if (this.#stream && !this.#stream.isComplete && !this.#heldBack) {
      this.#pendingHead?.();
      this.#end(Buffer.from(writeEnd(call, this.#stream.cut(), terms)));
    } else return;
    this.#isClientGone = true;
    this.#abort();
  }

  readonly #endTranslated = ({ model }: ModelCall, { usage, outputTokens }: PassedStream, { id, inputTokens }: EndTerms): string | Buffer =>
    this.#translated?.cut({ inputTokens, ...usage, outputTokens }, { id, model }) ?? "";

  /**
   * A stream that nobody reads is given up, as far as what passed says what it cost. Anything else is read to its end: it is paid for, and
   * its end says how much. So is a stream that its client did not keep up with: the provider has written more of it than passed here.
   */
  readonly #clientLeft = (): void => {
    clearTimeout(this.#patience);
    if (this.#options.response.writableFinished || this.#isOver || this.#isClientGone) return;
    const wasBehind = this.#isBehind;
    this.#isClientGone = true;
    this.#options.response.emit("drain");
    const { call, onDisconnect } = this.#options;
    if (call.stream && !this.#answer && !call.hidesReasoning && !wasBehind && onDisconnect === "abort") this.#abort();
  };

  #outcome(isWhole: boolean): Outcome {
    if (this.#status >= REFUSED_FROM) {
      const retryAfterMs = retryAfterOf(this.#answerHeaders, Date.now());
      return { kind: "refused", status: this.#status, ...(retryAfterMs !== undefined && { retryAfterMs }) };
    }
    if (!this.#isReadable) return UNREADABLE;
    if (this.#stream) return streamOutcome(this.#stream, isWhole);
    return this.#answer ? answerOutcome(this.#answer, this.#options.counter, isWhole) : UNREADABLE;
  }

  /** At once; or before the first bytes, where the call can still go on to another provider if none come. */
  #writeHeadInTime(without: ReadonlySet<string>): void {
    if (!this.#options.holdsBack) {
      this.#writeHead(NO_HEADERS, without);
      return;
    }
    this.#pendingHead = () => {
      this.#pendingHead = undefined;
      this.#writeHead(NO_HEADERS, without);
    };
  }

  #writeHead(more: readonly string[], without: ReadonlySet<string>): void {
    const { response, headers, translation } = this.#options;
    if (this.#isClientGone) return;
    const own = translation ? this.#headersInAnyFormat() : returnedHeaders(this.#answerHeaders, without);
    response.writeHead(this.#status, [...own, ...headers, ...more]);
    this.#writesChunks = this.#stream !== undefined && takesChunks(response);
  }

  #headersInAnyFormat(): readonly string[] {
    const kept = this.#answerHeaders.filter((_, i, all) => OF_ANY_FORMAT.has((all[i - (i % 2)] as string).toLowerCase()));
    return ["content-type", (this.#stream && this.#options.translation?.streamType) ?? "application/json", ...kept];
  }

  /** What came in one piece leaves in one piece. */
  #writeAll(pieces: readonly Buffer[]): void {
    const [first] = pieces;
    if (first && (pieces.length > 1 || first.length > 0)) this.#write(pieces.length === 1 ? first : Buffer.concat(pieces));
  }

  #write(bytes: Buffer): void {
    const { response, request, recording } = this.#options;
    this.#pendingHead?.();
    recording?.add(bytes);
    if (this.#isClientGone || response.write(this.#writesChunks ? asChunk(bytes) : bytes) || this.#isBehind) return;
    this.#isBehind = true;
    this.#flow?.pause();
    // Who takes nothing for as long as a provider may be silent would keep the budget's money held for ever.
    this.#patience = setTimeout(() => response.destroy(), request.timeoutMs);
  }

  /** Ends the answer, behind its last bytes where there are any. */
  #end(bytes: Buffer = NO_BYTES): void {
    const { response } = this.#options;
    if (!this.#writesChunks) response.end(bytes);
    else response.end(bytes.length === 0 ? LAST_CHUNK : Buffer.concat([asChunk(bytes), LAST_CHUNK]));
  }

  #finish(outcome: Outcome): void {
    if (this.#isOver) return;
    this.#isOver = true;
    clearTimeout(this.#patience);
    const { response } = this.#options;
    response.off("close", this.#clientLeft);
    response.off("drain", this.#drained);
    response.req.socket?.off("close", this.#clientLeft);
    this.#resolve(outcome);
  }
}

function isJson(contentType: string | null | undefined): boolean {
  return /^application\/(?:[\w.+-]+\+)?json\s*(?:;|$)/i.test(contentType ?? "");
}

function isBlank(chunk: Buffer): boolean {
  return chunk.every((byte) => byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09);
}

/** Where the event ends that begins at a place: behind a blank line, or behind the line where there is none. */
function endOfEvent(chunk: Buffer, start: number): number {
  const blank = chunk.indexOf("\n\n", start);
  if (blank >= 0) return blank + 2;
  const newline = chunk.indexOf("\n", start);
  return newline < 0 ? chunk.length : newline + 1;
}

/** Node.js 20 has no `Promise.withResolvers`. */
function withResolvers<Value>(): { readonly promise: Promise<Value>; readonly resolve: (value: Value) => void } {
  let resolve: (value: Value) => void = () => undefined;
  const promise = new Promise<Value>((given) => {
    resolve = given;
  });
  return { promise, resolve };
}

const NONE: ReadonlySet<string> = new Set();
const NO_HEADERS: readonly string[] = [];
const NO_BYTES = Buffer.alloc(0);
