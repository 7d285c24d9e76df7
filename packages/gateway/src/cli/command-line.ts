import { readFileSync } from "node:fs";
import { type ParseArgsConfig, parseArgs } from "node:util";
import { PurserError } from "@purser/core";
import { suggestion } from "../config/nearest-name.ts";
import type { Command, CommandContext, CommandInput, CommandResult } from "./command.ts";
import { isArgumentError, UsageError, usageMessage } from "./commands/outcome.ts";
import { COMMANDS } from "./commands.ts";

/** Errors that are an answer: there is no such thing. */
const NO: ReadonlySet<string> = new Set([
  "reservation_unknown",
  "key_invalid",
  "budget_unknown",
  "grant_unknown",
  "switch_unknown",
  "guard_unknown",
  "handover_unknown",
  "handover_conflict",
  "channel_unknown",
]);

/** Reads a command line and runs what it says. */
export async function runCommandLine(args: readonly string[], context: CommandContext): Promise<CommandResult> {
  const [name = "help", ...rest] = args;
  if (name === "--version" || name === "-v") return { exit: 0, text: version(), json: { version: version() } };
  if (name === "help" || name === "--help" || name === "-h") return showHelp(rest[0]);
  const command = COMMANDS.find((one) => one.name === name);
  try {
    if (!command) throw unknownCommand(name);
    const before = rest.includes("--") ? rest.slice(0, rest.indexOf("--")) : rest;
    if (before.includes("--help") || before.includes("-h")) return showHelp(name);
    return await command.run(readInput(command, rest), context);
  } catch (error) {
    return failure(error, command);
  }
}

/** Whether the result is to be printed for programs. What follows `--` is another program's. */
export function wantsJson(args: readonly string[]): boolean {
  const end = args.indexOf("--");
  return (end < 0 ? args : args.slice(0, end)).includes("--json");
}

function readInput({ name, options, wordsMost = Number.POSITIVE_INFINITY }: Command, args: readonly string[]): CommandInput {
  const end = args.indexOf("--");
  const rest = end < 0 ? undefined : args.slice(end + 1);
  if (!options) return { args, positionals: [], options: {}, rest };
  const config = {
    args: [...(end < 0 ? args : args.slice(0, end))],
    options: { ...options, json: { type: "boolean" } },
    allowPositionals: true,
  } satisfies ParseArgsConfig;
  const { values, positionals } = parseArgs(config);
  if (positionals.length > wordsMost)
    throw new UsageError(
      `"${positionals[wordsMost]}" is a word too many: \`purser ${name}\` takes ${wordsMost === 0 ? "none" : `at most ${wordsMost}`}.`,
    );
  return { args, positionals, options: values as CommandInput["options"], rest };
}

function failure(error: unknown, command: Command | undefined): CommandResult {
  if (error instanceof UsageError || isArgumentError(error)) {
    const message = usageMessage(error, Object.keys({ ...command?.options, json: true, help: true }));
    const usage = command ? `\nUsage: purser ${command.name} ${command.usage}` : "";
    return { exit: 2, text: message + usage, json: { error: { code: "usage", message } } };
  }
  if (error instanceof PurserError && error.code !== "internal") {
    const isNo = NO.has(error.code);
    return { exit: isNo ? 1 : 2, text: error.message, json: { error: { code: error.code, message: error.message } } };
  }
  const unusable = unusablePath(error);
  if (unusable === undefined) throw error;
  return { exit: 2, text: unusable, json: { error: { code: "store_unavailable", message: unusable } } };
}

/** Why a file or folder cannot be used: the system's own errors say what failed, and not what to do. */
function unusablePath(error: unknown): string | undefined {
  const { code = "", path, syscall } = (error ?? {}) as NodeJS.ErrnoException;
  if (path === undefined || syscall === undefined) return undefined;
  const advice = /^(ENOSPC|EDQUOT)$/.test(code)
    ? "There is no room left on its disk. Make some, or choose another folder with --data."
    : /^(EEXIST|ENOTDIR)$/.test(code)
      ? "It is no folder. Choose another one with --data."
      : "Check who may read and write it, or choose another folder with --data.";
  return `${path} cannot be used (${code}). ${advice}`;
}

function unknownCommand(name: string): UsageError {
  const names = COMMANDS.map((command) => command.name);
  return new UsageError(`There is no \`purser ${name}\`.${suggestion(name, names)}`);
}

function showHelp(name: string | undefined): CommandResult {
  const command = COMMANDS.find((one) => one.name === name);
  if (command) {
    const text = `purser ${command.name}: ${command.summary}\n\nUsage: purser ${command.name} ${command.usage}\n\n${command.help}`;
    const { options = {}, summary, usage } = command;
    return { exit: 0, text, json: { name: command.name, summary, usage, options: Object.keys(options) } };
  }
  if (name !== undefined && !name.startsWith("-")) return failure(unknownCommand(name), undefined);
  const widest = Math.max(...COMMANDS.map((one) => one.name.length));
  const lines = COMMANDS.map((one) => `  ${one.name.padEnd(widest)}  ${one.summary}`);
  const text = [
    "purser: a budget for every LLM call",
    "",
    "Usage: purser COMMAND [options]",
    "",
    ...lines,
    "",
    "`purser COMMAND --help` says more. Every command takes --json. Exit code 0: done; 1: the answer is no; 2: it could not be done.",
  ].join("\n");
  return { exit: 0, text, json: { commands: COMMANDS.map(({ name, summary, usage }) => ({ name, summary, usage })) } };
}

function version(): string {
  return (JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as { version: string }).version;
}
