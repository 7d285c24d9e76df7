import { type ImageInput, imageSize } from "@purser/core/tokens";
import { isFunctionData } from "../content.ts";
import { isRecord, recordOf } from "../json-value.ts";
import { fieldOf } from "./fields.ts";

export interface GeminiMedia {
  readonly images: readonly ImageInput[];
  readonly opaqueTokens: number;
  /** Whether a part names a file that is somewhere else: a video of an hour may be all that the model can read. */
  readonly namesFile: boolean;
}

export const NO_MEDIA: GeminiMedia = { images: [], opaqueTokens: 0, namesFile: false };

/** The parts of contents that are no text, wherever they stand; but what a function is called with, or returns, is text. */
export function readMedia(contents: readonly unknown[]): GeminiMedia {
  const images: ImageInput[] = [];
  let opaqueTokens = 0;
  let namesFile = false;
  const pending: unknown[] = [...contents];
  for (let value = pending.pop(); value !== undefined || pending.length > 0; value = pending.pop()) {
    if (Array.isArray(value)) for (const inner of value) pending.push(inner);
    if (!isRecord(value)) continue;
    const inline = fieldOf(value, "inlineData");
    const { data } = recordOf(inline);
    if (isRecord(inline) && String(fieldOf(inline, "mimeType")).startsWith("image/"))
      images.push((typeof data === "string" && imageSize(data)) || {});
    // Sound and documents inside the body have fewer tokens than the body has bytes of them.
    else if (inline !== undefined) opaqueTokens += JSON.stringify(inline).length;
    namesFile ||= fieldOf(value, "fileData") !== undefined;
    for (const [name, inner] of Object.entries(value)) if (!isFunctionData(name, value)) pending.push(inner);
  }
  return { images, opaqueTokens, namesFile };
}
