import type { Entry } from "../../packages/core/dist/index.js";
import type { Books, Kept } from "./books.js";
import type { Exchange } from "./exchange.js";
import type { Attempt } from "./laws.js";
import { type Configuration, limitOf, refuses } from "./plan.js";
import { amountInForce } from "./room.js";
import { hold } from "./violation.js";

type Reserved = Extract<Entry, { readonly kind: "reserved" }>;

/** `req-7.2` is an attempt of `req-7`. */
export function requestOf(attempt: string): string {
  return attempt.split(".", 1)[0] as string;
}

/** The attempts of one request, in their order. */
export function attemptsOf(attempts: ReadonlyMap<string, Attempt>, request: string): readonly Attempt[] {
  const found: Attempt[] = [];
  for (let next = attempts.get(request); next; next = attempts.get(`${request}.${found.length + 1}`)) found.push(next);
  return found;
}

/** The attempts of the request that were before one. */
export function attemptsBefore(attempts: ReadonlyMap<string, Attempt>, id: string): readonly Attempt[] {
  const number = Number(id.split(".")[1] ?? 1);
  return number === 1 ? [] : attemptsOf(attempts, requestOf(id)).slice(0, number - 1);
}

/**
 * A request goes on when the attempt before has ended in the ledger, so that no two of them hold at once; and all together stay within what each
 * limit allows.
 */
export function checkAttempt(
  { reservation: id, postings, at }: Reserved,
  before: readonly Attempt[],
  { books, configuration, isTakenBack }: { books: Books; configuration: Configuration; isTakenBack: (key: string) => boolean },
): void {
  const kept = before.flatMap((attempt) => books.reservations.get(attempt.id) ?? []);
  for (const attempt of before) {
    const isOpen = books.open.has(attempt.id) && !attempt.isEndLost;
    hold(4, !isOpen, () => `${id} is reserved while ${attempt.id} is still held.`);
  }
  for (const { counter, held } of postings) {
    const limit = limitOf(configuration, counter);
    if (!limit || !refuses(limit, at) || isTakenBack(counter.key)) continue;
    const charged = kept.reduce((sum, one) => sum + chargedOn(one, counter.key), 0);
    const amount = amountInForce(books, limit, counter, at);
    hold(
      1,
      held === 0 || charged + held <= amount,
      () => `The attempts before ${id} used ${charged} on ${counter.key}, and it holds ${held} more of ${amount}.`,
    );
  }
}

function chargedOn({ charged, held, state }: Kept, key: string): number {
  return (charged.get(key) ?? 0) + (state === "open" ? (held.get(key)?.held ?? 0) : 0);
}

/** An attempt goes out: there are only so many, none asks for a longer answer than its client, and none follows one that was answered. */
export function checkSent(
  { id }: Attempt,
  cap: number | undefined,
  { exchange, before, most }: { exchange: Exchange; before: readonly Attempt[]; most: number },
): void {
  const { call } = exchange.body;
  const sent = before.filter(({ wasSent }) => wasSent).length + 1;
  hold(4, sent <= most, () => `${id} is the attempt number ${sent}, of ${most}.`);
  hold(4, exchange.status === 0, () => `${id} is sent, and its client has an answer already, of status ${exchange.status}.`);
  const answered = before.find(({ wasAnswered }) => wasAnswered);
  hold(4, answered === undefined, () => `${id} is sent after ${answered?.id} was answered.`);
  const asked = call.outputCap;
  hold(
    1,
    cap === undefined || asked === undefined || cap <= asked,
    () => `${id} may write ${cap} tokens, and its client asked for ${asked}.`,
  );
}
