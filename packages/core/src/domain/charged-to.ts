import type { Budget } from "./budget.ts";
import type { CallDetail } from "./ledger.ts";
import { compileValues, isSubjectPath, type SubjectPath, subjectValue } from "./subject.ts";

/** Who answers for what a call costs, and where it is booked, as its budgets said when it came. */
export interface ChargedTo {
  readonly costCenter?: string;
  readonly owner?: string;
}

/** What a report can be by: an attribute of calls, or whom they are charged to. */
export type ReportPath = SubjectPath | ChargedPath;
export type ChargedPath = (typeof CHARGED_PATHS)[number];

export const CHARGED_PATHS = ["cost_center", "owner"] as const;

const FIELDS = { cost_center: "costCenter", owner: "owner" } as const satisfies Record<ChargedPath, keyof ChargedTo>;

/**
 * Whom a call is charged to: of the budgets that select it, in the order of the configuration, the one whose `for` names the most attributes
 * and says it itself, and of several such the first. So there is one cost centre at most, and one owner, however many budgets a call has.
 */
export function chargedTo(budgets: readonly Budget[]): ChargedTo | undefined {
  const costCenter = narrowest(budgets, ({ costCenter }) => costCenter !== undefined)?.costCenter;
  const owner = narrowest(budgets, ({ owner, ownerFrom }) => owner !== undefined && ownerFrom === undefined)?.owner;
  if (costCenter === undefined && owner === undefined) return undefined;
  return { ...(costCenter !== undefined && { costCenter }), ...(owner !== undefined && { owner }) };
}

function narrowest(budgets: readonly Budget[], says: (budget: Budget) => boolean): Budget | undefined {
  let found: Budget | undefined;
  for (const budget of budgets) {
    if (says(budget) && (!found || attributesOf(budget) > attributesOf(found))) found = budget;
  }
  return found;
}

function attributesOf({ selector }: Budget): number {
  return Object.keys(selector).length;
}

export function isReportPath(text: string): text is ReportPath {
  return isSubjectPath(text) || isChargedPath(text);
}

function isChargedPath(text: string): text is ChargedPath {
  return (CHARGED_PATHS as readonly string[]).includes(text);
}

/** What of a call stands for it in a report. */
export type Reported = Pick<CallDetail, "subject" | "chargedTo">;

/** The value of a call at a path, if it has one. */
export function reportValue({ subject, chargedTo = {} }: Reported, path: ReportPath): string | undefined {
  return isChargedPath(path) ? chargedTo[FIELDS[path]] : subjectValue(subject, path);
}

/** What has this value at a path, and nothing else. */
export function callWith(path: ReportPath, value: string): Reported {
  if (isChargedPath(path)) return { subject: {}, chargedTo: { [FIELDS[path]]: value } };
  return { subject: path.startsWith("tag.") ? { tags: { [path.slice(4)]: value } } : { [path]: value } };
}

/** Which calls a report is of, as a budget says which it is for. */
export type ReportFilter = { readonly [path in ReportPath]?: string | readonly string[] };

/** A filter compiled once, asked for every call. */
export function compileFilter(filter: ReportFilter): (call: Reported) => boolean {
  const tests = Object.entries(filter).map(([path, wanted]) => ({ path: path as ReportPath, matches: compileValues(path, wanted) }));
  return (call) => tests.every(({ path, matches }) => matches(reportValue(call, path)));
}
