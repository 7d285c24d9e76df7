import type { PlainCall, TargetModel } from "./plain.ts";

/** The caller's cap, or what the model can write at most where that is less. Nothing where the caller names none. */
export function capOf({ outputTokens: asked }: PlainCall, { outputTokensMost: most }: TargetModel): number | undefined {
  return asked !== undefined && most !== undefined ? Math.min(asked, most) : asked;
}
