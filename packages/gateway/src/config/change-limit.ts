import { randomBytes } from "node:crypto";
import { open, readFile, realpath, rename, rm, stat } from "node:fs/promises";
import { resolve } from "node:path";
import { formatLimit, PurserError, parseLimit } from "@purser/core";
import { isScalar } from "yaml";
import type { Config } from "./config.ts";
import { type ConfigInput, examineConfig } from "./read-config.ts";
import { budgetSentence } from "./sentence.ts";
import { openSource, type Place, problemText } from "./source.ts";

/** Another amount of one of a budget's limits. */
export interface LimitChange {
  readonly budget: string;
  /** As it is now: `$10,000 / month`. */
  readonly limit: string;
  /** As it is to be, in the same unit and window: `$12,000 / month`. */
  readonly to: string;
}

/**
 * Changes limits in the file of a gateway, which takes that over as whatever else is changed there. Only the amount is written, so comments and
 * all else stay as they are.
 */
export function limitChanger(config: Config, input: ConfigInput): (change: LimitChange) => Promise<void> {
  const { file } = config;
  if (file === undefined) return () => Promise.reject(fixed("This gateway runs without a configuration file."));
  if (config.store.redis)
    return () => Promise.reject(fixed("Gateways that share a Redis have a file each, and have to agree. Change the limit in all of them."));
  let changing: Promise<unknown> = Promise.resolve();
  return (change) => {
    const changed = changing.then(() => changeFile(resolve(input.cwd ?? process.cwd(), file), input, change));
    changing = changed.catch(() => undefined);
    return changed;
  };
}

async function changeFile(path: string, input: ConfigInput, change: LimitChange): Promise<void> {
  // What a link leads to is changed, and the link stays one.
  const file = await realpath(path);
  const text = await readFile(file, "utf8");
  const next = changedText(text, input, change);
  if (next === text) return;
  const { mode } = await stat(file);
  const draft = `${file}.${randomBytes(6).toString("hex")}.draft`;
  try {
    const handle = await open(draft, "wx", mode);
    try {
      await handle.writeFile(next);
      await handle.sync();
    } finally {
      await handle.close();
    }
    if ((await readFile(file, "utf8")) !== text) throw fixed("Somebody else has just changed the file. Look at it, and try again.");
    await rename(draft, file);
  } catch (cause) {
    await rm(draft, { force: true }).catch(() => undefined);
    if (cause instanceof PurserError) throw cause;
    const { code } = cause as NodeJS.ErrnoException;
    throw fixed(`The file cannot be written (${code ?? cause}). Change the limit where the file comes from.`, cause);
  }
}

/** The text with another amount in it, and nothing else that means anything else. */
export function changedText(text: string, input: ConfigInput, { budget: name, limit, to }: LimitChange): string {
  const before = examined(text, input);
  const budget = before.budgets.find((one) => one.name === name);
  if (!budget) throw new PurserError("budget_unknown", `There is no budget "${name}" in the file.`);
  const known = budget.limits.map(formatLimit);
  const at = known.indexOf(formatLimit(parseLimit(limit, budget.timezone)));
  const old = budget.limits[at];
  if (!old) throw new PurserError("limit_invalid", `Budget "${name}" has no limit "${limit}". It has ${known.join(", ")}.`);
  const { amount } = parseLimit(to, budget.timezone);
  const wanted = known.map((one, i) => (i === at ? formatLimit({ ...old, amount }) : one));
  if (formatLimit(parseLimit(to, budget.timezone)) !== wanted[at])
    throw new PurserError("limit_invalid", `"${to}" is more than another amount of ${known[at]}. Only that can be changed here.`);
  const next = replaced(text, placeOf(text, input, name, at), to.trim());
  const after = examined(next, input);
  const changed = after.budgets.find((one) => one.name === name)?.limits.map(formatLimit);
  if (changed?.join() !== wanted.join() || othersText(after, name) !== othersText(before, name)) throw fixed(BY_HAND);
  return next;
}

const BY_HAND = "The file has this limit written in a way that cannot be changed safely here. Change it by hand.";

/** All other budgets, in words. */
function othersText({ budgets }: Config, name: string): string {
  return budgets
    .filter((one) => one.name !== name)
    .map(budgetSentence)
    .join();
}

function examined(text: string, input: ConfigInput): Config {
  const { config, problems } = examineConfig({ ...input, text });
  if (config) return config;
  throw new PurserError("config_invalid", `The file would not be right: ${problems.map(problemText).join("; ")}`);
}

/** Where the limit is written. */
function placeOf(text: string, { file, environment }: ConfigInput, name: string, at: number): Place {
  const { root } = openSource({ file, text, environment });
  const budget = root
    .field("budgets")
    .items()
    ?.find((one) => one.field("name").text()?.value.trim() === name);
  const limits = budget?.field("limits");
  const place = limits?.items()?.[at] ?? limits;
  const [own, within] = [place?.node?.range, budget?.node?.range];
  // What stands elsewhere, by an anchor, is of others too; what comes from the environment is not in the file.
  const isWithin = own && within && own[0] >= within[0] && own[1] <= within[1];
  const said = place?.text();
  if (!place || !isWithin || !said || said.written !== said.value) throw fixed(BY_HAND);
  return place;
}

function replaced(text: string, { node }: Place, to: string): string {
  const [start = 0, end = 0] = node?.range ?? [];
  const quote = isScalar(node) && node.type === "QUOTE_DOUBLE" ? '"' : isScalar(node) && node.type === "QUOTE_SINGLE" ? "'" : "";
  return `${text.slice(0, start)}${quote}${to}${quote}${text.slice(end)}`;
}

function fixed(message: string, cause?: unknown): PurserError {
  return new PurserError("config_fixed", message, { cause });
}
