import { randomBytes } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { mkdir, open } from "node:fs/promises";
import { dirname, join } from "node:path";
import { isSubjectPath, type Selector, type Subject } from "@purser/core";
import { readLines, unreadError } from "../lines-file.ts";
import { compileSwitch, describeSwitch, isInForce, type Switch, type SwitchEvent, switchesOf } from "./switch.ts";

export interface SwitchesOptions {
  /** Told when the switches have changed, by whichever process. */
  readonly onChange?: () => void;
  /** Told once of lines that cannot be read. */
  readonly onError?: (error: unknown) => void;
  /** Epoch milliseconds; `Date.now` where it is left out. */
  readonly now?: () => number;
  /** How long a look at the file stays good. 100 ms where it is left out. */
  readonly freshMs?: number;
}

export interface NewSwitch {
  readonly for: Selector;
  readonly by: string;
  readonly why: string;
  readonly until?: number | undefined;
}

const SWITCHES_FILE = "switches.jsonl";
const FRESH_MS = 100;
const ADVICE = "Bring back a copy of the file, or take out what cannot be read and switch it again.";

/**
 * What is switched off, as a data folder knows it: `switches.jsonl`, one line for each thing that happened, never changed and never removed.
 * So what is in force and who did it why cannot tell two stories. Lines are appended whole: several processes may do so at the same time.
 */
export function openSwitches(directory: string, options: SwitchesOptions = {}): Switches {
  return new Switches(join(directory, SWITCHES_FILE), options);
}

interface Compiled {
  readonly thrown: Switch;
  readonly stops: (subject: Subject) => boolean;
}

export class Switches {
  readonly #file: string;
  readonly #onChange: () => void;
  readonly #onError: (error: unknown) => void;
  readonly #now: () => number;
  readonly #freshMs: number;
  #switches: readonly Switch[] = [];
  /** Those that nobody ended; some may be over by now. */
  #open: readonly Compiled[] = [];
  #stamp = "";
  /** What was told of lines that cannot be read. */
  #told: string | undefined;
  #lookedAt = Number.NEGATIVE_INFINITY;

  constructor(file: string, options: SwitchesOptions) {
    const { onChange = () => undefined, onError = () => undefined, now = Date.now, freshMs = FRESH_MS } = options;
    this.#file = file;
    this.#onChange = onChange;
    this.#onError = onError;
    this.#now = now;
    this.#freshMs = freshMs;
    this.#read(stampOf(file));
  }

  /** The first switch in force that stops calls of a subject. */
  find(subject: Subject): Switch | undefined {
    this.look(false);
    if (this.#open.length === 0) return undefined;
    const now = this.#now();
    return this.#open.find(({ thrown, stops }) => isInForce(thrown, now) && stops(subject))?.thrown;
  }

  /** Why calls of a subject are switched off; nothing where they are not. */
  readonly explain = (subject: Subject): string | undefined => {
    const thrown = this.find(subject);
    return thrown && describeSwitch(thrown);
  };

  /** Every switch that ever was, oldest first. */
  list(): readonly Switch[] {
    this.look(true);
    return this.#switches;
  }

  /** Takes what a selector names out of service. Resolves when that is on disk. */
  async off({ for: selector, by, why, until }: NewSwitch): Promise<Switch> {
    const thrown: Switch = { id: `sw_${randomBytes(6).toString("hex")}`, for: selector, at: this.#now(), by, why, until };
    await this.#append({ event: "off", ...thrown });
    return thrown;
  }

  /** Ends a switch that is in force. Nothing where there is none of this id. */
  async on(id: string, { by, why }: { readonly by: string; readonly why: string }): Promise<Switch | undefined> {
    const now = this.#now();
    const thrown = this.list().find((one) => one.id === id && isInForce(one, now));
    if (!thrown) return undefined;
    await this.#append({ event: "on", id, at: now, by, why });
    return { ...thrown, ended: { at: now, by, why } };
  }

  /** Reads the file again where it has changed since the last look. */
  look(always = true): void {
    const at = performance.now();
    if (!always && at - this.#lookedAt < this.#freshMs) return;
    this.#lookedAt = at;
    const stamp = stampOf(this.#file);
    // A file that vanished switches nothing on.
    if (stamp === this.#stamp || stamp === "") return;
    this.#read(stamp);
    this.#onChange();
  }

  async #append(event: SwitchEvent): Promise<void> {
    // Made when it is needed: who only looks leaves no folder behind.
    await mkdir(dirname(this.#file), { recursive: true, mode: 0o700 });
    const handle = await open(this.#file, "a", 0o600);
    try {
      // What a crash cut off in the middle of a line must not swallow the next one.
      const { size } = await handle.stat();
      const isCut = size > 0 && readFileSync(this.#file).at(-1) !== 0x0a;
      await handle.write(`${isCut ? "\n" : ""}${JSON.stringify(event)}\n`);
      await handle.sync();
    } finally {
      await handle.close();
    }
    this.look();
  }

  #read(stamp: string): void {
    this.#stamp = stamp;
    const { lines: events, unread } = readLines(stamp === "" ? "" : readFileSync(this.#file, "utf8"), isSwitchEvent);
    this.#switches = switchesOf(events);
    this.#open = this.#switches.filter(({ ended }) => !ended).map((thrown) => ({ thrown, stops: compileSwitch(thrown) }));
    const error = unreadError(this.#file, unread, ADVICE);
    if (error && error.message !== this.#told) this.#onError(error);
    this.#told = error?.message;
  }
}

/** Changes whenever the file does. */
function stampOf(file: string): string {
  const stats = statSync(file, { throwIfNoEntry: false });
  return stats ? `${stats.ino} ${stats.size} ${stats.mtimeMs}` : "";
}

function isSwitchEvent(value: unknown): value is SwitchEvent {
  const event = value as Partial<SwitchEvent> | undefined | null;
  if (typeof event?.id !== "string" || typeof event.at !== "number") return false;
  if (typeof event.by !== "string" || typeof event.why !== "string") return false;
  if (event.event === "on") return true;
  return (
    event.event === "off" &&
    isUntil(event.until) &&
    typeof event.for === "object" &&
    event.for !== null &&
    Object.entries(event.for).every(isWanted)
  );
}

function isUntil(until: unknown): boolean {
  return until === undefined || typeof until === "number";
}

function isWanted([path, wanted]: readonly [string, unknown]): boolean {
  return isSubjectPath(path) && [wanted].flat().every((one) => typeof one === "string");
}
