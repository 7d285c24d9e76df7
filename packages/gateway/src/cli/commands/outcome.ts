import { PurserError } from "@purser/core";
import { suggestion } from "../../config/nearest-name.ts";

/** Where a command runs. */
export interface CommandIo {
  readonly environment: NodeJS.ProcessEnv;
  readonly cwd: string;
}

/** What a command found out. Exit 0: done. 1: the answer is no. 2: it could not be done as it was asked. */
export interface CommandOutcome {
  readonly exit: 0 | 1 | 2;
  readonly text: string;
  readonly json: unknown;
}

export function lines(entries: readonly string[]): string {
  return entries.join("\n");
}

/** The command line does not say what is to be done. */
export class UsageError extends Error {}

/** Runs a command; what is wrong with its arguments or its files becomes an outcome. */
export async function withUsage(usage: string, run: () => Promise<CommandOutcome>): Promise<CommandOutcome> {
  try {
    return await run();
  } catch (error) {
    if (error instanceof PurserError)
      return {
        exit: error.code === "config_invalid" ? 1 : 2,
        text: error.message,
        json: { error: { code: error.code, message: error.message } },
      };
    if (!(error instanceof UsageError) && !isArgumentError(error)) throw error;
    const message = `${usageMessage(
      error,
      [...usage.matchAll(/--([a-z-]+)/g)].map(([, name = ""]) => name),
    )}\nUsage: ${usage}`;
    return { exit: 2, text: message, json: { error: { code: "usage", message } } };
  }
}

/** What `parseArgs` throws for an option that is not known or has no value. */
export function isArgumentError(error: unknown): error is Error {
  return error instanceof Error && codeOf(error).startsWith("ERR_PARSE_ARGS");
}

/** What is wrong with the arguments of a command that has these options. */
export function usageMessage(error: Error, options: readonly string[]): string {
  const [, name = ""] = /'--?([\w-]+)/.exec(error.message) ?? [];
  if (codeOf(error) === "ERR_PARSE_ARGS_UNKNOWN_OPTION")
    return `There is no option --${name}.${suggestion(
      name,
      options.map((option) => `--${option}`),
    )}`;
  if (codeOf(error) === "ERR_PARSE_ARGS_INVALID_OPTION_VALUE" && error.message.includes("argument missing"))
    return `--${name} needs a value.${name === "budget" ? " Put dollars in single quotes, or the shell takes $2 for a variable: '$2'." : ""}`;
  return error.message;
}

function codeOf(error: Error): string {
  return String((error as NodeJS.ErrnoException).code);
}
