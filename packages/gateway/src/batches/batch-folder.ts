import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { RateCard, Subject } from "@purser/core";
import { writeDurably } from "../durable-file.ts";
import type { DialectName } from "../providers/provider.ts";
import { readRecord } from "../record-file.ts";
import type { BatchForm } from "./batch-form.ts";

/** Whose something is, and where. */
export interface Owned {
  /** Who made it: a key, or a delegation; none for the owner. */
  readonly holder: string | undefined;
  readonly provider: string;
  /** The dialect at whose address its provider has it. */
  readonly dialect: DialectName;
  /** Epoch milliseconds. */
  readonly at: number;
}

/** A file at a provider: the input of batches, or what came out of one. */
export interface KnownFile extends Owned {
  /** As the provider calls it. */
  readonly id: string;
}

/** One call of a batch: what it holds, and by which name its result is found. */
export interface HeldLine {
  /** Of its reservation. */
  readonly id: string;
  readonly customId: string;
  /** Which of the subjects and of the cards of the batch. */
  readonly subject: number;
  readonly card: number | undefined;
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly copies: number;
  readonly free: boolean;
  readonly toolCalls: Readonly<Record<string, number>>;
}

/** A batch, without its texts. */
export interface KnownBatch extends Owned {
  /** The id of the request that made it. */
  readonly id: string;
  readonly form: BatchForm["name"];
  /** `creating` is written before it is sent: what a crash leaves so may have been taken. `ended`: all its calls are settled. */
  readonly state: "creating" | "running" | "ended";
  /** As the provider calls it; none until it has answered. */
  readonly providerId: string | undefined;
  readonly inputFile: string | undefined;
  /** Until when its calls are held. */
  readonly expiresAt: number;
  /** Headers that go along with every question about it, names and values in turn. */
  readonly headers: readonly string[];
  /** How it stood when its provider last said. */
  readonly last: unknown;
  readonly lines: readonly HeldLine[];
  readonly subjects: readonly Subject[];
  readonly cards: readonly RateCard[];
}

/** A batch without its calls, of which there may be very many. */
export type BatchSummary = Omit<KnownBatch, "lines" | "subjects" | "cards">;

type Kind = "batch" | "file";

/** What is known of batches and their files, in the `batches` folder of the data folder. */
export class BatchFolder {
  readonly #folder: string;

  constructor(dataDir: string) {
    this.#folder = join(dataDir, "batches");
  }

  /** All that is there. What a crash left half is removed; of what cannot be read `onError` is told. */
  async open(
    onError: (error: unknown) => void,
  ): Promise<{ readonly batches: readonly KnownBatch[]; readonly files: readonly KnownFile[] }> {
    const names = await readdir(this.#folder).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return [];
      throw error;
    });
    const batches: KnownBatch[] = [];
    const files: KnownFile[] = [];
    for (const name of names) {
      const path = join(this.#folder, name);
      if (name.endsWith(".batch")) {
        const batch = await readRecord(path, isBatch, onError);
        if (batch) batches.push(batch);
      } else if (name.endsWith(".file")) {
        const file = await readRecord(path, isFile, onError);
        if (file) files.push(file);
      } else await rm(path, { force: true });
    }
    return { batches: batches.sort((a, b) => a.at - b.at), files };
  }

  async write(kind: Kind, one: KnownBatch | KnownFile): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    await writeDurably(this.#folder, `${encodeURIComponent(one.id)}.${kind}`, Buffer.from(JSON.stringify(one)));
  }

  async remove(kind: Kind, id: string): Promise<void> {
    await rm(join(this.#folder, `${encodeURIComponent(id)}.${kind}`), { force: true });
  }
}

const STATES: readonly unknown[] = ["creating", "running", "ended"] satisfies readonly KnownBatch["state"][];
const FORMS: readonly unknown[] = ["openai", "anthropic"] satisfies readonly BatchForm["name"][];

function isBatch(value: unknown): value is KnownBatch {
  const batch = value as Partial<KnownBatch>;
  const { state, form, expiresAt, headers, lines, subjects, cards } = isFile(value) ? batch : {};
  const lists = [headers, lines, subjects, cards];
  return STATES.includes(state) && FORMS.includes(form) && typeof expiresAt === "number" && lists.every(Array.isArray);
}

function isFile(value: unknown): value is KnownFile {
  const file = value as Partial<KnownFile> | null;
  return [file?.id, file?.provider, file?.dialect].every((text) => typeof text === "string") && typeof file?.at === "number";
}
