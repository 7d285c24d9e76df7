import type { Effort } from "./plain.ts";
import { shown, Untranslatable } from "./untranslatable.ts";

/** All words of both makers. Not every model knows the outer ones. */
const EFFORTS: Readonly<Record<string, Effort | undefined>> = {
  none: undefined,
  minimal: "low",
  low: "low",
  medium: "medium",
  high: "high",
  xhigh: "high",
  max: "high",
};

export function readEffort(text: string | undefined): Effort | undefined {
  if (text === undefined) return undefined;
  if (!Object.hasOwn(EFFORTS, text)) throw new Untranslatable(`the call has the effort ${shown(text)}`);
  return EFFORTS[text];
}
