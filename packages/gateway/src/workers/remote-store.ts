import { type LeasingStore, PurserError } from "@purser/core";
import type { Admin, AdminRequest, AdminResponse } from "../admin/admin.ts";
import { type Answer, Outbox, type Question } from "./messages.ts";

/** The store and the decisions of another process, which is asked by messages. */
export interface RemoteStore extends LeasingStore {
  /** Answers about calls that other gateways send. */
  readonly decide: Admin;
  /** To be called with the answers that come. */
  take(answers: readonly Answer[]): void;
}

interface Waiting {
  readonly resolve: (result: never) => void;
  readonly reject: (error: PurserError) => void;
  readonly askedAt: number;
}

/** Between processes of one machine no message is lost: who does not answer for so long does not work. */
const PATIENCE_MS = 30_000;
const LOOK_EVERY_MS = 1_000;

export function createRemoteStore(send: (questions: readonly Question[]) => void): RemoteStore {
  const waiting = new Map<number, Waiting>();
  const outbox = new Outbox<Question>(send);
  let last = 0;

  const ask = <Result>(verb: string, argument: unknown): Promise<Result> =>
    new Promise((resolve, reject) => {
      const id = ++last;
      waiting.set(id, { resolve, reject, askedAt: performance.now() });
      outbox.add({ id, verb, argument });
    });

  const timer = setInterval(() => {
    const before = performance.now() - PATIENCE_MS;
    for (const [id, { reject, askedAt }] of waiting) {
      if (askedAt > before) break;
      waiting.delete(id);
      reject(
        new PurserError("store_unavailable", "The process that has the store does not answer. Look what keeps it busy, or start again."),
      );
    }
  }, LOOK_EVERY_MS).unref();

  return {
    reserve: (command) => ask("reserve", { ...command, limits: command.limits.map(plain) }),
    extend: (command) => ask("extend", command),
    settle: (command) => ask("settle", command),
    release: (command) => ask("release", command),
    expire: () => ask("expire", undefined),
    record: (entry) => ask("record", entry),
    lease: (command) => ask("lease", { ...command, wants: command.wants.map((want) => ({ ...want, limit: plain(want.limit) })) }),
    counters: (filter) => ask("counters", filter),
    standings: (limits) => ask("standings", limits.map(plain)),
    entries: (query) => ask("entries", query),
    decide: ({ query, ...request }: AdminRequest) => ask<AdminResponse>("decide", { ...request, query: query.toString() }),
    take: (answers) => {
      for (const answer of answers) {
        const one = waiting.get(answer.id);
        waiting.delete(answer.id);
        if ("error" in answer) one?.reject(new PurserError(answer.error.code, answer.error.message));
        else one?.resolve(answer.result as never);
      }
    },
    // The store is closed by the process that has it.
    close: async () => clearInterval(timer),
  };
}

type Limit = Parameters<LeasingStore["standings"]>[0][number];

/** A limit without what belongs to this process only. */
function plain({ counter, amount, enforced, observedUntil, rule, rollover }: Limit): Limit {
  return {
    counter,
    amount,
    enforced,
    ...(observedUntil !== undefined && { observedUntil }),
    ...(rule && { rule }),
    ...(rollover && { rollover }),
  };
}
