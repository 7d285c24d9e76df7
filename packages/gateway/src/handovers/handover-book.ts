import { randomBytes } from "node:crypto";
import { type Budget, PurserError, type Subject } from "@purser/core";
import type { Alerts } from "../alerts/alerts.ts";
import type { AuditLog } from "../audit-log/audit-log.ts";
import { linkKey, readLink, signLink } from "../signed-link.ts";
import { goneOn, type Said } from "./conversation.ts";
import { type Handover, type HumanAnswer, handoverRung, statusOf, waitingAnswers } from "./handover.ts";
import { HandoverFolder } from "./handover-folder.ts";
import { aboutHandover, type HandoverNews, handoverNotice } from "./handover-notice.ts";
import type { OpenHandovers } from "./open-handovers.ts";

export interface HandoverBookOptions {
  readonly directory: string;
  readonly budgets: readonly Budget[];
  /** Those that are open, as every process knows them. */
  readonly open: OpenHandovers;
  readonly alerts: Pick<Alerts, "tell">;
  readonly log: Pick<AuditLog, "write">;
  readonly adminToken: string;
  /** Where people reach this gateway: `https://purser.example.com`. */
  readonly baseUrl: () => string;
  readonly onError: (error: unknown) => void;
  /** Epoch milliseconds; `Date.now` where it is left out. */
  readonly now?: () => number;
}

/** A conversation that is to go on with a person, as one of its calls says it. */
export interface Opening {
  /** What all calls of the conversation have in common. */
  readonly name: string;
  readonly budget: string;
  /** Whose balance of the budget it is: `user=ann`. */
  readonly label: string;
  /** The key, or what was handed on of it, that its calls come with; none for the owner. */
  readonly holder: string | undefined;
  readonly subject: Subject;
  readonly rung: Pick<Handover, "channel" | "text" | "keepMs">;
  /** What the budget says, in sentences. */
  readonly why: string;
  readonly heard: Heard | undefined;
}

/** What was said in a conversation, as a call carries it; only where it is kept. */
export interface Heard {
  readonly said: readonly Said[];
  /** Whether the call names what came before and does not carry it. */
  readonly hidesEarlier: boolean;
}

/** What a call of a conversation gets that a person goes on with. */
export interface Turn {
  readonly handover: string;
  /** What tells it from others. */
  readonly id: string;
  readonly text: string;
  /** The places of those that it says, among all that were written; none where nobody has answered since the last call. */
  readonly answers: readonly number[];
}

/** What a program gets that asks for the answers to a conversation of its own. */
export interface Collected {
  readonly handover: Handover;
  readonly turn: Turn;
}

export interface ReadHandover {
  readonly handover: Handover;
  /** What was said, where that is kept. */
  readonly said: readonly Said[] | undefined;
}

/** The first of those that are asked for, and how many there are. */
export interface ListedHandovers {
  readonly handovers: readonly Handover[];
  readonly total: number;
}

/** How many are with people. */
export interface HandoverCounts {
  readonly waiting: number;
  readonly taken: number;
  /** Those of them whose last call nobody has answered yet. */
  readonly unanswered: number;
  /** Since when the one has waited that has waited longest. */
  readonly oldestAt: number | undefined;
}

/** What calls and people do with handovers, in whichever process these are known. */
export type HandoverBookPort = Pick<
  HandoverBook,
  "begin" | "goOn" | "collect" | "ended" | "list" | "counts" | "read" | "look" | "take" | "answer" | "giveBack"
>;

/** Where nobody goes on with conversations. */
export const NO_HANDOVERS: HandoverBookPort = {
  begin: () => Promise.reject(new Error("Nobody goes on with conversations here.")),
  goOn: async () => undefined,
  collect: async () => undefined,
  ended: async () => undefined,
  list: async () => ({ handovers: [], total: 0 }),
  counts: async () => ({ waiting: 0, taken: 0, unanswered: 0, oldestAt: undefined }),
  read: (id) => Promise.reject(unknownHandover(id)),
  look: async () => undefined,
  take: (id) => Promise.reject(unknownHandover(id)),
  answer: (id) => Promise.reject(unknownHandover(id)),
  giveBack: (id) => Promise.reject(unknownHandover(id)),
};

/** So many answers wait for their conversation. */
const ANSWERS_MOST = 100;
const DAY_MS = 86_400_000;
/** What nothing happens to for so long is given back, and deleted when so much more has passed. */
const IDLE_MS = 30 * DAY_MS;
/** As long as what was told is known as told. */
const TOLD_MS = 90 * DAY_MS;
const LINK_MS = 7 * DAY_MS;
/** Whoever gives answers and does not say within this what became of them has died. They are given again. */
const TURN_MOST_MS = 5_000;

/** Answers on their way to a conversation: meanwhile nobody else gets them. */
class OnTheWay {
  readonly turn: string;
  readonly isOver: Promise<void>;
  #resolve: () => void = () => undefined;

  constructor(turn: string) {
    this.turn = turn;
    this.isOver = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  end(): void {
    this.#resolve();
  }
}

/** Conversations that people go on with: kept on disk, told to people, answered by them, and given back. */
export class HandoverBook {
  readonly #options: HandoverBookOptions;
  readonly #folder: HandoverFolder;
  readonly #key: Buffer;
  readonly #now: () => number;
  readonly #all = new Map<string, Handover>();
  #budgets: readonly Budget[];
  /** What was said and is not on disk yet. */
  readonly #said = new Map<string, readonly Said[]>();
  readonly #writing = new Map<string, { readonly done: Promise<void>; hasBegun: boolean }>();
  /** By handover. Whoever waits for it looks again when it is over, and takes what is there in the same turn of the event loop. */
  readonly #onTheWay = new Map<string, OnTheWay>();

  static async open(options: HandoverBookOptions): Promise<HandoverBook> {
    const book = new HandoverBook(options);
    for (const handover of await book.#folder.open(options.onError)) book.#put(handover);
    book.configure(options.budgets);
    return book;
  }

  private constructor(options: HandoverBookOptions) {
    this.#options = options;
    this.#folder = new HandoverFolder(options.directory);
    this.#key = linkKey(options.adminToken, "handovers");
    this.#now = options.now ?? Date.now;
    this.#budgets = options.budgets;
  }

  /** Tells what a process that died may not have told any more. */
  start(): void {
    for (const handover of this.#all.values()) {
      if (handover.returned) continue;
      this.#tell(handover, "opened");
      if (handover.waitingSince !== undefined && handover.waitingSince > handover.at) this.#tell(handover, "continued");
    }
  }

  /** Budgets as they are from now on. What their ladders do not let be kept any more is forgotten. */
  configure(budgets: readonly Budget[]): void {
    this.#budgets = budgets;
    for (const handover of this.#all.values()) {
      if (handover.keepMs === undefined) continue;
      const ladder = this.#budgets.find(({ name }) => name === handover.budget)?.ladder ?? [];
      const allowed = ladder.flatMap(({ rungs }) => rungs.flatMap((rung) => (rung.kind === "handover" ? (rung.keepMs ?? 0) : 0)));
      const keepMs = Math.min(handover.keepMs, Math.max(0, ...allowed));
      if (keepMs === handover.keepMs) continue;
      const next =
        keepMs > 0 ? { ...handover, keepMs, keptUntil: handover.changedAt + keepMs } : forgotten({ ...handover, keepMs: undefined });
      this.#change(next).catch(this.#options.onError);
    }
  }

  /** Lets a person go on with a conversation, and has people told. Resolves when that is on disk, with what the call gets. */
  async begin({ heard, rung, ...opening }: Opening): Promise<Turn> {
    // Another call of it may have been quicker.
    for (let known = this.#open.find(opening.name); known; known = this.#open.find(opening.name)) {
      const turn = await this.goOn(known.id, heard);
      if (turn) return turn;
    }
    const now = this.#now();
    const handover: Handover = {
      ...opening,
      ...rung,
      id: `handover_${randomBytes(18).toString("base64url")}`,
      rung: handoverRung(opening.budget),
      keptUntil: rung.keepMs === undefined ? undefined : now + rung.keepMs,
      at: now,
      changedAt: now,
      waitingSince: now,
      calls: 1,
      taken: undefined,
      returned: undefined,
      answers: [],
    };
    if (rung.keepMs !== undefined && heard) this.#said.set(handover.id, heard.said);
    await this.#change(handover);
    this.#tell(handover, "opened");
    return this.#turn(handover);
  }

  /**
   * What a call gets whose conversation is with a person; nothing where it is not any more. Where they have answered and it goes on, they are told.
   * Resolves when that is on disk. What became of a turn with answers is to be told by `ended`.
   */
  async goOn(id: string, heard: Heard | undefined): Promise<Turn | undefined> {
    const before = heard?.hidesEarlier ? await this.#conversation(id) : undefined;
    for (let busy = this.#onTheWay.get(id); busy; busy = this.#onTheWay.get(id)) await busy.isOver;
    const handover = this.#all.get(id);
    if (!handover || !isOpen(handover)) return undefined;
    if (heard && handover.keepMs !== undefined && !handover.returned)
      this.#said.set(id, goneOn(before ?? [], heard.said, heard.hidesEarlier));
    const now = this.#now();
    const isAnswered = handover.waitingSince === undefined && !handover.returned;
    const turn = this.#turn(handover);
    const next = {
      ...handover,
      ...lasting(handover, now),
      calls: handover.calls + 1,
      waitingSince: isAnswered ? now : handover.waitingSince,
    };
    try {
      await this.#change(next);
    } catch (error) {
      await this.ended(turn, false);
      throw error;
    }
    if (isAnswered) this.#tell(next, "continued");
    return turn;
  }

  /** How a handover stands for the program whose conversation it is, with what was answered. Nothing where it is none of this holder's. */
  async collect(id: string, holder: string | undefined): Promise<Collected | undefined> {
    for (let busy = this.#onTheWay.get(id); busy; busy = this.#onTheWay.get(id)) await busy.isOver;
    const handover = this.#all.get(id);
    return handover && handover.holder === holder ? { handover, turn: this.#turn(handover) } : undefined;
  }

  /** Notes whether a conversation has got the answers of a turn. Those that it has not got wait for its next call. */
  async ended({ handover: id, id: turn, answers }: Turn, isTaken: boolean): Promise<void> {
    const handover = this.#all.get(id);
    const saved = handover && isTaken && answers.length > 0 ? this.#change(withGiven(handover, answers, this.#now())) : undefined;
    const onTheWay = this.#onTheWay.get(id);
    if (onTheWay?.turn === turn) this.#free(id, onTheWay);
    await saved;
  }

  /** Those that are open, whoever waits longest first, and those that were given back behind them. */
  async list({ hasReturned, most }: { readonly hasReturned: boolean; readonly most: number }): Promise<ListedHandovers> {
    const since = ({ waitingSince, changedAt }: Handover) => waitingSince ?? changedAt;
    const rank = ({ returned, waitingSince }: Handover) => (returned ? 2 : waitingSince === undefined ? 1 : 0);
    const all = [...this.#all.values()].filter(({ returned }) => hasReturned || !returned);
    const handovers = all.sort((a, b) => rank(a) - rank(b) || since(a) - since(b)).slice(0, most);
    return { handovers, total: all.length };
  }

  async counts(): Promise<HandoverCounts> {
    const counts = { waiting: 0, taken: 0, unanswered: 0 };
    let oldestAt: number | undefined;
    for (const handover of this.#all.values()) {
      const status = statusOf(handover);
      if (status !== "returned") counts[status] += 1;
      if (handover.waitingSince === undefined) continue;
      counts.unanswered += 1;
      oldestAt = Math.min(oldestAt ?? handover.waitingSince, handover.waitingSince);
    }
    return { ...counts, oldestAt };
  }

  /** All that is known of one, with what was said where that is kept. */
  async read(id: string): Promise<ReadHandover> {
    const handover = this.#known(id);
    return { handover, said: handover.keptUntil === undefined ? undefined : await this.#conversation(id) };
  }

  /** The handover that a link is for; nothing where it was not made here, or its time is over. */
  async look(token: string): Promise<Handover | undefined> {
    const link = readLink(token, this.#key) as { readonly handover: string; readonly until: number } | undefined;
    return link && link.until > this.#now() ? this.#all.get(link.handover) : undefined;
  }

  /** Somebody goes on with a conversation. Throws where somebody else does, unless it is taken over from them. */
  async take(id: string, by: string, isTakenOver = false): Promise<Handover> {
    const handover = this.#stillOpen(id);
    const { taken } = handover;
    if (taken && taken.by !== by && !isTakenOver)
      throw new PurserError(
        "handover_conflict",
        `${taken.by} has it since ${new Date(taken.at).toISOString()}. Take it over if that is meant.`,
      );
    const now = this.#now();
    return this.#change({ ...handover, ...lasting(handover, now), taken: taken?.by === by ? taken : { by, at: now } });
  }

  /** What its next call gets. Whoever answers has the conversation. */
  async answer(id: string, by: string, text: string): Promise<Handover> {
    const handover = this.#stillOpen(id);
    if (waitingAnswers(handover).length >= ANSWERS_MOST)
      throw new PurserError(
        "handover_conflict",
        `${ANSWERS_MOST} answers wait for the next call of this conversation. It may be over: give it back.`,
      );
    const now = this.#now();
    return this.#change({
      ...handover,
      ...lasting(handover, now),
      taken: handover.taken?.by === by ? handover.taken : { by, at: now },
      waitingSince: undefined,
      answers: [...handover.answers, { at: now, by, text, givenAt: undefined }],
    });
  }

  /** Lets the calls of a conversation go on as before. What was answered and nobody has got yet, the next one gets all the same. */
  async giveBack(id: string, by: string): Promise<Handover> {
    const handover = this.#stillOpen(id);
    const now = this.#now();
    const returned = await this.#change({ ...handover, ...lasting(handover, now), waitingSince: undefined, returned: { by, at: now } });
    this.#tell(returned, "returned");
    return returned;
  }

  /** Deletes what was kept for long enough, and gives back what nothing happens to. To be called every second or so. */
  async tick(): Promise<void> {
    const now = this.#now();
    for (const handover of this.#all.values()) {
      const { id, keptUntil, changedAt, returned, budget } = handover;
      if (keptUntil !== undefined && now >= keptUntil) await this.#change(forgotten(handover));
      else if (!returned && now >= changedAt + IDLE_MS) {
        await this.#options.log.write({
          by: "purser",
          what: "handover.returned",
          details: { handover: id, budget, why: "nothing happened" },
        });
        await this.giveBack(id, "purser, because nothing happened for 30 days");
      } else if (returned && keptUntil === undefined && now >= changedAt + IDLE_MS) {
        this.#remove(handover);
        await this.#save(id);
      }
    }
  }

  /** Waits for what is being written. */
  async close(): Promise<void> {
    await Promise.allSettled([...this.#writing.values()].map(({ done }) => done));
  }

  #known(id: string): Handover {
    const handover = this.#all.get(id);
    if (handover) return handover;
    throw unknownHandover(id);
  }

  #stillOpen(id: string): Handover {
    const handover = this.#known(id);
    if (!handover.returned) return handover;
    const { by, at } = handover.returned;
    throw new PurserError(
      "handover_conflict",
      `It was given back by ${by} at ${new Date(at).toISOString()}. The next call that is handed over is another one.`,
    );
  }

  async #conversation(id: string): Promise<readonly Said[] | undefined> {
    return this.#said.get(id) ?? this.#folder.conversation(id);
  }

  /** What the next call of a conversation gets. Until it is told what became of that, no other call gets the same answers. */
  #turn(handover: Handover): Turn {
    const answers = handover.answers.flatMap(({ givenAt }, place) => (givenAt === undefined ? place : []));
    const texts = answers.flatMap((place) => handover.answers[place]?.text ?? []);
    const id = randomBytes(9).toString("base64url");
    if (answers.length > 0) {
      const onTheWay = new OnTheWay(id);
      this.#onTheWay.set(handover.id, onTheWay);
      setTimeout(() => this.#free(handover.id, onTheWay), TURN_MOST_MS).unref();
    }
    return { handover: handover.id, id, text: texts.length > 0 ? texts.join("\n\n") : handover.text, answers };
  }

  #free(id: string, onTheWay: OnTheWay): void {
    if (this.#onTheWay.get(id) === onTheWay) this.#onTheWay.delete(id);
    onTheWay.end();
  }

  get #open(): OpenHandovers {
    return this.#options.open;
  }

  /** How it stands from now on. What cannot be written down is not so. */
  async #change(next: Handover): Promise<Handover> {
    const before = this.#all.get(next.id);
    this.#put(next);
    try {
      await this.#save(next.id);
    } catch (error) {
      if (this.#all.get(next.id) === next) {
        if (before) this.#put(before);
        else this.#remove(next);
      }
      throw error;
    }
    return next;
  }

  #put(handover: Handover): void {
    const { id, name, budget, rung, keptUntil, returned } = handover;
    this.#all.set(id, handover);
    if (isOpen(handover)) this.#open.put({ id, name, budget, rung, isKept: keptUntil !== undefined, isReturned: returned !== undefined });
    else this.#open.remove(handover);
  }

  #remove(handover: Handover): void {
    this.#all.delete(handover.id);
    this.#open.remove(handover);
  }

  /** Writes how one stands, after what is being written of it. What changes before that has begun is written with it. */
  #save(id: string): Promise<void> {
    const last = this.#writing.get(id);
    if (last && !last.hasBegun) return last.done;
    const done = (last?.done ?? Promise.resolve())
      .catch(() => undefined)
      .then(() => {
        writing.hasBegun = true;
        return this.#write(id);
      })
      .finally(() => {
        if (this.#writing.get(id) === writing) this.#writing.delete(id);
      });
    const writing = { done, hasBegun: false };
    this.#writing.set(id, writing);
    return done;
  }

  async #write(id: string): Promise<void> {
    const handover = this.#all.get(id);
    const said = this.#said.get(id);
    this.#said.delete(id);
    if (!handover) return this.#folder.remove(id);
    if (handover.keptUntil === undefined) await this.#folder.forget(id);
    else if (said) await this.#folder.keep(id, said);
    await this.#folder.write(handover);
  }

  #tell(handover: Handover, news: HandoverNews): void {
    const now = this.#now();
    const { id, channel, waitingSince } = handover;
    const budget = this.#budgets.find(({ name }) => name === handover.budget);
    const base = this.#options.baseUrl();
    const link = `${base}/handovers?token=${signLink({ handover: id, until: now + LINK_MS }, this.#key)}`;
    const notice = handoverNotice(handover, news, { budget, link, url: `${base}/api/handovers/${id}`, now });
    const once = JSON.stringify([aboutHandover(handover), news, news === "continued" ? waitingSince : null]);
    this.#options.alerts.tell(notice, channel === undefined ? undefined : [channel], now + TOLD_MS, once);
  }
}

/** Whether its calls are answered by what people write: until it was given back, and nothing waits. */
function isOpen(handover: Handover): boolean {
  return !handover.returned || waitingAnswers(handover).length > 0;
}

/** With answers that its conversation has got. */
function withGiven(handover: Handover, places: readonly number[], now: number): Handover {
  const got = (one: HumanAnswer) => ({ ...one, givenAt: now, text: handover.keptUntil === undefined ? undefined : one.text });
  return { ...handover, answers: handover.answers.map((one, place) => (places.includes(place) ? got(one) : one)) };
}

/** A change of one that is open: what is kept of it is kept anew from then on. */
function lasting({ keepMs, keptUntil }: Handover, now: number): Pick<Handover, "changedAt" | "keptUntil"> {
  return { changedAt: now, keptUntil: keepMs === undefined ? keptUntil : now + keepMs };
}

/** Without what was said. Answers that nobody has got yet stay. */
function forgotten(handover: Handover): Handover {
  const answers = handover.answers.map((one) => (one.givenAt === undefined ? one : { ...one, text: undefined }));
  return { ...handover, keptUntil: undefined, answers };
}

function unknownHandover(id: string): PurserError {
  return new PurserError(
    "handover_unknown",
    `There is no handover "${id}". Those that there are: \`purser handovers\`, or GET /api/handovers.`,
  );
}
