import { hash } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import type { Outcome } from "../outcome.ts";
import type { RoutedCall } from "./climb.ts";

/** An answer as its client got it. */
export interface KeptAnswer {
  readonly contentType: string;
  /** In the pieces in which they came, so that a stream is one again. */
  readonly pieces: readonly Buffer[];
  readonly bytes: number;
  readonly at: number;
}

/** All answers together have at most so many bytes; the ones that were asked for longest ago go first. */
const BYTES_MOST = 64 * 1024 * 1024;
const ANSWER_MOST = 1024 * 1024;
/** What an answer takes beside its bytes. */
const ENTRY_BYTES = 500;

/** Answers that may be given again, in memory. Nothing is kept unless a ladder asks for it. */
export class Answers {
  readonly #answers = new Map<string, KeptAnswer>();
  #bytes = 0;

  /** The answer to the same call, if it is no older than `ageMs`. */
  find(key: string, ageMs: number, now: number): KeptAnswer | undefined {
    const answer = this.#answers.get(key);
    if (!answer || now - answer.at > ageMs || now < answer.at) return undefined;
    // What is asked for stays.
    this.#answers.delete(key);
    this.#answers.set(key, answer);
    return answer;
  }

  keep(key: string, answer: KeptAnswer): void {
    this.#drop(key);
    this.#answers.set(key, answer);
    this.#bytes += answer.bytes + ENTRY_BYTES;
    while (this.#bytes > BYTES_MOST) this.#drop(this.#answers.keys().next().value as string);
  }

  /** Forgets the answers from before a time. */
  forget(before = Number.POSITIVE_INFINITY): void {
    for (const [key, { at }] of this.#answers) if (at < before) this.#drop(key);
  }

  get size(): number {
    return this.#answers.size;
  }

  #drop(key: string): void {
    const answer = this.#answers.get(key);
    if (!answer) return;
    this.#answers.delete(key);
    this.#bytes -= answer.bytes + ENTRY_BYTES;
  }
}

/** Takes an answer down as it passes. */
export class Recording {
  #contentType: string | undefined;
  #pieces: Buffer[] = [];
  #bytes = 0;

  begin(status: number, contentType: string | undefined): void {
    if (status === 200) this.#contentType = contentType;
  }

  add(bytes: Buffer): void {
    this.#bytes += bytes.length;
    if (this.#bytes > ANSWER_MOST) this.#pieces = [];
    // Copied, because what comes from a socket is part of something larger.
    else this.#pieces.push(Buffer.from(bytes));
  }

  /** The answer, if it came whole and was not cut at the cap that a budget lowered. */
  answer(outcome: Outcome, outputTokensMost: number, at: number): KeptAnswer | undefined {
    if (outcome.kind !== "answered" || !outcome.isWhole || this.#contentType === undefined || this.#bytes > ANSWER_MOST) return undefined;
    const outputTokens = outcome.usage?.outputTokens ?? outcome.outputTokens();
    if (outputTokens >= outputTokensMost) return undefined;
    return { contentType: this.#contentType, pieces: this.#pieces, bytes: this.#bytes, at };
  }
}

/** What of a client's request says how it is answered, beside its body. */
export interface AnsweredRequest {
  readonly headers: IncomingHttpHeaders;
  readonly url?: string | undefined;
}

/** Headers that say what a provider is to do, beside the body. */
const CHANGES_ANSWER = /^(anthropic-|openai-)/;

/**
 * What a call is known by: all of its body, where it goes, and who asks. Nobody gets what another key or user was answered. None for a call
 * whose answer is not in its body alone, because a tool of the provider looks things up for it.
 */
export function answerKey(routed: RoutedCall, { headers, url = "" }: AnsweredRequest): string | undefined {
  const { call, provider, model } = routed;
  const asked = routed.asked ?? routed;
  if (Object.keys(call.toolCalls).length > 0) return undefined;
  const named = Object.entries(headers).filter(([name]) => CHANGES_ANSWER.test(name));
  // Some formats say in their address whether an answer is a stream, and of which kind.
  const { name, path } = asked.dialect;
  const form = new URLSearchParams(url.split("?")[1]).getAll("alt");
  const terms = JSON.stringify([name, path, form, provider.name, model, askerOf(routed), named.sort()]);
  // Of a call in another format, what its client made of it says how its answer is written.
  return [terms, ...new Set([call.body.bytes, asked.call.body.bytes])].map((part) => hash("sha256", part, "base64")).join("");
}

/** Who asks, as far as what was kept for one must not be given to another. */
export function askerOf({ subject, caller }: Pick<RoutedCall, "subject" | "caller">): unknown {
  const { key, user, org, team, product, feature, tags } = subject;
  return { key, user, org, team, product, feature, tags, own: caller.providerKey };
}
