import { type LeasingStore, PurserError } from "@purser/core";
import type { Admin, AdminRequest } from "../admin/admin.ts";
import type { Answer, Failure, Question } from "./messages.ts";

type Verbs = Readonly<Record<string, (argument: never) => Promise<unknown>>>;

/** Answers what other processes ask of the store of this one. */
export function serveStore(store: LeasingStore, decide: Admin): (question: Question) => Promise<Answer> {
  const verbs: Verbs = {
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
    decide: (request: Omit<AdminRequest, "query"> & { readonly query: string }) =>
      decide({ ...request, query: new URLSearchParams(request.query) }),
  };
  return async ({ id, verb, argument }) => {
    try {
      return { id, result: await verbs[verb]?.(argument as never) };
    } catch (error) {
      return { id, error: failureOf(error) };
    }
  };
}

/** An error as it crosses from process to process. */
export function failureOf(error: unknown): Failure {
  if (error instanceof PurserError) return { code: error.code, message: error.message };
  return { code: "internal", message: error instanceof Error ? error.message : String(error) };
}
