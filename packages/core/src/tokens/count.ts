import { encodingOf } from "./counted-models.ts";
import type { Encoding } from "./encoding.ts";
import { loadEncoding, loadedEncoding } from "./encoding.ts";
import type { ImageInput } from "./images.ts";
import { imageTokens, imageTokensMax } from "./images.ts";
import type { Margin } from "./margin.ts";
import { CALL_TOKENS, type ModelEncoding } from "./models.ts";

/** What of a call has to be counted, in a shape that all dialects share. */
export interface Countable {
  /** Every text of every message, system prompt and names included. */
  readonly texts: readonly string[];
  /** How many messages there are, for the overhead of each. */
  readonly messages: number;
  /** How many messages carry a name. */
  readonly names?: number;
  /** The JSON text of each tool's definition. */
  readonly tools?: readonly string[];
  readonly images?: readonly ImageInput[];
  /** A bound for what is not text (audio, files), counted as it is. */
  readonly opaqueTokens?: number;
}

const NAME_TOKENS = 1;
/** How long counting may keep the event loop; a chunk takes a millisecond or two more. */
const TURN_MS = 2;

/**
 * Tokens that no tokenizer can exceed for so many bytes of UTF-8 text (the JSON of tools among them), with the overheads of
 * messages, tools and images. Nothing is counted: a token stands for at least one byte.
 */
export function boundTokens(
  model: string,
  shape: { textBytes: number; messages: number; tools?: number; images?: number | readonly ImageInput[] },
): number {
  const rules = encodingOf(model);
  const { images = 0, tools = 0 } = shape;
  const imagesTokens =
    typeof images === "number"
      ? images * imageTokensMax(rules.image)
      : images.reduce((sum, image) => sum + imageTokens(rules.image, image), 0);
  // Every message may carry a name: the shape does not say.
  const messageTokens = shape.messages * (rules.messageTokens + NAME_TOKENS);
  return shape.textBytes * rules.growth + framing(rules, tools) + messageTokens + imagesTokens;
}

/**
 * The most input tokens that a call can have at the provider: the count by the model's vocabulary, the overheads, and a margin, which is
 * the model's own where none was learned. Any result above `limit` means "more than limit", and the rest was not read. Lets other work
 * run every few milliseconds.
 */
export async function countTokens(
  model: string,
  call: Countable,
  limit: number = Number.POSITIVE_INFINITY,
  margin: Margin = encodingOf(model),
): Promise<number> {
  const rules = encodingOf(model);
  const { texts, tools = [] } = call;
  const fixed = overhead(rules, call);
  if (fixed > limit) return fixed;

  const encoding = await loadEncoding(rules.encoding);
  const ceiling = bytesWithin(limit - fixed, texts, tools) * rules.growth;
  const least = Math.min(margin.marginPermille, margin.marginOtherPermille);
  // So many tokens of text are too many whatever their script: (raw + 1) with the least margin is above the limit.
  const rawMax = ceiling <= limit - fixed ? ceiling : Math.floor(((limit - fixed) * 1000) / (1000 + least));
  let raw = 0;
  let turnStart = performance.now();
  for (const text of concat(texts, tools)) {
    const progress = encoding.begin(text);
    while (progress.at < progress.text.length) {
      encoding.advance(progress, rawMax - raw);
      if (raw + progress.tokens > rawMax) return fixed + withMargin(raw + progress.tokens, least);
      if (performance.now() - turnStart > TURN_MS) {
        await nextTurn();
        turnStart = performance.now();
      }
    }
    raw += progress.tokens;
  }
  // No margin makes more tokens than there are bytes.
  return fixed + Math.min(withMargin(raw, marginOf(margin, texts)), ceiling);
}

/** What a call is before any margin, to be compared with what its provider counts. */
export interface Measured {
  /** Of texts and tools, by the model's vocabulary. */
  readonly tokens: number;
  /** What is added for the framing of the call, of its messages and of its tools. */
  readonly overhead: number;
  /** The share of the texts' bytes that is in other scripts than the Latin one, from 0 to 1. */
  readonly otherShare: number;
}

/** Counts a call without a margin. */
export async function measureTokens(model: string, call: Countable): Promise<Measured> {
  const rules = encodingOf(model);
  const { texts, tools = [] } = call;
  const tokens = await countTokens(model, { texts: [...texts, ...tools], messages: 0 }, Number.POSITIVE_INFINITY, NO_MARGIN);
  return { tokens: tokens - framing(rules, 0), overhead: overhead(rules, call), otherShare: otherShareOf(texts) };
}

const NO_MARGIN: Margin = { marginPermille: 0, marginOtherPermille: 0 };

function overhead(rules: ModelEncoding, { messages, names = 0, tools = [], images = [], opaqueTokens = 0 }: Countable): number {
  return (
    framing(rules, tools.length) +
    messages * rules.messageTokens +
    names * NAME_TOKENS +
    images.reduce((sum, image) => sum + imageTokens(rules.image, image), 0) +
    opaqueTokens
  );
}

/** The bytes of all texts; infinite if they are surely more than `most`, without looking at them. */
function bytesWithin(most: number, ...lists: readonly (readonly string[])[]): number {
  let units = 0;
  for (const text of concat(...lists)) units += text.length;
  if (units > most) return Number.POSITIVE_INFINITY;
  let bytes = 0;
  for (const text of concat(...lists)) bytes += Buffer.byteLength(text);
  return bytes;
}

/** What a provider adds to every call, and to one that has tools. */
function framing(rules: ModelEncoding, tools: number): number {
  return CALL_TOKENS + rules.callTokens + (tools > 0 ? rules.toolsTokens + tools * rules.toolTokens : 0);
}

function withMargin(tokens: number, permille: number): number {
  return Math.ceil((tokens * (1000 + permille)) / 1000);
}

/** Between the margins for Latin and for other scripts, by the share of bytes that other scripts have. */
function marginOf({ marginPermille, marginOtherPermille }: Margin, texts: readonly string[]): number {
  if (marginPermille === marginOtherPermille) return marginPermille;
  return marginPermille + Math.ceil((marginOtherPermille - marginPermille) * otherShareOf(texts));
}

function otherShareOf(texts: readonly string[]): number {
  let bytes = 0;
  let otherBytes = 0;
  for (const text of texts) {
    const other = bytesOfOtherScripts(text);
    bytes += text.length - Math.floor(other / 3) + other;
    otherBytes += other;
  }
  return bytes === 0 ? 0 : otherBytes / bytes;
}

/** Bytes of UTF-8 in characters that are neither Latin nor its punctuation. */
function bytesOfOtherScripts(text: string): number {
  let bytes = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code >= 0x250 && (code < 0x2000 || code > 0x206f)) bytes += code < 0x800 ? 2 : 3;
  }
  return bytes;
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function* concat(...lists: readonly (readonly string[])[]): Generator<string> {
  for (const list of lists) yield* list;
}

/** Counts the text of an answer as it streams by. */
export interface OutputCounter {
  add(text: string): void;
  /** Tokens so far, with the margin of a vocabulary that is not the model's own. */
  tokens(): number;
}

/** Text after which a count may be cut: the end of a word, where pieces end too. */
const TAIL_MAX = 512;
const TAIL_UNBROKEN_MAX = 8_192;
/** Until the vocabulary is read, which takes a moment once, text waits up to here and is then counted by its bytes. */
const WAITING_MAX = 65_536;
const BYTES_PER_TOKEN = 3;

function startOfLastCharacter(text: string): number {
  const code = text.charCodeAt(text.length - 1);
  return code >= 0xdc00 && code <= 0xdfff ? text.length - 2 : text.length - 1;
}

/** Counts the output of a stream whose provider reports no usage, keeping a few words of it. `margin`: one that was learned. */
export function createOutputCounter(model: string, margin: Margin = encodingOf(model)): OutputCounter {
  return new Counter(encodingOf(model), margin);
}

class Counter implements OutputCounter {
  readonly #rules: ModelEncoding;
  readonly #margin: Margin;
  #encoding: Encoding | undefined;
  #tail = "";
  #counted = 0;

  constructor(rules: ModelEncoding, margin: Margin) {
    this.#rules = rules;
    this.#margin = margin;
    this.#encoding = loadedEncoding(rules.encoding);
    if (!this.#encoding) this.#load();
  }

  add(text: string): void {
    this.#tail += text;
    const tail = this.#tail;
    if (tail.length <= (this.#encoding ? TAIL_MAX : WAITING_MAX)) return;
    const blank = tail.lastIndexOf(" ");
    const cut = blank > 0 ? blank : tail.length > TAIL_UNBROKEN_MAX ? startOfLastCharacter(tail) : 0;
    if (cut === 0) return;
    this.#counted += this.#count(tail.slice(0, cut));
    this.#tail = tail.slice(cut);
  }

  tokens(): number {
    const raw = this.#counted + this.#count(this.#tail);
    return this.#rules.exact ? raw : withMargin(raw, this.#margin.marginPermille);
  }

  #count(text: string): number {
    return this.#encoding ? this.#encoding.count(text) : Math.ceil(Buffer.byteLength(text) / BYTES_PER_TOKEN);
  }

  /** A vocabulary that cannot be read leaves the estimate by bytes; whoever counts input with it gets the error. */
  #load(): void {
    loadEncoding(this.#rules.encoding).then(
      (loaded) => {
        this.#encoding = loaded;
      },
      () => {},
    );
  }
}
