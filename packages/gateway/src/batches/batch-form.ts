import type { Dialect } from "../dialects/dialect.ts";

/** How one maker writes batches: what of one has to be read here. Everything else passes untouched. */
export interface BatchForm {
  readonly name: "openai" | "anthropic";
  /** The batches of a provider, below its base URL. */
  readonly path: string;
  /** The formats that its calls can be in; the first writes its errors. */
  readonly dialects: readonly [Dialect, ...Dialect[]];
  /** Reads a batch as its provider answers it; nothing where that is none. */
  readBatch(answer: unknown): BatchStanding | undefined;
  /** Reads a line of its results; nothing where it says of no call what became of it. */
  readResult(line: unknown): BatchResult | undefined;
  /** The batches of one caller, newest first, as the provider would list them. */
  writeList(batches: readonly unknown[], hasMore: boolean): unknown;
}

/** How a batch stands at its provider. */
export interface BatchStanding {
  readonly id: string;
  readonly isOver: boolean;
  /** The provider took none of its calls. */
  readonly isRefused: boolean;
  /** Where its results are, below the base URL. */
  readonly results: readonly string[];
  /** The files that hold its results. */
  readonly files: readonly string[];
  /** How many of its calls were answered, where it says. */
  readonly answered: number | undefined;
}

/** What became of one call of a batch: its answer, or the status with which it was refused; 0 where it was never made. */
export type BatchResult = { readonly customId: string } & ({ readonly answer: unknown } | { readonly refusedAs: number });
