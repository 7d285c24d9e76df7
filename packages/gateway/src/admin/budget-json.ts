import { PurserError } from "@purser/core";
import type { BudgetItem, Changed, FieldProblem, Trial, WrittenBudget } from "../config/change-budgets.ts";
import type { AdminRequest } from "./admin.ts";
import { checkFields, checkText, readObject } from "./decision-json.ts";

/** A budget as it is written in the configuration file. */
export interface WrittenBudgetJson {
  readonly name: string;
  /** Its item of `budgets`, with `${NAME}` as it stands there. */
  readonly budget: BudgetItem;
  /** To be sent with a change of it. */
  readonly version: string;
}

/** What a change of a budget would come to. */
export interface BudgetTrialJson {
  readonly name: string;
  /** The budget in words, as it would be, or the one that would go; null where something is wrong with it. */
  readonly sentence: string | null;
  readonly problems: readonly FieldProblem[];
  readonly warnings: readonly FieldProblem[];
}

/** A budget that was written. */
export interface BudgetChangeJson extends WrittenBudgetJson {
  readonly sentence: string;
  readonly warnings: readonly FieldProblem[];
}

export function writtenBudgetJson({ name, item, version }: WrittenBudget): WrittenBudgetJson {
  return { name, budget: item, version };
}

export function budgetTrialJson({ name, sentence, problems, warnings }: Trial): BudgetTrialJson {
  return { name, sentence: sentence ?? null, problems, warnings };
}

export function budgetChangeJson({ name, after, sentence = "", warnings }: Changed): BudgetChangeJson | { name: string; removed: true } {
  return after ? { ...writtenBudgetJson(after), sentence, warnings } : { name, removed: true };
}

/** Whether a change is only to be tried. */
export function isTrial({ query }: Pick<AdminRequest, "query">): boolean {
  const trial = query.get("dry_run");
  if (trial === null || trial === "true" || trial === "false") return trial === "true";
  throw new PurserError("body_invalid", '"dry_run" is true or false.');
}

/** Reads the body of `POST /api/budgets`. */
export function readNewBudget(body: unknown): { readonly item: BudgetItem } {
  const fields = readObject(body, "The body");
  checkFields(fields, ["budget", "why"], "a new budget");
  return { item: readItem(fields) };
}

/** Reads the body of `PUT /api/budgets/{name}`. Only a trial can do without the version. */
export function readBudgetChange({ body, query }: AdminRequest): { readonly item: BudgetItem; readonly version?: string } {
  const fields = readObject(body, "The body");
  checkFields(fields, ["budget", "version", "why"], "a change of a budget");
  return { item: readItem(fields), ...readVersion(fields, isTrial({ query })) };
}

/** Reads the body of `DELETE /api/budgets/{name}`, which a trial can do without. */
export function readBudgetRemoval({ body, query }: AdminRequest): { readonly version?: string } {
  const isTried = isTrial({ query });
  const fields = readObject(body === undefined && isTried ? {} : body, "The body");
  checkFields(fields, ["version", "why"], "the removal of a budget");
  checkWhy(fields);
  return readVersion(fields, isTried);
}

/** Which limit is to be which, from the body of a POST. Throws `body_invalid` with the field that is wrong. */
export function readLimitChange(body: unknown): { readonly limit: string; readonly to: string } {
  const fields = readObject(body, "The body");
  checkFields(fields, ["limit", "to", "why"], "a change of a limit");
  const { limit, to } = fields;
  checkText('"limit"', limit);
  checkText('"to"', to);
  checkWhy(fields);
  return { limit: limit as string, to: to as string };
}

function readItem(fields: Record<string, unknown>): BudgetItem {
  checkWhy(fields);
  return readObject(fields.budget, '"budget"') as BudgetItem;
}

function readVersion({ version }: Record<string, unknown>, isTried: boolean): { readonly version?: string } {
  if (version === undefined && isTried) return {};
  checkText('"version" (that GET says)', version);
  return { version: version as string };
}

function checkWhy({ why }: Record<string, unknown>): void {
  if (why !== undefined) checkText('"why"', why);
}
