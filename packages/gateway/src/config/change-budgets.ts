import { hash, randomBytes } from "node:crypto";
import { open, readFile, realpath, rename, rm, stat } from "node:fs/promises";
import { resolve } from "node:path";
import { formatLimit, PurserError, parseLimit } from "@purser/core";
import type { Config } from "./config.ts";
import { isSame, rewritten, type Written, type WrittenFields, written } from "./edit-yaml.ts";
import { type ConfigInput, examineConfig, type Reading } from "./read-config.ts";
import { budgetSentence } from "./sentence.ts";
import { type Problem, problemText } from "./source.ts";
import { UNOWNED, unownedBudgets } from "./unowned.ts";

/** A budget as it is written in the file: `${NAME}` stands there as it is. */
export type BudgetItem = WrittenFields;

/** Another amount of one of a budget's limits. */
export interface LimitChange {
  readonly kind: "limit";
  readonly budget: string;
  /** As it is now: `$10,000 / month`. */
  readonly limit: string;
  /** As it is to be, in the same unit and window: `$12,000 / month`. */
  readonly to: string;
}

/** What can be changed of the budgets in the file. `version` is that of the budget as whoever changes it has seen it. */
export type BudgetChange =
  | LimitChange
  | { readonly kind: "new"; readonly item: BudgetItem }
  | { readonly kind: "replace"; readonly budget: string; readonly item: BudgetItem; readonly version?: string | undefined }
  | { readonly kind: "remove"; readonly budget: string; readonly version?: string | undefined };

export interface WrittenBudget {
  readonly name: string;
  readonly item: BudgetItem;
  /** Another one as soon as anything of it is changed. */
  readonly version: string;
}

/** What is wrong or doubtful in a field of the budget: `limits[1]`; an empty name where it is about all of it. */
export interface FieldProblem {
  readonly field: string;
  readonly message: string;
}

/** What a change would come to. */
export interface Trial {
  readonly name: string;
  /** The budget as it would be, or the one that would go; nothing where something is wrong with it. */
  readonly sentence: string | undefined;
  readonly problems: readonly FieldProblem[];
  readonly warnings: readonly FieldProblem[];
}

/** What a change was: the budget before and after it, and what is to be said of it. */
export interface Changed {
  readonly name: string;
  readonly before: BudgetItem | undefined;
  readonly after: WrittenBudget | undefined;
  readonly sentence: string | undefined;
  readonly warnings: readonly FieldProblem[];
}

/** The budgets in the file of a gateway, which takes over what is changed there as it does whatever else is. */
export interface BudgetFile {
  read(budget: string): Promise<WrittenBudget>;
  /** Says what a change would come to, and writes nothing. */
  try(change: BudgetChange): Promise<Trial>;
  change(change: BudgetChange): Promise<Changed>;
}

/** The budgets of a gateway whose file can be changed; where it cannot, all of it says why. */
export function openBudgetFile(config: Config, input: ConfigInput): BudgetFile {
  const { file } = config;
  if (file === undefined) return fixedBudgets("This gateway runs without a configuration file.");
  if (config.store.redis)
    return fixedBudgets("Gateways that share a Redis have a file each, and have to agree. Change the budget in all of them.");
  const path = resolve(input.cwd ?? process.cwd(), file);
  let changing: Promise<unknown> = Promise.resolve();
  let looked: BudgetsIn | undefined;
  // While somebody tries one thing after the other, the file stays as it is.
  const look = async () => {
    const { text } = await readText(path);
    if (looked?.text !== text) looked = budgetsIn(text, input);
    return looked;
  };
  return {
    read: async (budget) => writtenBudget(await look(), budget),
    try: async (change) => trial(plan(await look(), input, change)),
    change(change) {
      const changed = changing.then(() => changeFile(path, input, change));
      changing = changed.catch(() => undefined);
      return changed;
    },
  };
}

/** Budgets that cannot be changed, and why. */
export function fixedBudgets(why: string): BudgetFile {
  const refuse = () => Promise.reject(fixed(why));
  return { read: refuse, try: refuse, change: refuse };
}

/** What a link leads to is read and changed, and the link stays one. */
async function readText(path: string): Promise<{ readonly file: string; readonly text: string }> {
  try {
    const file = await realpath(path);
    return { file, text: await readFile(file, "utf8") };
  } catch (cause) {
    throw fixed(`The file cannot be read (${(cause as NodeJS.ErrnoException).code ?? cause}).`, cause);
  }
}

async function changeFile(path: string, input: ConfigInput, change: BudgetChange): Promise<Changed> {
  const { file, text } = await readText(path);
  const plans = plan(budgetsIn(text, input), input, change);
  const { problems, name, sentence, warnings } = trial(plans);
  if (problems.length > 0) throw new PurserError("config_invalid", problems.map(fieldText).join("; "));
  if (plans.next !== text) await replaceFile(file, text, plans.next);
  const after = plans.after && { name, item: plans.after, version: versionOf(plans.after) };
  return { name, before: plans.before, after, sentence: after && sentence, warnings };
}

async function replaceFile(file: string, text: string, next: string): Promise<void> {
  const draft = `${file}.${randomBytes(6).toString("hex")}.draft`;
  try {
    const { mode } = await stat(file);
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
    throw fixed(`The file cannot be written (${code ?? cause}). Change the budget where the file comes from.`, cause);
  }
}

/** The text with a change in it, and nothing else that says anything else. Throws where it would not be right. */
export function changedText(text: string, input: ConfigInput, change: BudgetChange): string {
  const plans = plan(budgetsIn(text, input), input, change);
  const { problems } = trial(plans);
  if (problems.length > 0) throw new PurserError("config_invalid", problems.map(fieldText).join("; "));
  return plans.next;
}

/** A budget as a text has it. */
export function writtenBudget({ items, names }: Pick<BudgetsIn, "items" | "names">, name: string): WrittenBudget {
  const item = items[indexOf(names, name)] as BudgetItem;
  return { name, item, version: versionOf(item) };
}

/** A change of a text: the item that it is about, and what the file would say. */
interface Plan {
  readonly name: string;
  readonly next: string;
  readonly before: BudgetItem | undefined;
  readonly after: BudgetItem | undefined;
  /** Which of the budgets it is in the text that follows; none where it goes. */
  readonly at: number | undefined;
  /** Of the budgets in the text that follows. */
  readonly names: readonly string[];
  readonly reading: Reading;
  readonly sentenceBefore: string | undefined;
}

function plan({ text, root, items, names, config }: BudgetsIn, input: ConfigInput, change: BudgetChange): Plan {
  const at = change.kind === "new" ? items.length : indexOf(names, change.budget);
  const before = items[at];
  const after = itemAfter(change, before, config);
  const budgets = after === undefined ? items.toSpliced(at, 1) : items.toSpliced(at, 1, after);
  const next = isSame(before, after) ? text : rewritten(text, { ...root, budgets });
  const written = config.budgets[at];
  const name = change.kind === "new" ? String(change.item.name ?? "") : change.budget;
  return {
    name,
    names: after === undefined ? names.toSpliced(at, 1) : names.toSpliced(at, 1, name),
    next,
    before,
    after,
    at: after && at,
    reading: examineConfig({ ...input, text: next }),
    sentenceBefore: written && budgetSentence(written),
  };
}

function itemAfter(change: BudgetChange, before: BudgetItem | undefined, config: Config): BudgetItem | undefined {
  if (change.kind === "new") return checkedItem(change.item, {});
  if (change.kind === "limit") return { ...before, limits: limitsAfter(change, before, config) };
  if (change.version !== undefined && change.version !== versionOf(before ?? {}))
    throw fixed(`Somebody else has changed budget "${change.budget}" meanwhile. Look at it as it is now, and try again.`);
  if (change.kind === "remove") return undefined;
  if (!isSame(change.item.name, before?.name))
    throw new PurserError(
      "body_invalid",
      `A budget keeps its name, by which its grants and its history are kept. Leave "name" as it is, or make a new budget and remove this one.`,
    );
  return checkedItem(change.item, before ?? {});
}

function limitsAfter({ budget: name, limit, to }: LimitChange, before: BudgetItem | undefined, { budgets }: Config): Written {
  const budget = budgets.find((one) => one.name === name);
  const known = budget?.limits.map(formatLimit) ?? [];
  const timezone = budget?.timezone ?? "UTC";
  const at = known.indexOf(formatLimit(parseLimit(limit, timezone)));
  const old = budget?.limits[at];
  if (!old) throw new PurserError("limit_invalid", `Budget "${name}" has no limit "${limit}". It has ${known.join(", ")}.`);
  const wanted = parseLimit(to, timezone);
  if (formatLimit(wanted) !== formatLimit({ ...old, amount: wanted.amount }))
    throw new PurserError("limit_invalid", `"${to}" is more than another amount of ${known[at]}. Only that can be changed here.`);
  const limits = [before?.limits ?? []].flat() as Written[];
  // A variable would be lost, and whoever changes an amount does not see it.
  if (String(limits[at]).includes("${"))
    throw fixed(`The limit ${known[at]} comes from the environment. Change it there, or edit the budget.`);
  return limits.with(at, to.trim());
}

interface BudgetsIn {
  readonly text: string;
  readonly config: Config;
  readonly root: WrittenFields;
  readonly items: readonly BudgetItem[];
  /** Of each item, in their order. */
  readonly names: readonly string[];
}

/** What a text says of budgets. Throws where it is wrong as it stands. */
export function budgetsIn(text: string, input: ConfigInput): BudgetsIn {
  const { config, problems } = examineConfig({ ...input, text });
  if (!config) throw fixed(`The file has problems as it stands, which come first: ${problems.map(problemText).join("; ")}`);
  const root = (written(text) ?? {}) as WrittenFields;
  const items = (root.budgets ?? []) as readonly BudgetItem[];
  return { text, config, root, items, names: config.budgets.map(({ name }) => name) };
}

function indexOf(names: readonly string[], name: string): number {
  const at = names.indexOf(name);
  if (at >= 0) return at;
  throw new PurserError("budget_unknown", `There is no budget "${name}" in the file.`);
}

function versionOf(item: BudgetItem): string {
  return hash("sha256", JSON.stringify(item), "base64url").slice(0, 22);
}

/** Deeper than any budget. */
const DEPTH_MOST = 8;

/** An item as it may be written: no text that a file cannot have, and no variable that does not stand there already. */
function checkedItem(item: BudgetItem, before: BudgetItem): BudgetItem {
  for (const [field, value] of Object.entries(item)) {
    const known = new Set(textsIn(before[field] ?? null, DEPTH_MOST));
    for (const text of textsIn(value, DEPTH_MOST)) {
      if (/[\ue000-\ue07f\ufffd]|\p{Surrogate}/u.test(text))
        throw new PurserError("body_invalid", `"${field.slice(0, 64)}" has a character that is no text.`);
      // Whoever could name variables here could read what they hold.
      if (text.includes("${") && !known.has(text))
        throw new PurserError(
          "body_invalid",
          `"${field.slice(0, 64)}" names a variable of the environment. Write that into the file by hand.`,
        );
    }
  }
  return item;
}

function textsIn(value: Written, depth: number): readonly string[] {
  if (depth === 0) throw new PurserError("body_invalid", "A budget has no lists in lists in lists.");
  if (typeof value === "string") return [value];
  if (typeof value !== "object" || value === null) return [];
  const inner = Array.isArray(value) ? [] : Object.keys(value);
  return [...inner, ...Object.values(value as WrittenFields).flatMap((one) => textsIn(one, depth - 1))];
}

function trial({ name, at, names, reading, after, sentenceBefore }: Plan): Trial {
  const { config, problems, warnings } = reading;
  const own = ({ path }: Problem) => at !== undefined && budgetAt(path) === at;
  const budget = after === undefined ? undefined : config?.budgets[at ?? 0];
  return {
    name,
    sentence: after === undefined ? sentenceBefore : budget && budgetSentence(budget),
    problems: problems.map((problem) => (own(problem) ? fieldProblem(problem) : { field: "", message: othersProblem(problem, names) })),
    warnings: [
      ...warnings.filter(own).map(fieldProblem),
      ...(config && budget && unownedBudgets(config).includes(budget) ? [{ field: "owner", message: `It ${UNOWNED}` }] : []),
    ],
  };
}

const BUDGET_PATH = /^budgets\[(\d+)\]\.?/;

function budgetAt(path: string): number | undefined {
  const [, at] = BUDGET_PATH.exec(path) ?? [];
  return at === undefined ? undefined : Number(at);
}

function fieldProblem({ path, message }: Problem): FieldProblem {
  return { field: path.replace(BUDGET_PATH, ""), message };
}

/** What would be wrong elsewhere: where it stands in the file says little to whoever does not see it. */
function othersProblem(problem: Problem, names: readonly string[]): string {
  const name = names[budgetAt(problem.path) ?? Number.NaN];
  return name === undefined ? problemText(problem) : `Budget "${name}": ${fieldText(fieldProblem(problem))}`;
}

function fieldText({ field, message }: FieldProblem): string {
  return field === "" ? message : `${field}: ${message}`;
}

function fixed(message: string, cause?: unknown): PurserError {
  return new PurserError("config_fixed", message, { cause });
}
