import { randomBytes } from "node:crypto";
import { type Budget, PurserError, type Rung, subjectLabel } from "@purser/core";
import type { Alerts } from "../alerts/alerts.ts";
import type { AuditLog } from "../audit-log/audit-log.ts";
import { type Caller, holderOf } from "../callers/identify.ts";
import type { RoutedCall } from "../rungs/climb.ts";
import { linkKey, readLink, signLink } from "../signed-link.ts";
import { goneOn, type Said, saidIn } from "./conversation.ts";
import { cannotCarry, conversationName, type Handover, type HumanAnswer, handoverRung, waitingAnswers } from "./handover.ts";
import { HandoverFolder } from "./handover-folder.ts";
import { aboutHandover, type HandoverNews, handoverNotice } from "./handover-notice.ts";

export type HandoverRung = Extract<Rung, { readonly kind: "handover" }>;

export interface HandoversOptions {
  readonly directory: string;
  readonly budgets: readonly Budget[];
  readonly alerts: Pick<Alerts, "tell">;
  readonly log: Pick<AuditLog, "write">;
  readonly adminToken: string;
  /** Where people reach this gateway: `https://purser.example.com`. */
  readonly baseUrl: () => string;
  readonly onError: (error: unknown) => void;
  /** Epoch milliseconds; `Date.now` where it is left out. */
  readonly now?: () => number;
}

/** A call whose conversation is to go on with a person. */
export interface ToHandOver {
  /** As its client made it. */
  readonly call: RoutedCall;
  readonly budget: Budget;
  readonly rung: HandoverRung;
  /** What the budget says, in sentences. */
  readonly why: string;
}

/** What a call of a conversation gets that a person goes on with. */
export interface Turn {
  readonly text: string;
  /** Those that it says; none where nobody has answered since the last call. */
  readonly answers: readonly HumanAnswer[];
}

export interface ReadHandover {
  readonly handover: Handover;
  /** What was said, where that is kept. */
  readonly said: readonly Said[] | undefined;
}

/** So many are open at a time. Calls that would be more are refused, as they would be without a ladder. */
const OPEN_MOST = 10_000;
/** So many answers wait for their conversation. */
const ANSWERS_MOST = 100;
const DAY_MS = 86_400_000;
/** What nothing happens to for so long is given back, and deleted when so much more has passed. */
const IDLE_MS = 30 * DAY_MS;
/** As long as what was told is known as told. */
const TOLD_MS = 90 * DAY_MS;
const LINK_MS = 7 * DAY_MS;

/** Where nobody goes on with conversations. */
export const NO_HANDOVERS: Pick<
  Handovers,
  "of" | "cannot" | "begin" | "goOn" | "given" | "find" | "read" | "look" | "list" | "take" | "answer" | "giveBack"
> = {
  of: () => undefined,
  cannot: () => "nobody goes on with conversations here",
  begin: () => Promise.reject(new Error("Nobody goes on with conversations here.")),
  goOn: () => Promise.reject(new Error("Nobody goes on with conversations here.")),
  given: async () => undefined,
  find: () => undefined,
  read: async (id) => Promise.reject(unknownHandover(id)),
  look: () => undefined,
  list: () => [],
  take: async (id) => Promise.reject(unknownHandover(id)),
  answer: async (id) => Promise.reject(unknownHandover(id)),
  giveBack: async (id) => Promise.reject(unknownHandover(id)),
};

/** Conversations that people go on with: kept on disk, told to people, answered by them, and given back. */
export class Handovers {
  readonly #options: HandoversOptions;
  readonly #folder: HandoverFolder;
  readonly #key: Buffer;
  readonly #now: () => number;
  readonly #all = new Map<string, Handover>();
  /** By what calls of their conversations have in common: those that are open, and those whose last answer nobody has got yet. */
  readonly #byName = new Map<string, string>();
  /** The budgets of these, by name. */
  #named: ReadonlySet<string> = new Set();
  #budgets: readonly Budget[];
  /** What was said and is not on disk yet. */
  readonly #said = new Map<string, readonly Said[]>();
  readonly #writing = new Map<string, { readonly done: Promise<void>; hasBegun: boolean }>();

  static async open(options: HandoversOptions): Promise<Handovers> {
    const handovers = new Handovers(options);
    for (const handover of await handovers.#folder.open(options.onError)) handovers.#all.set(handover.id, handover);
    handovers.#index();
    handovers.configure(options.budgets);
    return handovers;
  }

  private constructor(options: HandoversOptions) {
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

  /** Whoever goes on with the conversation of a call. */
  of(call: RoutedCall): Handover | undefined {
    if (this.#byName.size === 0) return undefined;
    for (const budget of this.#budgets) {
      if (!this.#named.has(budget.name) || !budget.selects(call.subject)) continue;
      const name = conversationName(budget, call);
      const id = name === undefined ? undefined : this.#byName.get(name);
      if (id !== undefined) return this.#all.get(id);
    }
    return undefined;
  }

  /** Why nobody can go on with the conversation of a call, as a part of a sentence. */
  cannot(call: RoutedCall, budget: Budget): string | undefined {
    if (conversationName(budget, call) === undefined)
      return "it names neither a session nor a user, so that nobody would know whom to answer (send x-purser-session or x-purser-user)";
    if (this.#byName.size >= OPEN_MOST) return "too many conversations wait for people";
    return cannotCarry(call.dialect, call);
  }

  /** Lets a person go on with the conversation of a call, and has people told. Resolves when that is on disk. */
  async begin({ call, budget, rung, why }: ToHandOver): Promise<Handover> {
    const name = conversationName(budget, call) ?? "";
    const known = this.#byName.get(name);
    if (known !== undefined) {
      // Another call of it was quicker.
      await this.goOn(known, call);
      return this.#known(known);
    }
    const { provider: _, model: _m, endpoint: _e, ...subject } = call.subject;
    const now = this.#now();
    const handover: Handover = {
      id: `handover_${randomBytes(18).toString("base64url")}`,
      name,
      budget: budget.name,
      label: subjectLabel(budget, call.subject),
      holder: holderOf(call.caller),
      subject,
      rung: handoverRung(budget.name),
      why,
      channel: rung.channel,
      text: rung.text,
      keepMs: rung.keepMs,
      keptUntil: rung.keepMs === undefined ? undefined : now + rung.keepMs,
      at: now,
      changedAt: now,
      waitingSince: now,
      calls: 1,
      taken: undefined,
      returned: undefined,
      answers: [],
    };
    if (rung.keepMs !== undefined) this.#said.set(handover.id, saidIn(call.dialect, call.call));
    await this.#change(handover);
    this.#tell(handover, "opened");
    return handover;
  }

  /** What a call gets whose conversation is with a person. Where they have answered and it goes on, they are told. Resolves when that is on disk. */
  async goOn(id: string, call: RoutedCall): Promise<Turn> {
    const handover = this.#known(id);
    const answers = waitingAnswers(handover);
    const now = this.#now();
    if (handover.keepMs !== undefined && !handover.returned) {
      const said = saidIn(call.dialect, call.call);
      const before = call.call.hidesInput ? await this.#conversation(id) : undefined;
      this.#said.set(id, goneOn(before ?? [], said, call.call.hidesInput));
    }
    const latest = this.#known(id);
    const isAnswered = latest.waitingSince === undefined && !latest.returned;
    await this.#change({
      ...latest,
      ...lasting(latest, now),
      calls: latest.calls + 1,
      waitingSince: isAnswered ? now : latest.waitingSince,
    });
    if (isAnswered) this.#tell(this.#known(id), "continued");
    const texts = answers.flatMap(({ text }) => text ?? []);
    return { text: texts.length > 0 ? texts.join("\n\n") : handover.text, answers };
  }

  /** Notes that a conversation has got answers. */
  async given(id: string, answers: readonly HumanAnswer[]): Promise<void> {
    const handover = this.#all.get(id);
    if (!handover || answers.length === 0) return;
    const now = this.#now();
    const got = (one: HumanAnswer) => ({ ...one, givenAt: now, text: handover.keptUntil === undefined ? undefined : one.text });
    await this.#change({ ...handover, answers: handover.answers.map((one) => (answers.includes(one) ? got(one) : one)) });
  }

  /** A handover of this caller. Nothing where there is none, or it is another one's. */
  find(id: string, caller: Caller): Handover | undefined {
    const handover = this.#all.get(id);
    return handover && handover.holder === holderOf(caller) ? handover : undefined;
  }

  /** Those that are open, whoever waits longest first, and those that were given back behind them. */
  list(): readonly Handover[] {
    const since = ({ waitingSince, changedAt }: Handover) => waitingSince ?? changedAt;
    const rank = ({ returned, waitingSince }: Handover) => (returned ? 2 : waitingSince === undefined ? 1 : 0);
    return [...this.#all.values()].sort((a, b) => rank(a) - rank(b) || since(a) - since(b));
  }

  /** All that is known of one, with what was said where that is kept. */
  async read(id: string): Promise<ReadHandover> {
    const handover = this.#known(id);
    return { handover, said: handover.keptUntil === undefined ? undefined : await this.#conversation(id) };
  }

  /** The handover that a link is for; nothing where it was not made here, or its time is over. */
  look(token: string): Handover | undefined {
    const link = readLink(token, this.#key) as { readonly handover: string; readonly until: number } | undefined;
    return link && link.until > this.#now() ? this.#all.get(link.handover) : undefined;
  }

  /** Somebody goes on with a conversation. Throws where somebody else does, unless it is taken over from them. */
  async take(id: string, by: string, isTakenOver = false): Promise<Handover> {
    const handover = this.#open(id);
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
    const handover = this.#open(id);
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
    const handover = this.#open(id);
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
        this.#all.delete(id);
        this.#index();
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

  #open(id: string): Handover {
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

  /** How it stands from now on. What cannot be written down is not so. */
  async #change(next: Handover): Promise<Handover> {
    const before = this.#all.get(next.id);
    this.#all.set(next.id, next);
    this.#index();
    try {
      await this.#save(next.id);
    } catch (error) {
      if (this.#all.get(next.id) === next) {
        if (before) this.#all.set(next.id, before);
        else this.#all.delete(next.id);
        this.#index();
      }
      throw error;
    }
    return next;
  }

  #index(): void {
    this.#byName.clear();
    const open = [...this.#all.values()].filter((one) => !one.returned || waitingAnswers(one).length > 0);
    for (const { id, name } of open) this.#byName.set(name, id);
    this.#named = new Set(open.map(({ budget }) => budget));
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
