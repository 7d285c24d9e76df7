import type { ParseArgsConfig } from "node:util";
import type { Style } from "./style.ts";

/** One word of the command line: `purser budgets`. */
export interface Command {
  readonly name: string;
  /** One line for `purser --help`. */
  readonly summary: string;
  /** What follows `purser NAME` in the first line of its help: `ID [--data DIR]`. */
  readonly usage: string;
  /** What its help says below the usage: options, one a line, and examples. */
  readonly help: string;
  /** As `parseArgs` takes them; left out where a command reads `args` itself. `--json`, `--help` and `--` are read for every command. */
  readonly options?: NonNullable<ParseArgsConfig["options"]>;
  /** How many words it takes besides its options; any number where it is left out. */
  readonly wordsMost?: number;
  run(input: CommandInput, context: CommandContext): Promise<CommandResult>;
}

/** What was written on the command line. */
export interface CommandInput {
  /** Everything after the name of the command, as it was written. */
  readonly args: readonly string[];
  readonly positionals: readonly string[];
  readonly options: Readonly<Record<string, string | boolean | readonly (string | boolean)[] | undefined>>;
  /** What follows `--`; none without one. */
  readonly rest: readonly string[] | undefined;
}

/** Where a command runs. */
export interface CommandContext {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Colours on a terminal, plain text elsewhere. */
  readonly style: Style;
  readonly now: () => number;
  /** Text on stdout while the command goes on; its result is printed in the end without this. */
  readonly print: (text: string) => void;
  /** Tells people something while the command goes on, on stderr. */
  readonly say: (text: string) => void;
}

/** What a command found out: text for people, or with `--json` the same for programs. */
export interface CommandResult {
  /** 0: done. 1: the answer is no, such as a check that found something. 2: it could not be done as it was asked. */
  readonly exit: number;
  readonly text: string;
  readonly json: unknown;
}
