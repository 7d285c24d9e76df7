export type { Countable, OutputCounter } from "./count.ts";
export { boundTokens, countTokens, createOutputCounter } from "./count.ts";
export type { Encoding, EncodingName } from "./encoding.ts";
export { loadEncoding } from "./encoding.ts";
export type { ImageInput } from "./images.ts";
export { imageSize } from "./images.ts";
export type { ModelEncoding } from "./models.ts";
export { encodingOf } from "./models.ts";
