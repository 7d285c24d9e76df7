import type { ServerResponse } from "node:http";
import type { ServiceTier, Usage } from "@purser/core";
import type { Dialect, ModelCall } from "./dialects/dialect.ts";
import { headerValue, returnedHeaders } from "./headers.ts";
import { AnswerMeter } from "./metering/answer-meter.ts";
import { StreamMeter, type TextCounter } from "./metering/stream-meter.ts";
import { answerOutcome, type Outcome, REFUSED_FROM, streamOutcome, UNREADABLE } from "./outcome.ts";
import type { Upstream, UpstreamError, UpstreamFlow, UpstreamListener, UpstreamRequest } from "./upstream.ts";

export interface RelayOptions {
  readonly upstream: Pick<Upstream, "send">;
  readonly request: UpstreamRequest;
  readonly response: ServerResponse;
  readonly dialect: Dialect;
  readonly call: ModelCall;
  readonly counter: TextCounter;
  readonly onDisconnect: "abort" | "drain";
  /** Headers of ours for every answer. */
  readonly headers: readonly string[];
  /** Called with the usage of a short answer, before it is written: more headers of ours. */
  readonly headersForUsage: (usage: Usage | undefined, service: ServiceTier | undefined) => readonly string[];
}

/** Whole answers up to this size wait for their end, so that they can say in a header what they cost. */
const HELD_ANSWER_MOST = 1024 * 1024;
const CONTENT_LENGTH = new Set(["content-length"]);

/** Sends a call and passes its answer on, byte by byte as it comes, metering it on the way. Resolves when all is over. */
export function relay(options: RelayOptions): Promise<Outcome> {
  return new Promise((resolve) => new Relay(options, resolve).start());
}

class Relay implements UpstreamListener {
  readonly #options: RelayOptions;
  readonly #resolve: (outcome: Outcome) => void;
  #abort: () => void = () => undefined;
  #flow: UpstreamFlow | undefined;
  #status = 0;
  #answerHeaders: readonly string[] = [];
  #stream: StreamMeter | undefined;
  #answer: AnswerMeter | undefined;
  #holdsAnswer = false;
  #isReadable = true;
  #isClientGone = false;
  #isOver = false;

  constructor(options: RelayOptions, resolve: (outcome: Outcome) => void) {
    this.#options = options;
    this.#resolve = resolve;
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
    const { response, dialect, call, counter } = this.#options;
    this.#status = status;
    this.#answerHeaders = headers;
    // We ask for no compression. Who compresses all the same is passed on, and cannot be metered.
    this.#isReadable = (headerValue(headers, "content-encoding") ?? "identity") === "identity";
    if (status >= REFUSED_FROM || !this.#isReadable) {
      this.#writeHead(NO_HEADERS, NONE);
    } else if (headerValue(headers, "content-type")?.includes("text/event-stream")) {
      const hidesUsage = call.stream && !call.wantsUsage;
      this.#stream = new StreamMeter(dialect, counter, { hidesUsage });
      this.#writeHead(NO_HEADERS, CONTENT_LENGTH);
    } else {
      this.#answer = new AnswerMeter(dialect);
      this.#holdsAnswer = Number(headerValue(headers, "content-length") ?? Infinity) <= HELD_ANSWER_MOST;
      if (!this.#holdsAnswer) this.#writeHead(NO_HEADERS, NONE);
    }
    response.on("drain", () => flow.resume());
    this.#flow = flow;
  }

  received(chunk: Buffer): void {
    if (this.#stream) {
      this.#writeAll(this.#stream.write(chunk));
      return;
    }
    this.#answer?.write(chunk);
    if (!this.#holdsAnswer) this.#write(chunk);
  }

  ended(): void {
    try {
      this.#passEnd();
    } catch {
      // undici forgets what is thrown here. A call must end all the same, and the client must see that something is missing.
      this.#finish(UNREADABLE);
      this.#options.response.destroy();
    }
  }

  #passEnd(): void {
    const { response } = this.#options;
    if (this.#stream) this.#writeAll(this.#stream.end());
    const outcome = this.#outcome(true);
    if (this.#holdsAnswer && this.#answer && !this.#isClientGone) {
      const { usage, service } = outcome.kind === "answered" ? outcome : { usage: undefined, service: undefined };
      this.#writeHead(this.#options.headersForUsage(usage, service), NONE);
      response.end(this.#answer.bytes());
    } else if (!this.#isClientGone) {
      response.end();
    }
    this.#finish(outcome);
  }

  failed(error: UpstreamError): void {
    const { response } = this.#options;
    if (this.#status === 0) {
      this.#finish(error.wasSent ? { kind: "unknown", error, isClientWaiting: !this.#isClientGone } : { kind: "not-sent", error });
      return;
    }
    // What came is passed on, and the connection ends as the provider's did: the client must see that something is missing.
    const outcome = this.#outcome(false);
    if (!this.#isClientGone && !response.headersSent) this.#finish({ kind: "unknown", error, isClientWaiting: true });
    else this.#finish(outcome);
    if (response.headersSent) response.destroy();
  }

  /**
   * A stream that nobody reads is given up, as far as what passed says what it cost. Anything else is read to its end: it is paid for, and
   * its end says how much.
   */
  readonly #clientLeft = (): void => {
    if (this.#options.response.writableFinished || this.#isOver || this.#isClientGone) return;
    this.#isClientGone = true;
    this.#options.response.emit("drain");
    const { call, onDisconnect } = this.#options;
    if (call.stream && !call.hidesReasoning && onDisconnect === "abort") this.#abort();
  };

  #outcome(isWhole: boolean): Outcome {
    if (this.#status >= REFUSED_FROM) return { kind: "refused", status: this.#status };
    if (!this.#isReadable) return UNREADABLE;
    if (this.#stream) return streamOutcome(this.#stream, isWhole);
    return this.#answer ? answerOutcome(this.#answer, this.#options.counter, isWhole) : UNREADABLE;
  }

  #writeHead(more: readonly string[], without: ReadonlySet<string>): void {
    const { response, headers } = this.#options;
    if (this.#isClientGone) return;
    response.writeHead(this.#status, [...returnedHeaders(this.#answerHeaders, without), ...headers, ...more]);
  }

  /** What came in one piece leaves in one piece. */
  #writeAll(pieces: readonly Buffer[]): void {
    const [first] = pieces;
    if (first) this.#write(pieces.length === 1 ? first : Buffer.concat(pieces));
  }

  #write(bytes: Buffer): void {
    if (this.#isClientGone) return;
    if (!this.#options.response.write(bytes)) this.#flow?.pause();
  }

  #finish(outcome: Outcome): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#options.response.req.socket?.off("close", this.#clientLeft);
    this.#resolve(outcome);
  }
}

const NONE: ReadonlySet<string> = new Set();
const NO_HEADERS: readonly string[] = [];
