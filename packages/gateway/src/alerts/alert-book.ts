import { randomBytes } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, open, rename } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Claims } from "./claims.ts";
import type { Notice } from "./notice.ts";

/** A try to deliver a notice to a channel. */
export interface Delivery {
  readonly notice: string;
  readonly channel: string;
  readonly title: string;
  readonly at: number;
  /** 1 for the first. */
  readonly attempt: number;
  /** Nothing where it was delivered. */
  readonly error: string | undefined;
  /** Whether there will be no other try. */
  readonly isLast: boolean;
}

/** A notice that is still to be delivered to a channel. */
export interface Waiting {
  readonly notice: Notice;
  readonly channel: string;
  readonly attempts: number;
  readonly dueAt: number;
}

/** Something that a channel which knows incidents shows as open. */
export interface Incident {
  readonly notice: Notice;
  readonly channel: string;
  /** The share at which it was opened. */
  readonly from: number;
  /** When it ends by itself. */
  readonly until: number;
}

type Line =
  | { readonly event: "claimed"; readonly key: string; readonly until: number }
  | { readonly event: "told"; readonly channel: string; readonly notice: Notice }
  | { readonly event: "opened"; readonly incident: Incident }
  | { readonly event: "closed"; readonly incident: string }
  | ({ readonly event: "tried" } & Delivery & { readonly dueAt: number });

const ALERTS_FILE = "alerts.jsonl";
const DELIVERIES_MOST = 1_000;

/**
 * Who was told what, and what is still to be told: `alerts.jsonl` in the data folder. A threshold is claimed on disk before anybody is told,
 * and what was not delivered when the process died is delivered when it starts again.
 */
export async function openAlertBook(directory: string, now: number): Promise<AlertBook> {
  const book = new AlertBook(join(directory, ALERTS_FILE));
  await book.forget(now);
  return book;
}

export class AlertBook implements Claims {
  readonly #file: string;
  readonly #claims = new Map<string, number>();
  readonly #waiting = new Map<string, Waiting>();
  readonly #incidents = new Map<string, Incident>();
  #deliveries: Delivery[] = [];
  #writing: Promise<unknown> = Promise.resolve();

  constructor(file: string) {
    this.#file = file;
    for (const line of readLines(file)) this.#take(line);
    // Whatever was wrong may be mended now.
    for (const [id, waiting] of this.#waiting) this.#waiting.set(id, { ...waiting, dueAt: 0 });
  }

  /** What is still to be delivered. */
  get waiting(): readonly Waiting[] {
    return [...this.#waiting.values()];
  }

  /** The latest tries, oldest first. */
  get deliveries(): readonly Delivery[] {
    return this.#deliveries;
  }

  get incidents(): ReadonlyMap<string, Incident> {
    return this.#incidents;
  }

  async claim(key: string, until: number): Promise<boolean> {
    if (this.#claims.has(key)) return false;
    await this.#write({ event: "claimed", key, until });
    return true;
  }

  /** A notice is to be delivered to channels. */
  tell(notice: Notice, channel: string): Promise<void> {
    return this.#write({ event: "told", channel, notice });
  }

  tried(delivery: Delivery, dueAt: number): Promise<void> {
    return this.#write({ event: "tried", ...delivery, dueAt });
  }

  open(incident: Incident): Promise<void> {
    return this.#write({ event: "opened", incident });
  }

  close(incident: Incident): Promise<void> {
    return this.#write({ event: "closed", incident: idOf(incident.notice.about, incident.channel) });
  }

  /** Begins the file anew without what is over, so that it does not grow for ever. */
  forget(now: number): Promise<void> {
    const forgotten = this.#writing.then(() => this.#rewrite(now));
    this.#writing = forgotten.catch(() => undefined);
    return forgotten;
  }

  async #rewrite(now: number): Promise<void> {
    for (const [key, until] of this.#claims) if (until <= now) this.#claims.delete(key);
    const lines: Line[] = [
      ...[...this.#claims].map(([key, until]) => ({ event: "claimed", key, until }) as const),
      ...this.#deliveries.slice(-DELIVERIES_MOST).map((delivery) => ({ event: "tried", ...delivery, dueAt: 0 }) as const),
      ...[...this.#incidents.values()].map((incident) => ({ event: "opened", incident }) as const),
      ...this.waiting.flatMap(({ notice, channel }) => [{ event: "told", channel, notice } as const]),
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
  }

  /** Waits for what is being written. */
  async written(): Promise<void> {
    await this.#writing;
  }

  /** Lines follow each other; what is known changes at once, and the promise resolves when it is on disk. */
  #write(line: Line): Promise<void> {
    this.#take(line);
    const written = this.#writing.then(async () => {
      // Made when it is needed: who only looks leaves no folder behind.
      await mkdir(dirname(this.#file), { recursive: true, mode: 0o700 });
      await appendLine(this.#file, line);
    });
    this.#writing = written.catch(() => undefined);
    return written;
  }

  #take(line: Line): void {
    if (line.event === "claimed") {
      this.#claims.set(line.key, line.until);
      return;
    }
    if (line.event === "told") {
      const { notice, channel } = line;
      this.#waiting.set(idOf(notice.id, channel), { notice, channel, attempts: 0, dueAt: 0 });
      return;
    }
    if (line.event === "opened") {
      this.#incidents.set(idOf(line.incident.notice.about, line.incident.channel), line.incident);
      return;
    }
    if (line.event === "closed") {
      this.#incidents.delete(line.incident);
      return;
    }
    const { event: _, dueAt, ...delivery } = line;
    this.#deliveries.push(delivery);
    if (this.#deliveries.length > 2 * DELIVERIES_MOST) this.#deliveries = this.#deliveries.slice(-DELIVERIES_MOST);
    const id = idOf(delivery.notice, delivery.channel);
    const waiting = this.#waiting.get(id);
    if (!waiting) return;
    if (delivery.isLast) this.#waiting.delete(id);
    else this.#waiting.set(id, { ...waiting, attempts: delivery.attempt, dueAt });
  }
}

function idOf(thing: string, channel: string): string {
  return `${thing} ${channel}`;
}

async function appendLine(file: string, line: Line): Promise<void> {
  const handle = await open(file, "a", 0o600);
  try {
    await handle.write(`${JSON.stringify(line)}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** A line that a crash cut off was never acted upon: what it says is done again. */
function readLines(file: string): readonly Line[] {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw cause;
  }
  return text.split("\n").flatMap((line) => {
    try {
      return line === "" ? [] : [JSON.parse(line) as Line];
    } catch {
      return [];
    }
  });
}
