// biome-ignore-all lint/style/noNonNullAssertion: indices into typed arrays are in range by construction, and are read for every byte.
import { codeAt, widthOf } from "../characters.ts";
import type { Splitter } from "../splitter.ts";
import { type Cuts, jointOf } from "./parts.ts";

const BLANK = 0x20;

/**
 * Cuts between two characters that stand side by side in no token: no merge goes across, so that both sides are encoded as if they stood alone. A
 * character that is no token is a piece of its own.
 */
export function createJointSplitter({ known, joints, splitsBlanks }: Cuts & { kind: "joints" }): Splitter {
  const has = (bits: Uint8Array, at: number) => (bits[at >> 3]! & (1 << (at & 7))) !== 0;

  return (bytes, length, last, ends) => {
    let count = 0;
    let before = -1;
    let wasKnown = false;
    for (let at = 0; at < length; ) {
      const first = bytes[at]!;
      const code = first < 0x80 ? first : codeAt(bytes, at);
      const isKnown = has(known, code);
      if (before >= 0 && !(isKnown && wasKnown && has(joints, jointOf(before, code)) && !(splitsBlanks && code === BLANK)))
        ends[count++] = at;
      before = code;
      wasKnown = isKnown;
      at += widthOf(first);
    }
    if (last && length > 0) ends[count++] = length;
    return count;
  };
}
