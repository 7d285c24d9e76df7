import { Agent, type Dispatcher } from "undici";

/** A call on its way to a provider. */
export interface UpstreamRequest {
  readonly origin: string;
  readonly path: string;
  /** `POST` where it is left out. */
  readonly method?: "GET" | "POST" | "DELETE";
  /** Names and values in turn. */
  readonly headers: readonly string[];
  readonly body: Buffer;
  /** The longest silence, before the answer and between its bytes. */
  readonly timeoutMs: number;
}

/** Told of an answer as it comes. Each may be called only in this order; `failed` ends at any time. */
export interface UpstreamListener {
  /** The answer has begun. `headers` are names and values in turn, as they came. */
  began(status: number, headers: readonly string[], flow: UpstreamFlow): void;
  received(chunk: Buffer): void;
  ended(): void;
  failed(error: UpstreamError): void;
}

export interface UpstreamFlow {
  pause(): void;
  resume(): void;
}

/** Why there is no answer, or no more of it. `wasSent`: whether the provider may have got the call. */
export interface UpstreamError {
  readonly wasSent: boolean;
  readonly isTimeout: boolean;
  readonly cause: Error;
}

/** The connections to all providers. As many at once as there are calls: a cap would be a second, hidden limit on streams. */
export class Upstream {
  readonly #agent = new Agent({ connect: { timeout: 10_000 }, keepAliveTimeout: 30_000, pipelining: 1 });

  /** Sends a call. Returns what aborts it. */
  send(request: UpstreamRequest, listener: UpstreamListener): () => void {
    const { origin, path, method = "POST", body, timeoutMs } = request;
    const handler = new Handler(listener);
    this.#agent.dispatch(
      {
        origin,
        path,
        method,
        headers: request.headers as string[],
        body: method === "POST" ? body : null,
        headersTimeout: timeoutMs,
        bodyTimeout: timeoutMs,
      },
      handler,
    );
    return () => handler.abort();
  }

  /** Closes idle connections, and the others when their calls end. */
  close(): Promise<void> {
    return this.#agent.close();
  }

  /** Breaks off every call. */
  destroy(): Promise<void> {
    return this.#agent.destroy();
  }
}

/**
 * undici's view of one call. These are its callbacks that give headers as they came; those that it prefers build an object of them, which
 * nobody here reads.
 */
class Handler implements Dispatcher.DispatchHandler, UpstreamFlow {
  readonly #listener: UpstreamListener;
  #abort: ((error?: Error) => void) | undefined;
  #resume: () => void = () => undefined;
  #isPaused = false;
  #isAborted = false;
  #wasSent = false;
  #isOver = false;

  constructor(listener: UpstreamListener) {
    this.#listener = listener;
  }

  abort(): void {
    this.#isAborted = true;
    this.#abort?.(new Error("The call was given up."));
  }

  /** A socket that is paused in the tick in which its answer ends would go back to the pool paused, and hang the next call. */
  pause(): void {
    if (!this.#isOver) this.#isPaused = true;
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#resume();
  }

  /** A connection is there and the call is about to be written to it. */
  onConnect(abort: (error?: Error) => void): void {
    this.#abort = abort;
    // What is aborted here is not written any more.
    if (this.#isAborted) abort(new Error("The call was given up."));
    else this.#wasSent = true;
  }

  onHeaders(status: number, raw: readonly (Buffer | string)[], resume: () => void): boolean {
    if (status < 200) return true;
    this.#resume = resume;
    const headers = raw.map((text) => (typeof text === "string" ? text : text.toString("latin1")));
    this.#listener.began(status, headers, this);
    return !this.#isPaused;
  }

  onData(chunk: Buffer): boolean {
    this.#listener.received(chunk);
    return !this.#isPaused;
  }

  onComplete(): void {
    this.#isOver = true;
    this.resume();
    this.#listener.ended();
  }

  onError(error: Error): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const code = (error as { code?: string }).code ?? "";
    this.#listener.failed({
      wasSent: this.#wasSent,
      isTimeout: code === "UND_ERR_HEADERS_TIMEOUT" || code === "UND_ERR_BODY_TIMEOUT" || code === "UND_ERR_CONNECT_TIMEOUT",
      cause: error,
    });
  }
}
