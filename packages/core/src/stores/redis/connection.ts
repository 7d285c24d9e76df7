import { randomBytes } from "node:crypto";
import { checkCountable } from "../../domain/state.ts";
import { PurserError } from "../../errors.ts";
import type { RedisClient } from "./client.ts";
import { regressed, unavailable, unsure } from "./failure.ts";
import { Fence } from "./fence.ts";
import type { Keys } from "./keys.ts";
import { checkServers } from "./requirements.ts";
import { runScript, type Script, scriptOf } from "./script.ts";
import { ACCEPT } from "./scripts/accept.lua.ts";
import { COUNTERS } from "./scripts/counters.lua.ts";
import { EXPIRE } from "./scripts/expire.lua.ts";
import { EXTEND } from "./scripts/extend.lua.ts";
import { LEASE } from "./scripts/lease.lua.ts";
import { RAISE } from "./scripts/raise.lua.ts";
import { RECORD } from "./scripts/record.lua.ts";
import { RELEASE } from "./scripts/release.lua.ts";
import { RESERVE } from "./scripts/reserve.lua.ts";
import { RESTORE } from "./scripts/restore.lua.ts";
import { SETTLE } from "./scripts/settle.lua.ts";
import { STANDINGS } from "./scripts/standings.lua.ts";
import { TRIM } from "./scripts/trim.lua.ts";
import { counterOf, keyOf } from "./text.ts";

const SCRIPTS = {
  reserve: scriptOf(RESERVE),
  extend: scriptOf(EXTEND),
  raise: scriptOf(RAISE),
  settle: scriptOf(SETTLE),
  release: scriptOf(RELEASE),
  expire: scriptOf(EXPIRE),
  record: scriptOf(RECORD),
  lease: scriptOf(LEASE),
  counters: scriptOf(COUNTERS),
  standings: scriptOf(STANDINGS),
  accept: scriptOf(ACCEPT),
  restore: scriptOf(RESTORE),
  trim: scriptOf(TRIM),
} as const satisfies Readonly<Record<string, Script>>;

/** What a script answered. */
export interface Answer {
  readonly outcome: string;
  readonly rest: readonly string[];
  /** The last entry of the ledger. */
  readonly seq: number;
  /** The store's time. */
  readonly now: number;
}

export interface ConnectionOptions {
  readonly redis: RedisClient;
  readonly keys: Keys;
  readonly timeoutMs: number;
  readonly onNotice: (notice: string) => void;
  readonly now: (() => number) | undefined;
}

/** One instance's line to Redis: runs scripts, waits for no answer for ever, and notices when Redis has forgotten something. */
export class Connection {
  readonly #options: ConnectionOptions;
  readonly #fence = new Fence(randomBytes(6).toString("base64url"));
  readonly #running = new Set<Promise<unknown>>();
  #commands = 0;
  #checked: Promise<void> | undefined;
  #failure: PurserError | undefined;
  #isRegressed = false;
  /** `fresh`: something failed since this was last looked at; `past`: nothing did since then. */
  #trouble: "fresh" | "past" | undefined;

  constructor(options: ConnectionOptions) {
    this.#options = options;
  }

  /** Why Redis could not do what it was last asked. */
  get failure(): PurserError | undefined {
    return this.#failure;
  }

  /** Whether Redis was last found to have lost entries. */
  get isRegressed(): boolean {
    return this.#isRegressed;
  }

  /** The field of the meta hash that is this instance's own. */
  get ownField(): string {
    return `i:${this.#fence.instance}`;
  }

  /** Resolves when Redis can be reached and is fit to keep balances. */
  ready(): Promise<void> {
    this.#checked ??= this.#check().catch((error) => {
      this.#checked = undefined;
      throw error;
    });
    return this.#checked;
  }

  /** Resolves when nothing is under way. */
  async idle(): Promise<void> {
    await Promise.allSettled(this.#running);
  }

  /** A name that no other command of any instance has. */
  nextCommand(): string {
    return `${this.#fence.instance}:${++this.#commands}`;
  }

  async run(verb: keyof typeof SCRIPTS, keys: readonly string[], args: readonly string[]): Promise<Answer> {
    const { redis, now } = this.#options;
    const { meta, ledger, held, spent, definitions, series, grants, leases, closing, marks, rare } = this.#options.keys;
    const [epoch, leastSeq, instance, leastOwn] = this.#fence.args;
    const reply = await this.#within(
      runScript(
        redis,
        SCRIPTS[verb],
        [meta, ledger, held, spent, definitions, series, grants, leases, closing, marks, rare, ...keys],
        [now ? String(now()) : "", epoch, leastSeq, instance, leastOwn, ...args],
      ),
    );
    const [foundEpoch, foundSeq, foundOwn, time, outcome = "", ...rest] = (reply as readonly (string | number)[]).map(String);
    const seq = Number(foundSeq);
    this.#isRegressed = outcome === "regressed";
    if (this.#isRegressed) throw this.#fail(regressed(seq, Number(rest[0])));
    if (outcome === "unsure") throw this.#fail(unsure(Number(rest[0])));
    this.#failure = undefined;
    this.#fence.see({ epoch: Number(foundEpoch), seq, own: Number(foundOwn) });
    if (outcome === "uncountable") throw uncountable(rest);
    if (outcome === "broken")
      throw new PurserError("internal", `Counter ${keyOf(rest[0] ?? "")} would hold ${rest[1]} and have spent ${rest[2]}.`);
    return { outcome, rest, seq, now: Number(time) };
  }

  /** To be called every second or so, when Redis has just answered: tells once that it can be used again, if it could not and nothing has failed lately. */
  calm(): void {
    if (this.#trouble === "past")
      this.#options.onNotice("Redis can be used again: calls are admitted, and what was used meanwhile is written.");
    this.#trouble = this.#trouble === "fresh" ? "past" : undefined;
  }

  async send(command: string, ...args: readonly string[]): Promise<unknown> {
    return this.#within(this.#options.redis.call(command, ...args));
  }

  async #check(): Promise<void> {
    const { redis, keys, onNotice } = this.#options;
    // The first command of a cluster's client finds its nodes.
    await this.send("exists", keys.meta);
    for (const notice of await this.#within(checkServers(redis))) onNotice(notice);
  }

  /** Waits for the client, but not for ever. */
  #within<Result>(work: Promise<Result>): Promise<Result> {
    const { timeoutMs } = this.#options;
    this.#running.add(work);
    return new Promise((resolve, reject) => {
      const fail = (cause: unknown) => reject(this.#fail(cause instanceof PurserError ? cause : unavailable(cause)));
      const tooLate = () => fail(new Error(`it did not answer within ${timeoutMs} ms`));
      // Where this process was busy for so long, the answer may be there and only has to be read.
      const timer = setTimeout(() => setImmediate(tooLate), timeoutMs);
      const end = () => {
        clearTimeout(timer);
        this.#running.delete(work);
      };
      work.then(
        (result) => {
          end();
          resolve(result);
        },
        (cause) => {
          end();
          fail(cause);
        },
      );
    });
  }

  #fail(failure: PurserError): PurserError {
    this.#failure = failure;
    this.#trouble = "fresh";
    return failure;
  }
}

/** The error that the engine has for it. */
export function uncountable([counter = "", spent, held, added]: readonly string[]): unknown {
  try {
    checkCountable(counterOf(counter), { spent: Number(spent), held: Number(held) }, Number(added));
  } catch (error) {
    return error;
  }
  return new PurserError("internal", `Redis cannot count ${added} more on ${counter}, and should.`);
}
