import { parentPort, workerData } from "node:worker_threads";
import type { Stretch } from "../digest.ts";
import { type AuditStep, LedgerSums } from "./audit.ts";
import type { Batch } from "./batch.ts";
import { type Database, loadSqlite, type OpenDatabase } from "./driver.ts";
import { type PageQuery, readDigest, readPage } from "./reading.ts";
import { CONNECTION } from "./schema.ts";
import { batchWriter } from "./writing.ts";

/** What a thread is asked; it answers in the same order. */
export type Request =
  | { readonly kind: "write"; readonly batch: Batch }
  | { readonly kind: "page"; readonly query: PageQuery }
  | { readonly kind: "audit"; readonly step: AuditStep }
  | { readonly kind: "digest"; readonly stretch: Stretch }
  | { readonly kind: "close" };

export type Answer = { readonly outcome: "done"; readonly result: unknown } | { readonly outcome: "failed"; readonly message: string };

export interface ThreadData {
  readonly path: string;
}

/** The one connection of a thread. After a failure it is opened anew, so that nothing of the failure stays behind. */
class Connection {
  readonly #open: OpenDatabase;
  readonly #path: string;
  #database: Database | undefined;
  #write: ((batch: Batch) => void) | undefined;
  readonly #sums = new LedgerSums();

  constructor(open: OpenDatabase, path: string) {
    this.#open = open;
    this.#path = path;
  }

  answer(request: Request): Answer {
    try {
      return { outcome: "done", result: this.#run(request) };
    } catch (error) {
      this.#close();
      return { outcome: "failed", message: error instanceof Error ? error.message : String(error) };
    }
  }

  #run(request: Request): unknown {
    if (request.kind === "close") return this.#close();
    this.#database ??= this.#connect();
    if (request.kind === "page") return readPage(this.#database, request.query);
    if (request.kind === "digest") return readDigest(this.#database, request.stretch);
    if (request.kind === "audit") return this.#sums.take(this.#database, request.step);
    this.#write ??= batchWriter(this.#database);
    return this.#write(request.batch);
  }

  #connect(): Database {
    const database = this.#open(this.#path);
    database.exec(CONNECTION);
    return database;
  }

  #close(): void {
    const database = this.#database;
    this.#database = undefined;
    this.#write = undefined;
    try {
      database?.close();
    } catch {
      // A connection that failed may refuse to close; the next one does not depend on it.
    }
  }
}

const port = parentPort;
if (port) {
  const connection = new Connection(await loadSqlite(), (workerData as ThreadData).path);
  port.on("message", (request: Request) => port.postMessage(connection.answer(request)));
}
