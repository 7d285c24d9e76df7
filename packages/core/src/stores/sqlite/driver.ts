import { PurserError } from "../../errors.ts";

export type SqlValue = string | number | null;

/** The part of a `node:sqlite` statement that the store uses. */
export interface Statement {
  run(...values: readonly SqlValue[]): unknown;
  get(...values: readonly SqlValue[]): unknown;
  all(...values: readonly SqlValue[]): unknown[];
  iterate(...values: readonly SqlValue[]): IterableIterator<unknown>;
}

/** The part of a `node:sqlite` database that the store uses. */
export interface Database {
  exec(sql: string): void;
  prepare(sql: string): Statement;
  close(): void;
}

export type OpenDatabase = (path: string, options?: { readonly readOnly?: boolean }) => Database;

/** Both drivers have this shape. */
interface SqliteModule {
  readonly DatabaseSync: new (path: string, options?: { readonly readOnly?: boolean }) => Database;
}

/** Finds an SQLite that is safe: the one in Node where there is one, else the package. Throws `sqlite_unsafe`. */
export async function loadSqlite(): Promise<OpenDatabase> {
  const found: string[] = [];
  for (const load of [loadBuiltIn, loadPackage]) {
    const sqlite = await load();
    if (!sqlite) continue;
    const open: OpenDatabase = (path, options = {}) => new sqlite.DatabaseSync(path, options);
    const version = versionOf(open);
    if (isSafeVersion(version)) return open;
    found.push(version);
  }
  const what =
    found.length > 0
      ? `SQLite ${found.join(" and ")} can damage a journal that several connections use (fixed in 3.51.3 and 3.53.0)`
      : `Node ${process.versions.node} has no SQLite of its own`;
  throw new PurserError("sqlite_unsafe", `${what}. Run \`npm install @photostructure/sqlite@1\`, or use Node 24 or later.`);
}

/** The fault in resetting the write-ahead log was fixed in 3.51.3; 3.52.0 was withdrawn. */
export function isSafeVersion(version: string): boolean {
  const [major = 0, minor = 0, patch = 0] = version.split(".").map(Number);
  const number = major * 1_000_000 + minor * 1_000 + patch;
  return number >= 3_051_003 && number !== 3_052_000;
}

function versionOf(open: OpenDatabase): string {
  const database = open(":memory:");
  const { version } = database.prepare("SELECT sqlite_version() AS version").get() as { version: string };
  database.close();
  return version;
}

/** Node announces its SQLite as experimental each time it is loaded; operators can do nothing about that. Other warnings pass. */
async function loadBuiltIn(): Promise<SqliteModule | undefined> {
  const { emitWarning } = process;
  const quiet = (warning: string | Error, ...rest: unknown[]) => {
    if (String(warning).includes("SQLite is an experimental feature")) return;
    Reflect.apply(emitWarning, process, [warning, ...rest]);
  };
  process.emitWarning = quiet as typeof process.emitWarning;
  try {
    // A variable, because the types of Node 20 do not know the module.
    const name = "node:sqlite";
    return (await import(name)) as SqliteModule;
  } catch {
    return undefined;
  } finally {
    process.emitWarning = emitWarning;
  }
}

async function loadPackage(): Promise<SqliteModule | undefined> {
  try {
    return (await import("@photostructure/sqlite")) as unknown as SqliteModule;
  } catch (error) {
    if ((error as { code?: string }).code === "ERR_MODULE_NOT_FOUND") return undefined;
    throw error;
  }
}
