import { imageSize } from "@purser/core/tokens";
import { checkedName, invalid, optionalText } from "../body-fields.ts";
import type { ModelCall } from "../dialect.ts";
import { type FormFields, formFiles } from "../form-body.ts";
import { type JsonBody, memberValue } from "../json-body.ts";
import type { PathNames } from "../path.ts";
import { readCall, readImageCall } from "./read-call.ts";

export const FORM: FormFields = {
  numbers: ["n", "partial_images", "output_compression"],
  truths: ["stream"],
  lists: ["image"],
};

/** What an image is read as: a base, and so many for each tile of 512 pixels, once its shorter side has as many. */
const BASE_TOKENS = 75;
const TILE_TOKENS = 129;
const TILES_MOST = 64;
/** What is kept of its details beside that, at most (https://platform.openai.com/docs/guides/image-generation#cost-and-latency). */
const FIDELITY_TOKENS = 6_240;
/** A preview and a profile may stand before the size. */
const HEAD_BYTES = 262_144;

/** A call that makes images from others, by what is to be changed. */
export function readEdit(body: JsonBody, names: PathNames): ModelCall {
  const images = formFiles(body, "image");
  if (images.length === 0) throw invalid('The form has no file "image": what is to be changed.');
  const isPlain = optionalText(body, "input_fidelity") === "low";
  const tokens = [...images, ...formFiles(body, "mask")].map((image) => tokensOf(image) + (isPlain ? 0 : FIDELITY_TOKENS));
  return { ...readCall(body, names), opaqueTokens: tokens.reduce((sum, one) => sum + one, 0) };
}

function tokensOf(image: Buffer): number {
  const size = imageSize(image.toString("base64", 0, HEAD_BYTES));
  const tiles = size ? Math.ceil(Math.max(size.width, size.height) / Math.max(1, Math.min(size.width, size.height))) : TILES_MOST;
  return BASE_TOKENS + TILE_TOKENS * Math.min(TILES_MOST, tiles);
}

/** As rate cards name it. */
export const IMAGE = "image";
/** The model of a call that names none. */
const VARIATIONS_MODEL = "dall-e-2";

/** A call that makes images like another one. */
export function readVariation(body: JsonBody, names: PathNames): ModelCall {
  const [image, another] = formFiles(body, "image");
  if (!image || another) throw invalid('The form must have one file "image": what others are to be like.');
  const named = names.deployment ?? memberValue(body, "model");
  const call = readImageCall(body, named === undefined ? VARIATIONS_MODEL : checkedName(named, "model"));
  return { ...call, outputCap: 0, outputLeast: 0, toolCalls: { [IMAGE]: call.copies }, opaqueTokens: tokensOf(image) };
}

export function variationInTokens(call: ModelCall): ModelCall {
  const { outputCap, outputLeast } = readImageCall(call.body, call.model);
  return { ...call, outputCap, outputLeast, toolCalls: {} };
}
