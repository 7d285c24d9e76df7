import { randomBytes } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { appendFile, mkdir, open, rename } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { readLines, type UnreadLine, unreadError } from "../lines-file.ts";
import {
  ALERTS_MOST,
  ALERTS_MOST_MS,
  type Alert,
  type AlertAnswer,
  type AlertBook,
  type Claim,
  type ClaimOutcome,
  DELIVERIES_MOST,
  type Delivery,
  type Incident,
  incidentOf,
  type Taken,
  type Tried,
  type Unseen,
  WAITING_MOST,
  WAITING_MOST_MS,
} from "./alert-book.ts";
import { isLine, type Line, type Told, type Try } from "./file-book-line.ts";
import { isAlert, type Notice } from "./notice.ts";

/** What waits for a channel. */
interface Waiting {
  readonly notice: Notice;
  readonly channel: string;
  /** Those that began: what a process died of counts. */
  readonly attempts: number;
  readonly dueAt: number;
  /** The first try that may have told it. */
  readonly doubt?: string;
}

export interface FileBookOptions {
  /** Epoch milliseconds; `Date.now` where it is left out. */
  readonly now?: () => number;
  /** Told once of lines that cannot be read. */
  readonly onError?: (error: unknown) => void;
}

const ALERTS_FILE = "alerts.jsonl";
/** Beside it: the lines that could not be read. */
const UNREAD = ".unread";
const DAY_MS = 86_400_000;
/** There is nobody else who could take what this process has taken. */
const NO_LEASE = Number.MAX_SAFE_INTEGER;

/** The book of one gateway: `alerts.jsonl` in its data folder. What waited when the process died is due when it starts again. */
export async function openFileBook(directory: string, options: FileBookOptions = {}): Promise<AlertBook> {
  const { now = Date.now, onError = () => undefined } = options;
  const file = join(directory, ALERTS_FILE);
  const { lines, unread } = readFile(file);
  const book = new FileBook(file, lines, now);
  if (unread.length > 0) {
    await keepUnread(file, unread);
    onError(
      unreadError(file, unread, `What they were about may be told again, or not at all. They are kept in ${basename(file)}${UNREAD}.`),
    );
  }
  await book.forget();
  return book;
}

class FileBook implements AlertBook {
  readonly incidents = new Map<string, Incident>();
  readonly #file: string;
  readonly #now: () => number;
  readonly #claims = new Map<string, number>();
  /** By channel, and by the notice. */
  readonly #waiting = new Map<string, Map<string, Waiting>>();
  /** What is being delivered. */
  readonly #taken = new Set<string>();
  #deliveries: Delivery[] = [];
  /** By their ids, the oldest first. */
  readonly #alerts = new Map<string, Alert>();
  /** By what they are about: until when nobody is told. */
  readonly #snoozed = new Map<string, number>();
  #writing: Promise<unknown> = Promise.resolve();
  /** Whether the file may end in the middle of a line. */
  #isCut = false;
  #forgottenAt = 0;
  /** Nobody knows how the process before this one ended. */
  #unseen: Unseen | undefined = {};

  constructor(file: string, lines: readonly Line[], now: () => number) {
    this.#file = file;
    this.#now = now;
    for (const line of lines) this.#act(line);
    // Whatever was wrong may be mended now.
    for (const waiting of this.#waiting.values()) for (const [id, one] of waiting) waiting.set(id, { ...one, dueAt: 0 });
  }

  async claim({ keys, until, channel, notice, incident }: Claim): Promise<ClaimOutcome> {
    if ((this.#claims.get(keys.at(-1) ?? "") ?? 0) > this.#now()) return "known";
    if (this.#waitingFor(channel).size >= WAITING_MOST) return "full";
    await this.#write({
      event: "claimed",
      keys,
      until,
      ...(notice && { told: { channel, notice } }),
      ...(incident && { opened: incident }),
    });
    return "claimed";
  }

  async take(channel: string, most: number): Promise<readonly Taken[]> {
    const now = this.#now();
    const waiting = this.#waitingFor(channel);
    const taken: Taken[] = [];
    for (const { notice, dueAt, attempts, doubt } of waiting.values()) {
      if (taken.length >= most && (doubt === undefined || doubt !== taken.at(-1)?.doubt)) break;
      const id = takenId(notice.id, channel);
      if (this.#isAnswered(notice)) {
        waiting.delete(notice.id);
        continue;
      }
      if (Math.max(dueAt, this.#earliest(notice)) > now || this.#taken.has(id) || waiting.has(notice.after ?? "")) continue;
      this.#taken.add(id);
      taken.push({ notice, channel, attempts, leaseUntil: NO_LEASE, beginBy: NO_LEASE, ...(doubt !== undefined && { doubt }) });
    }
    const notices = taken.map(({ notice }) => notice.id);
    // People are told also where the disk is full. That it cannot be written is said by whoever writes down how it ended.
    if (notices.length > 0)
      await this.#write({ event: "taken", channel, notices, name: randomBytes(6).toString("base64url") }).catch(() => undefined);
    return taken;
  }

  tried(all: readonly Tried[]): Promise<void> {
    for (const { taken } of all) this.#taken.delete(takenId(taken.notice.id, taken.channel));
    const now = this.#now();
    return this.#write({
      event: "tried",
      tries: all.map(({ delivery, pauseMs, isInDoubt }) => ({ ...delivery, dueAt: now + pauseMs, isInDoubt })),
    });
  }

  record(delivery: Delivery): Promise<void> {
    return this.#write({ event: "tried", tries: [{ ...delivery, dueAt: 0, isInDoubt: false }] });
  }

  async end(incident: Incident, over: Notice): Promise<boolean> {
    const id = incidentOf(incident);
    if (!this.incidents.has(id)) return false;
    await this.#write({ event: "ended", incident: id, told: { channel: incident.channel, notice: over } });
    return true;
  }

  async alerts(most: number): Promise<readonly Alert[]> {
    return [...this.#alerts.values()].reverse().slice(0, most);
  }

  async answer(id: string, answer: AlertAnswer): Promise<Alert | undefined> {
    if (!this.#alerts.has(id)) return undefined;
    await this.#write({ event: "answered", alert: id, answer });
    return this.#alerts.get(id);
  }

  async deliveries(): Promise<readonly Delivery[]> {
    return this.#deliveries.slice(-DELIVERIES_MOST);
  }

  async waiting(channel: string): Promise<number> {
    return this.#waitingFor(channel).size;
  }

  async look(): Promise<Unseen | undefined> {
    if (this.#now() - this.#forgottenAt >= DAY_MS) await this.forget();
    return this.#unseen;
  }

  async seen(): Promise<void> {
    this.#unseen = undefined;
  }

  async close(): Promise<void> {
    await this.#writing;
  }

  /** Begins the file anew without what is over, so that it does not grow for ever. */
  forget(): Promise<void> {
    const now = this.#now();
    this.#forgottenAt = now;
    const forgotten = this.#writing.then(() => this.#rewrite(now));
    this.#writing = forgotten.catch(() => undefined);
    return forgotten;
  }

  async #rewrite(now: number): Promise<void> {
    for (const [key, until] of this.#claims) if (until <= now) this.#claims.delete(key);
    for (const waiting of this.#waiting.values())
      for (const { notice } of waiting.values()) if ((notice.notBefore ?? notice.at) + WAITING_MOST_MS <= now) waiting.delete(notice.id);
    const kept = [...this.#alerts].slice(-ALERTS_MOST).filter(([, { notice }]) => notice.at + ALERTS_MOST_MS > now);
    this.#alerts.clear();
    for (const [id, alert] of kept) this.#alerts.set(id, alert);
    for (const [about, until] of this.#snoozed) if (until <= now) this.#snoozed.delete(about);
    const lines: Line[] = [
      ...[...this.#claims].map(([key, until]) => ({ event: "claimed", keys: [key], until }) as const),
      ...kept.map(([, alert]) => ({ event: "alert", alert }) as const),
      ...this.#deliveries
        .slice(-DELIVERIES_MOST)
        .map((one) => ({ event: "tried", tries: [{ ...one, dueAt: 0, isInDoubt: false }] }) as const),
      ...[...this.incidents.values()].map((opened) => ({ event: "opened", opened }) as const),
      ...[...this.#waiting.values()].flatMap((waiting) =>
        [...waiting.values()].map(({ dueAt: _, ...told }) => ({ event: "told", ...told }) as const),
      ),
    ];
    if (!existsSync(this.#file)) return;
    const draft = `${this.#file}.${randomBytes(6).toString("hex")}.draft`;
    const handle = await open(draft, "w", 0o600);
    try {
      await handle.writeFile(lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(draft, this.#file);
    this.#isCut = false;
  }

  #waitingFor(channel: string): Map<string, Waiting> {
    const waiting = this.#waiting.get(channel) ?? new Map<string, Waiting>();
    this.#waiting.set(channel, waiting);
    return waiting;
  }

  /** Lines follow each other; what is known changes at once, and the promise resolves when it is on disk. */
  #write(line: Line): Promise<void> {
    this.#act(line);
    const written = this.#writing.then(async () => {
      // Made when it is needed: who only looks leaves no folder behind.
      await mkdir(dirname(this.#file), { recursive: true, mode: 0o700 });
      await this.#append(`${JSON.stringify(line)}\n`);
    });
    this.#writing = written.catch(() => undefined);
    return written;
  }

  async #append(text: string): Promise<void> {
    const handle = await open(this.#file, "a", 0o600);
    try {
      // What a full disk cut off must not swallow the next line.
      const before = this.#isCut ? "\n" : "";
      this.#isCut = true;
      await handle.writeFile(before + text);
      this.#isCut = false;
      await handle.sync();
    } finally {
      await handle.close();
    }
  }

  #act(line: Line): void {
    switch (line.event) {
      case "claimed":
        for (const key of line.keys) this.#claims.set(key, line.until);
        if (line.told) this.#wait(line.told);
        if (line.told && isAlert(line.told.notice)) this.#know(line.told, line.until);
        if (line.opened) this.incidents.set(incidentOf(line.opened), line.opened);
        return;
      case "told":
        this.#wait(line);
        return;
      case "alert":
        this.#alerts.set(line.alert.notice.id, line.alert);
        if (line.alert.answer) this.#hear(line.alert, line.alert.answer);
        return;
      case "answered": {
        const alert = this.#alerts.get(line.alert);
        if (alert) this.#hear(alert, line.answer);
        return;
      }
      case "opened":
        this.incidents.set(incidentOf(line.opened), line.opened);
        return;
      case "ended":
        this.incidents.delete(line.incident);
        this.#wait(line.told);
        return;
      case "taken":
        for (const id of line.notices) this.#begin(id, line);
        return;
      case "tried":
        for (const one of line.tries) this.#try(one);
    }
  }

  #know({ notice, channel }: Told, until: number): void {
    if (notice.repeats !== undefined) return;
    const known = this.#alerts.get(notice.id);
    if (known) this.#alerts.set(notice.id, { ...known, channels: [...new Set([...known.channels, channel])] });
    else this.#alerts.set(notice.id, { notice, channels: [channel], until });
  }

  #hear(alert: Alert, answer: AlertAnswer): void {
    const { id, about } = alert.notice;
    this.#alerts.set(id, { ...alert, answer });
    if (answer.until === undefined) this.#snoozed.delete(about);
    else this.#snoozed.set(about, answer.until);
  }

  /** Whether somebody looks after what a notice tells of again. */
  #isAnswered({ repeats, at }: Notice): boolean {
    const answer = repeats === undefined ? undefined : this.#alerts.get(repeats)?.answer;
    return answer !== undefined && (answer.kind === "acknowledged" || answer.at > at);
  }

  #earliest({ notBefore = 0, at, about, isOver = false, repeats }: Notice): number {
    const snoozed = isOver ? 0 : (this.#snoozed.get(about) ?? 0);
    if (snoozed <= notBefore) return notBefore;
    // What is told later than something else stays so much later.
    return repeats === undefined ? snoozed : snoozed + Math.max(0, notBefore - at);
  }

  #wait({ notice, channel, attempts = 0, doubt }: Told & { readonly attempts?: number; readonly doubt?: string }): void {
    this.#waitingFor(channel).set(notice.id, { notice, channel, attempts, dueAt: 0, ...(doubt !== undefined && { doubt }) });
  }

  #begin(notice: string, { channel, name }: Extract<Line, { event: "taken" }>): void {
    const waiting = this.#waitingFor(channel);
    const begun = waiting.get(notice);
    if (begun) waiting.set(notice, { ...begun, attempts: begun.attempts + 1, doubt: begun.doubt ?? name });
  }

  #try({ dueAt, isInDoubt, ...delivery }: Try): void {
    this.#deliveries.push(delivery);
    if (this.#deliveries.length > 2 * DELIVERIES_MOST) this.#deliveries = this.#deliveries.slice(-DELIVERIES_MOST);
    const waiting = this.#waitingFor(delivery.channel);
    const tried = waiting.get(delivery.notice);
    if (!tried) return;
    if (delivery.isLast) {
      waiting.delete(delivery.notice);
      return;
    }
    const { doubt, ...known } = tried;
    waiting.set(delivery.notice, { ...known, attempts: delivery.attempt, dueAt, ...(isInDoubt && doubt !== undefined && { doubt }) });
  }
}

function takenId(notice: string, channel: string): string {
  return `${notice} ${channel}`;
}

/** The book is written anew without them, and another version may know what they say. */
async function keepUnread(file: string, unread: readonly UnreadLine[]): Promise<void> {
  await appendFile(`${file}${UNREAD}`, unread.map(({ text }) => `${text}\n`).join(""), { mode: 0o600 });
}

function readFile(file: string): { readonly lines: readonly Line[]; readonly unread: readonly UnreadLine[] } {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return { lines: [], unread: [] };
    throw cause;
  }
  const { lines, unread } = readLines(text, isLine);
  // A line that a crash cut off was never acted upon: what it says is done again.
  return { lines, unread: unread.filter(({ isCut }) => !isCut) };
}
