import type { ServiceTier, Usage } from "@purser/core";
import type { Dialect, ModelCall, RawUsage } from "../dialects/dialect.ts";
import { answeringModel } from "./answering-model.ts";
import type { PartReader } from "./stream-account.ts";

/** Larger answers pass without being read: no usage is that long. */
const ANSWER_MOST = 64 * 1024 * 1024;

/** Reads usage out of a whole answer, after it has passed. */
export class AnswerMeter {
  readonly #reader: PartReader & Pick<Dialect, "readOther">;
  readonly #call: ModelCall | undefined;
  readonly #told: RawUsage | undefined;
  readonly #chunks: Buffer[] = [];
  #bytes = 0;

  /** `told` is usage that the answer's headers have, `call` what it answers. */
  constructor(reader: PartReader & Pick<Dialect, "readOther">, told?: RawUsage, call?: ModelCall) {
    this.#reader = reader;
    this.#call = call;
    this.#told = told;
  }

  write(chunk: Buffer): void {
    this.#bytes += chunk.length;
    if (this.#bytes <= ANSWER_MOST) this.#chunks.push(chunk);
  }

  /** How much came so far, in bytes. */
  get size(): number {
    return this.#bytes;
  }

  /** The answer so far, as it came. */
  bytes(): Buffer {
    return this.#chunks.length === 1 ? (this.#chunks[0] as Buffer) : Buffer.concat(this.#chunks);
  }

  /** The usage that the answer reports, and else the text to count. Nothing where the answer cannot be read. */
  read(): MeteredAnswer | undefined {
    const { readOther } = this.#reader;
    const bytes = this.bytes();
    if (readOther && this.#call && !beginsAsJson(bytes)) return { ...readOther(bytes, this.#call), service: undefined, model: undefined };
    try {
      const answer: unknown = (this.#reader.hasOutput ? undefined : endOf(bytes, this.#reader.usageField)) ?? parsed(bytes);
      const { usage: said, service } = this.#reader.readPart(answer);
      const raw = this.#told || said ? { ...this.#told, ...said } : undefined;
      const usage = raw && this.#reader.readUsage(raw);
      return { usage, service, model: answeringModel(answer), text: usage?.outputTokens ? "" : this.#reader.readText(answer) };
    } catch {
      // Not JSON, or of a form that the dialect does not have, such as `choices: [null]`.
      return undefined;
    }
  }
}

function beginsAsJson(bytes: Buffer): boolean {
  return /^\s*\{/.test(bytes.toString("latin1", 0, 64));
}

/** The end of an answer that is all numbers, from its usage on, as an object: embeddings can be tens of megabytes. */
function endOf(bytes: Buffer, usageField: string): unknown {
  const at = bytes.lastIndexOf(JSON.stringify(usageField));
  if (at < 0) return undefined;
  try {
    return JSON.parse(`{${bytes.toString("utf8", at)}`);
  } catch {
    return undefined;
  }
}

function parsed(bytes: Buffer): unknown {
  return JSON.parse(bytes.toString("utf8"));
}

export interface MeteredAnswer {
  readonly usage: Usage | undefined;
  /** The tier at which the call was served, where the provider says so. */
  readonly service: ServiceTier | undefined;
  /** The model that answered, where the provider says so. */
  readonly model: string | undefined;
  readonly text: string;
}
