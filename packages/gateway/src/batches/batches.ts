import { PurserError, type Reservation, type Subject, type Usage } from "@purser/core";
import { withTools, worstUsage } from "../budgeted-call.ts";
import type { Dialect } from "../dialects/dialect.ts";
import type { Gateway } from "../gateway.ts";
import { observeBalances } from "../sending.ts";
import type { UpstreamRequest } from "../upstream.ts";
import { readLines, readWhole } from "../upstream-answer.ts";
import { type ClientRequest, upstreamHeaders } from "../upstream-request.ts";
import { anthropicForm } from "./anthropic-form.ts";
import { BatchFolder, type BatchSummary, type HeldLine, type KnownBatch, type KnownFile, type Owned } from "./batch-folder.ts";
import type { BatchForm, BatchStanding } from "./batch-form.ts";
import { inTurns, releaseAll } from "./hold.ts";
import { openaiForm } from "./openai-form.ts";

/** What whoever serves requests about batches does with those that are known, in whichever process that is. */
export type BatchesPort = Pick<
  Batches,
  | "keepFile"
  | "checkRoom"
  | "file"
  | "forgetFile"
  | "needing"
  | "batch"
  | "list"
  | "current"
  | "add"
  | "taken"
  | "returned"
  | "lost"
  | "observe"
>;

export interface BatchesOptions {
  readonly directory: string;
  /** The gateway as it is configured now. */
  readonly gateway: () => Gateway;
  readonly onError: (error: unknown) => void;
  /** Epoch milliseconds; `Date.now` where it is left out. */
  readonly now?: () => number;
}

const FORMS: Readonly<Record<BatchForm["name"], BatchForm>> = { openai: openaiForm, anthropic: anthropicForm };

const HOUR_MS = 3_600_000;
/** A batch that cannot be asked about any more is let go this long after its holds. */
const GIVE_UP_MS = 7 * 24 * HOUR_MS;
/** How long files and batches that are over are known. */
const KEPT_MS = 30 * 24 * HOUR_MS;
const POLL_EVERY_MS = 60_000;
/** So many are asked about at a time. */
const ASKED_MOST = 4;
/** So many are on their way, and so many files are known. More are refused. */
const BATCHES_MOST = 1_000;
const FILES_MOST = 100_000;
const BATCH_BYTES_MOST = 1024 * 1024;
/** What a provider says of what it has no longer. */
const GONE: ReadonlySet<number> = new Set([404, 410]);

const DIALECTS: ReadonlyMap<string, Dialect> = new Map(
  Object.values(FORMS).flatMap(({ dialects }) => dialects.map((dialect) => [dialect.name, dialect])),
);

/** Batches on their way: each is held when it is made, asked about until it is over, and settled call by call by its results. */
export class Batches {
  readonly #options: BatchesOptions;
  readonly #folder: BatchFolder;
  readonly #now: () => number;
  readonly #batches = new Map<string, KnownBatch>();
  readonly #files = new Map<string, KnownFile>();
  /** When each is asked about next. */
  readonly #pollAt = new Map<string, number>();
  readonly #busy = new Set<string>();
  /** What is being sent to its provider now. */
  readonly #making = new Set<string>();
  readonly #running = new Set<Promise<void>>();
  #isClosed = false;

  static async open(options: BatchesOptions): Promise<Batches> {
    const opened = new Batches(options);
    const { batches, files } = await opened.#folder.open(options.onError);
    for (const batch of batches) opened.#batches.set(batch.id, batch);
    for (const file of files) opened.#files.set(file.id, file);
    return opened;
  }

  private constructor(options: BatchesOptions) {
    this.#options = options;
    this.#folder = new BatchFolder(options.directory);
    this.#now = options.now ?? Date.now;
  }

  /** Remembers whose a file is. Resolves when that is on disk. */
  async keepFile(file: KnownFile): Promise<void> {
    await this.#folder.write("file", file);
    this.#files.set(file.id, file);
  }

  /** Refuses what there is no room for before its provider is asked. */
  async checkRoom(): Promise<void> {
    const open = [...this.#batches.values()].filter(({ state }) => state !== "ended").length;
    if (open >= BATCHES_MOST || this.#files.size >= FILES_MOST)
      throw new PurserError(
        "rate_limited",
        "Too many batches, or files of batches, are known here. Try again when some are over or deleted.",
      );
  }

  /** A file of this holder. Another one's is as unknown as one that does not exist. */
  async file(id: string, holder: Owned["holder"]): Promise<KnownFile> {
    const file = this.#files.get(id);
    if (!file || file.holder !== holder) throw unknown(`file "${shown(id)}"`);
    return file;
  }

  async forgetFile(id: string): Promise<void> {
    this.#files.delete(id);
    await this.#folder.remove("file", id);
  }

  /** The batch that has not been settled yet and needs this file for that. */
  async needing(fileId: string): Promise<BatchSummary | undefined> {
    const batch = this.#needing(fileId);
    return batch && summaryOf(batch);
  }

  #needing(fileId: string): KnownBatch | undefined {
    return [...this.#batches.values()].find(
      ({ state, inputFile, form, last }) =>
        state !== "ended" && (inputFile === fileId || FORMS[form].readBatch(last)?.files.includes(fileId) === true),
    );
  }

  /** A batch of this holder, by the id that its provider gave it. */
  async batch(providerId: string, form: BatchForm["name"], holder: Owned["holder"]): Promise<BatchSummary> {
    const found = this.#of(form, holder).find((batch) => batch.providerId === providerId);
    if (!found) throw unknown(`batch "${shown(providerId)}"`);
    return summaryOf(found);
  }

  /** The batches of this holder, newest first. */
  async list(form: BatchForm["name"], holder: Owned["holder"]): Promise<readonly BatchSummary[]> {
    return this.#of(form, holder).reverse().map(summaryOf);
  }

  #of(form: BatchForm["name"], holder: Owned["holder"]): KnownBatch[] {
    return [...this.#batches.values()].filter((one) => one.form === form && one.holder === holder && one.providerId !== undefined);
  }

  /** A batch as it is known now; nothing where it is forgotten. */
  async current(id: string): Promise<BatchSummary | undefined> {
    const batch = this.#batches.get(id);
    return batch && summaryOf(batch);
  }

  /** Takes note of a batch that is going to be sent, and whose calls are held. Resolves when that is on disk, so that it may be sent. */
  async add(batch: KnownBatch): Promise<void> {
    // What is being made is not taken for what a crash left.
    this.#making.add(batch.id);
    try {
      await this.#put(batch);
    } catch (error) {
      this.#making.delete(batch.id);
      await this.#forget(batch.id).catch(this.#options.onError);
      throw error;
    }
  }

  /** Who was sending a batch has died: nobody knows whether its provider has taken it. */
  abandon(id: string): void {
    this.#making.delete(id);
  }

  /** The provider has taken the batch. */
  async taken(id: string, answer: unknown): Promise<void> {
    const batch = this.#made(id);
    if (!batch) return;
    const standing = FORMS[batch.form].readBatch(answer);
    // Nobody can ask about what has no name: it is charged as what nobody knows the end of.
    if (!standing) return this.lost(id);
    this.#pollAt.set(id, this.#now() + POLL_EVERY_MS);
    await this.#put({ ...batch, state: "running", providerId: standing.id, last: answer });
    this.#making.delete(id);
    await this.observe(id, answer);
  }

  /** The provider has refused the batch, or never got it. */
  async returned(id: string, why: string): Promise<void> {
    const batch = this.#made(id);
    if (!batch) return;
    const reservations = batch.lines.map((line) => reservationOf(batch, line));
    await this.#letGo(batch, () => releaseAll(this.#options.gateway(), reservations, why));
  }

  /** Nobody knows whether the provider has taken the batch. */
  async lost(id: string): Promise<void> {
    const batch = this.#made(id);
    if (batch) await this.#lose(batch);
  }

  /** A batch that is being sent. Nothing of one whose sender is taken for dead. */
  #made(id: string): KnownBatch | undefined {
    return this.#making.has(id) ? this.#batches.get(id) : undefined;
  }

  async #lose(batch: KnownBatch): Promise<void> {
    await this.#letGo(batch, () => this.#settleAll(batch, new Map(), false));
  }

  /** Ends what a batch holds, and forgets it. Where that fails it is tried again by whoever looks for what was left. */
  async #letGo({ id }: KnownBatch, end: () => Promise<void>): Promise<void> {
    try {
      await end();
      await this.#forget(id);
    } finally {
      this.#making.delete(id);
    }
  }

  /** Takes note of how a batch stands, as its provider has just said, and settles it once it is over. */
  async observe(id: string, answer: unknown): Promise<void> {
    const noted = await this.#note(id, answer);
    if (noted?.standing.isOver) this.#start(id, () => this.#settle(noted.batch, noted.standing));
  }

  async #note(id: string, answer: unknown): Promise<{ readonly batch: KnownBatch; readonly standing: BatchStanding } | undefined> {
    const known = this.#batches.get(id);
    const standing = known && FORMS[known.form].readBatch(answer);
    if (!known || !standing || standing.id !== known.providerId || known.state !== "running") return undefined;
    const { holder, provider, dialect } = known;
    const batch = { ...known, last: answer };
    this.#batches.set(id, batch);
    for (const file of standing.files)
      if (!this.#files.has(file)) await this.keepFile({ id: file, holder, provider, dialect, at: this.#now() });
    return { batch, standing };
  }

  /** Asks about what is on its way, and forgets what is over for long. To be called every second or so. */
  async tick(): Promise<void> {
    const now = this.#now();
    for (const batch of this.#batches.values()) {
      const { id, state, at, expiresAt } = batch;
      if (this.#busy.has(id) || this.#making.has(id)) continue;
      if (state === "creating") this.#start(id, () => this.#lose(batch));
      else if (state === "ended") {
        if (now >= at + KEPT_MS) await this.#forget(id);
      } else if (now >= expiresAt + GIVE_UP_MS) await this.#put(ended(batch));
      else if (this.#running.size < ASKED_MOST && now >= (this.#pollAt.get(id) ?? 0)) this.#start(id, () => this.#poll(batch));
    }
    for (const { id, at } of this.#files.values()) if (now >= at + KEPT_MS && !this.#needing(id)) await this.forgetFile(id);
  }

  /** Waits for what is being asked and settled; the rest goes on when the gateway is started again. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.allSettled(this.#running);
  }

  #start(id: string, work: () => Promise<void>): void {
    if (this.#isClosed || this.#busy.has(id)) return;
    this.#busy.add(id);
    const running = work()
      .catch(this.#options.onError)
      .finally(() => {
        this.#busy.delete(id);
        this.#running.delete(running);
      });
    this.#running.add(running);
  }

  async #poll(batch: KnownBatch): Promise<void> {
    const { id, form: name, providerId = "" } = batch;
    const form = FORMS[name];
    this.#pollAt.set(id, this.#now() + POLL_EVERY_MS);
    const gateway = this.#options.gateway();
    const request = laterRequest(gateway, batch, `${form.path}/${encodeURIComponent(providerId)}`);
    const answer = await readWhole(gateway.upstream, request, BATCH_BYTES_MOST);
    if (answer.kind === "failed" || answer.status >= 300) return;
    const noted = await this.#note(id, jsonOf(answer.bytes.toString("utf8")));
    if (noted?.standing.isOver) await this.#settle(noted.batch, noted.standing);
  }

  /** Reads the results of a batch that is over, and settles each of its calls by them. Where they cannot be had now, they are asked for again. */
  async #settle(batch: KnownBatch, { results: paths, answered, isRefused }: BatchStanding): Promise<void> {
    const gateway = this.#options.gateway();
    const { readResult } = FORMS[batch.form];
    const dialect = DIALECTS.get(batch.dialect);
    const ends: LineEnds = new Map();
    let isReadable = true;
    for (const path of paths) {
      const ended = await readLines(gateway.upstream, laterRequest(gateway, batch, path), (line) => {
        const result = readResult(jsonOf(line));
        // Of an answer, which may be long, no more is kept than what it used.
        if (result) ends.set(result.customId, "answer" in result ? { usage: usageOf(dialect, result.answer) } : result);
      });
      const status = ended.kind === "answered" ? ended.status : 0;
      if (GONE.has(status)) isReadable = false;
      else if (status < 200 || status >= 300) return;
    }
    const withAnswer = [...ends.values()].filter((end) => "usage" in end).length;
    // Where all that were answered are there, the others were not made.
    await this.#settleAll(batch, ends, isRefused || (isReadable && answered !== undefined && answered <= withAnswer));
    await this.#put(ended(batch));
    this.#pollAt.delete(batch.id);
  }

  async #settleAll(batch: KnownBatch, ends: LineEnds, isComplete: boolean): Promise<void> {
    const gateway = this.#options.gateway();
    await inTurns(batch.lines, (line) => this.#settleLine(gateway, batch, line, ends.get(line.customId), isComplete));
    for (const subject of batch.subjects.slice(0, 1)) await observeBalances(gateway, subject);
  }

  /** Charges one call of a batch by its result. When in doubt, the budget is protected. */
  async #settleLine({ budgets }: Gateway, batch: KnownBatch, line: HeldLine, end: LineEnd | undefined, isComplete: boolean): Promise<void> {
    const reservation = reservationOf(batch, line);
    if (end ? "refusedAs" in end : isComplete) {
      const status = end && "refusedAs" in end ? end.refusedAs : 0;
      await budgets.release(reservation, status === 0 ? "its batch ended before it was made" : `the provider answered ${status}`);
      return;
    }
    const dialect = DIALECTS.get(batch.dialect);
    const usage = end && "usage" in end ? end.usage : undefined;
    const worst = worstUsage(reservation, line);
    try {
      if (dialect && usage?.inputTokens && (usage.outputTokens || !dialect.hasOutput))
        await budgets.settle(reservation, withTools(dialect, line, usage), "confirmed");
      else await budgets.settle(reservation, { ...usage, ...worst }, "unconfirmed");
    } catch (error) {
      // Usage that cannot be charged says nothing.
      if (!(error instanceof PurserError && error.code === "amount_too_large")) throw error;
      await budgets.settle(reservation, worst, "unconfirmed");
    }
  }

  async #put(batch: KnownBatch): Promise<void> {
    this.#batches.set(batch.id, batch);
    await this.#folder.write("batch", batch);
  }

  async #forget(id: string): Promise<void> {
    this.#batches.delete(id);
    this.#pollAt.delete(id);
    await this.#folder.remove("batch", id);
  }
}

/** How one call of a batch ended: with an answer that says what it used or does not, or refused. */
type LineEnd = { readonly usage: Usage | undefined } | { readonly refusedAs: number };
type LineEnds = Map<string, LineEnd>;

function usageOf(dialect: Dialect | undefined, answer: unknown): Usage | undefined {
  try {
    const raw = dialect?.readPart(answer).usage;
    return raw && dialect?.readUsage(raw);
  } catch {
    // Of a form that the dialect does not have.
    return undefined;
  }
}

function reservationOf({ subjects, cards, expiresAt }: KnownBatch, line: HeldLine): Reservation {
  const { id, inputTokens, outputTokens, copies, free } = line;
  const subject = subjects[line.subject] as Subject;
  const card = line.card === undefined ? undefined : cards[line.card];
  return { id, subject, inputTokens, outputTokens, copies, free, card, expiresAt, service: "batch" };
}

function summaryOf({ lines: _, subjects: _s, cards: _c, ...summary }: KnownBatch): BatchSummary {
  return summary;
}

/** A batch of which nothing is held any more. */
function ended(batch: KnownBatch): KnownBatch {
  return { ...batch, state: "ended", lines: [], subjects: [], cards: [] };
}

/** Where something goes that belongs to a batch, below the address of its provider. */
export interface BatchAsk {
  readonly method?: UpstreamRequest["method"];
  readonly path: string;
  readonly body?: Buffer;
}

/** A request about a batch or a file to the provider that has it. */
export function batchRequest(
  { config }: Pick<Gateway, "config">,
  { provider: name, dialect }: Pick<Owned, "provider" | "dialect">,
  client: ClientRequest,
  { method = "GET", path, body = Buffer.alloc(0) }: BatchAsk,
): UpstreamRequest {
  const provider = config.providers.find((one) => one.name === name);
  const url = provider?.baseUrls[dialect];
  const { authHeader } = DIALECTS.get(dialect) ?? openaiForm.dialects[0];
  if (!provider || url === undefined)
    throw new PurserError("provider_unknown", `The provider "${name}", which has this batch, is not configured any more for ${dialect}.`);
  const { origin, pathname } = new URL(url);
  const headers = upstreamHeaders(client, { authHeader }, provider, {});
  return { origin, path: pathname.replace(/\/$/, "") + path, method, headers, body, timeoutMs: provider.timeoutMs };
}

/** The same when no client is there. */
function laterRequest(gateway: Gateway, batch: KnownBatch, path: string): UpstreamRequest {
  return batchRequest(gateway, batch, { headers: {}, rawHeaders: [...batch.headers], url: "" }, { path });
}

export function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function unknown(what: string): PurserError {
  return new PurserError(
    "batch_unknown",
    `There is no ${what} of yours here. Batches and their files are known to the gateway that took them, for the key that made them.`,
  );
}

function shown(id: string): string {
  return id.length > 100 ? `${id.slice(0, 100)}…` : id;
}
