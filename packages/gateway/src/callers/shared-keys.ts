import { setTimeout } from "node:timers/promises";
import type { Database } from "@purser/core/stores/postgres";
import type { Key, KeyName, Keys, NewKey } from "./key.ts";
import { moveKeys } from "./keys.ts";
import { KeyRing, keyOf, makeKey, type StoredKey, validAt } from "./stored-key.ts";

export interface SharedKeysOptions {
  readonly database: Database;
  /** The data folder, whose own keys are moved to the database. */
  readonly directory: string;
  /** Told once of each time that the keys cannot be read. Those that are known stay valid. */
  readonly onError?: (error: unknown) => void;
  /** How often to look for changes. A second where it is left out. */
  readonly everyMs?: number;
}

const EVERY_MS = 1_000;

/**
 * The keys of all gateways on one PostgreSQL database. A key that is made or revoked on one of them counts on the others within two seconds.
 * Known keys stay valid while the database is away.
 */
export async function openSharedKeys(options: SharedKeysOptions): Promise<Keys> {
  const keys = new SharedKeys(options);
  await moveKeys(options.directory, (stored) => keys.add(stored));
  await keys.read();
  keys.follow();
  return keys;
}

class SharedKeys implements Keys {
  readonly #options: SharedKeysOptions;
  readonly #ring = new KeyRing();
  readonly #closing = new AbortController();
  /** The number of the change that was read last. */
  #change: string | undefined;
  #wasMade = false;

  constructor(options: SharedKeysOptions) {
    this.#options = options;
  }

  get isEmpty(): boolean {
    return !this.#wasMade;
  }

  find(secret: string, now: number): Key | undefined {
    return validAt(this.#ring.find(secret), now);
  }

  async create(key: NewKey) {
    const { stored, secret } = makeKey(key);
    await this.add([stored]);
    await this.read();
    return { key: keyOf(stored), secret };
  }

  signing(id: string, now: number) {
    return this.#ring.signing(id, now);
  }

  list(): readonly Key[] {
    return this.#ring.list();
  }

  async revoked(): Promise<readonly KeyName[]> {
    const { rows } = await this.#options.database.query(REVOKED);
    return (rows as readonly Pick<KeyRow, "id" | "body">[]).map(({ id, body: { name } }) => ({ id, name }));
  }

  async revoke(id: string): Promise<boolean> {
    const { rowCount } = await this.#options.database.query(REVOKE, [id, Date.now()]);
    await this.read();
    return rowCount === 1;
  }

  close(): void {
    this.#closing.abort();
  }

  /** Adds keys that are not there yet: one that was revoked stays revoked. */
  async add(keys: readonly StoredKey[]): Promise<void> {
    const rows = keys.map(({ id, secretSha256, createdAt, expiresAt, ...body }) => {
      return { id, secret_sha256: secretSha256, created_at: createdAt, expires_at: expiresAt ?? null, body: JSON.stringify(body) };
    });
    await this.#options.database.query(ADD, [JSON.stringify(rows)]);
  }

  async read(): Promise<void> {
    const { rows } = await this.#options.database.query(READ);
    const [{ number, was_made, keys }] = rows as [{ number: string; was_made: boolean; keys: readonly KeyRow[] | null }];
    // An answer that was overtaken by a later one says nothing new.
    if (this.#change !== undefined && BigInt(number) < BigInt(this.#change)) return;
    this.#ring.replace((keys ?? []).map(storedKey));
    this.#wasMade = was_made;
    this.#change = number;
  }

  /** Looks for changes until it is closed. */
  follow(): void {
    const { onError = () => undefined } = this.#options;
    void this.#follow(onError);
  }

  async #follow(onError: (error: unknown) => void): Promise<void> {
    const { everyMs = EVERY_MS, database } = this.#options;
    const { signal } = this.#closing;
    let isReachable = true;
    while (!signal.aborted) {
      await setTimeout(everyMs, undefined, { signal, ref: false }).catch(() => undefined);
      if (signal.aborted) return;
      try {
        const { rows } = await database.query("SELECT number FROM purser.key_change");
        if (rows[0].number !== this.#change) await this.read();
        isReachable = true;
      } catch (error) {
        if (isReachable) onError(error);
        isReachable = false;
      }
    }
  }
}

interface KeyRow {
  readonly id: string;
  readonly secret_sha256: string;
  readonly created_at: number;
  readonly expires_at: number | null;
  readonly body: Pick<Key, "name" | "attributes" | "maySet" | "role">;
}

function storedKey({ id, secret_sha256, created_at, expires_at, body }: KeyRow): StoredKey {
  return { id, ...body, createdAt: created_at, expiresAt: expires_at ?? undefined, secretSha256: secret_sha256 };
}

/** All that is valid, and the number of the change up to which it is: one statement sees one moment. */
const READ = `
  SELECT number, EXISTS (SELECT FROM purser.key) AS was_made,
    (SELECT json_agg(json_build_object('id', id, 'secret_sha256', secret_sha256, 'created_at', created_at, 'expires_at', expires_at, 'body', body)
       ORDER BY created_at, id) FROM purser.key WHERE revoked_at IS NULL) AS keys
  FROM purser.key_change`;

const REVOKED = `SELECT id, body FROM purser.key WHERE revoked_at IS NOT NULL ORDER BY revoked_at, id`;

const ADD = `
  WITH added AS (
    INSERT INTO purser.key (id, secret_sha256, created_at, expires_at, body)
    SELECT id, secret_sha256, created_at, expires_at, body::json
    FROM json_to_recordset($1::json) AS key (id text, secret_sha256 text, created_at bigint, expires_at bigint, body text)
    ON CONFLICT DO NOTHING RETURNING id
  )
  UPDATE purser.key_change SET number = number + 1 WHERE EXISTS (SELECT FROM added)`;

/** Its row count says whether there was such a key. */
const REVOKE = `
  WITH revoked AS (UPDATE purser.key SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL RETURNING id)
  UPDATE purser.key_change SET number = number + 1 WHERE EXISTS (SELECT FROM revoked)`;
