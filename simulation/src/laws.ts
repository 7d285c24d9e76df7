import type { ReserveCommand, ReserveResult, Standing } from "../../packages/core/dist/domain/command.js";
import {
  type Call,
  type Charge,
  type CounterRef,
  type Decision,
  type Entry,
  type Posting,
  windowSpan,
} from "../../packages/core/dist/index.js";
import { AdjustingLaw } from "./adjusting-law.js";
import { Books, type Kept, type Sum } from "./books.js";
import { isWindowAt } from "./calendar.js";
import { checkDenial, isPlausible, isUnclear } from "./denial-law.js";
import type { Exchange } from "./exchange.js";
import { attemptsBefore, attemptsOf, checkAttempt, checkSent } from "./failover-law.js";
import { endsTask, isLastAnswer, LastAnswerLaw } from "./finishing.js";
import { type Configuration, counterName, isFor, type LimitInForce, limitName, limitOf, type Moving, nameOf, refuses } from "./plan.js";
import type { Served } from "./providers.js";
import { roomFor, sliceOf, usedOf } from "./room.js";
import { SharingLaw } from "./sharing-law.js";
import { hold } from "./violation.js";
import { askedOn, chargedOn } from "./weighing.js";

type Reserved = Extract<Entry, { readonly kind: "reserved" }>;
type Command = Omit<ReserveCommand, "kind">;
type Refused = Extract<ReserveResult, { readonly outcome: "refused" }>;

/** What a gateway knew when it asked the store to hold a call. */
export interface Asked {
  readonly command: Command;
  readonly configuration: Configuration;
  /** When the gateway asked, and when the store was asked, each by its own clock. */
  readonly askedAt: number;
  at: number | undefined;
}

/** One call that was made, or one of its attempts, and what is known of it outside of the product. */
export interface Attempt {
  readonly id: string;
  /** The input's tokens as they are counted. */
  countedTokens: number;
  readonly asked: Asked[];
  /** What its gateway went by when it last asked for more to be held. */
  raisedBy: Configuration | undefined;
  /** It may be asked for at several gateways at the same time, by a program that gets no answer. */
  readonly refusals: { readonly asked: Asked; readonly result: Refused }[];
  decision: Decision["outcome"] | "failed" | undefined;
  /** Whether it went on without being counted, as its budgets say. */
  isUncounted: boolean;
  /** Whether the store failed it at least once. */
  sawFailure: boolean;
  /** Whether its first byte went out to a provider. */
  wasSent: boolean;
  /** Whether something of an answer came to its gateway. */
  wasAnswered: boolean;
  /** Whether the store failed to take how it ended. */
  isEndLost: boolean;
  served: Served | undefined;
  /** Whether the gateway that made it died before its end: then nobody knows what became of it. */
  wasOrphaned: boolean;
}

/** What is special in a simulation, for laws that hold only where it is not. */
export interface LawsOptions {
  /** Whether a changed configuration can reach some gateways more than half an hour later than others. */
  readonly canLagBehind: boolean;
  readonly isRemote: boolean;
  /** Whether what is in flight belongs to a process that is known to be dead. */
  readonly isRecovering: () => boolean;
}

/** The laws of ARCHITECTURE.md, checked at each entry of the ledger, at each decision, and once more when all is quiet. */
export class Laws {
  readonly books = new Books();
  readonly attempts = new Map<string, Attempt>();
  readonly sharing = new SharingLaw(this.books);
  readonly adjusting = new AdjustingLaw();
  readonly lastAnswers = new LastAnswerLaw(this.books);
  readonly #options: LawsOptions;
  /** How many times a law was held against something. */
  checks = 0;

  constructor(options: LawsOptions) {
    this.#options = options;
  }

  /** A call is made. */
  attempt(id: string, countedTokens: number): Attempt {
    const known = this.attempts.get(id);
    if (known) return known;
    const attempt: Attempt = {
      id,
      countedTokens,
      asked: [],
      refusals: [],
      decision: undefined,
      isUncounted: false,
      sawFailure: false,
      raisedBy: undefined,
      wasSent: false,
      wasAnswered: false,
      isEndLost: false,
      served: undefined,
      wasOrphaned: false,
    };
    this.attempts.set(id, attempt);
    return attempt;
  }

  /** The gateway of a call died: of attempts that have not ended nobody knows what becomes of them. */
  orphaned(request: string): void {
    for (const attempt of attemptsOf(this.attempts, request)) {
      const { state = "open" } = this.books.reservations.get(attempt.id) ?? {};
      if (state === "open" || state === "expired") attempt.wasOrphaned = true;
    }
  }

  /** When limits last came into force, by the clock of the store, and since which entry each of them is. */
  #changedAt = 0;
  #inForce: ReadonlyMap<string, number> = new Map();
  /** When a gateway last had a configuration in force. */
  #lastReachedAt = 0;
  /** The latest time of any entry. */
  #latest = 0;
  /** What resets took back, by the key of the counter. */
  readonly #takenBack = new Map<string, number>();

  /** An entry is in the ledger. Law 6: numbers have no gap, amounts are whole, and what is held is what open reservations hold. */
  entered(entry: Entry): void {
    this.checks++;
    const { books } = this;
    hold(6, entry.seq === books.seq + 1, () => `Entry ${entry.seq} follows ${books.seq}.`);
    if (entry.kind === "reserved") this.#admitted(entry);
    const kept = entry.kind === "reserved" ? undefined : books.reservations.get(entry.reservation);
    this.sharing.entered(entry);
    this.adjusting.entered(entry);
    this.#followsItsHold(entry, kept);
    books.seq = entry.seq;
    this.#latest = Math.max(this.#latest, entry.at);
    if (entry.kind === "adjusted" && entry.reset) {
      for (const { counter, spent } of entry.postings) this.#takenBack.set(counter.key, (this.#takenBack.get(counter.key) ?? 0) - spent);
    }
    if (entry.kind === "adjusted" && entry.adopted) {
      const { seq, adopted } = entry;
      this.#changedAt = entry.at;
      this.#inForce = new Map(adopted.limits.map((limit) => [identityOf(limit), this.#inForce.get(identityOf(limit)) ?? seq]));
    }
    for (const posting of entry.postings) {
      hold(
        6,
        Number.isSafeInteger(posting.held) && Number.isSafeInteger(posting.spent),
        () => `Entry ${entry.seq} posts ${textOf(posting)}.`,
      );
      books.post(posting);
    }
    this.lastAnswers.entered(entry);
    if (entry.kind === "reserved") books.reserve(entry);
    else if (kept) this.#evolve(entry, kept);
    for (const { counter } of entry.postings) {
      const { held, spent, heldByOpen } = books.counters.get(counter.key) as Sum;
      hold(3, held === heldByOpen, () => `${counter.key} holds ${held}, and its open reservations hold ${heldByOpen}.`);
      // A slice of a bucket that was drawn into another can be corrected to less than nothing.
      hold(6, held >= 0 && (spent >= 0 || counter.series !== undefined), () => `${counter.key} holds ${held} and has spent ${spent}.`);
    }
  }

  /** Laws 1 and 2: a reservation holds on every limit that applies, within each that is enforced, and as the call was asked for. */
  #admitted(entry: Reserved): void {
    const { reservation, postings, outputCap, detail } = entry;
    const counters = postings.map(({ counter }) => counter);
    hold(4, !this.books.reservations.has(reservation), () => `${reservation} was reserved a second time.`);
    const attempt = this.attempts.get(reservation);
    hold(8, attempt !== undefined && attempt.asked.length > 0, () => `${reservation} was reserved, and nobody asked for it.`);
    const candidates = attempt.asked.filter((one) => isHeldAs(one, entry));
    // Where a call was asked about more than once, it need have been right by one configuration only.
    const fitting = candidates.filter((one) => this.#fits(entry, one));
    const asked = fitting.find((one) => this.#isFilled(entry, one)) ?? fitting[0] ?? candidates[0];
    hold(2, asked !== undefined, () => `${reservation} holds ${postings.map(textOf).join(", ")}: not what was asked.`);
    for (const posting of postings) {
      const { counter, held } = posting;
      if (isLastAnswer(counter)) {
        this.lastAnswers.isOne(posting, reservation);
        continue;
      }
      const limit = limitOf(asked.configuration, counter);
      hold(2, limit !== undefined, () => `${reservation} holds on ${counter.key}, which is no limit in force.`);
      if (!refuses(limit, entry.at) || held === 0) continue;
      const isLast = endsTask(counters, counter.budget);
      const [amount, used] = [roomFor(this.books, limit, counter, entry.at, isLast), usedOf(this.books, limit, counter, entry.at)];
      hold(1, used + held <= amount, () => `${counter.key}: ${used} used + ${held} more of ${amount} for ${reservation}.`);
      this.sharing.admitted(counter, asked.configuration, entry.at);
      this.adjusting.admitted(counter, asked.configuration, entry.at);
    }
    const missing = applying(asked.configuration, detail.subject).find(({ name }) =>
      postings.every(({ counter }) => nameOf(counter) !== name),
    );
    hold(2, missing === undefined, () => `${reservation} holds nothing on ${missing?.name}.`);
    hold(1, outputCap <= asked.command.output.most, () => `${reservation} may write ${outputCap} tokens, more than were asked for.`);
    hold(1, this.#isFilled(entry, asked), () => `${reservation} may write ${outputCap} tokens, and one more would have fitted.`);
    if (!attempt.sawFailure) this.lastAnswers.isNotOver(entry, asked.configuration);
    for (const counter of counters) {
      if (isLastAnswer(counter)) continue;
      const limit = limitOf(asked.configuration, counter);
      const isRight = attempt.asked.some((one) => isRightWindow(counter, limit?.moving, one));
      const at = new Date(asked.at ?? 0).toISOString();
      hold(1, isRight, () => `${reservation} was reserved at ${at} on ${counter.key} until ${counter.resetsAt}: not its window.`);
    }
    const before = attemptsBefore(this.attempts, reservation);
    if (before.length === 0) return;
    const isTakenBack = (key: string) => this.#takenBack.has(key);
    checkAttempt(entry, before, { books: this.books, configuration: asked.configuration, isTakenBack });
  }

  #fits({ postings, at }: Reserved, { configuration }: Asked): boolean {
    return postings.every(({ counter, held }) => {
      if (isLastAnswer(counter)) return true;
      const limit = limitOf(configuration, counter);
      if (!limit) return false;
      return !refuses(limit, at) || held === 0 || this.#hasRoom(limit, counter, held, { at, postings });
    });
  }

  /** `postings`: all that the call is held on. */
  #hasRoom(limit: LimitInForce, counter: CounterRef, asked: number, { at, postings }: Pick<Reserved, "at" | "postings">): boolean {
    const isLast = endsTask(
      postings.map((one) => one.counter),
      counter.budget,
    );
    return usedOf(this.books, limit, counter, at) + asked <= roomFor(this.books, limit, counter, at, isLast);
  }

  /** An output cap that was lowered was lowered to what fits, and not further. */
  #isFilled({ outputCap, postings, at }: Reserved, { command, configuration }: Asked): boolean {
    if (outputCap === command.output.most) return true;
    const fitsOneMore = postings.every(({ counter }) => {
      const limit = limitOf(configuration, counter);
      return (
        !limit || !refuses(limit, at) || this.#hasRoom(limit, counter, askedOn(counter, command.asks, outputCap + 1), { at, postings })
      );
    });
    return !fitsOneMore;
  }

  /** Laws 3, 4, 5 and 7: what may come after what, and what each kind of end does with the hold. */
  #followsItsHold(entry: Entry, kept: Kept | undefined): void {
    const { kind, reservation: id, postings } = entry;
    if (kind === "reserved") return;
    if (kind === "denied" || kind === "answered") {
      hold(2, postings.length === 0, () => `${id} was ${kind}, and posts ${postings.map(textOf).join(", ")}.`);
      return;
    }
    if (kind === "drained" || kind === "granted" || kind === "revoked") {
      this.#isInOrder(entry);
      return;
    }
    if (kind === "adjusted" && entry.reset) {
      const isAll = postings.every(({ counter, held, spent }) => held === 0 && spent === 0 - this.books.standing(counter.key).spent);
      hold(6, isAll, () => `A reset takes back ${postings.map(textOf).join(", ")}, and not what is spent.`);
      return;
    }
    if (kind === "adjusted") {
      const fresh = postings.every(({ counter }) => !kept?.held.has(counter.key));
      hold(6, fresh, () => `${id} is held or charged a second time on a limit that it was on before.`);
      hold(
        4,
        kept === undefined || kept.state === "open" || kept.state === "expired",
        () => `${id} is adjusted after it was ${kept?.state}.`,
      );
      hold(3, kept?.state === "open" || postings.every(({ held }) => held === 0), () => `${id} is held, and is not in flight.`);
      return;
    }
    hold(4, kept !== undefined, () => `${id} is ${kind}, and was never reserved.`);
    if (kind === "raised") {
      this.#raised(entry, kept);
      return;
    }
    const isAllowed =
      kind === "corrected" ? kept.state === "expired" : kind === "overrun" ? kept.overrun !== undefined : kept.state === "open";
    hold(4, isAllowed, () => `${id} is ${kind} after it was ${kept.state}.`);
    hold(7, kind === "overrun" || kept.overrun === undefined, () => `${id} exceeded its hold, and no entry says so.`);
    const counters = kind === "overrun" ? (kept.overrun as ReadonlyMap<string, unknown>) : kept.held;
    const areAll = kind === "extended" || (postings.length === counters.size && postings.every(({ counter }) => counters.has(counter.key)));
    hold(3, areAll, () => `${id} holds on ${[...counters.keys()].join(", ")}, and its ${kind} posts ${postings.map(textOf).join(", ")}.`);
    for (const posting of postings) {
      const expected = this.#expected(entry, kept, posting.counter);
      // Nothing can be taken back from a counter that nobody knows any more.
      const isGone = entry.kind === "corrected" && posting.spent === 0 && expected.spent < 0 && this.#mayBeForgotten(posting.counter);
      const isRight = posting.held === expected.held && (posting.spent === expected.spent || isGone);
      hold(4, isRight, () => `${id} is ${kind} with ${textOf(posting)}: expected ${expected.held} held and ${expected.spent} spent.`);
    }
    if (kind === "extended") hold(3, entry.expiresAt >= kept.expiresAt, () => `The lease of ${id} was shortened.`);
    if (kind !== "expired") return;
    const isDue = entry.at >= kept.expiresAt || this.#options.isRecovering();
    hold(3, isDue, () => `${id} expired ${kept.expiresAt - entry.at} ms before its lease ran out.`);
    hold(5, entry.charge.certainty === "unconfirmed", () => `${id} expired, and is charged as if its end were known.`);
  }

  /** Laws 1, 2 and 3: more is held of a call in flight, where it is held already, and within every limit. */
  #raised(entry: Extract<Entry, { readonly kind: "raised" }>, kept: Kept): void {
    const { reservation: id, at, postings, expiresAt } = entry;
    hold(4, kept.state === "open", () => `More is held of ${id} after it was ${kept.state}.`);
    hold(3, expiresAt >= kept.expiresAt, () => `The lease of ${id} was shortened.`);
    const attempt = this.attempts.get(id);
    const configurations = [attempt?.raisedBy, attempt?.asked.at(-1)?.configuration].flatMap((one) => one ?? []);
    for (const posting of postings) {
      const { counter, held, spent } = posting;
      hold(3, kept.held.has(counter.key) && held > 0 && spent === 0, () => `${id} holds more by ${textOf(posting)}.`);
      // A limit that is not in force any more still holds for what was admitted by it.
      const [limit] = configurations.flatMap((configuration) => limitOf(configuration, counter) ?? []);
      // What was configured since is not what the call was asked for.
      if (!limit || !refuses(limit, at) || this.#changedAt > kept.reserved.at) continue;
      const whole = { at, postings: kept.reserved.postings };
      hold(1, this.#hasRoom(limit, counter, held, whole), () => `${counter.key}: ${held} more are held for ${id} than there was room for.`);
    }
  }

  /** Grants begin and end once. What is left of a bucket is drawn together without anything coming or going. */
  #isInOrder(entry: Extract<Entry, { readonly kind: "drained" | "granted" | "revoked" }>): void {
    const { books } = this;
    if (entry.kind === "drained") {
      hold(
        3,
        entry.postings.every(({ held }) => held === 0),
        () => `Entry ${entry.seq} draws together what is held.`,
      );
      return;
    }
    const { grant, kind } = entry;
    hold(6, entry.postings.length === 0, () => `The grant ${grant.id} posts something.`);
    hold(4, books.grants.has(grant.id) === (kind === "revoked"), () => `The grant ${grant.id} is ${kind} a second time.`);
    if (kind === "granted") books.grants.set(grant.id, grant);
    else books.grants.delete(grant.id);
  }

  #expected(entry: Entry, kept: Kept, counter: CounterRef): { readonly held: number; readonly spent: number } {
    const held = kept.held.get(counter.key)?.held ?? 0;
    if (entry.kind === "settled") return { held: 0 - held, spent: Math.min(held, chargedOn(counter, entry.charge)) };
    if (entry.kind === "overrun") return { held: 0, spent: kept.overrun?.get(counter.key) ?? 0 };
    if (entry.kind === "corrected") {
      const change = correctedTo(entry.charge, counter) - (kept.charged.get(counter.key) ?? 0);
      // What a reset took back meanwhile is not taken back again. What was drawn together in a bucket may become less than nothing.
      const isBucket = counter.window.endsWith(" bucket") || counter.window.endsWith(" leaky");
      const { spent } = this.books.standing(counter.key);
      return { held: 0, spent: isBucket ? change : Math.max(change, Math.min(0, 0 - spent)) };
    }
    // Law 5: a hold whose end is unknown is charged at its estimate.
    if (entry.kind === "expired") return { held: 0 - held, spent: counter.unit === "concurrent" ? 0 : held };
    return { held: 0 - held, spent: 0 };
  }

  #mayBeForgotten({ series, resetsAt = Infinity }: CounterRef): boolean {
    return resetsAt < this.#latest - (series === undefined ? KEPT_FOR_MS : SLICES_KEPT_FOR_MS);
  }

  #evolve(entry: Entry, kept: Kept): void {
    const { kind } = entry;
    for (const { counter, spent } of entry.postings) kept.charged.set(counter.key, (kept.charged.get(counter.key) ?? 0) + spent);
    if (kind === "extended") kept.expiresAt = entry.expiresAt;
    if (kind === "raised") {
      kept.expiresAt = entry.expiresAt;
      kept.outputCap = entry.outputCap;
      for (const posting of entry.postings) this.books.holdMore(kept, posting);
    }
    if (kind === "adjusted") {
      // What a limit that is new takes over of a call ends, or is corrected, with that call.
      for (const posting of entry.postings) this.books.holdOn(kept, posting);
    }
    if (kind === "released") this.books.end(kept, "released");
    if (kind === "expired") this.books.end(kept, "expired", entry.charge);
    if (kind === "corrected") {
      for (const { counter } of entry.postings) {
        const short = (kept.charged.get(counter.key) ?? 0) - correctedTo(entry.charge, counter);
        if (short !== 0) this.#takenBack.set(counter.key, (this.#takenBack.get(counter.key) ?? 0) - short);
      }
      kept.state = "corrected";
      kept.charge = entry.charge;
    }
    if (kind === "overrun") {
      kept.overrun = undefined;
      kept.hasOverrun = true;
    }
    if (kind !== "settled") return;
    const exceeding = new Map<string, number>();
    for (const { counter, held } of kept.held.values()) {
      const used = chargedOn(counter, entry.charge);
      if (used > held) exceeding.set(counter.key, used - held);
    }
    if (exceeding.size > 0) kept.overrun = exceeding;
    this.books.end(kept, "settled", entry.charge);
  }

  /** The store has charged what ran out, of what was in the ledger by then. Law 3: every hold ends. */
  expired(now: number, upTo: number): void {
    this.checks++;
    for (const { id, expiresAt, reserved } of this.books.open.values())
      hold(3, expiresAt > now || reserved.seq > upTo, () => `The lease of ${id} ran out ${now - expiresAt} ms ago, and it is still held.`);
  }

  /** Law 6: the balances that a store tells are the sums of its entries; of all that it must know, where they are to be complete. */
  balances(counters: readonly { readonly ref: CounterRef; readonly spent: number; readonly held: number }[], completeAt?: number): void {
    this.checks++;
    const latest = Math.max(this.#latest, completeAt ?? 0);
    for (const { ref, spent, held } of counters) {
      // What was over for long may have been forgotten, and come back for a correction.
      if ((ref.resetsAt ?? Infinity) < latest - (ref.series === undefined ? KEPT_FOR_MS : 0)) continue;
      const sum = this.books.standing(ref.key);
      const isSum = sum.spent === spent && sum.held === held;
      hold(6, isSum, () => `${ref.key} has ${spent} spent and ${held} held, and its entries come to ${sum.spent} and ${sum.held}.`);
    }
    if (completeAt === undefined) return;
    const told = new Set(counters.map(({ ref }) => ref.key));
    for (const [key, { ref, spent, held }] of this.books.counters) {
      const keptForMs = ref.series === undefined ? KEPT_FOR_MS : 0;
      const isForgotten = (ref.resetsAt ?? Infinity) < completeAt - keptForMs || (spent === 0 && held === 0);
      hold(6, isForgotten || told.has(key), () => `${key} has ${spent} spent and ${held} held, and the store has forgotten it.`);
    }
  }

  /** A store says that it holds a call. Law 2 of durability: its entry is there. */
  reserved({ id }: Command, { outputTokens, standings }: Extract<ReserveResult, { readonly outcome: "reserved" }>): void {
    this.checks++;
    const kept = this.books.reservations.get(id);
    hold(5, kept !== undefined, () => `${id} was said to be held, and is not in the ledger.`);
    const { outputCap } = kept.reserved;
    hold(4, outputCap === outputTokens, () => `${id} may write ${outputCap} tokens, and its caller was told ${outputTokens}.`);
    hold(
      10,
      standings.every(({ spent, held }) => spent >= 0 && held >= 0),
      () => `${id} was told of balances below 0.`,
    );
  }

  /** A store refuses a call, and tells how its limits stand: as they stood at that moment, and as the books have it. */
  refused(asked: Asked, result: Refused, before: readonly Standing[]): void {
    this.checks++;
    const { command, configuration, at = 0 } = asked;
    const attempt = this.attempts.get(command.id) as Attempt;
    attempt.refusals.push({ asked, result });
    for (const [i, { counter }] of command.limits.entries()) {
      const [told, stood] = [result.standings[i], before[i]];
      const isTold = told?.spent === stood?.spent && told?.held === stood?.held && told?.amount === stood?.amount;
      hold(10, isTold, () => `${counter.key} stands at ${JSON.stringify(stood)}, and ${command.id} is told ${JSON.stringify(told)}.`);
      const limit = limitOf(configuration, counter);
      // What a gateway's own store decided a moment ago may not be on its disk yet.
      if (!limit || !told || !this.#options.isRemote) continue;
      const isLast = endsTask(
        command.limits.map((one) => one.counter),
        counter.budget,
      );
      const [amount, used] = [roomFor(this.books, limit, counter, at, isLast), usedOf(this.books, limit, counter, at)];
      const isRight = told.amount === amount && Math.abs(told.spent + told.held - used) <= (limit.moving?.kind === "bucket" ? 1 : 0);
      hold(10, isRight, () => `${counter.key} has ${used} used of ${amount}, and ${command.id} is told ${JSON.stringify(told)}.`);
    }
  }

  /** A gateway has decided, at a time of its clock. A refusal is one that the limits ask for, and explains itself. */
  decided(call: Call, decision: Decision, configuration: Configuration, now: number): void {
    this.checks++;
    const attempt = this.attempts.get(call.id) as Attempt;
    attempt.decision = decision.outcome;
    if (decision.outcome === "uncounted") {
      attempt.isUncounted = true;
      if (isUnclear(attempt, configuration, now)) return;
      const isOpen = configuration.planned.every((budget) => budget.isOpen || !refuses(budget, now) || !isFor(budget, call.subject));
      hold(8, isOpen && attempt.sawFailure, () => `${call.id} goes on uncounted, and a budget of it is closed.`);
    } else if (decision.outcome === "denied") {
      checkDenial(call, decision.denial, attempt, { configuration, now, lastAnswers: this.lastAnswers });
    } else {
      const kept = this.books.reservations.get(call.id);
      const { balances, reservation } = decision;
      hold(5, kept !== undefined, () => `${call.id} is allowed, and not in the ledger.`);
      hold(4, reservation.outputTokens === kept.reserved.outputCap, () => `${call.id} is allowed another cap than is held.`);
      hold(
        10,
        balances.every((balance) => isPlausible(balance, configuration)),
        () => `${call.id} is told of balances that do not add up.`,
      );
    }
  }

  /** The first byte of a call goes out. Laws 5 and 8: nothing is sent that is not held, nor with another cap than is held. */
  sent(id: string, cap: number | undefined): void {
    this.checks++;
    const attempt = this.attempts.get(id) as Attempt;
    attempt.wasSent = true;
    if (attempt.isUncounted) return;
    const kept = this.books.reservations.get(id);
    hold(5, kept !== undefined, () => `${id} is sent, and not in the ledger.`);
    const isLimited = kept.reserved.postings.length > 0;
    // Where more was held, and its caller was not told so, it goes by what it knows.
    const isWithin = cap === kept.outputCap || (kept.outputCap > kept.reserved.outputCap && cap !== undefined && cap < kept.outputCap);
    hold(1, !isLimited || isWithin, () => `${id} is sent with a cap of ${cap}, and ${kept.outputCap} is held.`);
  }

  /** An attempt of a client's call goes out. */
  sentFor(exchange: Exchange, id: string, cap: number | undefined, most: number): void {
    checkSent(this.attempts.get(id) as Attempt, cap, { exchange, before: attemptsBefore(this.attempts, id), most });
  }

  served(served: Served): void {
    const attempt = this.attempts.get(served.id) as Attempt;
    hold(4, attempt.served === undefined, () => `${served.id} was sent twice.`);
    attempt.served = served;
  }

  /** A gateway has a configuration in force, and took over what others admitted without it. */
  reached(at: number): void {
    this.#lastReachedAt = Math.max(this.#lastReachedAt, at);
  }

  /** All has ended, and time has passed. Laws 3, 4, 5 and 7 for every call; and the providers' bills. */
  quiet(): void {
    for (const { id } of this.books.open.values()) hold(3, false, () => `${id} never ended.`);
    for (const { ref, held } of this.books.counters.values()) hold(3, held === 0, () => `${ref.key} still holds ${held}.`);
    for (const attempt of this.attempts.values()) {
      this.checks++;
      this.#isCharged(attempt);
    }
  }

  /**
   * Law 6: a changed configuration loses no usage. Whatever was in force when a call was made, the limits in force now have counted it, if
   * it was made in a window that they have seen. Only of calls that a gateway admitted long after the change, which had not reached it yet,
   * this is not said.
   */
  carriedOver({ planned, limits }: Configuration): void {
    for (const budget of planned) {
      for (const limit of budget.limits) {
        // What a bucket took in is drawn together, and drains; and of slices only a gateway beside its store knows them to the second.
        if (limit.moving && (limit.moving.kind === "bucket" || this.#options.isRemote)) continue;
        const { window } = (limits.get(`${budget.name}|${limitName(budget, limit)}`) as LimitInForce).placed;
        const since = this.#inForce.get(identityOf({ budget: budget.name, limit: limitName(budget, limit), per: budget.per })) ?? 0;
        const sums = new Map<string, { least: number; most: number }>();
        for (const { reserved, charge, state } of this.books.reservations.values()) {
          if (!isFor(budget, reserved.detail.subject) || !charge || state === "released") continue;
          const { startsAt, resetsAt = Infinity } = windowSpan(window, reserved.at);
          if (resetsAt <= this.#changedAt + (limit.moving ? 2 * sliceOf(limit.moving) : 0)) continue;
          const key = `${counterName(budget, limit, reserved.detail.subject)}|${startsAt}`;
          const isLate = reserved.seq > since && reserved.postings.every(({ counter }) => counter.key !== key);
          const named = { unit: limit.unit, window: limitName(budget, limit).slice(limit.unit.length + 1) };
          const used = correctedTo(charge, named);
          const sum = sums.get(key) ?? { least: 0, most: 0 };
          sum.most += used;
          // What was admitted without the limit is taken over later, unless its window is over by then.
          if (!isLate || !(this.#options.canLagBehind || resetsAt <= this.#lastReachedAt)) sum.least += used;
          sums.set(key, sum);
        }
        this.checks += sums.size;
        for (const [key, { least, most }] of sums) {
          const { spent } = this.books.standing(key);
          const counted = spent + (this.#takenBack.get(key) ?? 0);
          const isCounted = least <= counted && counted <= most;
          hold(6, isCounted, () => `${key} has counted ${counted}, and the calls made in its window come to ${least} to ${most}.`);
        }
      }
    }
  }

  #isCharged({ id, wasSent, served, isUncounted, wasOrphaned }: Attempt): void {
    const kept = this.books.reservations.get(id);
    if (!kept) {
      hold(5, !wasSent || isUncounted, () => `${id} was sent, and is not in the ledger.`);
      return;
    }
    hold(7, kept.overrun === undefined, () => `${id} exceeded its hold, and no entry says so.`);
    if (isUncounted) return;
    const { charge } = kept;
    const cost = charge?.cost ?? 0;
    // Law 5: what was never sent is returned, where somebody lived to say so.
    if (!wasSent && !wasOrphaned) {
      const isReturned = kept.state === "released" || (kept.state === "corrected" && cost === 0 && charge?.usage.outputTokens === 0);
      hold(5, isReturned, () => `${id} was never sent, and is ${kept.state}, charged ${cost}.`);
      return;
    }
    const isOverrun = kept.hasOverrun && charge?.certainty === "confirmed";
    hold(7, !isOverrun || served?.exceeds === true, () => `${id} exceeded its hold, and its provider did not.`);
    if (!served || served.billed === 0 || served.lies || charge?.certainty === "estimated") return;
    // Law 5: when in doubt, the budget is protected.
    const isFree = kept.reserved.detail.cost === undefined;
    const isUnknown = charge?.certainty === "unconfirmed" && served.exceeds;
    if (isFree || isUnknown) return;
    hold(5, cost >= served.billed, () => `${id} is ${kept.state} and charged ${cost}, and its provider bills ${served.billed}.`);
  }
}

/** Windows that closed so long ago, by a clock that may be wrong, need not be remembered. */
const KEPT_FOR_MS = 40 * 3_600_000;
/** Slices of a window that moves close all the time. */
const SLICES_KEPT_FOR_MS = 10 * 60_000;

/** All limits that apply to a call, by the names of their counters. */
function applying({ planned }: Configuration, subject: Call["subject"]): readonly { readonly name: string }[] {
  return planned
    .filter((budget) => isFor(budget, subject))
    .flatMap((budget) => budget.limits.map((limit) => ({ name: counterName(budget, limit, subject) })));
}

/** Whether a counter is that of the window, or of the slice, in which a call was asked for. */
function isRightWindow(counter: CounterRef, moving: Moving | undefined, { askedAt, at = askedAt }: Asked): boolean {
  if (!moving) return isWindowAt(counter, at);
  const { startsAt } = counter;
  const sliceMs = sliceOf(moving);
  return startsAt % sliceMs === 0 && startsAt <= at && startsAt + sliceMs > askedAt;
}

/** Whether an entry holds what a command asked for, on the counters that it named. */
function isHeldAs({ command }: Asked, { postings, outputCap }: Reserved): boolean {
  return (
    postings.length === command.limits.length &&
    postings.every(({ counter, held, spent }, i) => {
      const limit = command.limits[i];
      return (
        limit !== undefined && isSameLimit(limit.counter, counter) && spent === 0 && held === askedOn(counter, command.asks, outputCap)
      );
    })
  );
}

/** The slice of a moving window is that of the moment in which the store decides. */
function isSameLimit(asked: CounterRef, held: CounterRef): boolean {
  return asked.series === undefined ? asked.key === held.key : asked.series === held.series;
}

/** A limit, as an adoption names it. */
function identityOf({ budget, limit, per }: { readonly budget: string; readonly limit: string; readonly per: readonly string[] }): string {
  return JSON.stringify([budget, limit, per]);
}

/** A release is recorded as a correction to nothing at all, though every settlement is a request. */
function correctedTo(charge: Charge, named: Pick<CounterRef, "unit" | "window">): number {
  const { inputTokens, outputTokens } = charge.usage;
  const isReturned = inputTokens === 0 && outputTokens === 0 && !charge.cost;
  return isReturned ? 0 : chargedOn(named, charge);
}

function textOf({ counter, held, spent }: Posting): string {
  return `${counter.key} ${held} held ${spent} spent`;
}
