import { PurserError } from "../errors.ts";
import { type Adjusting, type AdjustingInput, parseAdjusting } from "./adjusting.ts";
import { type Ladder, type LadderInput, parseLadder } from "./ladder.ts";
import { FULL, type StepBounds } from "./ladder-step.ts";
import { capacityOf, formatLimit, type Limit, limitId, limitStartingOn, parseLimit } from "./limit.ts";
import { type ModeInput, parseMode } from "./mode.ts";
import { parseSharing, type Sharing, type SharingInput } from "./sharing.ts";
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
import { checkWeights, type WeightsInput, weightsFor } from "./weights.ts";
import { checkTimeZone, endOfDay, windowText } from "./window.ts";
import { parseWindowStart, type WindowStart } from "./window-start.ts";

/** A named set of limits for the calls it selects, as one writes it. */
export interface BudgetInput {
  readonly name: string;
  /** Which calls it is for; all where it is left out. */
  readonly for?: Selector;
  /** One balance for each value: `user`, or several: `[team, model]`. */
  readonly per?: SubjectPath | readonly SubjectPath[];
  /** `["$50 / month", "1M tokens / day"]`. */
  readonly limits?: readonly string[];
  /** By how much tokens of each kind count on the limits in tokens: `{ cache_read: 0.1, output: 4 }`. 1 where nothing is said of a kind and of what it is part of. */
  readonly weights?: WeightsInput;
  readonly request?: RequestLimits;
  /** What happens to calls as the budget fills: `{ "85%": "use gpt-4o-mini", "90%": ["shorten 300", "slow"] }`. */
  readonly ladder?: LadderInput;
  /** Moves what some budgets, or balances of this one, leave unused to others that need more. */
  readonly share?: SharingInput;
  /** Lets the amount of a limit follow what is used of it, within bounds. */
  readonly adjust?: AdjustingInput;
  /** Other amounts for some of the subjects that `per` names. The first that is for a subject counts. */
  readonly exceptions?: readonly ExceptionInput[];
  /** IANA name; UTC where it is left out. */
  readonly timezone?: string;
  /** When its windows start: a day of the week (`sunday`), a day of the month (`15`), a month (`april`), a date (`2026-03-15`), or several. */
  readonly starts?: string | readonly string[];
  /** Who answers for it: an e-mail address or a name. */
  readonly owner?: string;
  /** Whether refusals name the owner as whom to ask. They do where it is left out. */
  readonly showsOwner?: boolean;
  /** Where its calls are booked, as finance names it. */
  readonly costCenter?: string;
  /** `observe` records what would have been refused and refuses nothing; `observe until 2026-12-15` refuses from the day after on. */
  readonly mode?: ModeInput;
  /** The output cap of a call is lowered to what fits, but not below this. 256 tokens where it is left out. */
  readonly minOutput?: number;
  /** `open` lets calls pass uncounted while the store is down. `closed` where it is left out. */
  readonly onStoreFailure?: "open" | "closed";
}

/** Other amounts for the subjects that it is for. */
export interface ExceptionInput {
  /** May name only what `per` names. */
  readonly for: Selector;
  /** Each has the unit and the window of one of the budget's limits, and stands in its place. */
  readonly limits: readonly string[];
  /** The last day on which it holds, in the budget's time zone: `2026-12-31`. */
  readonly until?: string;
}

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
  readonly exceptions: readonly LimitException[];
  /** By how much kinds of tokens count on its limits in tokens, as somebody wrote it. */
  readonly weights: WeightsInput;
  readonly request: RequestLimits;
  readonly ladder: Ladder;
  /** How what is unused is shared, where it is. */
  readonly sharing: Sharing | undefined;
  /** How the amount of a limit follows what is used, where it does. */
  readonly adjusting: Adjusting | undefined;
  readonly timezone: string;
  readonly owner: string | undefined;
  /** The wider budget whose owner it is, where this one says none. */
  readonly ownerFrom: string | undefined;
  readonly showsOwner: boolean;
  readonly costCenter: string | undefined;
  /** Up to when it refuses nothing, and records what it would have refused; epoch milliseconds. 0 where it refuses, `Infinity` where it never does. */
  readonly observesUntil: number;
  readonly minOutput: number;
  /** Whether the budget says so itself. What is only the default yields to what another budget of the call says. */
  readonly saysMinOutput: boolean;
  readonly onStoreFailure: "open" | "closed";
  selects(subject: Subject): boolean;
  allowsModel(model: string): boolean;
}

/** Limits that stand in the place of the budget's for some subjects. */
export interface LimitException {
  readonly selector: Selector;
  /** By the identity of the limit in whose place they stand. */
  readonly limits: ReadonlyMap<string, Limit>;
  /** Epoch milliseconds; `Infinity` for one that does not end. */
  readonly until: number;
  isFor(subject: Subject): boolean;
}

export const DEFAULT_MIN_OUTPUT = 256;

/** Checks and completes a budget. Throws `limit_invalid`, `window_invalid`, `ladder_invalid` or `config_invalid` with what to do. */
export function defineBudget(input: BudgetInput): Budget {
  checkInput(input);
  const timezone = checkTimeZone(input.timezone ?? "UTC");
  const starts = [input.starts ?? []].flat().map(parseWindowStart);
  const unweighed = (input.limits ?? []).map((text) => startingLimit(parseLimit(text, timezone), starts));
  const { weights = {} } = input;
  checkWeights(
    input.name,
    weights,
    unweighed.map(({ unit }) => unit),
  );
  const limits = unweighed.map((limit) => weighedLimit(limit, weights));
  checkStarts(input, limits, starts);
  const per = typeof input.per === "string" ? [input.per] : (input.per ?? []);
  checkDistinct(input.name, limits);
  checkPaths(input.name, [...Object.keys(input.for ?? {}), ...per]);
  const { maxInput, maxOutput, maxTotal } = input.request ?? {};
  checkTokens(input.name, { maxInput, maxOutput, maxTotal, minOutput: input.minOutput });
  const models = input.request?.models?.map((pattern) => compilePattern(foldModel(pattern)));
  const exceptions = (input.exceptions ?? []).map((one) =>
    defineException(one, { name: input.name, per, limits, timezone, starts, weights }),
  );
  const sharing = input.share && sharingOf(input.name, input.share, { per, limits });
  const adjusting = input.adjust && parseAdjusting(input.adjust, { name: input.name, per, limits, timezone });
  const observesUntil = modeOf(input, timezone);
  return {
    name: input.name,
    selector: input.for ?? {},
    per,
    limits,
    exceptions,
    weights,
    request: input.request ?? {},
    ladder: ladderOf(input, limits, boundsOf({ observesUntil, exceptions, sharing, adjusting })),
    sharing,
    adjusting,
    timezone,
    owner: input.owner,
    ownerFrom: undefined,
    showsOwner: input.showsOwner ?? true,
    costCenter: input.costCenter,
    observesUntil,
    minOutput: input.minOutput ?? DEFAULT_MIN_OUTPUT,
    saysMinOutput: input.minOutput !== undefined,
    onStoreFailure: input.onStoreFailure ?? "closed",
    selects: compileSelection(input.for ?? {}, per),
    allowsModel: (model) => models === undefined || models.some((matches) => matches(foldModel(model))),
  };
}

function modeOf({ name, mode = "enforce" }: BudgetInput, timezone: string): number {
  try {
    return parseMode(mode, timezone);
  } catch (cause) {
    if (!(cause instanceof PurserError)) throw cause;
    throw new PurserError(cause.code, `Budget "${name}": ${cause.message}`, { cause });
  }
}

/** How much of its limits a budget lets anybody use, but for what is granted. */
function boundsOf({
  observesUntil,
  exceptions,
  sharing,
  adjusting,
}: Pick<Budget, "observesUntil" | "exceptions" | "sharing" | "adjusting">): StepBounds {
  const most = (limit: Limit) => {
    const amounts = [limit, ...exceptions.flatMap(({ limits }) => limits.get(limitId(limit)) ?? [])];
    const followed = adjusting?.limit === limitId(limit) ? adjusting.most : 0;
    const largest = Math.max(followed, ...amounts.map((one) => capacityOf(one) + (one.rollover ?? 0)));
    return sharing?.among.length === 0 ? Math.floor(largest * (1 + sharing.most / FULL)) : largest;
  };
  // A trial refuses nothing before its end, and its file has to be right after it too.
  return { isEnforced: observesUntil === 0, most };
}

function ladderOf({ name, ladder: input = {} }: BudgetInput, limits: readonly Limit[], bounds: StepBounds): Ladder {
  const ladder = parseLadder(input, limits, bounds);
  if (ladder.every(({ measures }) => measures.length > 0)) return ladder;
  const what = "a step is a share of a limit on money, tokens or requests, and the budget has none";
  throw new PurserError("ladder_invalid", `The ladder of budget "${name}" would never begin: ${what}. Give it one, such as $50 / month.`);
}

const FIELDS = {
  name: true,
  for: true,
  per: true,
  limits: true,
  weights: true,
  request: true,
  ladder: true,
  share: true,
  adjust: true,
  exceptions: true,
  timezone: true,
  starts: true,
  owner: true,
  showsOwner: true,
  costCenter: true,
  mode: true,
  minOutput: true,
  onStoreFailure: true,
} as const satisfies Record<keyof BudgetInput, true>;
const REQUEST_FIELDS = { maxInput: true, maxOutput: true, maxTotal: true, models: true } as const satisfies Record<
  keyof RequestLimits,
  true
>;

/** What the compiler says to those who ask it. Passed over in silence, a misspelt `limits` or `mode` would be a budget that limits nothing. */
function checkInput(input: BudgetInput): void {
  if (typeof input.name !== "string" || input.name.trim() === "")
    throw new PurserError("config_invalid", "A budget has no name. Give it one: refusals and reports show it.");
  const what = `Budget "${input.name}"`;
  checkFields(what, input, FIELDS);
  checkFields(`The request of budget "${input.name}"`, input.request ?? {}, REQUEST_FIELDS);
  if (input.limits !== undefined && !Array.isArray(input.limits))
    throw new PurserError("config_invalid", `${what}: limits are a list. Write limits: ["$50 / month"].`);
  checkWord(what, "onStoreFailure", input.onStoreFailure, ["open", "closed"]);
}

function checkFields(what: string, input: object, known: object): void {
  const unknown = Object.keys(input).find((field) => !Object.hasOwn(known, field));
  if (unknown === undefined) return;
  throw new PurserError(
    "config_invalid",
    `${what} has a field "${unknown}", which is not known. Known are ${Object.keys(known).join(", ")}.`,
  );
}

function checkWord(what: string, field: string, word: string | undefined, words: readonly string[]): void {
  if (word === undefined || words.includes(word)) return;
  throw new PurserError("config_invalid", `${what}: ${field} is "${word}". Write ${words.join(" or ")}.`);
}

/** Below how many tokens the output cap of a call is not lowered: the most that one of its budgets says, or the default where none says anything. */
export function minOutputOf(budgets: readonly Pick<Budget, "minOutput" | "saysMinOutput">[]): number {
  const saying = budgets.filter(({ saysMinOutput }) => saysMinOutput);
  return Math.max(0, ...(saying.length > 0 ? saying : budgets).map(({ minOutput }) => minOutput));
}

/** A budget that shares among its own balances has several, of a limit that can be shared. */
function sharingOf(name: string, input: SharingInput, { per, limits }: Pick<Budget, "per" | "limits">): Sharing {
  const sharing = parseSharing(name, input);
  if (sharing.among.length > 0) return sharing;
  if (per.length === 0)
    throw new PurserError(
      "config_invalid",
      `Budget "${name}" has one balance, and shares with nobody. Name the budgets that share: among: [a, b].`,
    );
  checkShareable(name, limits);
  return sharing;
}

const SHAREABLE = "of money, tokens or requests by the calendar, without rollover";

function checkShareable(name: string, limits: readonly Limit[]): void {
  if (limits.some(isShareable)) return;
  throw new PurserError("config_invalid", `Budget "${name}" has no limit that can be shared: one ${SHAREABLE}.`);
}

/** Checks that a budget shares among budgets that can. Throws `config_invalid` with what to do. */
export function checkSharing({ name, sharing }: Budget, budgets: readonly Budget[]): void {
  const members = (sharing?.among ?? []).map((wanted) => {
    const member = budgets.find((one) => one.name === wanted);
    if (!member)
      throw new PurserError(
        "config_invalid",
        `Budget "${name}" shares among "${wanted}", which is no budget. Name budgets of the same file.`,
      );
    if (member.per.length > 0)
      throw new PurserError(
        "config_invalid",
        `Budget "${name}" shares among "${wanted}", which has many balances. Let it share by itself: share: { every: week }.`,
      );
    return new Set(member.limits.filter(isShareable).map(limitId));
  });
  if (members.length === 0) return;
  const isCommon = [...(members[0] ?? [])].some((id) => members.every((ids) => ids.has(id)));
  if (!isCommon)
    throw new PurserError(
      "config_invalid",
      `The budgets among which "${name}" shares have no limit of the same unit and window. Give each one ${SHAREABLE}.`,
    );
}

/** A limit whose windows begin and end for all at once, and carry nothing over by themselves. */
export function isShareable({ window, rollover, unit }: Limit): boolean {
  return window.kind === "calendar" && rollover === undefined && unit !== "concurrent";
}

/** A limit whose windows start when the budget says. */
function startingLimit(limit: Limit, starts: readonly WindowStart[]): Limit {
  for (const start of starts) {
    const starting = limitStartingOn(limit, start);
    if (starting) return starting;
  }
  return limit;
}

/** A start that concerns no limit is a mistake: somebody expects a window to begin then. */
function checkStarts({ name, starts: texts }: BudgetInput, limits: readonly Limit[], starts: readonly WindowStart[]): void {
  for (const [i, start] of starts.entries()) {
    if (limits.some((limit) => limitStartingOn(limit, start))) continue;
    const text = [texts ?? []].flat()[i];
    const message = `Budget "${name}": no limit starts on "${text}". A day of the week is for limits by the week, a day of the month for those by the month, a month for those by the quarter or year, and a date for all of them.`;
    throw new PurserError("window_invalid", message);
  }
}

/** A limit that counts by the weights of its budget. */
function weighedLimit(limit: Limit, input: WeightsInput): Limit {
  const weights = weightsFor(limit.unit, input);
  return weights ? { ...limit, weights } : limit;
}

interface ExceptionContext extends Pick<Budget, "name" | "per" | "limits" | "timezone" | "weights"> {
  readonly starts: readonly WindowStart[];
}

function defineException({ for: selector, limits: texts, until }: ExceptionInput, context: ExceptionContext): LimitException {
  const { name, per, timezone } = context;
  const paths = Object.keys(selector) as SubjectPath[];
  const other = paths.find((path) => !per.includes(path));
  if (paths.length === 0 || other !== undefined) {
    const what = other === undefined ? "an exception says for whom it is" : `an exception is for "${other}", which per does not name`;
    const names = per.length === 0 ? "Give the budget a per: first" : `Name ${per.join(" or ")} under its for`;
    throw new PurserError("config_invalid", `Budget "${name}": ${what}. ${names}.`);
  }
  if (texts.length === 0)
    throw new PurserError("config_invalid", `Budget "${name}": an exception has no limits. Say what it allows instead.`);
  const limits = new Map(texts.map((text) => exceptionalLimit(text, context)));
  const end = until === undefined ? Number.POSITIVE_INFINITY : endOfDay(until, timezone);
  if (end === undefined)
    throw new PurserError("config_invalid", `Budget "${name}": "${until}" is not the last day of an exception. Write a date: 2026-12-31.`);
  return { selector, limits, until: end, isFor: compileSelector(selector) };
}

/** The limit of an exception, by the identity of the one in whose place it stands. */
function exceptionalLimit(text: string, { name, limits, timezone, starts, weights }: ExceptionContext): readonly [string, Limit] {
  const given = weighedLimit(startingLimit(parseLimit(text, timezone), starts), weights);
  const base = limits.find(({ unit, window }) => unit === given.unit && windowText(window) === windowText(given.window));
  if (!base || (given.rollover !== undefined && base.rollover === undefined)) {
    const message = `Budget "${name}": the exception "${text}" stands in the place of no limit. It needs the unit and the window of one of them: ${limits.map(formatLimit).join(", ")}.`;
    throw new PurserError("limit_invalid", message);
  }
  const { waitMs = base.waitMs, rollover = base.rollover } = given;
  return [limitId(base), { ...given, ...(waitMs !== undefined && { waitMs }), ...(rollover !== undefined && { rollover }) }];
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

/** The part of a subject that a label was made of. */
export function labelSubject(label: string): Subject {
  const values: Record<string, string> = {};
  const tags: Record<string, string> = {};
  for (const pair of label === "" ? [] : label.split(",")) {
    const split = pair.indexOf("=");
    const [path, value] = [pair.slice(0, split), pair.slice(split + 1)];
    if (value === NO_VALUE) continue;
    if (path.startsWith("tag.")) tags[path.slice(4)] = unescapeLabel(value);
    else values[path] = unescapeLabel(value);
  }
  return { ...values, tags };
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

function unescapeLabel(value: string): string {
  return value.replace(/%u([0-9A-F]{4})|%([0-9A-F]{2})/g, (_, wide: string, narrow: string) =>
    String.fromCharCode(Number.parseInt(wide ?? narrow, 16)),
  );
}

function hex(code: number, digits: number): string {
  return code.toString(16).toUpperCase().padStart(digits, "0");
}

function checkDistinct(name: string, limits: readonly Limit[]): void {
  const seen = new Map<string, Limit>();
  for (const limit of limits) {
    const thing = `${limit.unit}/${windowText(limit.window)}`;
    const other = seen.get(thing);
    if (other) {
      const both = `"${formatLimit(other)}" and "${formatLimit(limit)}"`;
      throw new PurserError("limit_invalid", `Budget "${name}" has two limits for the same thing, ${both}. Keep the smaller one.`);
    }
    seen.set(thing, limit);
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
