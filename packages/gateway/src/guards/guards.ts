import { hash, randomBytes } from "node:crypto";
import { type Budget, type Charge, isLabelOf, observes, rungText, type Subject, subjectLabel, totalTokens } from "@purser/core";
import type { Alerts } from "../alerts/alerts.ts";
import type { BudgetedCall } from "../budgeted-call.ts";
import {
  createWatch,
  type Guard,
  type GuardRung,
  learnRepeats,
  learnUsual,
  letGo,
  repeatsTrip,
  type SeenCall,
  sameTrip,
  sawCall,
  sawSpend,
  sawTrip,
  type Trip,
  tripsInForce,
  type Watch,
} from "./guard.ts";
import { type CountAnswer, type Counted, type CountItem, countCall, countEnd, countSize, countSpend } from "./tally.ts";
import { ToldCounts } from "./told-counts.ts";
import { findToolLoop, roundsFor } from "./tool-loop.ts";
import { type ToolRound, toolRounds } from "./tool-rounds.ts";
import { NO_TRIP_BOOK, type TripBook } from "./trip-book.ts";
import { describeTrip, tripDigest, tripNotice } from "./trip-notice.ts";

/** A budget that watches over its calls. */
export interface GuardedBudget {
  readonly budget: Budget;
  readonly guard: Guard;
}

/** A guard that stands against a call, and what it does to it. */
export interface Tripped extends GuardedBudget {
  readonly trip: Trip;
  /** What happened, until when what holds, and what to do, in sentences for people and agents. */
  readonly message: string;
}

/** What stands against calls of a subject now. */
export interface StandingGuard extends Tripped {
  /** `trip_7f3a…` */
  readonly id: string;
  /** `session=42`; empty where the budget has one balance for all. */
  readonly label: string;
}

interface Watched {
  readonly budget: string;
  readonly label: string;
  readonly watch: Watch;
  /** Something is known of what other processes counted. */
  isShared: boolean;
}

interface GuardsOptions {
  readonly book?: TripBook | undefined;
  /** Told what could not be told to other processes. */
  readonly onError?: (error: unknown) => void;
}

/** So many subjects are watched; of more, those that called last. */
const SUBJECTS_MOST = 20_000;

/** Watches for calls that repeat, grow or cost far more than usual, each subject of a budget apart. */
export class Guards {
  readonly #alerts: Pick<Alerts, "tell">;
  #guarded: readonly GuardedBudget[] = [];
  #sameToolMost = 0;
  /** In the order in which their subjects called last. */
  #watches = new Map<string, Watched>();
  readonly #book: TripBook;
  readonly #onError: (error: unknown) => void;
  #takingOver: Promise<void> | undefined;
  /** What it is called among other processes. */
  readonly #instance = randomBytes(9).toString("base64url");
  /** What the other processes know too. */
  readonly #shared = new WeakSet<Trip>();
  /** What this process counted, for those that it counts together with. */
  readonly #counts: ToldCounts<Watched> | undefined;

  constructor(
    guarded: readonly GuardedBudget[],
    alerts: Pick<Alerts, "tell">,
    { book = NO_TRIP_BOOK, onError = () => undefined }: GuardsOptions = {},
  ) {
    this.#alerts = alerts;
    this.#book = book;
    this.#onError = onError;
    this.#counts =
      book.counts &&
      new ToldCounts(book.counts, this.#instance, {
        itemOf: (watched, counted) => this.#itemOf(watched, counted),
        learnt: (watched, answer, since) => this.#learn(watched, answer, since),
        onError,
      });
    this.configure(guarded);
  }

  /** The guards as they are from now on. What was seen stays seen. */
  configure(guarded: readonly GuardedBudget[]): void {
    this.#guarded = guarded;
    this.#sameToolMost = Math.max(0, ...guarded.map(({ guard }) => guard.sameTool ?? 0));
  }

  /** Looks at a call that is about to be made, and says what stands against it. */
  look(call: BudgetedCall, now: number): readonly Tripped[] {
    if (this.#guarded.length === 0) return [];
    const { subject } = call;
    let seen: SeenCall | undefined;
    let rounds: readonly ToolRound[] | undefined;
    const tripped: Tripped[] = [];
    for (const { budget, guard } of this.#guarded) {
      if (!budget.selects(subject)) continue;
      seen ??= { fingerprint: fingerprintOf(call), size: call.call.body.bytes.length };
      if (guard.sameTool !== undefined) rounds ??= toolRounds(call, roundsFor(this.#sameToolMost));
      const loop = guard.sameTool === undefined ? undefined : findToolLoop(rounds ?? [], guard.sameTool);
      const watched = this.#watched(budget, subjectLabel(budget, subject));
      const { watch, label } = watched;
      const trip = this.#counts
        ? this.#lookTogether(watched, guard, { ...seen, loop }, now)
        : sawCall(watch, guard, { ...seen, loop }, now);
      if (!trip) continue;
      this.#share(budget, label, trip);
      const one = { budget, guard, trip, message: describeTrip(budget, label, trip) };
      tripped.push(one);
      this.#tell(one, label);
    }
    return tripped.filter(({ budget }) => !observes(budget, now));
  }

  /** Looks at what a call was charged. */
  spent(subject: Subject, { cost, usage }: Charge, now: number): void {
    for (const { budget, guard } of this.#guarded) {
      if (!budget.selects(subject)) continue;
      const watched = this.#watched(budget, subjectLabel(budget, subject));
      const { watch, label } = watched;
      const amount = cost ?? totalTokens(usage);
      // What is dear for one process may be usual for all: where they can be asked, it is theirs to say.
      const isAlone = !this.#counts || this.#counts.isAway || !watched.isShared;
      sawSpend(watch, isAlone ? guard : { ...guard, surge: guard.surge && Number.POSITIVE_INFINITY }, amount, now);
      if (this.#counts && guard.surge !== undefined) countSpend(this.#counts.of(watched), amount, now);
      if (watch.trip && now < watch.trip.until) this.#share(budget, label, watch.trip);
    }
  }

  /** Takes over what guards of other processes tripped on, and of what they let go. To be called every second or so. */
  takeOver(now: number): Promise<void> {
    this.#takingOver ??= this.#takeOver(now).finally(() => {
      this.#takingOver = undefined;
    });
    return this.#takingOver;
  }

  async #takeOver(now: number): Promise<void> {
    if (this.#guarded.length === 0) return;
    for (const { kind, by, at, budget: name, label, trip } of await this.#book.look()) {
      if (by === this.#instance) continue;
      const guarded = this.#guarded.find(({ budget }) => budget.name === name);
      if (!guarded || !isLabelOf(guarded.budget, label)) continue;
      const { watch } = this.#watched(guarded.budget, label);
      if (kind === "tripped") {
        this.#shared.add(trip);
        sawTrip(watch, trip, now);
      } else {
        const same = sameTrip(watch, trip, now);
        // What went on after that is another one.
        if (same && same.at <= at) letGo(watch, same, now);
      }
    }
  }

  /** Tells what was counted here, and learns what others counted. It is done by itself, in the background. */
  async countTogether(): Promise<void> {
    await this.#counts?.tell();
  }

  close(): void {
    this.#counts?.close();
    this.#book.close();
  }

  /** What stands against calls now, the latest first. */
  standing(now: number): readonly StandingGuard[] {
    return [...this.#watches.values()].flatMap((watched) => this.#standing(watched, now)).sort((a, b) => b.trip.at - a.trip.at);
  }

  /** Lets calls pass before the time, here at once, and at other processes when they are told. Nothing where nothing stands under this id. */
  async end(id: string, now: number): Promise<StandingGuard | undefined> {
    for (const watched of this.#watches.values()) {
      const found = this.#standing(watched, now).find((one) => one.id === id);
      if (!found) continue;
      letGo(watched.watch, found.trip, now);
      await this.#letGoOf(watched, found.trip, now);
      return found;
    }
    return undefined;
  }

  #standing({ budget: name, label, watch }: Watched, now: number): readonly StandingGuard[] {
    const guarded = this.#guarded.find(({ budget }) => budget.name === name);
    if (!guarded) return [];
    const { budget, guard } = guarded;
    return tripsInForce(watch, now).map((trip) => {
      const id = `trip_${tripDigest(budget, label, trip)}`;
      return { id, budget, guard, label, trip, message: describeTrip(budget, label, trip) };
    });
  }

  /**
   * Repeats are counted here on top of what others are known to have counted, which is never too many. Whether calls grow in a row, or cost
   * more than usual, only those know who count together.
   */
  #lookTogether(watched: Watched, guard: Guard, seen: SeenCall, now: number): Trip | undefined {
    const { watch } = watched;
    const { fingerprint, size } = seen;
    const before = repeatsTrip(watch, fingerprint);
    const trip = sawCall(watch, { ...guard, growth: undefined }, seen, now);
    const repeated = repeatsTrip(watch, fingerprint);
    const counted = guard.repeats === undefined && guard.growth === undefined ? undefined : this.#counts?.of(watched);
    if (!counted) return trip;
    // What was stopped before has been counted.
    if (guard.repeats !== undefined && !(repeated && repeated === before)) countCall(counted, fingerprint, repeated, now);
    if (guard.growth !== undefined) countSize(counted, size, now);
    return trip;
  }

  #itemOf({ budget, label }: Watched, counted: Counted): CountItem | undefined {
    const guarded = this.#guarded.find((one) => one.budget.name === budget);
    if (!guarded) return undefined;
    const { repeats, growth, surge, lastsMs } = guarded.guard;
    return { budget, label, limits: { repeats, growth, surge, lastsMs }, counted };
  }

  /** What all have counted by now, without what was counted here since. */
  #learn(watched: Watched, { at, calls, trips, usual }: CountAnswer, since: Counted | undefined): void {
    const { watch, label } = watched;
    watched.isShared = true;
    learnUsual(watch, usual);
    for (const { fingerprint, since: began, count } of calls) {
      const more = since?.calls.find((one) => one.fingerprint === fingerprint)?.times ?? 0;
      learnRepeats(watch, { fingerprint, since: began, times: count + more });
    }
    const guarded = this.#guarded.find(({ budget }) => budget.name === watched.budget);
    if (!guarded) return;
    for (const { trip, isNew } of trips) {
      sawTrip(watch, trip, at);
      if (isNew) this.#share(guarded.budget, label, trip);
      else this.#shared.add(trip);
    }
  }

  /** Those who count together are told first, where they can be: from them it would come back. */
  async #letGoOf(watched: Watched, trip: Trip, now: number): Promise<void> {
    const { budget, label } = watched;
    if (this.#counts) {
      countEnd(this.#counts.of(watched), trip, now);
      await this.#counts.tell().catch(this.#onError);
    }
    this.#book.tell({ kind: "let go", by: this.#instance, at: now, budget, label, trip });
  }

  #share(budget: Budget, label: string, trip: Trip): void {
    if (this.#shared.has(trip)) return;
    this.#shared.add(trip);
    this.#book.tell({ kind: "tripped", by: this.#instance, at: trip.at, budget: budget.name, label, trip });
  }

  #watched(budget: Budget, label: string): Watched {
    const key = `${budget.name}|${label}`;
    const watched = this.#watches.get(key) ?? { budget: budget.name, label, watch: createWatch(), isShared: false };
    this.#watches.delete(key);
    this.#watches.set(key, watched);
    if (this.#watches.size > SUBJECTS_MOST) this.#forgetOldest();
    return watched;
  }

  #forgetOldest(): void {
    const [[key, watched] = []] = this.#watches;
    if (key === undefined) return;
    this.#watches.delete(key);
    if (watched) this.#counts?.forget(watched);
  }

  #tell({ budget, guard, trip, message }: Tripped, label: string): void {
    const tells = guard.rungs.filter((rung) => rung.kind === "tell");
    if (tells.length === 0) return;
    const channels = tells.some(({ channel }) => channel === undefined) ? undefined : tells.flatMap(({ channel }) => channel ?? []);
    this.#alerts.tell(tripNotice(budget, label, trip, message), channels, trip.until);
  }
}

/** The call as guards leave it, with what they did to it in its books, and how long it waits. */
export function guardedCall<Call extends BudgetedCall>(
  call: Call,
  tripped: readonly Tripped[],
): { readonly call: Call; readonly waitMs: number } {
  let guarded = tripped.length === 0 ? call : { ...call, guardedBy: tripped.map(({ budget }) => budget.name) };
  let waitMs = 0;
  for (const { budget, guard, trip } of tripped) {
    for (const rung of guard.rungs) {
      if (rung.kind === "slow") waitMs = Math.max(waitMs, rung.waitMs);
      else if (rung.kind === "shorten")
        guarded = {
          ...guarded,
          outputTokensMost: Math.max(guarded.call.outputLeast, Math.min(guarded.outputTokensMost, rung.outputTokens)),
        };
      else continue;
      guarded = { ...guarded, rungs: [...(guarded.rungs ?? []), `${rungText(rung)} (${budget.name} ${trip.trigger})`] };
    }
  }
  return { call: guarded, waitMs };
}

/** The guard that refuses a call, if one does. */
export function blocking(tripped: readonly Tripped[]): Tripped | undefined {
  return tripped.find(({ guard }) => guard.rungs.some(({ kind }: GuardRung) => kind === "block"));
}

/** The same conversation is the same call, whatever else its client adds to the body. */
function fingerprintOf({ dialect, call }: BudgetedCall): string {
  const { bytes, members } = call.body;
  const form = dialect.turns ?? dialect.messages;
  const member = form && members.get(form.member);
  return hash("sha1", member ? bytes.subarray(member.start, member.end) : bytes, "base64").slice(0, 16);
}
