import { EventEmitter } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Subject } from "../../packages/core/dist/index.js";
import type { PreparedBody } from "./bodies.js";

/** The header by which a provider knows which attempt it has got: it stands where the trace of the attempt stands. */
export const CALL_HEADER = "x-simulated-call";

/** One call of a client: the request and the answer, without the sockets under them. */
export class Exchange {
  readonly id: string;
  readonly subject: Subject;
  readonly body: PreparedBody;
  readonly #request: Request;
  readonly #response: Response;

  constructor(id: string, subject: Subject, body: PreparedBody, isSlow: () => boolean) {
    this.id = id;
    this.subject = subject;
    this.body = body;
    this.#request = new Request(body);
    this.#response = new Response(this.#request, isSlow);
  }

  get request(): IncomingMessage {
    return this.#request as unknown as IncomingMessage;
  }

  get response(): ServerResponse {
    return this.#response as unknown as ServerResponse;
  }

  /** What the client got so far; 0: nothing yet. */
  get status(): number {
    return this.#response.status;
  }

  header(name: string): string | undefined {
    return this.#response.header(name);
  }

  /** Whether the client got an end: of the answer, or of the connection. */
  get isOver(): boolean {
    return this.#response.writableFinished || this.#response.destroyed;
  }

  /** The client's request comes in whole. */
  arrive(): void {
    this.#request.emit("data", this.body.bytes);
    this.#request.emit("end");
  }

  /** The client has read what was written. */
  read(): void {
    this.#response.emit("drain");
  }

  /** The client goes away. */
  leave(): void {
    if (!this.isOver) this.#response.destroy();
  }
}

class Socket extends EventEmitter {
  readonly destroyed = false;
}

class Request extends EventEmitter {
  readonly socket = new Socket();
  readonly complete = true;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly rawHeaders: readonly string[];

  constructor({ model, bytes }: PreparedBody) {
    super();
    this.url = model.dialect.path;
    this.headers = { "content-length": String(bytes.length) };
    this.rawHeaders = ["content-type", "application/json"];
  }

  pause(): void {}
}

class Response extends EventEmitter {
  readonly req: Request;
  readonly socket: Socket;
  readonly #isSlow: () => boolean;
  destroyed = false;
  headersSent = false;
  writableFinished = false;
  status = 0;
  #headers: readonly string[] = [];

  constructor(request: Request, isSlow: () => boolean) {
    super();
    this.req = request;
    this.socket = request.socket;
    this.#isSlow = isSlow;
  }

  writeHead(status: number, headers: Readonly<Record<string, string | number>> | readonly string[]): this {
    this.status = status;
    this.headersSent = true;
    this.#headers = Array.isArray(headers) ? (headers as readonly string[]) : Object.entries(headers).flat().map(String);
    return this;
  }

  header(name: string): string | undefined {
    const at = this.#headers.findIndex((one, i) => i % 2 === 0 && one.toLowerCase() === name);
    return at < 0 ? undefined : this.#headers[at + 1];
  }

  write(): boolean {
    return !this.#isSlow();
  }

  end(): this {
    this.writableFinished = true;
    return this;
  }

  destroy(): void {
    if (this.destroyed) return;
    this.destroyed = true;
    this.emit("close");
  }
}
