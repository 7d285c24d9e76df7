import { randomBytes } from "node:crypto";
import { type FileHandle, mkdir, open, readFile, rename } from "node:fs/promises";
import { dirname, join } from "node:path";
import { PurserError } from "@purser/core";
import { locked } from "../file-lock.ts";
import { type AuditLine, BEGINNING, chained, type Deed, type Head, readLine, type Verified, verifyLog } from "./chain.ts";

const AUDIT_FILE = "audit.jsonl";
const HEAD_FILE = "audit.head";

export interface AuditLogOptions {
  /** Told of a refusal that could not be written down; a deed that cannot is not done. */
  readonly onError?: (error: unknown) => void;
  /** Epoch milliseconds; `Date.now` where it is left out. */
  readonly now?: () => number;
}

/** So many refusals of one kind are written down each; the rest of their minute is one line that says how many it stands for. */
const EACH_IN_A_MINUTE = 10;
const MINUTE_MS = 60_000;
/** Kinds of refusals that are told apart at a time: who is refused can call themselves as they like. */
const KINDS_MOST = 1_000;

interface Refusals {
  readonly since: number;
  written: number;
  waiting: { readonly deed: Deed; times: number } | undefined;
}

/**
 * Who did what, as a data folder knows it: `audit.jsonl`, a line for each deed, chained by hashes. All processes of the folder write to it, one
 * after the other. `audit.head` says where it ends, so that an end which is missing is noticed.
 */
export class AuditLog {
  readonly #file: string;
  readonly #headFile: string;
  readonly #onError: (error: unknown) => void;
  readonly #now: () => number;
  readonly #refusals = new Map<string, Refusals>();
  #writing: Promise<unknown> = Promise.resolve();

  constructor(directory: string, { onError = () => undefined, now = Date.now }: AuditLogOptions = {}) {
    this.#file = join(directory, AUDIT_FILE);
    this.#headFile = join(directory, HEAD_FILE);
    this.#onError = onError;
    this.#now = now;
  }

  /** Writes a deed down. Resolves with its number when it is on disk. */
  write(deed: Deed): Promise<number> {
    const written = this.#writing.then(() => this.#append(deed));
    this.#writing = written.catch(() => undefined);
    return written;
  }

  /** Writes down that somebody was not let in. Does not fail, and does not let a program in a loop fill the disk. */
  refused(deed: Deed): void {
    const now = this.#now();
    const kind = JSON.stringify([deed.by, deed.what, deed.from, deed.details?.code]);
    let known = this.#refusals.get(kind);
    if (!known || now - known.since >= MINUTE_MS) {
      if (known) this.#writeWaiting(known);
      if (this.#refusals.size >= KINDS_MOST) this.flush();
      known = { since: now, written: 0, waiting: undefined };
      this.#refusals.set(kind, known);
    }
    if (known.written < EACH_IN_A_MINUTE) {
      known.written++;
      this.#inBackground(deed);
    } else if (known.waiting) known.waiting.times++;
    else known.waiting = { deed, times: 1 };
  }

  /** Writes down what waits of refusals. To be called every minute or so. */
  flush(): void {
    for (const known of this.#refusals.values()) this.#writeWaiting(known);
    this.#refusals.clear();
  }

  /** Lines in their order, those that can be read. */
  async lines(): Promise<readonly AuditLine[]> {
    return (await this.#text()).split("\n").flatMap((text) => readLine(text) ?? []);
  }

  /** What the newest line is read as that is read as anything. */
  async newest<Found>(read: (line: AuditLine) => Found | undefined): Promise<Found | undefined> {
    const text = await this.#text();
    for (let end = text.length; end > 0; ) {
      const start = text.lastIndexOf("\n", end - 1) + 1;
      const line = readLine(text.slice(start, end));
      const found = line && read(line);
      if (found !== undefined) return found;
      end = start - 1;
    }
    return undefined;
  }

  /** Finds whatever was changed, taken out, moved or cut off. `noted`: a head that somebody wrote down elsewhere. */
  async verify(noted?: Head): Promise<Verified> {
    // The head first: what is written meanwhile is more than it says, never less.
    const head = await this.#readHead();
    const text = await this.#text();
    const known = [...(head ? [head] : []), ...(noted ? [noted] : [])];
    const verified = verifyLog(text, known);
    if (head || verified.head.n === 0) return verified;
    const fault = { line: verified.head.n + 1, what: `cannot be known to be the first that is missing: ${this.#headFile} is gone` };
    return { ...verified, faults: [...verified.faults, fault] };
  }

  /** Waits for what is being written. */
  async close(): Promise<void> {
    this.flush();
    await this.#writing;
  }

  #writeWaiting(known: Refusals): void {
    if (!known.waiting) return;
    const { deed, times } = known.waiting;
    known.waiting = undefined;
    this.#inBackground(times === 1 ? deed : { ...deed, details: { ...deed.details, times } });
  }

  #inBackground(deed: Deed): void {
    this.write(deed).catch(this.#onError);
  }

  async #append(deed: Deed): Promise<number> {
    try {
      // Made when it is needed: who only looks leaves no folder behind.
      await mkdir(dirname(this.#file), { recursive: true, mode: 0o700 });
      return await locked(`${this.#file}.lock`, "the audit log", async () => {
        const handle = await open(this.#file, "a+", 0o600);
        try {
          return await this.#appendTo(handle, deed);
        } finally {
          await handle.close();
        }
      });
    } catch (cause) {
      if (cause instanceof PurserError) throw cause;
      const message = `${this.#file} cannot be written: ${(cause as Error).message}. What cannot be written down there is not done.`;
      throw new PurserError("store_unavailable", message, { cause });
    }
  }

  async #appendTo(handle: FileHandle, deed: Deed): Promise<number> {
    const end = await readEnd(handle);
    const now = new Date(this.#now()).toISOString();
    // What a crash cut off was never acknowledged to anybody. That it was there stays written.
    if (end.torn > 0) await handle.truncate(end.size - end.torn);
    const known = await this.#readHead();
    const isHealed = end.head === undefined;
    // What was cut off is missed: the numbers go on after it.
    const from = known && known.n > (end.head?.n ?? -1) ? known : (end.head ?? BEGINNING);
    const repair: Deed = { by: "purser", what: "log.repaired", details: { bytes: end.torn, ...(isHealed && { unreadable: true }) } };
    const deeds = end.torn > 0 || isHealed ? [repair, deed] : [deed];
    let head = from;
    let text = "";
    for (const one of deeds) {
      const next = chained(one, now, head);
      text += `${next.text}\n`;
      head = next.head;
    }
    await handle.write(text);
    await handle.sync();
    await this.#writeHead(head);
    return head.n;
  }

  async #text(): Promise<string> {
    return readFile(this.#file, "utf8").catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return "";
      throw error;
    });
  }

  async #readHead(): Promise<Head | undefined> {
    const text = await readFile(this.#headFile, "utf8").catch(() => "");
    const [, n, sum] = /^(\d{1,15}) ([0-9a-f]{64})\n$/.exec(text) ?? [];
    return sum === undefined ? undefined : { n: Number(n), hash: sum };
  }

  async #writeHead({ n, hash: sum }: Head): Promise<void> {
    const draft = `${this.#headFile}.${randomBytes(6).toString("hex")}.draft`;
    const handle = await open(draft, "w", 0o600);
    try {
      await handle.writeFile(`${n} ${sum}\n`);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(draft, this.#headFile);
  }
}

/** Lines are shorter than this; of longer ones the end is read again, larger. */
const END_BYTES = 64 * 1024;

/** Where a file ends: the head of its last whole line, which is undefined for one that cannot be read, and how many bytes of a torn one follow. */
async function readEnd(handle: FileHandle): Promise<{ readonly size: number; readonly torn: number; readonly head: Head | undefined }> {
  const { size } = await handle.stat();
  if (size === 0) return { size, torn: 0, head: BEGINNING };
  for (let length = Math.min(size, END_BYTES); ; length = Math.min(size, length * 16)) {
    const { buffer } = await handle.read(Buffer.alloc(length), 0, length, size - length);
    const last = buffer.lastIndexOf(0x0a);
    const before = last < 1 ? -1 : buffer.lastIndexOf(0x0a, last - 1);
    if (before < 0 && length < size) continue;
    if (last < 0) return { size, torn: size, head: BEGINNING };
    return { size, torn: length - last - 1, head: readLine(buffer.toString("utf8", before + 1, last)) };
  }
}
