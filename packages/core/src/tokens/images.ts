// biome-ignore-all lint/style/noNonNullAssertion: indices into typed arrays are in range by construction, and are read for every byte.
/** An image of a call, as far as it is known before the call. */
export interface ImageInput {
  readonly detail?: "low" | "high" | "auto" | "original";
  readonly width?: number;
  readonly height?: number;
}

/** How a family of models charges for images. */
export type ImageRule =
  /** OpenAI: a base, and a price for each 512-pixel tile after scaling to 2048 pixels and a shorter side of 768. */
  | { readonly kind: "tiles"; readonly base: number; readonly tile: number }
  /** OpenAI: 32-pixel patches, no more than a number of them, times a factor. */
  | { readonly kind: "patches"; readonly max: number; readonly permille: number }
  /** Anthropic: the larger of its two published formulas, up to the model's cap. */
  | { readonly kind: "claude"; readonly max: number }
  /** Google before Gemini 3: 258 for a small image or for each tile. */
  | { readonly kind: "gemini-tiles" }
  /** One token for each square of pixels, within a cap. */
  | { readonly kind: "merged-patches"; readonly side: number; readonly max: number }
  /** The same for every size. */
  | { readonly kind: "fixed"; readonly low: number; readonly high: number; readonly most: number };

/** The most tokens that an image can cost; of an image without a size, the most of any size. */
export function imageTokens(rule: ImageRule, image: ImageInput): number {
  const size = image.width !== undefined && image.height !== undefined ? { width: image.width, height: image.height } : undefined;
  switch (rule.kind) {
    case "tiles":
      return image.detail === "low" ? rule.base : rule.base + rule.tile * (size ? openaiTiles(size) : OPENAI_TILES_MAX);
    case "patches": {
      const max = image.detail === "low" ? Math.min(rule.max, LOW_PATCHES) : rule.max;
      return Math.ceil((Math.min(size ? squares(size, 32) : max, max) * rule.permille) / 1000);
    }
    case "claude":
      return size ? Math.min(rule.max, Math.max(squares(size, 28), Math.ceil((size.width * size.height) / 750))) : rule.max;
    case "gemini-tiles":
      return GEMINI_TILE * (size ? geminiTiles(size) : GEMINI_TILES_MAX);
    case "merged-patches":
      return size ? Math.min(rule.max, Math.max(squares(size, rule.side), MERGED_MIN) + 2) : rule.max;
    case "fixed":
      return image.detail === "low" ? rule.low : image.detail === "original" ? rule.most : rule.high;
  }
}

/** The most tokens that any image can cost. */
export function imageTokensMax(rule: ImageRule): number {
  return rule.kind === "fixed" ? rule.most : imageTokens(rule, {});
}

interface Size {
  readonly width: number;
  readonly height: number;
}

/** 2048 by 768 pixels are the most after scaling: four tiles by two. */
const OPENAI_TILES_MAX = 8;
const LOW_PATCHES = 256;
const GEMINI_TILE = 258;
/** 3072 by 384 pixels in tiles of 256. */
const GEMINI_TILES_MAX = 24;
/** Smaller images are scaled up to so many squares. */
const MERGED_MIN = 256;

function squares({ width, height }: Size, side: number): number {
  return Math.ceil(width / side) * Math.ceil(height / side);
}

function openaiTiles({ width, height }: Size): number {
  const fit = Math.min(1, 2048 / Math.max(width, height));
  const shorter = Math.min(1, 768 / (Math.min(width, height) * fit));
  // Sides are rounded up: how the provider rounds is not published.
  return Math.min(OPENAI_TILES_MAX, squares({ width: Math.ceil(width * fit * shorter), height: Math.ceil(height * fit * shorter) }, 512));
}

function geminiTiles({ width, height }: Size): number {
  if (width <= 384 && height <= 384) return 1;
  const tile = Math.max(256, Math.min(768, Math.floor(Math.min(width, height) / 1.5)));
  return Math.min(GEMINI_TILES_MAX, squares({ width, height }, tile));
}

/** A JPEG can carry a preview and a profile before its size. */
const HEADER_BYTES_MAX = 262_144;

/** The size of a PNG, JPEG, GIF or WebP image, from the first bytes of its base64 text; undefined if they do not say. */
export function imageSize(base64: string): { width: number; height: number } | undefined {
  const head = Buffer.from(base64.slice(0, 64), "base64");
  if (head.length < 16) return undefined;
  if (head.readUInt32BE(0) === 0x89504e47 && head.length >= 24) return sized(head.readUInt32BE(16), head.readUInt32BE(20));
  if (head.toString("latin1", 0, 4) === "GIF8") return sized(head.readUInt16LE(6), head.readUInt16LE(8));
  if (head.toString("latin1", 0, 4) === "RIFF" && head.toString("latin1", 8, 12) === "WEBP") return webpSize(head);
  if (head.readUInt16BE(0) === 0xffd8) return jpegSize(Buffer.from(base64.slice(0, (HEADER_BYTES_MAX / 3) * 4), "base64"));
  return undefined;
}

function webpSize(head: Buffer): Size | undefined {
  if (head.length < 30) return undefined;
  switch (head.toString("latin1", 12, 16)) {
    case "VP8 ":
      return sized(head.readUInt16LE(26) & 0x3fff, head.readUInt16LE(28) & 0x3fff);
    case "VP8L": {
      const bits = head.readUInt32LE(21);
      return sized((bits & 0x3fff) + 1, ((bits >>> 14) & 0x3fff) + 1);
    }
    case "VP8X":
      return sized(head.readUIntLE(24, 3) + 1, head.readUIntLE(27, 3) + 1);
    default:
      return undefined;
  }
}

/** Walks from segment to segment to the frame header; every frame type but the three that are none (C4, C8, CC). */
function jpegSize(bytes: Buffer): Size | undefined {
  let at = 2;
  while (at + 9 <= bytes.length) {
    if (bytes[at] !== 0xff) return undefined;
    const marker = bytes[at + 1]!;
    if (marker === 0xff) at++;
    else if (marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc) {
      return sized(bytes.readUInt16BE(at + 7), bytes.readUInt16BE(at + 5));
    } else at += 2 + bytes.readUInt16BE(at + 2);
  }
  return undefined;
}

function sized(width: number, height: number): Size | undefined {
  return width > 0 && height > 0 ? { width, height } : undefined;
}
