import type { Usage } from "../../packages/core/dist/index.js";
import { headerValue } from "../../packages/gateway/dist/headers.js";
import type { UpstreamError, UpstreamFlow, UpstreamListener, UpstreamRequest } from "../../packages/gateway/dist/upstream.js";
import { type Answer, refusedStream, streamedAnswer, wholeAnswer } from "./answers.js";
import { type PreparedBody, readBody } from "./bodies.js";
import type { Dice } from "./dice.js";
import { CALL_HEADER } from "./exchange.js";
import { billOf, type Model, modelAt, SILENCE_MOST_MS } from "./models.js";
import type { Process, VirtualTime } from "./virtual-time.js";

/** What one provider does with one call, in the words of who waits for it. */
type Behaviour =
  | "answers"
  | "cannot be reached"
  | "drops the call before the work"
  | "drops the call after the work"
  | "is silent"
  | "refuses"
  | "begins its stream with a refusal"
  | "loses patience"
  | "answers what nobody can read"
  | "compresses"
  | "breaks off"
  | "tells no usage"
  | "tells a usage of zero"
  | "tells its usage twice"
  | "tells less than it bills"
  | "uses more than is allowed";

const TROUBLE: readonly (readonly [number, Behaviour])[] = [
  [3, "cannot be reached"],
  [3, "drops the call before the work"],
  [3, "drops the call after the work"],
  [1, "is silent"],
  [4, "refuses"],
  [2, "loses patience"],
  [1, "answers what nobody can read"],
  [1, "compresses"],
  [5, "breaks off"],
  [2, "tells no usage"],
  [2, "tells a usage of zero"],
  [2, "tells its usage twice"],
  [2, "tells less than it bills"],
  [3, "uses more than is allowed"],
];

/** What is worth the trouble only where a call can go on elsewhere. */
const TROUBLE_ELSEWHERE: readonly (readonly [number, Behaviour])[] = [...TROUBLE, [4, "begins its stream with a refusal"]];
const DOWN: readonly (readonly [number, Behaviour])[] = [
  [1, "cannot be reached"],
  [3, "refuses"],
];

const REFUSALS = [400, 401, 404, 429, 500, 503, 529] as const;
const PATIENCE_LOST = [408, 499, 504, 520, 524] as const;

/** One call as its provider knows it: the truth, whatever it tells. */
export interface Served {
  readonly id: string;
  readonly model: Model;
  /** The output cap that came with it. */
  readonly cap: number | undefined;
  /** What was really used; nothing was done where it is missing. */
  usage: Usage | undefined;
  /** What the customer will find on the provider's bill, in nano-dollars. */
  billed: number;
  /** Whether what it told is less than what it bills, so that nobody can know. */
  lies: boolean;
  /** Whether it used more than it was allowed. */
  exceeds: boolean;
}

export interface ProvidersOptions {
  readonly time: VirtualTime;
  readonly dice: Dice;
  /** How often something goes wrong, from 0 to 1. */
  readonly trouble: number;
  /** Whether calls can take longer than the lease of their hold. */
  readonly canBeSlow: boolean;
  /** Whether calls can go on to other providers. */
  readonly canGoOn: boolean;
  /** The body as its client sent it, by the id in its header. */
  bodyOf(id: string): PreparedBody;
  /** Told when the first byte of a call goes out. */
  onSent(id: string, cap: number | undefined): void;
  onServed(served: Served, behaviour: string): void;
  /** Told when the first event of a stream, or a whole answer, is with the gateway, and can be read. */
  onAnswered(id: string): void;
}

/** All providers: slow, forgetful and not always honest. Each call gets on their own bill. */
export class Providers {
  readonly process: Process;
  readonly #options: ProvidersOptions;
  /** Until when a provider fails, by its name. */
  readonly #downUntil = new Map<string, number>();
  /** Once the world heals, calls are answered as they should be. */
  isWell = false;

  constructor(process: Process, options: ProvidersOptions) {
    this.process = process;
    this.#options = options;
  }

  /** The connections of one gateway. */
  connectionsOf(gateway: Process): { send(request: UpstreamRequest, listener: UpstreamListener): () => void } {
    return {
      send: (request, listener) => {
        const connection = new Connection(this.#options.time, gateway, listener);
        this.#connect(gateway, request, connection);
        return () => connection.abort();
      },
    };
  }

  /** From now on a provider fails for a while. */
  fail(provider: string, ms: number): void {
    this.#downUntil.set(provider, this.#options.time.now + ms);
  }

  #behaviour(provider: string): Behaviour {
    const { time, dice, trouble, canGoOn } = this.#options;
    if (this.isWell) return "answers";
    if (time.now < (this.#downUntil.get(provider) ?? 0)) return dice.weighted(DOWN);
    return dice.chance(trouble) ? dice.weighted(canGoOn ? TROUBLE_ELSEWHERE : TROUBLE) : "answers";
  }

  #connect(gateway: Process, request: UpstreamRequest, connection: Connection): void {
    const { time, dice, onSent, onAnswered } = this.#options;
    const provider = providerOf(request);
    const behaviour = this.#behaviour(provider);
    time.after(gateway, dice.between(1, 20), () => {
      if (connection.isOver) return;
      if (behaviour === "cannot be reached") return connection.fail("no connection");
      const id = headerValue(request.headers, CALL_HEADER) ?? "";
      const cap = capIn(request.body);
      connection.wasSent = true;
      connection.onAnswered = () => onAnswered(id);
      onSent(id, cap);
      time.after(this.process, dice.between(1, 30), () => {
        const sent = this.#bodyOf(id, provider, request.body);
        if (sent instanceof Promise) void sent.then((body) => this.#work({ id, cap, body }, behaviour, connection));
        else this.#work({ id, cap, body: sent }, behaviour, connection);
      });
    });
  }

  /** A body as it came to a provider: the client's own, or another one where it was translated. */
  #bodyOf(id: string, provider: string, bytes: Buffer): PreparedBody | Promise<PreparedBody> {
    const body = this.#options.bodyOf(id);
    if (provider === body.model.provider) return body;
    const name = /"model":"([^"]+)"/.exec(bytes.toString("latin1"))?.[1] ?? "";
    const model = modelAt(provider, name);
    if (!model) throw new Error(`${provider} has no model "${name}".`);
    return model.dialect === body.model.dialect ? { ...body, model } : readBody(model, bytes);
  }

  #work({ id, cap, body }: Sent, behaviour: Behaviour, connection: Connection): void {
    const { dice, time } = this.#options;
    const served: Served = { id, model: body.model, cap, usage: undefined, billed: 0, lies: false, exceeds: false };
    this.#options.onServed(served, behaviour);
    const isRefusal = behaviour === "refuses" || behaviour === "begins its stream with a refusal";
    const workMs = this.#options.canBeSlow && dice.chance(0.02) ? dice.between(60_000, 2 * SILENCE_MOST_MS) : dice.magnitude(20, 8_000);
    if (behaviour === "drops the call before the work" || isRefusal) {
      connection.later(workMs, () => {
        if (!isRefusal) connection.fail("reset");
        else if (behaviour === "refuses" || !body.call.stream) this.#refuse(connection);
        else connection.answer(200, "text/event-stream", [refusedStream(body.model)], { isAnswer: false });
      });
      return;
    }
    const isHeard = workMs < SILENCE_MOST_MS && behaviour !== "is silent";
    if (!isHeard) connection.later(SILENCE_MOST_MS, () => connection.fail("silent for too long", true));
    time.after(this.process, workMs, () => {
      this.#use(served, body, behaviour);
      if (isHeard) this.#answer(served, body, behaviour, connection);
    });
  }

  #refuse(connection: Connection): void {
    const { dice, canGoOn } = this.#options;
    const headers = canGoOn && dice.chance(0.3) ? ["retry-after-ms", String(dice.magnitude(10, 90_000))] : [];
    connection.answer(dice.pick(REFUSALS), "application/json", ["{}"], { headers });
  }

  /** Does the work. What was used goes on the bill, whatever becomes of the answer. */
  #use(served: Served, { call, model, countedTokens }: PreparedBody, behaviour: Behaviour): void {
    const { dice } = this.#options;
    const most = (served.cap ?? model.card?.maxOutputTokens ?? 1_000) * call.copies;
    const wanted = dice.chance(0.2) ? most : dice.magnitude(1, 400) * call.copies;
    served.exceeds = behaviour === "uses more than is allowed" && served.cap !== undefined;
    const extra = served.exceeds ? dice.magnitude(1, 2_000) : 0;
    const inputTokens = Math.max(1, Math.floor(countedTokens * (0.7 + 0.3 * dice.roll()))) + (dice.chance(0.5) ? extra : 0);
    const outputTokens = Math.max(1, Math.min(wanted, most)) + (served.exceeds ? most - Math.min(wanted, most) + extra : 0);
    const searches = Object.keys(call.toolCalls).length > 0 && dice.chance(0.7);
    served.usage = {
      inputTokens,
      outputTokens,
      ...(dice.chance(0.3) && { cacheReadInputTokens: dice.between(1, inputTokens) }),
      ...(model.thinks && { reasoningOutputTokens: Math.floor(outputTokens * dice.roll()) }),
      ...(searches && { toolCalls: call.toolCalls }),
    };
    served.billed = billOf(model, served.usage);
  }

  #answer(served: Served, { call }: PreparedBody, behaviour: Behaviour, connection: Connection): void {
    const { dice } = this.#options;
    if (behaviour === "drops the call after the work") connection.fail("reset");
    else if (behaviour === "loses patience") connection.answer(dice.pick(PATIENCE_LOST), "text/html", ["too late"]);
    else if (behaviour === "answers what nobody can read") connection.answer(200, "application/json", ["{not json"], { isAnswer: false });
    else if (behaviour === "compresses")
      connection.answer(200, "application/json", ["…"], { headers: ["content-encoding", "gzip"], isAnswer: false });
    else if (call.stream) this.#stream(this.#answerOf(served, behaviour), behaviour, connection);
    else this.#whole(this.#answerOf(served, behaviour), behaviour, connection);
  }

  #whole(answer: Answer, behaviour: Behaviour, connection: Connection): void {
    const text = wholeAnswer(answer);
    if (behaviour !== "breaks off") {
      connection.answer(200, "application/json", [text]);
      return;
    }
    connection.begin(200, "application/json", ["content-length", String(Buffer.byteLength(text))]);
    connection.write(Buffer.from(text.slice(0, this.#options.dice.between(0, text.length - 1))));
    connection.fail("reset in the middle");
  }

  #stream(answer: Answer, behaviour: Behaviour, connection: Connection): void {
    const { dice, time } = this.#options;
    const events = streamedAnswer(answer, dice.between(1, 4));
    const end = behaviour === "breaks off" ? dice.between(0, events.length - 1) : events.length;
    connection.begin(200, "text/event-stream", []);
    let ms = 0;
    for (const [i, { bytes }] of events.slice(0, end).entries()) {
      ms += dice.magnitude(1, 400);
      // Pieces need not end where events end.
      const cut = dice.chance(0.2) ? dice.between(1, bytes.length) : bytes.length;
      const at = ms;
      const isFirst = i === 0;
      time.after(this.process, at, () => connection.write(bytes.subarray(0, cut), isFirst && cut === bytes.length));
      if (cut < bytes.length) time.after(this.process, at + 1, () => connection.write(bytes.subarray(cut), isFirst));
    }
    time.after(this.process, ms + 2, () => {
      if (end === events.length) connection.end();
      else if (dice.chance(0.5)) connection.fail("reset in the middle");
      // A stream that ends too early, and as if it were whole.
      else connection.end();
    });
  }

  #answerOf(served: Served, behaviour: Behaviour): Answer {
    const { usage = {}, model } = served;
    const { outputTokens = 0, reasoningOutputTokens = 0 } = usage;
    const { toolCalls: _, ...tokens } = usage;
    const visibleTokens = Math.max(0, outputTokens - reasoningOutputTokens);
    const tellings = behaviour === "tells its usage twice" ? 2 : 1;
    if (behaviour === "tells no usage") return { model, visibleTokens, tellings, told: undefined };
    if (behaviour === "tells a usage of zero") return { model, visibleTokens, tellings, told: { inputTokens: 0, outputTokens: 0 } };
    if (behaviour !== "tells less than it bills") return { model, visibleTokens, tellings, told: tokens };
    served.lies = true;
    const told = { inputTokens: Math.ceil((tokens.inputTokens ?? 0) / 2), outputTokens: Math.ceil(outputTokens / 2) };
    return { model, visibleTokens, tellings, told };
  }
}

/** A call as its provider gets it. */
interface Sent {
  readonly id: string;
  readonly cap: number | undefined;
  readonly body: PreparedBody;
}

/** `https://openai.invalid` */
function providerOf({ origin }: UpstreamRequest): string {
  return new URL(origin).hostname.replace(".invalid", "");
}

/** The cap in the bytes of a call, wherever it stands. The last one holds: edits are made in place. */
function capIn(bytes: Buffer): number | undefined {
  const text = bytes.toString("latin1");
  const found = /"max_(?:completion_)?tokens":(\d+)/.exec(text);
  return found ? Number(found[1]) : undefined;
}

/** What is said beside an answer. */
interface Said {
  readonly headers?: readonly string[];
  readonly isAnswer?: boolean;
}

/** One call on its way: what is told of its answer comes in order, and to a process that may be dead by then. */
class Connection implements UpstreamFlow {
  readonly #time: VirtualTime;
  readonly #gateway: Process;
  readonly #listener: UpstreamListener;
  readonly #backlog: (() => void)[] = [];
  #isPaused = false;
  #lastAt = 0;
  wasSent = false;
  isOver = false;
  onAnswered: () => void = () => undefined;

  constructor(time: VirtualTime, gateway: Process, listener: UpstreamListener) {
    this.#time = time;
    this.#gateway = gateway;
    this.#listener = listener;
  }

  pause(): void {
    if (!this.isOver) this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    while (!this.#isPaused) {
      const next = this.#backlog.shift();
      if (!next) return;
      next();
    }
  }

  abort(): void {
    if (!this.isOver) this.#over({ wasSent: this.wasSent, isTimeout: false, cause: new Error("given up") });
  }

  /** Something that happens at the gateway's end, unless it is over by then. */
  later(ms: number, run: () => void): void {
    this.#time.after(this.#gateway, ms, () => {
      if (!this.isOver) run();
    });
  }

  begin(status: number, type: string, headers: readonly string[]): void {
    this.#tell(() => this.#listener.began(status, ["content-type", type, ...headers], this));
  }

  /** `isAnswer`: with these bytes there is something of an answer. */
  write(bytes: Buffer, isAnswer = false): void {
    this.#tell(() => {
      if (isAnswer) this.onAnswered();
      this.#listener.received(bytes);
    });
  }

  end(isAnswer = false): void {
    this.#tell(() => {
      if (isAnswer) this.onAnswered();
      this.isOver = true;
      this.#listener.ended();
    });
  }

  answer(status: number, type: string, texts: readonly (string | Buffer)[], { headers = [], isAnswer = status < 400 }: Said = {}): void {
    const pieces = texts.map((text) => (typeof text === "string" ? Buffer.from(text) : text));
    const bytes = pieces.reduce((sum, { length }) => sum + length, 0);
    this.begin(status, type, ["content-length", String(bytes), ...headers]);
    for (const piece of pieces) this.write(piece);
    this.end(isAnswer);
  }

  fail(message: string, isTimeout = false): void {
    this.#tell(() => this.#over({ wasSent: this.wasSent, isTimeout, cause: new Error(message) }));
  }

  #over(error: UpstreamError): void {
    this.isOver = true;
    this.#listener.failed(error);
  }

  /** Bytes take a while, and do not overtake each other. */
  #tell(run: () => void): void {
    this.#lastAt = Math.max(this.#lastAt, this.#time.now + 1 + (this.#time.now % 9));
    this.#time.after(this.#gateway, this.#lastAt - this.#time.now, () => {
      if (this.isOver) return;
      if (this.#isPaused) this.#backlog.push(run);
      else run();
    });
  }
}
