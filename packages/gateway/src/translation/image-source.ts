import type { ImagePart } from "./plain.ts";
import { Untranslatable } from "./untranslatable.ts";

/** The image behind an address as OpenAI takes it: one on the web, or one that has all of the image in it. */
export function imageSource(url: string): ImagePart["source"] {
  const data = /^data:([\w.+/-]+);base64,/.exec(url);
  if (data) return { mediaType: data[1] as string, base64: url.slice(data[0].length) };
  if (!/^https?:/.test(url)) throw new Untranslatable("an image is neither base64 nor an address");
  return { url };
}

/** The address of an image, with all of it inside where it is nowhere else. */
export function urlOf(source: ImagePart["source"]): string {
  return "url" in source ? source.url : `data:${source.mediaType};base64,${source.base64}`;
}
