import { randomBytes } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { mkdir, open, rename } from "node:fs/promises";
import { dirname, join } from "node:path";
import { isSubjectPath, PurserError } from "@purser/core";
import { locked } from "../file-lock.ts";
import { KEY_ROLES, type Key, type KeyName, type Keys, type NewKey } from "./key.ts";
import { KeyRing, keyOf, makeKey, type StoredKey, validAt } from "./stored-key.ts";

export interface KeysOptions {
  /** Told when the keys have changed on disk: made or revoked by the command line, or by hand. */
  readonly onChange?: () => void;
  /** Told when the file was changed into something that is no list of keys. The keys that were known stay valid. */
  readonly onError?: (error: unknown) => void;
  /** How long a look at the file stays good. A revoked key is refused after at most this long. 100 ms where it is left out. */
  readonly freshMs?: number;
}

const KEYS_FILE = "keys.json";

/**
 * The keys in a folder, `keys.json`, readable by its owner only. Other processes may make and revoke keys at the same time.
 * Once the file exists the gateway never treats every caller as its owner again, even when the last key is revoked.
 */
export async function openKeys(directory: string, options: KeysOptions = {}): Promise<Keys> {
  return new KeysFile(join(directory, KEYS_FILE), options);
}

interface Document {
  readonly version: 1;
  readonly keys: readonly StoredKey[];
  /** The names of keys that are no more, the latest last. */
  readonly revoked?: readonly KeyName[];
}

/** So many names of revoked keys are kept. */
const REVOKED_MOST = 10_000;

const FRESH_MS = 100;

/**
 * Hands the keys of a folder over to where they are kept from now on. The file stays as `keys.json.moved`, and an empty one in its place, which
 * says that there were keys, should the gateway be started without the other place again.
 */
export async function moveKeys(directory: string, take: (keys: readonly StoredKey[]) => Promise<void>): Promise<void> {
  const file = join(directory, KEYS_FILE);
  if ((readDocument(file)?.keys ?? []).length === 0) return;
  await locked(`${file}.lock`, "the keys", async () => {
    const document = readDocument(file);
    if (!document || document.keys.length === 0) return;
    await take(document.keys);
    await writeDocument(`${file}.moved`, document);
    await writeDocument(file, { ...document, keys: [] });
  });
}

class KeysFile implements Keys {
  readonly #file: string;
  readonly #freshMs: number;
  readonly #onChange: () => void;
  readonly #onError: (error: unknown) => void;
  readonly #ring = new KeyRing();
  #exists = false;
  #stamp = "";
  #lookedAt = Number.NEGATIVE_INFINITY;
  #writing: Promise<unknown> = Promise.resolve();

  constructor(file: string, { onChange = () => undefined, onError = () => undefined, freshMs = FRESH_MS }: KeysOptions) {
    this.#file = file;
    this.#onChange = onChange;
    this.#onError = onError;
    this.#freshMs = freshMs;
    this.#read(stampOf(file));
  }

  get isEmpty(): boolean {
    this.#look(!this.#exists);
    return !this.#exists;
  }

  find(secret: string, now: number): Key | undefined {
    this.#look(false);
    // A key that was made a moment ago must work at once.
    return validAt(
      this.#ring.find(secret, () => this.#look(true)),
      now,
    );
  }

  async create(key: NewKey) {
    const { stored, secret } = makeKey(key);
    await this.#change((document) => ({ ...document, keys: [...document.keys, stored] }));
    return { key: keyOf(stored), secret };
  }

  signing(id: string, now: number) {
    this.#look(false);
    return this.#ring.signing(id, now);
  }

  list(): readonly Key[] {
    this.#look(true);
    return this.#ring.list();
  }

  async revoke(id: string): Promise<boolean> {
    let found = false;
    await this.#change((document) => {
      const ended = document.keys.find((key) => key.id === id);
      found = ended !== undefined;
      if (!ended) return undefined;
      const revoked = [...(document.revoked ?? []), { id, name: ended.name }].slice(-REVOKED_MOST);
      return { ...document, keys: document.keys.filter((key) => key.id !== id), revoked };
    });
    return found;
  }

  async revoked(): Promise<readonly KeyName[]> {
    return (readDocument(this.#file)?.revoked ?? []).filter(isKeyName);
  }

  close(): void {}

  /** Reads the file again where it has changed since the last look. */
  #look(always: boolean): void {
    const at = performance.now();
    if (!always && at - this.#lookedAt < this.#freshMs) return;
    this.#lookedAt = at;
    const stamp = stampOf(this.#file);
    // A file that vanished opens nothing: the keys that were known stay.
    if (stamp === this.#stamp || stamp === "") return;
    try {
      this.#read(stamp);
    } catch (error) {
      // An editor may be in the middle of saving. Nobody's key stops working for that.
      this.#stamp = stamp;
      this.#onError(error);
      return;
    }
    this.#onChange();
  }

  #read(stamp: string): void {
    const stored = readDocument(this.#file)?.keys;
    this.#stamp = stamp;
    this.#exists ||= stored !== undefined;
    if (stored) this.#ring.replace(stored);
  }

  /** Changes within this process follow each other; a lock file keeps other processes apart. */
  #change(change: (document: Document) => Document | undefined): Promise<void> {
    const run = async () => {
      // Made when it is needed: who only looks leaves no folder behind.
      await mkdir(dirname(this.#file), { recursive: true, mode: 0o700 });
      await locked(`${this.#file}.lock`, "the keys", async () => {
        const changed = change(readDocument(this.#file) ?? { version: 1, keys: [] });
        if (changed) await writeDocument(this.#file, changed);
      });
      this.#look(true);
    };
    const done = this.#writing.then(run);
    this.#writing = done.catch(() => undefined);
    return done;
  }
}

/** Changes whenever the file is replaced; empty where there is none. */
function stampOf(file: string): string {
  const stats = statSync(file, { throwIfNoEntry: false });
  return stats ? `${stats.ino} ${stats.size} ${stats.mtimeMs}` : "";
}

function readDocument(file: string): Document | undefined {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new PurserError("config_invalid", `The keys in ${file} cannot be read: ${(cause as Error).message}`, { cause });
  }
  try {
    const document = JSON.parse(text) as Document;
    if (document.version !== 1 || !Array.isArray(document.keys) || !document.keys.every(isStoredKey))
      throw new Error("it has another form");
    return document;
  } catch (cause) {
    const message = `${file} is not a list of keys: ${(cause as Error).message}. Bring back a copy, or delete it and make new keys.`;
    throw new PurserError("config_invalid", message, { cause });
  }
}

function isStoredKey(value: unknown): value is StoredKey {
  const key = value as Partial<StoredKey> | null;
  return (
    typeof key?.id === "string" &&
    typeof key.secretSha256 === "string" &&
    /^[0-9a-f]{64}$/.test(key.secretSha256) &&
    typeof key.attributes === "object" &&
    Array.isArray(key.maySet) &&
    key.maySet.every((path) => typeof path === "string" && isSubjectPath(path)) &&
    KEY_ROLES.some((role) => role === key.role)
  );
}

function isKeyName(value: unknown): value is KeyName {
  const { id, name } = (value ?? {}) as Partial<KeyName>;
  return typeof id === "string" && typeof name === "string";
}

/** Written beside it, flushed, then renamed: a crash leaves the old list or the new one. */
async function writeDocument(file: string, document: Document): Promise<void> {
  const draft = `${file}.${randomBytes(6).toString("hex")}.draft`;
  const handle = await open(draft, "w", 0o600);
  try {
    await handle.writeFile(`${JSON.stringify(document, null, 2)}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(draft, file);
  await syncDirectory(join(file, ".."));
}

/** Makes the rename itself durable, where the system lets a folder be opened. */
async function syncDirectory(directory: string): Promise<void> {
  if (process.platform === "win32") return;
  const handle = await open(directory, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
