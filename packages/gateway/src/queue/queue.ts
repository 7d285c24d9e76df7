import { randomBytes } from "node:crypto";
import { type Balance, type DenialReason, PurserError, type Rung } from "@purser/core";
import { deliver } from "../alerts/delivery.ts";
import type { Notice } from "../alerts/notice.ts";
import { budgetedCall } from "../budgeted-call.ts";
import type { Keys } from "../callers/key.ts";
import type { ModelCall } from "../dialects/dialect.ts";
import { editBody, type JsonBody, readJsonBody } from "../dialects/json-body.ts";
import type { Gateway } from "../gateway.ts";
import { forwardedHeaders, headerLines } from "../headers.ts";
import { ownCall } from "../own-call.ts";
import { summariserFor } from "../pipeline.ts";
import { missingKey } from "../providers/routing.ts";
import { findCall } from "../routes.ts";
import { climb, type RoutedCall } from "../rungs/climb.ts";
import type { ClientRequest } from "../upstream-request.ts";
import { type QueuedCall, QueueFolder } from "./queue-folder.ts";

export type QueueRung = Extract<Rung, { readonly kind: "queue" }>;

/** A call that is to wait for its budget. */
export interface ToQueue {
  readonly call: RoutedCall;
  readonly request: ClientRequest;
  readonly rung: QueueRung;
  /** What its books say: `queue (chatbot 100%)`. */
  readonly text: string;
  /** The balance that it waits for. */
  readonly balance: Balance | undefined;
}

/** The same as it is kept: it may come from another process. */
export interface NewQueuedCall extends Pick<QueuedCall, "runAt" | "key" | "subject" | "url" | "headers" | "rung" | "channel"> {
  readonly body: Buffer;
}

/** What calls and people do with those that wait, in whichever process they are kept. */
export type QueuePort = Pick<Queue, "add" | "find" | "read" | "remove" | "list" | "waiting" | "callOff" | "runNow">;

export interface QueueOptions {
  readonly directory: string;
  readonly keys: Pick<Keys, "list">;
  /** The gateway as it is configured now. */
  readonly gateway: () => Gateway;
  readonly onError: (error: unknown) => void;
  /** Epoch milliseconds; `Date.now` where it is left out. */
  readonly now?: () => number;
}

/** So many calls wait at most, with bodies of so many bytes together. More are refused, as they would be without a queue. */
const CALLS_MOST = 10_000;
const BYTES_MOST = 256 * 1024 * 1024;
/** So many run at a time: what waited for a window must not fall upon it all at once. */
const RUNNING_MOST = 4;
/** A call that finds no room when its window has begun asks again, until a day has passed. */
const AGAIN_AFTER_MS = 60_000;
const LATE_MOST_MS = 24 * 3_600_000;
/** Refusals that may be over another time. */
const PASSES: ReadonlySet<DenialReason> = new Set<DenialReason>([
  "budget_exhausted",
  "budget_busy",
  "rate_limited",
  "switched_off",
  "store_unavailable",
]);
/** What providers answer that have no room themselves. */
const NOT_NOW: ReadonlySet<number> = new Set([429, 503, 529]);
/** How long an answer waits to be fetched. */
const KEPT_MS = 24 * 3_600_000;
/** 10 s, 20 s, … and an hour and a half in the end. */
const PUSHES_MOST = 10;
const PUSH_AGAIN_MS = 5_000;

/** Where no call waits. */
export const NO_QUEUE: QueuePort = {
  add: async () => undefined,
  find: async () => undefined,
  read: async () => undefined,
  remove: async () => false,
  list: async () => [],
  waiting: async () => ({ calls: 0, oldestAt: undefined }),
  callOff: async () => undefined,
  runNow: async () => undefined,
};

/** What is kept of a call that can wait for its budget; nothing of one that cannot. */
export function queueable({ call, request, rung, text, balance }: ToQueue, now: number): NewQueuedCall | undefined {
  const { caller, subject } = call;
  const { body } = call.call;
  const runAt = balance?.resetsAt;
  // A form is kept by nobody.
  if (body.form) return undefined;
  // A secret of the caller's is not stored, so nobody could make the call later.
  const needsSecret = call.provider.apiKey === undefined && caller.providerKey !== undefined;
  if (runAt === undefined || runAt - now > rung.waitMs || needsSecret) return undefined;
  const { provider: _, model: _m, endpoint: _e, ...who } = subject;
  return {
    runAt,
    key: caller.key?.id,
    subject: who,
    url: withoutKey(request.url ?? ""),
    headers: forwardedHeaders(request.rawHeaders, headerLines({})),
    rung: text,
    channel: rung.channel,
    body: body.bytes,
  };
}

/** Calls that wait on disk until their budget resets, run then, at most once, and keep their answers for a while. */
export class Queue {
  readonly #options: QueueOptions;
  readonly #folder: QueueFolder;
  readonly #now: () => number;
  readonly #calls = new Map<string, QueuedCall>();
  readonly #running = new Set<Promise<void>>();
  readonly #busy = new Set<string>();
  #bytes = 0;
  #isClosed = false;

  static async open(options: QueueOptions): Promise<Queue> {
    const queue = new Queue(options);
    await queue.#read();
    return queue;
  }

  private constructor(options: QueueOptions) {
    this.#options = options;
    this.#folder = new QueueFolder(options.directory);
    this.#now = options.now ?? Date.now;
  }

  async #read(): Promise<void> {
    const { calls, bytes } = await this.#folder.open(this.#options.onError);
    this.#bytes = bytes;
    for (const call of calls) {
      this.#calls.set(call.id, call);
      if (call.state === "running")
        await this.#fail(
          call,
          "provider_unreachable",
          "The gateway ended while the call was made. It may have been made, and is not made again.",
        );
    }
    this.askAgain();
  }

  /** Lets all that wait ask again now, because their budgets may have been changed. */
  askAgain(): void {
    const now = this.#now();
    for (const call of this.#calls.values())
      if (call.state === "queued" && !this.#busy.has(call.id)) this.#calls.set(call.id, { ...call, runAt: Math.min(call.runAt, now) });
  }

  /** Takes a call, and resolves when it is on disk. Nothing where there is no room for it: then it is refused as usual. */
  async add({ body: bytes, ...call }: NewQueuedCall): Promise<QueuedCall | undefined> {
    if (this.#isClosed || this.#calls.size >= CALLS_MOST || this.#bytes + bytes.length > BYTES_MOST) return undefined;
    const queued: QueuedCall = {
      id: `queued_${randomBytes(18).toString("base64url")}`,
      state: "queued",
      at: this.#now(),
      giveUpAt: call.runAt + LATE_MOST_MS,
      keptUntil: call.runAt + LATE_MOST_MS + KEPT_MS,
      ...call,
    };
    this.#calls.set(queued.id, queued);
    this.#bytes += bytes.length;
    try {
      await this.#folder.add(queued, bytes);
    } catch (error) {
      this.#calls.delete(queued.id);
      this.#bytes -= bytes.length;
      await this.#folder.remove(queued.id).catch(this.#options.onError);
      throw error;
    }
    return queued;
  }

  /** A call of the holder of a key, or of the owner. Nothing where there is none, or it is another one's. */
  async find(id: string, key: string | undefined): Promise<QueuedCall | undefined> {
    const call = this.#calls.get(id);
    return call?.key === key ? call : undefined;
  }

  /** The answer to a call; nothing where somebody has just fetched it. */
  read(id: string): Promise<Buffer | undefined> {
    return this.#folder.read(id, "answer").catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return undefined;
      throw error;
    });
  }

  /** Deletes a call that was fetched or is not wanted any more. One that runs is let run. */
  async remove(id: string): Promise<boolean> {
    const call = this.#calls.get(id);
    if (!call || this.#busy.has(id)) return false;
    this.#calls.delete(id);
    if (call.state !== "done") this.#bytes -= (await this.#folder.read(id, "body").catch(() => Buffer.alloc(0))).length;
    await this.#folder.remove(id);
    return true;
  }

  /** All calls that are kept, the next one to be made first, and those that have ended behind them. */
  async list(): Promise<readonly QueuedCall[]> {
    return [...this.#calls.values()].sort((a, b) => Number(hasEnded(a)) - Number(hasEnded(b)) || a.runAt - b.runAt || a.at - b.at);
  }

  /** How many wait or are being made, and when the oldest of them came. */
  async waiting(): Promise<{ readonly calls: number; readonly oldestAt: number | undefined }> {
    const waiting = [...this.#calls.values()].filter((call) => !hasEnded(call));
    return { calls: waiting.length, oldestAt: waiting.length === 0 ? undefined : Math.min(...waiting.map(({ at }) => at)) };
  }

  /**
   * Takes a call out that waits: whoever comes for its answer is told why, and so is whom it would be pushed to. Of one that has ended, the answer
   * is deleted. One that runs is let run. Returns how it stands then; nothing where there is none.
   */
  async callOff(id: string, why: string): Promise<QueuedCall | undefined> {
    const call = this.#calls.get(id);
    if (!call || this.#busy.has(id)) return call;
    if (hasEnded(call)) return (await this.remove(id)) ? { ...call, state: "deleted" } : call;
    this.#busy.add(id);
    try {
      await this.#fail(call, "switched_off", `It was called off: ${why}`);
    } finally {
      this.#busy.delete(id);
    }
    return this.#calls.get(id);
  }

  /** Lets a call that waits ask its budget now, and not when that resets. Returns how it stands; nothing where there is none. */
  async runNow(id: string): Promise<QueuedCall | undefined> {
    const call = this.#calls.get(id);
    if (call?.state !== "queued" || this.#busy.has(id)) return call;
    const due = { ...call, runAt: Math.min(call.runAt, this.#now()) };
    this.#calls.set(id, due);
    return due;
  }

  /** Runs what is due, pushes what has run, deletes what nobody fetched. To be called every second or so. */
  async tick(): Promise<void> {
    const now = this.#now();
    for (const call of this.#calls.values()) {
      if (this.#busy.has(call.id)) continue;
      if (now >= call.keptUntil) await this.remove(call.id);
      else if (this.#running.size >= RUNNING_MOST) continue;
      else if (call.state === "queued" && now >= call.runAt) this.#start(call.id, () => this.#run(call));
      else if (call.pushAt !== undefined && now >= call.pushAt) this.#start(call.id, () => this.#push(call));
    }
  }

  /** Waits for what runs; what waits goes on waiting on disk. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.allSettled(this.#running);
  }

  #start(id: string, work: () => Promise<void>): void {
    if (this.#isClosed) return;
    this.#busy.add(id);
    const running = work()
      .catch(this.#options.onError)
      .finally(() => {
        this.#busy.delete(id);
        this.#running.delete(running);
        // The next one does not wait for the clock.
        this.tick().catch(this.#options.onError);
      });
    this.#running.add(running);
  }

  async #run(call: QueuedCall): Promise<void> {
    const gateway = this.#options.gateway();
    let routed: RoutedCall;
    try {
      routed = this.#routed(gateway, call, await this.#folder.read(call.id, "body"));
    } catch (error) {
      // What was right when it came may be wrong by now: its model, its provider, its key.
      if (error instanceof PurserError) return this.#fail(call, error.code, error.message);
      throw error;
    }
    const request: ClientRequest = { headers: {}, rawHeaders: [...call.headers], url: call.url };
    const { call: climbed, end } = await climb(gateway, routed, summariserFor(gateway, { id: call.id, request }));
    if (end) return this.#later(call, end.balance.resetsAt, `Budget "${end.budget.name}" has nothing for it.`);
    const id = gateway.newId();
    const rungs = [call.rung, ...(climbed.rungs ?? [])];
    const willSend = () => this.#update({ ...call, state: "running" });
    const ended = await ownCall(gateway, { ...climbed, rungs }, { id, request, willSend });
    if (ended.kind === "denied" && !PASSES.has(ended.denial.reason)) return this.#fail(call, ended.denial.reason, ended.denial.message);
    if (ended.kind === "denied") return this.#later(call, ended.denial.balance?.resetsAt, ended.denial.message);
    if (ended.kind !== "answered")
      return ended.kind === "unsent" ? this.#later(call, undefined, ended.message) : this.#fail(call, ended.code, ended.message);
    if (NOT_NOW.has(ended.status)) return this.#later(call, undefined, `The provider answered ${ended.status}.`);
    const { status, contentType, bytes } = ended;
    await this.#end({ ...call, state: "done", answer: { status, contentType, requestId: id } }, bytes);
  }

  /** The call as if it came now, from whom it came then. */
  #routed({ config, prices, route, calibration }: Gateway, { url, key: keyId, subject }: QueuedCall, bytes: Buffer): RoutedCall {
    const key = keyId === undefined ? undefined : this.#options.keys.list().find(({ id }) => id === keyId);
    const isValid = key !== undefined && (key.expiresAt === undefined || key.expiresAt > this.#now());
    if (keyId !== undefined && !isValid) throw new PurserError("key_invalid", "The key of this call is not valid any more.");
    const found = findCall(url.split("?", 1)[0] as string);
    if (!found) throw new PurserError("route_unknown", "This version has no such route.");
    const dialect = found.dialect.whole ?? found.dialect;
    const call = dialect.readCall(wholeBody(found.dialect.readCall(readJsonBody(bytes), found.names)), found.names);
    const decided = route(call.model, dialect.name);
    if ("unknown" in decided) throw new PurserError("provider_unknown", decided.unknown);
    const { provider, model, sentAs, pricedAs, failover } = decided;
    const noKey = missingKey(provider);
    // Where there are several providers, others may have one.
    if (noKey !== undefined && !failover) throw new PurserError("provider_key_missing", noKey);
    const { defaultMaxOutput, unseenInput } = config;
    const terms = {
      dialect,
      call,
      provider,
      model,
      sentAs,
      pricedAs,
      subject,
      key,
      pools: undefined,
      prices,
      calibration,
      defaultMaxOutput,
      unseenInput,
    };
    return { ...budgetedCall(terms), caller: { key, subject }, provider, names: found.names, failover };
  }

  /** There is no room for it yet. */
  async #later(call: QueuedCall, resetsAt: number | undefined, why: string): Promise<void> {
    const runAt = Math.max(this.#now() + AGAIN_AFTER_MS, Math.min(resetsAt ?? 0, call.giveUpAt));
    if (runAt > call.giveUpAt)
      return this.#fail(call, "budget_exhausted", `It found no room within a day after its budget was reset. ${why}`);
    await this.#update({ ...call, state: "queued", runAt });
  }

  async #fail(call: QueuedCall, code: PurserError["code"], message: string): Promise<void> {
    await this.#end({ ...call, state: "failed", failure: { code, message } }, Buffer.alloc(0));
  }

  async #end(call: QueuedCall, answer: Buffer): Promise<void> {
    const body = await this.#folder.read(call.id, "body").catch(() => Buffer.alloc(0));
    const now = this.#now();
    const ended: QueuedCall = { ...call, keptUntil: now + KEPT_MS, ...(call.channel !== undefined && { pushAt: now }) };
    // Whoever looks finds the answer as soon as they find that there is one.
    await this.#folder.answer(ended, answer);
    this.#calls.set(call.id, ended);
    this.#bytes -= body.length;
  }

  /** Gives the answer to whom the rung names, and deletes it when they have it. Whoever cannot be reached can still fetch it. */
  async #push(call: QueuedCall): Promise<void> {
    const { pushAt: _, ...unpushed } = call;
    const channel = this.#options.gateway().config.channels.find(({ name }) => name === call.channel);
    if (!channel) return this.#update(unpushed);
    const answer = await this.#folder.read(call.id, "answer");
    const now = this.#now();
    const delivered = await deliver(channel, doneNotice(call, answer, now), now);
    const pushes = (call.pushes ?? 0) + 1;
    if (delivered.ok) {
      this.#calls.delete(call.id);
      return this.#folder.remove(call.id);
    }
    const isOver = delivered.isFinal || pushes >= PUSHES_MOST;
    if (isOver)
      this.#options.onError(
        new Error(`The answer to ${call.id} could not be pushed to ${channel.name}: ${delivered.error}. It can be fetched.`),
      );
    await this.#update(isOver ? { ...unpushed, pushes } : { ...call, pushes, pushAt: now + PUSH_AGAIN_MS * 2 ** pushes });
  }

  async #update(call: QueuedCall): Promise<void> {
    this.#calls.set(call.id, call);
    await this.#folder.update(call);
  }
}

/** Whether a call will not be made any more. */
function hasEnded({ state }: QueuedCall): boolean {
  return state === "done" || state === "failed";
}

/** The same body for an answer that is whole. */
function wholeBody({ body, stream }: ModelCall): JsonBody {
  if (!stream || !body.members.has("stream")) return body;
  const options = body.members.has("stream_options") ? [["stream_options", "null"] as const] : [];
  return readJsonBody(editBody(body, new Map([["stream", "false"], ...options])));
}

/** A key in an address is a secret too. */
function withoutKey(url: string): string {
  const [path = "", query = ""] = url.split("?");
  const parameters = new URLSearchParams(query);
  parameters.delete("key");
  return parameters.size === 0 ? path : `${path}?${parameters}`;
}

function doneNotice({ id, at, answer, failure }: QueuedCall, bytes: Buffer, now: number): Notice {
  const text = failure?.message ?? "A call that was queued has been made.";
  const data = {
    id,
    queued_at: new Date(at).toISOString(),
    status: answer?.status ?? null,
    answer: jsonOrText(bytes),
    error: failure ?? null,
  };
  return {
    id,
    kind: "call.done",
    about: id,
    at: now,
    severity: failure ? "error" : "info",
    title: failure ? "A queued call failed" : "A queued call is answered",
    text,
    facts: [],
    data,
    owner: undefined,
  };
}

function jsonOrText(bytes: Buffer): unknown {
  const text = bytes.toString("utf8");
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
