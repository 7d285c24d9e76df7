import { type ImageInput, imageSize } from "@purser/core/tokens";
import { isRecord, recordOf } from "../json-value.ts";

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
