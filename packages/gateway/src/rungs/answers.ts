import { hash } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import type { Outcome } from "../outcome.ts";
import type { RoutedCall } from "./climb.ts";
import { lastQuestion } from "./last-question.ts";
import { nearness, type Wording, wordingOf } from "./nearness.ts";

/** An answer as its client got it. */
export interface KeptAnswer {
  /** The call that it is of, by its id in the ledger. */
  readonly from: string;
  readonly contentType: string;
  /** In the pieces in which they came, so that a stream is one again. */
  readonly pieces: readonly Buffer[];
  readonly bytes: number;
  readonly at: number;
  /** What its call cost, in nano-dollars: known when that is settled, which is a little after its end. Nothing where it never is. */
  readonly cost: Promise<number | undefined>;
}

/** What a call is known by. */
export interface CallName {
  /** The same for the same call. */
  readonly key: string;
  /** Where it may be answered as a similar one was. */
  readonly question: AskedQuestion | undefined;
}

/** A question, and all that has to be the same of the calls that ask one like it. */
export interface AskedQuestion {
  readonly around: string;
  readonly wording: Wording;
}

/** An answer to a similar question. */
export interface NearAnswer {
  readonly answer: KeptAnswer;
  readonly nearness: number;
}

/** All answers together have at most so many bytes; the ones that were asked for longest ago go first. */
const BYTES_MOST = 64 * 1024 * 1024;
const ANSWER_MOST = 1024 * 1024;
/** What an answer takes beside its bytes. */
const ENTRY_BYTES = 500;
/** What a question takes beside its text, which is kept twice, in two bytes a letter. */
const QUESTION_BYTES = 300;
const BYTES_PER_LETTER = 4;
/** So many wordings of a question are compared with one that is asked, the newest ones: more are not kept. */
const WORDINGS_MOST = 8;

interface Entry {
  readonly answer: KeptAnswer;
  readonly question: AskedQuestion | undefined;
  readonly bytes: number;
}

/** Answers that may be given again, in memory. Nothing is kept unless a ladder asks for it. */
export class Answers {
  readonly #entries = new Map<string, Entry>();
  /** The keys of calls whose questions may be similar, oldest first. */
  readonly #alike = new Map<string, Set<string>>();
  #bytes = 0;

  /** The answer to the same call, if it is no older than `ageMs`. */
  find(key: string, ageMs: number, now: number): KeptAnswer | undefined {
    const entry = this.#entries.get(key);
    if (!entry || !isInTime(entry, ageMs, now)) return undefined;
    // What is asked for stays.
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    return entry.answer;
  }

  /** The answer to the question that is nearest to one that is asked in a call that is the same otherwise. */
  findSimilar(asked: AskedQuestion, least: number, ageMs: number, now: number): NearAnswer | undefined {
    let nearest: { readonly key: string; readonly nearness: number } | undefined;
    for (const key of this.#alike.get(placeOf(asked)) ?? []) {
      const entry = this.#entries.get(key);
      if (!entry?.question || !isInTime(entry, ageMs, now)) continue;
      const near = nearness(asked.wording, entry.question.wording);
      if (near >= least && near >= (nearest?.nearness ?? 0)) nearest = { key, nearness: near };
    }
    const answer = nearest && this.find(nearest.key, ageMs, now);
    return nearest && answer && { answer, nearness: nearest.nearness };
  }

  keep({ key, question }: CallName, answer: KeptAnswer): void {
    this.#drop(key);
    const ofQuestion = question ? QUESTION_BYTES + (question.wording.plain.length + question.wording.sense.length) * BYTES_PER_LETTER : 0;
    const bytes = answer.bytes + ENTRY_BYTES + ofQuestion;
    this.#entries.set(key, { answer, question, bytes });
    this.#bytes += bytes;
    if (question) this.#addAlike(key, question);
    while (this.#bytes > BYTES_MOST) this.#drop(this.#entries.keys().next().value as string);
  }

  #addAlike(key: string, question: AskedQuestion): void {
    const place = placeOf(question);
    const alike = this.#alike.get(place) ?? new Set();
    this.#alike.set(place, alike.add(key));
    const [oldest] = alike;
    if (alike.size > WORDINGS_MOST && oldest !== undefined) this.#forgetQuestion(oldest, alike);
  }

  /** The answer to the same call stays. */
  #forgetQuestion(key: string, alike: Set<string>): void {
    const entry = this.#entries.get(key);
    if (entry) this.#entries.set(key, { ...entry, question: undefined });
    alike.delete(key);
  }

  /** Forgets the answers from before a time. */
  forget(before = Number.POSITIVE_INFINITY): void {
    for (const [key, { answer }] of this.#entries) if (answer.at < before) this.#drop(key);
  }

  /** Forgets what was asked, and keeps the answers to the same calls. */
  forgetQuestions(): void {
    for (const [key, entry] of this.#entries) if (entry.question) this.#entries.set(key, { ...entry, question: undefined });
    this.#alike.clear();
  }

  get size(): number {
    return this.#entries.size;
  }

  #drop(key: string): void {
    const entry = this.#entries.get(key);
    if (!entry) return;
    this.#entries.delete(key);
    this.#bytes -= entry.bytes;
    const place = entry.question && placeOf(entry.question);
    const alike = place === undefined ? undefined : this.#alike.get(place);
    alike?.delete(key);
    if (place !== undefined && alike?.size === 0) this.#alike.delete(place);
  }
}

function isInTime({ answer: { at } }: Entry, ageMs: number, now: number): boolean {
  return now - at <= ageMs && now >= at;
}

/** Where the calls stand whose questions are compared with each other. */
function placeOf({ around, wording }: AskedQuestion): string {
  return `${around}\n${wording.sense}`;
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
  answer(from: string, outcome: Outcome, outputTokensMost: number, at: number): Omit<KeptAnswer, "cost"> | undefined {
    if (outcome.kind !== "answered" || !outcome.isWhole || this.#contentType === undefined || this.#bytes > ANSWER_MOST) return undefined;
    const outputTokens = outcome.usage?.outputTokens ?? outcome.outputTokens();
    if (outputTokens >= outputTokensMost) return undefined;
    return { from, contentType: this.#contentType, pieces: this.#pieces, bytes: this.#bytes, at };
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
 * whose answer is not in its body alone, because a tool of the provider looks things up for it. `similar`: by its question too.
 */
export function callName(routed: RoutedCall, { headers, url = "" }: AnsweredRequest, similar: boolean): CallName | undefined {
  const { call, provider, model } = routed;
  const asked = routed.asked ?? routed;
  if (Object.keys(call.toolCalls).length > 0) return undefined;
  const named = Object.entries(headers).filter(([name]) => CHANGES_ANSWER.test(name));
  // Some formats say in their address whether an answer is a stream, and of which kind.
  const { name, path } = asked.dialect;
  const form = new URLSearchParams(url.split("?")[1]).getAll("alt");
  const terms = JSON.stringify([name, path, form, provider.name, model, askerOf(routed), named.sort()]);
  // Of a call in another format, what its client made of it says how its answer is written.
  const key = [terms, ...new Set([call.body.bytes, asked.call.body.bytes])].map((part) => hash("sha256", part, "base64")).join("");
  return { key, question: similar ? askedQuestion(routed, terms) : undefined };
}

/** The question of a call, as its client asks it, and as it goes on where that is in another format or with less history. */
function askedQuestion(routed: RoutedCall, terms: string): AskedQuestion | undefined {
  const sent = lastQuestion(routed.dialect, routed.call);
  const asked = routed.asked ? lastQuestion(routed.asked.dialect, routed.asked.call) : sent;
  const wording = asked && wordingOf(asked.text);
  if (!sent || !asked || !wording) return undefined;
  return { around: hash("sha256", terms + sent.around() + asked.around(), "base64"), wording };
}

/** Who asks, as far as what was kept for one must not be given to another. */
export function askerOf({ subject, caller }: Pick<RoutedCall, "subject" | "caller">): unknown {
  const { key, user, org, team, product, feature, tags } = subject;
  return { key, user, org, team, product, feature, tags, own: caller.providerKey };
}
