import { type LeasingStore, PurserError, type Store } from "@purser/core";
import type { Admin, AdminRequest } from "../admin/admin.ts";
import type { CountBatch, CountBook } from "../guards/count-book.ts";
import type { Ask } from "./asking.ts";
import type { DoneOnce } from "./done-once.ts";
import type { Answer, Failure, Question } from "./messages.ts";
import { createRemoteStore } from "./remote-store.ts";

/** What other processes may ask for, by its name. */
export type Verbs = Readonly<Record<string, (argument: never) => Promise<unknown>>>;

/** What may be asked of the store of this process. */
export function storeVerbs(store: LeasingStore): Verbs {
  return {
    reserve: (command: Parameters<LeasingStore["reserve"]>[0]) => store.reserve(command),
    extend: (command: Parameters<LeasingStore["extend"]>[0]) => store.extend(command),
    settle: (command: Parameters<LeasingStore["settle"]>[0]) => store.settle(command),
    release: (command: Parameters<LeasingStore["release"]>[0]) => store.release(command),
    expire: () => store.expire(),
    record: (entry: Parameters<LeasingStore["record"]>[0]) => store.record(entry),
    lease: (command: Parameters<LeasingStore["lease"]>[0]) => store.lease(command),
    counters: (filter: Parameters<LeasingStore["counters"]>[0]) => store.counters(filter),
    standings: (limits: Parameters<LeasingStore["standings"]>[0]) => store.standings(limits),
    entries: (query: Parameters<LeasingStore["entries"]>[0]) => store.entries(query),
  };
}

/** The store of this process for one of several who share it: who closes it does not close the store. */
export function borrowed(store: Store): Store {
  const verbs = storeVerbs(leasingStore(store));
  return createRemoteStore(async (verb, argument) => (await verbs[verb]?.(argument as never)) as never);
}

/** A store of which workers can take allotments. */
export function leasingStore(store: Store): LeasingStore {
  if ("lease" in store) return store as LeasingStore;
  throw new PurserError("leases_unsupported", "This store cannot be shared by workers. Leave out --workers.");
}

/** What guards of several processes count together, in this one. */
export function countVerbs(counts: CountBook): Verbs {
  return { "guards.count": (batch: CountBatch) => counts.count(batch) };
}

/** The other end of `countVerbs`. */
export function remoteCounts(ask: Ask): CountBook {
  return { count: (batch) => ask("guards.count", batch) };
}

/** Decisions about calls that other gateways send. */
export function decisionVerbs(decide: Admin): Verbs {
  return {
    decide: (request: Omit<AdminRequest, "query"> & { readonly query: string }) =>
      decide({ ...request, query: new URLSearchParams(request.query) }),
  };
}

/** The other end of `decisionVerbs`. */
export function remoteDecisions(ask: Ask): Admin {
  return ({ query, ...request }) => ask("decide", { ...request, query: query.toString() });
}

/** What of each part may be asked for. */
const PARTS: { readonly [Part in keyof DoneOnce]: readonly (keyof DoneOnce[Part])[] } = {
  queue: ["add", "find", "read", "remove", "list", "waiting", "callOff", "runNow"],
  batches: [
    "keepFile",
    "checkRoom",
    "file",
    "forgetFile",
    "needing",
    "batch",
    "list",
    "current",
    "add",
    "taken",
    "returned",
    "lost",
    "observe",
  ],
  alertBook: ["claim", "record", "end", "deliveries", "alerts", "answer", "waiting", "opened"],
  asks: ["ask", "isDeclined", "look", "answer", "list", "answerById"],
  handovers: ["begin", "goOn", "collect", "ended", "list", "counts", "read", "look", "take", "answer", "giveBack"],
  bills: ["found"],
  attempts: ["begin", "succeeded"],
};

type Method = (...given: unknown[]) => Promise<unknown>;

/** What is done once, as other processes ask for it. */
export function onceVerbs(once: DoneOnce): Verbs {
  const verbs: Record<string, (given: readonly unknown[]) => Promise<unknown>> = {};
  for (const [part, names] of Object.entries(PARTS)) {
    const port = once[part as keyof DoneOnce] as unknown as Readonly<Record<string, Method>>;
    for (const name of names) verbs[`${part}.${name}`] = async (given) => port[name]?.(...given);
  }
  return verbs;
}

/** What another process does once, behind the same ports. */
export function remoteOnce(ask: Ask): DoneOnce {
  const ports = Object.entries(PARTS).map(([part, names]) => {
    const methods = names.map((name): [string, Method] => [name, (...given) => ask(`${part}.${name}`, given)]);
    return [part, Object.fromEntries(methods)] as const;
  });
  return Object.fromEntries(ports) as unknown as DoneOnce;
}

/** Answers a question of another process. */
export async function answerBy(verbs: Verbs, { id, verb, argument }: Question): Promise<Answer> {
  try {
    const asked = verbs[verb];
    if (!asked) throw new PurserError("internal", `Nothing is done here by the name of ${verb}.`);
    return { id, result: await asked(argument as never) };
  } catch (error) {
    return { id, error: failureOf(error) };
  }
}

/** An error as it crosses from process to process. */
export function failureOf(error: unknown): Failure {
  if (error instanceof PurserError) return { code: error.code, message: error.message };
  return { code: "internal", message: error instanceof Error ? error.message : String(error) };
}
