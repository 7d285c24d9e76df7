import { PurserError } from "../errors.ts";
import { type Ladder, type LadderInput, parseLadder } from "./ladder.ts";
import { formatLimit, type Limit, limitId, parseLimit } from "./limit.ts";
import {
  ATTRIBUTES,
  compilePattern,
  compileSelector,
  foldModel,
  isSubjectPath,
  type Selector,
  type Subject,
  type SubjectPath,
  subjectValue,
} from "./subject.ts";
import { checkTimeZone } from "./window.ts";

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
  /** What happens to calls as the budget fills: `{ "85%": "use gpt-4o-mini", "90%": ["shorten 300", "slow"] }`. */
  readonly ladder?: LadderInput;
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

/** What any one call of the budget may be, in tokens. Several answers of one call (`n`) count together. */
export interface RequestLimits {
  readonly maxInput?: number;
  /** The output cap is lowered to this. */
  readonly maxOutput?: number;
  /** The output cap is lowered to what the input leaves of this. */
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
  readonly ladder: Ladder;
  readonly timezone: string;
  readonly owner: string | undefined;
  readonly mode: BudgetMode;
  readonly minOutput: number;
  readonly onStoreFailure: "open" | "closed";
  selects(subject: Subject): boolean;
  allowsModel(model: string): boolean;
}

export const DEFAULT_MIN_OUTPUT = 256;

/** Checks and completes a budget. Throws `limit_invalid`, `window_invalid`, `ladder_invalid` or `config_invalid` with what to do. */
export function defineBudget(input: BudgetInput): Budget {
  if (input.name.trim() === "") throw new PurserError("config_invalid", "A budget has no name. Give it one: refusals and reports show it.");
  const timezone = checkTimeZone(input.timezone ?? "UTC");
  const limits = (input.limits ?? []).map((text) => parseLimit(text, timezone));
  const per = typeof input.per === "string" ? [input.per] : (input.per ?? []);
  checkDistinct(input.name, limits);
  checkPaths(input.name, [...Object.keys(input.for ?? {}), ...per]);
  const { maxInput, maxOutput, maxTotal } = input.request ?? {};
  checkTokens(input.name, { maxInput, maxOutput, maxTotal, minOutput: input.minOutput });
  const models = input.request?.models?.map((pattern) => compilePattern(foldModel(pattern)));
  return {
    name: input.name,
    selector: input.for ?? {},
    per,
    limits,
    request: input.request ?? {},
    ladder: parseLadder(input.ladder ?? {}),
    timezone,
    owner: input.owner,
    mode: input.mode ?? "enforce",
    minOutput: input.minOutput ?? DEFAULT_MIN_OUTPUT,
    onStoreFailure: input.onStoreFailure ?? "closed",
    selects: compileSelection(input.for ?? {}, per),
    allowsModel: (model) => models === undefined || models.some((matches) => matches(foldModel(model))),
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

const NO_VALUE = "(none)";

/** Which balance of a budget a call belongs to: `user=ann`, or nothing for a budget with a single balance. */
export function subjectLabel({ per }: Pick<Budget, "per">, subject: Subject): string {
  if (per.length === 0) return "";
  return per
    .map((path) => {
      const given = subjectValue(subject, path);
      const value = path === "model" && given !== undefined ? foldModel(given) : given;
      return `${path}=${value === undefined ? NO_VALUE : escapeLabel(value)}`;
    })
    .join(",");
}

/** Whether a label was made for these attributes, as those of a budget whose `per` was changed are not. */
export function isLabelOf({ per }: Pick<Budget, "per">, label: string): boolean {
  const paths = label === "" ? [] : label.split(",").map((pair) => pair.slice(0, pair.indexOf("=")));
  return paths.length === per.length && paths.every((path, i) => path === per[i]);
}

/** What separates the parts of a label and of a counter's key, the first letter of `(none)`, and what not every store can keep apart. */
const ESCAPED = /[%,=|]|^\(|\p{Control}|\p{Surrogate}/gu;

/** Two different subjects must never share a label, whatever their values contain. */
function escapeLabel(value: string): string {
  return value.replace(ESCAPED, (character) => {
    const code = character.charCodeAt(0);
    return code < 256 ? `%${hex(code, 2)}` : `%u${hex(code, 4)}`;
  });
}

function hex(code: number, digits: number): string {
  return code.toString(16).toUpperCase().padStart(digits, "0");
}

function checkDistinct(name: string, limits: readonly Limit[]): void {
  const seen = new Map<string, Limit>();
  for (const limit of limits) {
    const other = seen.get(limitId(limit));
    if (other) {
      const both = `"${formatLimit(other)}" and "${formatLimit(limit)}"`;
      throw new PurserError("limit_invalid", `Budget "${name}" has two limits for the same thing, ${both}. Keep the smaller one.`);
    }
    seen.set(limitId(limit), limit);
  }
}

function checkPaths(name: string, paths: readonly string[]): void {
  for (const path of paths) {
    if (isSubjectPath(path)) continue;
    const tag = path.startsWith("tag.") ? "Write tag.NAME for a tag." : `Write tag.${path} for a tag.`;
    throw new PurserError(
      "config_invalid",
      `Budget "${name}": "${path}" is not an attribute. Attributes are ${ATTRIBUTES.join(", ")}. ${tag}`,
    );
  }
}

function checkTokens(name: string, amounts: Readonly<Record<string, number | undefined>>): void {
  for (const [field, amount] of Object.entries(amounts)) {
    if (amount === undefined || (Number.isSafeInteger(amount) && amount >= 0)) continue;
    throw new PurserError("config_invalid", `Budget "${name}": ${field} is ${amount}. Write a whole number of tokens, such as 4000.`);
  }
}
