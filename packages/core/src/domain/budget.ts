import { PurserError } from "../errors.ts";
import { type Limit, limitId, parseLimit } from "./limit.ts";
import { compilePattern, compileSelector, isSubjectPath, type Selector, type Subject, type SubjectPath, subjectValue } from "./subject.ts";
import { checkTimeZone, windowText } from "./window.ts";

/** A named set of limits for the calls it selects, as one writes it. */
export interface BudgetInput {
  readonly name: string;
  /** Which calls it is for; all where it is left out. */
  readonly for?: Selector;
  /** One balance for each value: `user`, or several: `[team, model]`. */
  readonly per?: SubjectPath | readonly SubjectPath[];
  /** `["$50 / month", "1M tokens / day"]`. */
  readonly limits?: readonly string[];
  readonly request?: RequestLimits;
  /** IANA name; UTC where it is left out. */
  readonly timezone?: string;
  /** Who answers for it: an e-mail address or a name. */
  readonly owner?: string;
  /** `observe` records what would have been refused and refuses nothing. */
  readonly mode?: BudgetMode;
  /** The output cap of a call is lowered to what fits, but not below this. 256 tokens where it is left out. */
  readonly minOutput?: number;
  /** `open` lets calls pass uncounted while the store is down. `closed` where it is left out. */
  readonly onStoreFailure?: "open" | "closed";
}

export type BudgetMode = "enforce" | "observe";

/** What any one call of the budget may be. */
export interface RequestLimits {
  readonly maxInput?: number;
  readonly maxOutput?: number;
  readonly maxTotal?: number;
  /** Names of models, `*` for anything. */
  readonly models?: readonly string[];
}

/** A budget read and checked: every field is there. */
export interface Budget {
  readonly name: string;
  readonly selector: Selector;
  readonly per: readonly SubjectPath[];
  readonly limits: readonly Limit[];
  readonly request: RequestLimits;
  readonly timezone: string;
  readonly owner: string | undefined;
  readonly mode: BudgetMode;
  readonly minOutput: number;
  readonly onStoreFailure: "open" | "closed";
  selects(subject: Subject): boolean;
  allowsModel(model: string): boolean;
}

export const DEFAULT_MIN_OUTPUT = 256;

/** Checks and completes a budget. Throws `limit_invalid`, `window_invalid` or `config_invalid` with what to do. */
export function defineBudget(input: BudgetInput): Budget {
  const timezone = checkTimeZone(input.timezone ?? "UTC");
  const limits = (input.limits ?? []).map((text) => parseLimit(text, timezone));
  const per = typeof input.per === "string" ? [input.per] : (input.per ?? []);
  checkDistinct(input.name, limits);
  for (const path of [...Object.keys(input.for ?? {}), ...per]) {
    if (!isSubjectPath(path))
      throw new PurserError("config_invalid", `Budget "${input.name}": "${path}" is not an attribute. Write tag.${path} for a tag.`);
  }
  const models = input.request?.models?.map(compilePattern);
  return {
    name: input.name,
    selector: input.for ?? {},
    per,
    limits,
    request: input.request ?? {},
    timezone,
    owner: input.owner,
    mode: input.mode ?? "enforce",
    minOutput: input.minOutput ?? DEFAULT_MIN_OUTPUT,
    onStoreFailure: input.onStoreFailure ?? "closed",
    selects: compileSelection(input.for ?? {}, per),
    allowsModel: (model) => models === undefined || models.some((matches) => matches(model)),
  };
}

/**
 * Sessions, tasks and tags are what a call may be part of: a call without one is not in a budget per session, task or tag.
 * All other attributes say who asks: calls without a user share one balance, so leaving the user out is no way round.
 */
function compileSelection(selector: Selector, per: readonly SubjectPath[]): (subject: Subject) => boolean {
  const matches = compileSelector(selector);
  const needed = per.filter((path) => path === "session" || path === "task" || path.startsWith("tag."));
  return (subject) => matches(subject) && needed.every((path) => subjectValue(subject, path) !== undefined);
}

/** Which balance of a budget a call belongs to: `user=ann`, or nothing for a budget with a single balance. */
export function subjectLabel(budget: Budget, subject: Subject): string {
  return budget.per.map((path) => `${path}=${escapeLabel(subjectValue(subject, path) ?? "(none)")}`).join(",");
}

/** Two different subjects must never share a label, whatever their values contain. */
function escapeLabel(value: string): string {
  return value.replace(/[%,=]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`);
}

function checkDistinct(name: string, limits: readonly Limit[]): void {
  const seen = new Set<string>();
  for (const limit of limits) {
    const id = limitId(limit);
    if (seen.has(id)) {
      throw new PurserError(
        "limit_invalid",
        `Budget "${name}" limits ${limit.unit} per ${windowText(limit.window)} twice. Keep the smaller one.`,
      );
    }
    seen.add(id);
  }
}
