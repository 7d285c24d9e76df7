import type { Dialect } from "../dialect.ts";
import { writeError } from "../openai/error.ts";
import { writeModel } from "../openai/model.ts";
import { readUsage } from "../openai-responses/read-usage.ts";
import { countable, readCall } from "./read-call.ts";
import { FORM, IMAGE, readEdit, readVariation, variationInTokens } from "./read-edit.ts";
import { readPart } from "./read-part.ts";

/** OpenAI's images, made from a text. */
export const openaiImages: Dialect = {
  name: "openai-images",
  path: "/images/generations",
  authHeader: "authorization",
  isFree: false,
  textFields: ["prompt"],
  usageField: "usage",
  hasOutput: true,
  hidesToolCalls: false,
  readCall,
  countable,
  writeCall: writeModel,
  readPart,
  readUsage,
  readText: () => "",
  writeError,
};

/** The same, made from others by a text. */
export const openaiImageEdits: Dialect = { ...openaiImages, path: "/images/edits", form: FORM, readCall: readEdit };

/** The same, like another one: charged by the image, where its model has no tokens. */
export const openaiImageVariations: Dialect = {
  ...openaiImages,
  path: "/images/variations",
  form: FORM,
  measure: IMAGE,
  readCall: readVariation,
  inTokens: variationInTokens,
};
