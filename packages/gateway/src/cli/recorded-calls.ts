import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { PurserError } from "@purser/core";
import type { Config } from "../config/config.ts";
import { type RecordedRefusal, readLedgerCalls } from "../replay/ledger-calls.ts";
import type { RecordedCall } from "../replay/recorded-call.ts";
import { readTrace, readTraceColumns } from "../replay/trace.ts";
import type { CommandContext, CommandInput } from "./command.ts";
import { UsageError } from "./commands/outcome.ts";
import { openLedger } from "./ledger.ts";

/** Calls that were made once, from a trace or from a ledger, in the order in which they came. Never none. */
export interface CallRecord {
  /** The file or folder. */
  readonly name: string;
  readonly calls: readonly RecordedCall[];
  /** Calls of which nobody knows what they would have used. */
  readonly refusals: readonly RecordedRefusal[];
  readonly known: number;
  readonly unfinished: number;
  /** Whether it goes on: a ledger does, and a trace ends with its last call. */
  readonly goesOn: boolean;
}

/** Options of every command that takes a trace, or this gateway's own ledger. */
export const RECORD_OPTIONS = {
  data: { type: "string" },
  columns: { type: "string" },
  model: { type: "string" },
  start: { type: "string" },
} as const;
export const RECORD_HELP = {
  file: "  FILE            a trace: CSV with a heading, or a JSON object a line; this gateway's own ledger where it is left out",
  about: [
    "  --columns LIST  columns of the file that have other names: time=TIMESTAMP,input_tokens=ContextTokens",
    "  --model NAME    the model that all calls of the file ask for",
    "  --start WHEN    when a trace begins that has offset_ms; today at 00:00 UTC where it is left out",
  ],
} as const;

const DAY_MS = 86_400_000;

/** The trace that the command line names. */
export async function readTracedCalls(name: string, { options }: CommandInput, { cwd, now }: CommandContext): Promise<CallRecord> {
  const file = resolve(cwd, name);
  if (!existsSync(file)) throw new UsageError(`There is no file ${name}. A trace is CSV with a heading, or a JSON object a line.`);
  const start = options.start === undefined ? Math.floor(now() / DAY_MS) * DAY_MS : Date.parse(String(options.start));
  if (Number.isNaN(start)) throw new UsageError(`"${options.start}" is no time to start at. Write --start 2026-11-20.`);
  const columns = options.columns === undefined ? new Map() : readTraceColumns(String(options.columns));
  const calls = await readTrace({ file, columns, model: options.model as string | undefined, start });
  return { name, calls, refusals: [], known: 0, unfinished: 0, goesOn: false };
}

/** What a command is called, what it needs of a ledger, and what to do where that has nothing. */
export interface LedgerNeeds {
  readonly command: string;
  readonly since?: number | undefined;
  readonly otherwise: string;
}

/** The calls of the ledger that a configuration keeps. It may be written to meanwhile. */
export async function readOwnCalls(
  config: Config,
  { options }: CommandInput,
  { now }: CommandContext,
  { command, since, otherwise }: LedgerNeeds,
): Promise<CallRecord> {
  for (const option of ["columns", "model", "start"])
    if (options[option] !== undefined) throw new UsageError(`--${option} is about a file. Name one: purser ${command} FILE --${option} …`);
  const ledger = await openLedger(config, now);
  try {
    const read = await readLedgerCalls(ledger.store, since);
    if (read.calls.length > 0) return { name: config.store.redis ? "the ledger in Redis" : config.dataDir, ...read, goesOn: true };
    throw new PurserError("trace_invalid", `The ledger in ${config.dataDir} has no call that was charged. ${otherwise}`);
  } finally {
    await ledger.close();
  }
}
