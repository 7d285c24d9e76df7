import { type ImageInput, imageSize } from "@purser/core/tokens";
import { collectTexts } from "../content.ts";
import { type JsonBody, parseBody } from "../json-body.ts";
import { isRecord, recordOf } from "../json-value.ts";

export interface BlockMedia {
  readonly images: readonly ImageInput[];
  readonly opaqueTokens: number;
}

/** Blocks that are no text. Their content is a source: bytes as base64, or a place in a bucket. */
const MEDIA = ["image", "document", "video", "audio"] as const;
/** What lies in a bucket is somewhere else: a PDF of 100 pages, or some minutes of a video, have about this many tokens. */
const UNSEEN_TOKENS = 250_000;

/** The blocks of a call that are no text, wherever they stand, but in what tools are called with. */
export function readMedia(body: JsonBody): BlockMedia {
  const images: ImageInput[] = [];
  let opaqueTokens = 0;
  if (!body.mayHoldMedia) return { images, opaqueTokens };
  const { messages, system } = parseBody(body);
  walk([messages, system], (kind, block) => {
    const source = recordOf(block.source);
    if (kind === "image") images.push((typeof source.bytes === "string" && imageSize(source.bytes)) || {});
    else opaqueTokens += source.s3Location === undefined ? JSON.stringify(block).length : UNSEEN_TOKENS;
  });
  return { images, opaqueTokens };
}

/** The texts of blocks, without what `readMedia` finds. */
export function collectBlocks(contents: readonly unknown[], texts: string[]): void {
  walk(contents, () => undefined, texts);
}

/** Calls back for every block that is media, and collects the rest as text. */
function walk(
  contents: readonly unknown[],
  found: (kind: (typeof MEDIA)[number], block: Readonly<Record<string, unknown>>) => void,
  texts?: string[],
): void {
  const pending: unknown[] = [...contents];
  while (pending.length > 0) {
    const value = pending.pop();
    if (Array.isArray(value)) for (const inner of value) pending.push(inner);
    else if (!isRecord(value)) {
      if (texts) collectTexts(value, texts);
    } else for (const [name, inner] of Object.entries(value)) visit(name, inner);
  }
  function visit(name: string, inner: unknown): void {
    const kind = MEDIA.find((one) => one === name);
    if (kind && isRecord(inner) && isRecord(inner.source)) found(kind, inner);
    // What a tool is called with, or answered, is data to the model, names of fields included.
    else if (DATA.has(name)) texts?.push(JSON.stringify(inner));
    else pending.push(inner);
  }
}

const DATA: ReadonlySet<string> = new Set(["input", "json"]);
