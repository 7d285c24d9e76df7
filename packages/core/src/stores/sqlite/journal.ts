import { Worker } from "node:worker_threads";
import type { Digest, Stretch } from "../digest.ts";
import type { AuditAnswer, AuditStep } from "./audit.ts";
import type { Batch } from "./batch.ts";
import type { Page, PageQuery } from "./reading.ts";
import type { Answer, Request, ThreadData } from "./thread.ts";

/** Where entries become durable, and where they are read from. */
export interface Journal {
  /** Resolves when the batch is on disk. Rejects when it may not be; the same batch can then be written again. */
  write(batch: Batch): Promise<void>;
  page(query: PageQuery): Promise<Page>;
  /** A step of the comparison of balances with what is on disk. */
  audit(step: AuditStep): Promise<AuditAnswer>;
  /** What a stretch of it is known by, as it is on disk. */
  digest(stretch: Stretch): Promise<Digest>;
  close(): Promise<void>;
}

/** A journal in a database whose writer and whose reader have a thread each: no commit and no query holds up the event loop. */
export function openJournal(path: string): Journal {
  const writer = new Thread(path);
  const reader = new Thread(path);
  return {
    write: (batch) => writer.ask({ kind: "write", batch }) as Promise<void>,
    page: (query) => reader.ask({ kind: "page", query }) as Promise<Page>,
    audit: (step) => reader.ask({ kind: "audit", step }) as Promise<AuditAnswer>,
    digest: (stretch) => reader.ask({ kind: "digest", stretch }) as Promise<Digest>,
    close: async () => {
      await reader.close();
      await writer.close();
    },
  };
}

interface Waiting {
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** A worker thread that is started when first asked, and started again should it die. It keeps the process alive only while it works. */
class Thread {
  readonly #path: string;
  readonly #waiting: Waiting[] = [];
  #worker: Worker | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  ask(request: Request): Promise<unknown> {
    this.#worker ??= this.#start();
    const worker = this.#worker;
    return new Promise((resolve, reject) => {
      if (this.#waiting.push({ resolve, reject }) === 1) worker.ref();
      worker.postMessage(request);
    });
  }

  async close(): Promise<void> {
    const worker = this.#worker;
    if (!worker) return;
    await this.ask({ kind: "close" });
    this.#worker = undefined;
    await worker.terminate();
  }

  #start(): Worker {
    const workerData: ThreadData = { path: this.#path };
    const worker = new Worker(new URL("./thread.js", import.meta.url), { workerData });
    worker.on("message", (answer: Answer) => this.#answered(worker, answer));
    worker.on("error", (error) => this.#died(worker, error));
    worker.on("exit", () => this.#died(worker, new Error("The thread of the journal ended.")));
    return worker;
  }

  #answered(worker: Worker, answer: Answer): void {
    const waiting = this.#waiting.shift();
    if (this.#waiting.length === 0) worker.unref();
    if (answer.outcome === "done") waiting?.resolve(answer.result);
    else waiting?.reject(new Error(answer.message));
  }

  #died(worker: Worker, error: unknown): void {
    if (this.#worker !== worker) return;
    this.#worker = undefined;
    for (const { reject } of this.#waiting.splice(0)) reject(error instanceof Error ? error : new Error(String(error)));
  }
}
