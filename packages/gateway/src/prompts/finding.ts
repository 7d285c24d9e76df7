import type { ErrorCode } from "@purser/core";

/** Something for which a change of prompts is not to be deployed. */
export interface Finding {
  /** A refusal by its code; or what a gateway would do and nobody wants; or what the reviewed file rules out. */
  readonly kind: ErrorCode | "context_exceeded" | "output_cap" | "answer_cut" | "day_exceeded" | "grown";
  /** Whose it is: one, or those that fill a budget together. */
  readonly prompts: readonly string[];
  /** Of the prompt, where it is one's. */
  readonly line: number | undefined;
  readonly message: string;
}
