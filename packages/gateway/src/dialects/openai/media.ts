import { type ImageInput, imageSize } from "@purser/core/tokens";
import { MEDIA_TYPES } from "../content.ts";
import type { ModelCall } from "../dialect.ts";
import { isRecord, recordOf } from "../json-value.ts";

export type Media = Pick<ModelCall, "images" | "opaqueTokens">;

export const NO_MEDIA: Media = { images: [], opaqueTokens: 0 };

/** Files that are named by id or address are somewhere else: a PDF of 100 pages has about this many tokens. */
export const UNSEEN_FILE_TOKENS = 100_000;

/** The parts of a content that are no text. */
export function readMedia(parts: readonly unknown[]): Media {
  const images: ImageInput[] = [];
  let opaqueTokens = 0;
  for (const part of parts) {
    if (!isRecord(part)) continue;
    const isKnown = ["image_url", "input_audio", "file", "video_url"].some((kind) => part.type === kind || part[kind] !== undefined);
    if (part.type === "image_url" || part.image_url !== undefined) {
      // Google takes documents and sound in the place of an image too.
      if (isOtherMedia(part.image_url)) opaqueTokens += sizeOf(part);
      else images.push(readImage(part.image_url));
    }
    if (part.type === "input_audio" || part.input_audio !== undefined) opaqueTokens += sizeOf(part);
    if (part.type === "file" || part.file !== undefined)
      opaqueTokens += isRecord(part.file) && part.file.file_id !== undefined ? UNSEEN_FILE_TOKENS : sizeOf(part);
    if (part.type === "video_url" || part.video_url !== undefined) opaqueTokens += UNSEEN_FILE_TOKENS;
    // Other kinds of media, in the words of other formats: never more tokens than bytes.
    if (!isKnown && MEDIA_TYPES.has(part.type)) opaqueTokens += sizeOf(part);
  }
  return { images, opaqueTokens };
}

/** Documents and sound in the place of an image, which Google takes. */
const OTHER_DATA = /^\s*data:(?!image\/)/i;

/** Whether what stands in the place of an image is another kind of media. */
export function isOtherMedia(image: unknown): boolean {
  return OTHER_DATA.test(String(urlOf(image)));
}

/** An image as OpenAI's formats give it: an address, a data URL, or an object with one of them and the detail that is wanted. */
export function readImage(image: unknown, wanted: unknown = recordOf(image).detail): ImageInput {
  const url = urlOf(image);
  const detail = wanted === "low" || wanted === "high" || wanted === "original" ? wanted : undefined;
  const data = typeof url === "string" ? /^data:[^,]*;base64,/.exec(url) : null;
  const size = data && typeof url === "string" ? imageSize(url.slice(data[0].length)) : undefined;
  return { ...(detail && { detail }), ...size };
}

/** Media inside the body has fewer tokens than the body has bytes of it. */
export function sizeOf(part: unknown): number {
  return JSON.stringify(part ?? "").length;
}

function urlOf(image: unknown): unknown {
  return isRecord(image) ? image.url : image;
}
