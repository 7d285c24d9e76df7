import { PurserError } from "../../errors.ts";

/** The part of a `pg` Pool that is used. Yours is never ended here. */
export interface PostgresPool {
  connect(): Promise<PostgresClient>;
}

/** The part of a `pg` client that is used. */
export interface PostgresClient {
  query(text: string, values?: unknown[]): Promise<PostgresResult>;
  query<Stream extends CopyStream>(stream: Stream): Stream;
  /** With an error, the connection is closed and not used again. */
  release(error?: Error): void;
}

export interface PostgresResult {
  // biome-ignore lint/suspicious/noExplicitAny: rows are as a statement selects them
  readonly rows: any[];
  readonly rowCount: number | null;
}

/** What `from` of `pg-copy-streams` makes. */
export interface CopyStream extends NodeJS.WritableStream {
  submit(connection: never): void;
}

/** `from` of `pg-copy-streams`. */
export type CopyFrom = (sql: string) => CopyStream;

/** The schema that all tables of Purser are in. */
export const SCHEMA = "purser";

/** SQL is written for the schema `purser`; another one takes its place. */
export function inSchema(sql: string, schema: string): string {
  return schema === SCHEMA ? sql : sql.replace(/\bpurser\./g, `${schema}.`);
}

/** A database of Purser: connections, and the schema. */
export class Database {
  readonly #pool: PostgresPool;
  readonly schema: string;

  constructor(pool: PostgresPool, schema = SCHEMA) {
    this.#pool = pool;
    this.schema = schema;
  }

  /** The SQL for this schema. */
  sql(text: string): string {
    return inSchema(text, this.schema);
  }

  /** Runs one statement. */
  query(text: string, values?: unknown[]): Promise<PostgresResult> {
    return this.connected((client) => client.query(this.sql(text), values));
  }

  /** Runs several statements in one transaction. Settings hold for it alone. */
  transaction<Result>(work: (client: PostgresClient) => Promise<Result>, begin = "BEGIN"): Promise<Result> {
    return this.connected(async (client) => {
      await client.query(begin);
      try {
        const result = await work(client);
        await client.query("COMMIT");
        return result;
      } catch (error) {
        // A connection that is broken cannot roll back, and is rolled back by being closed.
        await client.query("ROLLBACK").catch(() => undefined);
        throw error;
      }
    });
  }

  /** Lends a connection. One on which something failed for another reason than the statement itself is not used again. */
  async connected<Result>(work: (client: PostgresClient) => Promise<Result>): Promise<Result> {
    let client: PostgresClient;
    try {
      client = await this.#pool.connect();
    } catch (cause) {
      throw unavailable(cause);
    }
    try {
      const result = await work(client);
      client.release();
      return result;
    } catch (cause) {
      const isAnswer = cause instanceof PurserError || sqlState(cause) !== undefined;
      client.release(isAnswer ? undefined : (cause as Error));
      // A mistake of ours is not the database's.
      throw cause instanceof PurserError || cause instanceof TypeError ? cause : unavailable(cause);
    }
  }
}

function unavailable(cause: unknown): PurserError {
  const what = cause instanceof Error ? cause.message || String((cause as NodeJS.ErrnoException).code) : String(cause);
  return new PurserError("store_unavailable", `PostgreSQL cannot be used at the moment: ${what}.`, { cause });
}

/** The five characters by which PostgreSQL names an error; none where it was not PostgreSQL that said no. */
export function sqlState(error: unknown): string | undefined {
  const { code } = (error ?? {}) as { readonly code?: unknown };
  return typeof code === "string" && /^[0-9A-Z]{5}$/.test(code) ? code : undefined;
}

/** `pg` gives 64-bit integers as texts, because a number cannot hold all of them. */
export function integerOf(value: string | number | bigint, tooLarge: () => Error): number {
  const number = Number(value);
  if (Number.isSafeInteger(number)) return number;
  throw tooLarge();
}
