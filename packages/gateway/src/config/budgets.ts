import {
  type AdjustingInput,
  type Budget,
  type BudgetInput,
  checkSharing,
  compilePattern,
  defineBudget,
  type ErrorCode,
  type ExceptionInput,
  formatLimit,
  type ModeInput,
  PurserError,
  type Rung,
  type Selector,
  type SharingInput,
  type WeightsInput,
  withOwners,
} from "@purser/core";
import { mailAddress } from "../alerts/channel.ts";
import { DIALECTS, type Provider } from "../providers/provider.ts";
import type { BudgetFields, ConfigurationFields, ExceptionFields } from "./description.ts";
import type { Located } from "./field.ts";
import { suggestion } from "./nearest-name.ts";
import type { Place } from "./source.ts";

/** What else of the configuration budgets speak of. */
export interface BudgetTerms extends Pick<ConfigurationFields, "channels" | "answers"> {
  readonly timezone: string;
  /** The mode of budgets that have none of their own. */
  readonly mode: ModeInput | undefined;
  readonly providers: readonly Provider[];
  /** Whether refusals name owners. */
  readonly showsOwner: boolean;
  /** Epoch milliseconds. */
  readonly now: number;
}

/** Puts the budgets together, and notes where two cannot stand beside each other. */
export function configuredBudgets(
  entries: readonly Located<BudgetFields>[],
  { timezone, mode, showsOwner, providers, channels, answers, now }: BudgetTerms,
): readonly Budget[] {
  const found: Budget[] = [];
  const places: Place[] = [];
  const names = new Set<string>();
  for (const { value, place } of entries) {
    const name = value.name ?? "";
    if (name !== "" && names.has(name))
      place.field("name").problem(`"${name}" names two budgets. Each needs a name of its own, since it is how spend is kept.`);
    names.add(name);
    const budget = name === "" ? undefined : definedBudget(value, place, { timezone, mode, showsOwner });
    if (!budget) continue;
    warnOfDoubts(budget, place, providers);
    warnOfSilence(budget, value, place.field("adjust"));
    warnOfEnded(budget, readable(value), now);
    if (value.mode && budget.observesUntil > 0 && budget.observesUntil <= now)
      place.field("mode").warning("the trial is over, and the budget refuses calls. Take it out.");
    const rungs = budget.ladder.flatMap((step) => step.rungs);
    checkLookups(rungs, place.field("ladder"), answers);
    found.push(budget);
    places.push(place);
  }
  const budgets = withOwners(found);
  for (const [i, budget] of budgets.entries()) {
    const place = places[i] as Place;
    noteSharing(budget, budgets, place.field("share"));
    checkTells(
      budget,
      budget.ladder.flatMap((step) => step.rungs),
      place.field("ladder"),
      channels,
    );
  }
  return budgets;
}

/** What budgets have of the file where they say nothing themselves. */
type InheritedTerms = Pick<BudgetTerms, "timezone" | "mode" | "showsOwner">;

function noteSharing(budget: Budget, budgets: readonly Budget[], place: Place): void {
  try {
    checkSharing(budget, budgets);
  } catch (error) {
    if (!(error instanceof PurserError)) throw error;
    place.problem(error.message);
  }
}

function definedBudget(value: BudgetFields, place: Place, terms: InheritedTerms): Budget | undefined {
  const input = budgetInput(value, terms);
  try {
    return defineBudget(input);
  } catch (error) {
    if (!(error instanceof PurserError)) throw error;
    return placeOfError(input, error, value, place).problem(error.message);
  }
}

const FIELD_OF_ERROR: { readonly [code in ErrorCode]?: string } = {
  limit_invalid: "limits",
  amount_too_large: "limits",
  window_invalid: "starts",
  ladder_invalid: "ladder",
};

/** Where what is wrong stands: in the first exception without which it would be right, or else in the field that such errors are about. */
function placeOfError(input: BudgetInput, { code }: PurserError, value: BudgetFields, place: Place): Place {
  const { share, ...unshared } = input;
  if (share && !isWrong(unshared)) return place.field("share");
  const { adjust, ...unadjusted } = input;
  if (adjust && !isWrong(unadjusted)) return place.field("adjust");
  const { weights, ...unweighed } = input;
  if (weights && !isWrong(unweighed)) return place.field("weights");
  const wrong = readable(value).find((_, i) => isWrong({ ...input, exceptions: (input.exceptions ?? []).slice(i, i + 1) }));
  if (wrong && !isWrong({ ...input, exceptions: [] })) return wrong.place;
  const field = FIELD_OF_ERROR[code];
  return field ? place.field(field) : place;
}

function isWrong(input: BudgetInput): boolean {
  try {
    defineBudget(input);
    return false;
  } catch {
    return true;
  }
}

function budgetInput(value: BudgetFields, { timezone, mode = "enforce", showsOwner }: InheritedTerms): BudgetInput {
  const request = value.request;
  return {
    name: value.name ?? "",
    timezone: value.timezone ?? timezone,
    ...(value.for && { for: Object.fromEntries(value.for) as Selector }),
    ...(value.per && { per: value.per }),
    ...(value.limits && { limits: value.limits }),
    ...(value.weights && { weights: weightsInput(value.weights) }),
    ...(value.ladder && { ladder: Object.fromEntries(value.ladder) }),
    ...(value.starts && { starts: value.starts }),
    ...(value.share && { share: sharingInput(value.share) }),
    ...(value.adjust?.within !== undefined && { adjust: adjustingInput(value.adjust) }),
    exceptions: readable(value).map((one) => exceptionInput(one.value)),
    ...(value.owner !== undefined && { owner: value.owner }),
    ...(!showsOwner && { showsOwner }),
    ...(value.cost_center !== undefined && { costCenter: value.cost_center }),
    mode: value.mode ?? mode,
    ...(value.min_output !== undefined && { minOutput: value.min_output }),
    ...(value.on_store_failure && { onStoreFailure: value.on_store_failure }),
    ...(request && {
      request: {
        ...(request.max_input !== undefined && { maxInput: request.max_input }),
        ...(request.max_output !== undefined && { maxOutput: request.max_output }),
        ...(request.max_total !== undefined && { maxTotal: request.max_total }),
        ...(request.models && { models: request.models }),
      },
    }),
  };
}

/** Weights that cannot be read have been noted already. */
function weightsInput(weights: NonNullable<BudgetFields["weights"]>): WeightsInput {
  return Object.fromEntries(Object.entries(weights).filter(([, weight]) => weight !== undefined));
}

function sharingInput({ among, every, from, keep, most }: NonNullable<BudgetFields["share"]>): SharingInput {
  return {
    every: every ?? "",
    ...(among && { among }),
    ...(from !== undefined && { from }),
    ...(keep !== undefined && { keep }),
    ...(most !== undefined && { most }),
  };
}

/** A rule that proposes to nobody is only seen by who asks. */
function warnOfSilence({ adjusting }: Budget, { alerts }: BudgetFields, place: Place): void {
  if (adjusting?.mode === "propose" && !alerts?.has("adjusted"))
    place.warning("only proposes, and tells nobody. Add alerts: { adjusted: tell CHANNEL }, or ask `purser adjust` now and then.");
}

function adjustingInput({ within, every, follow, margin, step, mode }: NonNullable<BudgetFields["adjust"]>): AdjustingInput {
  return {
    within: within ?? "",
    ...(every && { every }),
    ...(follow !== undefined && { follow }),
    ...(margin !== undefined && { margin }),
    ...(step !== undefined && { step }),
    ...(mode && { mode }),
  };
}

/** Fewer tokens than this are no limit for calls, but a sum of dollars without its sign. */
const TOKENS_MEANT_LEAST = 100;
const NANODOLLARS_PER_DOLLAR = 1_000_000_000;

/** A ladder that tells nobody is worse than one that says so. */
export function checkTells(
  { owner }: Pick<Budget, "owner">,
  rungs: readonly Rung[],
  place: Place,
  channels: ConfigurationFields["channels"] = new Map(),
): void {
  for (const rung of rungs) {
    if (rung.kind === "queue" && rung.channel !== undefined && channels.get(rung.channel)?.value.kind !== "webhook")
      place.problem(`pushes answers to "${rung.channel}", which is no channel that is a webhook. Add one under channels.`);
    if (rung.kind !== "tell" && rung.kind !== "ask" && rung.kind !== "handover") continue;
    const names = rung.channel === undefined ? [...channels.keys()] : [rung.channel];
    if (names.length === 0) place.problem("tells somebody, and no channel is configured. Add one under channels.");
    for (const name of names) {
      const channel = channels.get(name)?.value;
      if (!channel) place.problem(`no channel "${name}" is configured.${suggestion(name, [...channels.keys()])}`);
      else if (channel.kind === "email" && !channel.to && mailAddress(owner) === undefined)
        place.problem(`tells ${name}, which writes to the owner of the budget, and the budget has no owner with an address.`);
    }
  }
}

/** A list that is not there has no answers. */
function checkLookups(rungs: readonly Rung[], place: Place, answers: BudgetTerms["answers"]): void {
  const names = [...(answers?.keys() ?? [])];
  for (const rung of rungs) {
    if (rung.kind === "lookup" && !names.includes(rung.list))
      place.problem(
        names.length === 0
          ? `looks up the list "${rung.list}", and no list is configured. Add it under answers.`
          : `no list "${rung.list}" is configured under answers.${suggestion(rung.list, names)}`,
      );
    if (rung.kind === "answer" && names.includes(rung.text))
      place.warning(
        `gives the text "${rung.text}" for an answer, which is also the name of a list. Write lookup ${rung.text} if that is meant.`,
      );
  }
}

/** The exceptions of which nothing has been noted that would be noted again. */
function readable({ exceptions = [] }: BudgetFields): readonly Located<ExceptionFields>[] {
  return exceptions.filter(
    ({ value }) => value.for !== undefined && value.for.size > 0 && value.limits !== undefined && value.limits.length > 0,
  );
}

function exceptionInput({ for: selected, limits = [], until }: ExceptionFields): ExceptionInput {
  return { for: Object.fromEntries(selected ?? []) as Selector, limits, ...(until !== undefined && { until }) };
}

/** An exception that is over does nothing any more, and whoever reads the file may think that it does. */
function warnOfEnded({ exceptions }: Budget, written: readonly Located<ExceptionFields>[], now: number): void {
  for (const [i, { until }] of exceptions.entries()) {
    const { value, place } = written[i] ?? {};
    if (until <= now) place?.field("until").warning(`the exception ended with ${value?.until}, and the usual limits hold. Take it out.`);
  }
}

/** What is allowed and is hardly meant. */
function warnOfDoubts(budget: Budget, place: Place, providers: readonly Provider[]): void {
  const { limits, per, request, selector } = budget;
  const isSilent = limits.length === 0 && Object.keys(request).length === 0;
  // Limits that are written and cannot be read have been noted already.
  if (isSilent && !place.field("limits").items()?.length) place.warning(`budget "${budget.name}" limits nothing. Give it limits.`);
  const ends = per.includes("task") || per.includes("session");
  for (const limit of limits) {
    if (limit.window.kind !== "lifetime" || limit.unit === "concurrent" || limit.amount === 0 || ends) continue;
    place
      .field("limits")
      .warning(`${formatLimit(limit)} has no window, so it never resets. Write ${formatLimit(limit)} / month if that is not meant.`);
  }
  for (const limit of limits) {
    if (limit.unit !== "tokens" || limit.amount === 0 || limit.amount >= TOKENS_MEANT_LEAST) continue;
    const dollars = formatLimit({ ...limit, unit: "nanodollars", amount: limit.amount * NANODOLLARS_PER_DOLLAR });
    place.field("limits").warning(`${formatLimit(limit)} is less than one call uses. Write ${dollars} if dollars are meant.`);
  }
  if (new Set(per).size < per.length) place.field("per").warning("names an attribute twice.");
  for (const wanted of [selector.endpoint ?? []].flat()) {
    if (DIALECTS.some((name) => compilePattern(wanted)(name))) continue;
    place
      .field("for")
      .field("endpoint")
      .warning(`no call has the endpoint "${wanted}". Endpoints are ${DIALECTS.join(", ")}.`);
  }
  for (const wanted of [selector.key ?? []].flat()) {
    if (wanted.startsWith("key_") || wanted.startsWith("*")) continue;
    place
      .field("for")
      .field("key")
      .warning(`"${wanted}" is not the id of a key, so no call matches. Ids look like key_7f3a…: purser keys list.`);
  }
  for (const wanted of [selector.model ?? [], request.models ?? []].flat()) {
    const prefix = providers.find(({ name, models }) => wanted.startsWith(`${name}/`) && !models.some((one) => one.startsWith(`${name}/`)));
    const isServed = providers.some(({ models }) => models.some((one) => compilePattern(one)(wanted)));
    if (!prefix || isServed) continue;
    const name = wanted.slice(prefix.name.length + 1);
    place.warning(
      `"${wanted}" names the provider too, which models do not, so no call matches. Write ${name}, and provider: ${prefix.name} under for.`,
    );
  }
  for (const wanted of [selector.provider ?? []].flat()) {
    if (providers.some(({ name }) => compilePattern(wanted)(name))) continue;
    place
      .field("for")
      .field("provider")
      .warning(
        `no provider "${wanted}" is configured, so no call goes there.${suggestion(
          wanted,
          providers.map(({ name }) => name),
        )}`,
      );
  }
}
