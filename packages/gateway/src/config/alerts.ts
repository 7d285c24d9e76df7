import { type Budget, type Limit, PurserError, parseLimit, parseRungs, type Rung, rungText, trialEnd } from "@purser/core";
import { mailAddress } from "../alerts/channel.ts";
import { countedLimit } from "../alerts/pace.ts";
import type { ShareWatch, Watch, WatchedBudget } from "../alerts/watch.ts";
import { checkTells } from "./budgets.ts";
import type { ConfigurationFields } from "./description.ts";
import { suggestion } from "./nearest-name.ts";
import type { Place } from "./source.ts";

/** An hour that costs more than this many times the dearest one is told of, where nobody says how many. */
const TIMES = 3;
/** Of single users more differs from day to day than of all together. */
const TIMES_EACH = 10;
const WORDS = ["forecast", "anomaly", "hourly", "reset", "adjusted", "trial", "failing", "captured"];

/** When somebody is told, as it is written: `forecast`, `anomaly 3x`, `anomaly each 10x`, `hourly $50`, `reset`, `adjusted`, `trial`; and of providers, `failing 20%`, `captured 97%`. */
type Occasion =
  | { readonly kind: "forecast" | "reset" | "adjusted" | "trial" }
  | { readonly kind: "anomaly" | "anomaly each"; readonly times: number }
  | { readonly kind: "hourly"; readonly amount: number; readonly unit: Limit["unit"] }
  | { readonly kind: "failing" | "captured"; readonly share: number };

/** Reads an occasion. Throws `config_invalid` with what to write. */
function parseOccasion(text: string): Occasion {
  const [, word = "", rest = ""] = /^(\S+)\s*(.*)$/s.exec(text.trim()) ?? [];
  if ((word === "forecast" || word === "reset" || word === "adjusted" || word === "trial") && rest === "") return { kind: word };
  const [, each, times = rest] = /^(each)\b\s*(.*)$/s.exec(rest) ?? [];
  if (word === "anomaly")
    return each ? { kind: "anomaly each", times: parseTimes(times, TIMES_EACH) } : { kind: word, times: parseTimes(rest, TIMES) };
  if (word === "hourly") return { kind: word, ...parseAmount(rest) };
  if (word === "failing" || word === "captured") return { kind: word, share: parseShare(word, rest) };
  throw wrong(
    `"${text}" is nothing that alerts are about. Write forecast, anomaly 3x, anomaly each 10x, hourly $50, reset, adjusted or trial.${suggestion(word, WORDS)}`,
  );
}

function parseTimes(text: string, otherwise: number): number {
  if (text === "") return otherwise;
  const times = Number(/^(\d{1,4}(?:\.\d)?)x$/.exec(text)?.[1]);
  if (times > 1) return times;
  throw wrong(`"anomaly ${text}" does not say how many times what is usual. Write anomaly 3x.`);
}

function parseAmount(text: string): { readonly amount: number; readonly unit: Limit["unit"] } {
  const { amount, unit, window } = parseLimit(`${text} / hour`, "UTC");
  if (unit !== "concurrent" && window.kind === "calendar") return { amount, unit };
  throw wrong(`"hourly ${text}" is no amount of an hour. Write hourly $50, or hourly 1M tokens.`);
}

function parseShare(word: "failing" | "captured", text: string): number {
  const percent = Number(/^(\d{1,3}(?:\.\d{1,2})?)\s*%$/.exec(text)?.[1]);
  if (percent > 0 && percent <= 100) return Math.round(percent * 100);
  const [of, example] = word === "failing" ? ["the calls", "20%"] : ["what was billed", "97%"];
  throw wrong(`"${word} ${text}" does not say how much of ${of}. Write ${word} ${example}.`);
}

/** The budgets of which more is told than thresholds. */
export function configuredWatches(fields: ConfigurationFields, root: Place, budgets: readonly Budget[]): readonly WatchedBudget[] {
  const { channels } = fields;
  const trials = trialWatches(fields, root, budgets);
  return (fields.budgets ?? []).flatMap(({ value: { name, alerts }, place }) => {
    const budget = budgets.find((one) => one.name === name);
    if (!budget) return [];
    const own = [...(alerts ?? [])].flatMap(([text, tells]) => {
      const at = place.field("alerts").field(text);
      const [occasion, told] = [readOccasion(text, at), readTells(tells, budget, at, channels)];
      return occasion && told ? (watchOf(occasion, told.channels, budget, at) ?? []) : [];
    });
    const watches = [...own, ...(hasEnd(budget) && !own.some(({ kind }) => kind === "trial") ? trials : [])];
    return watches.length === 0 && !alerts ? [] : [{ budget, watches }];
  });
}

/** What stands at the top of the file is told of every budget whose trial ends. */
function trialWatches({ alerts = new Map(), channels }: ConfigurationFields, root: Place, budgets: readonly Budget[]): readonly Watch[] {
  const [text] = [...alerts.keys()].filter((one) => one.trim() === "trial");
  if (text === undefined) return [];
  const at = root.field("alerts").field(text);
  const trials = budgets.filter(hasEnd);
  if (trials.length === 0) at.warning("is told of trials that end, and no budget has one: mode: observe until 2026-12-15.");
  const [first] = trials.filter(({ owner }) => mailAddress(owner) === undefined);
  const told = readTells(alerts.get(text) ?? [], first ?? { owner: trials[0]?.owner }, at, channels);
  return told ? [{ kind: "trial", channels: told.channels }] : [];
}

/** Whether a budget only observes, and refuses calls from some day on. */
function hasEnd({ observesUntil }: Budget): boolean {
  return observesUntil > 0 && observesUntil < Number.POSITIVE_INFINITY;
}

/** Whoever has channels would hear of it, and not only from calls that are refused. */
export function warnOfUntoldTrials(
  { budgets: entries = [], channels = new Map(), mode }: ConfigurationFields,
  {
    root,
    budgets,
    watched,
    now,
  }: { readonly root: Place; readonly budgets: readonly Budget[]; readonly watched: readonly WatchedBudget[]; readonly now: number },
): void {
  if (channels.size === 0) return;
  const untold = budgets.filter((budget) => {
    const { watches = [] } = watched.find((one) => one.budget === budget) ?? {};
    return trialEnd(budget, now) !== undefined && !watches.some(({ kind }) => kind === "trial");
  });
  const wrote = entries.filter(({ value }) => value.mode !== undefined && untold.some(({ name }) => name === value.name));
  for (const { place } of wrote) place.field("mode").warning(UNTOLD);
  if (mode !== undefined && untold.length > wrote.length) root.field("mode").warning(UNTOLD);
}

const UNTOLD = "has an end, and nobody is told before calls are refused. Add alerts: { trial: tell CHANNEL }.";

/** What is told of providers: who, and from which share on. */
export function configuredProviderWatches(
  fields: ConfigurationFields,
  place: Place,
): { readonly failing: readonly ShareWatch[]; readonly captured: readonly ShareWatch[] } {
  const watches = [...(fields.alerts ?? [])].flatMap(([text, tells]) => {
    if (text.trim() === "trial") return [];
    const at = place.field("alerts").field(text);
    const [occasion, told] = [readOccasion(text, at), readTells(tells, { owner: undefined }, at, fields.channels)];
    if (!occasion || !told) return [];
    if (isAboutProviders(occasion)) return [{ kind: occasion.kind, share: occasion.share, channels: told.channels }];
    return (
      at.problem(
        `is about a budget. Write it under alerts of the budget; here is failing 20% or captured 97%, about providers, and trial.`,
      ) ?? []
    );
  });
  const of = (wanted: ProviderOccasion["kind"]) =>
    watches.flatMap(({ kind, ...watch }): readonly ShareWatch[] => (kind === wanted ? [watch] : []));
  return { failing: of("failing"), captured: of("captured") };
}

type ProviderOccasion = Extract<Occasion, { kind: "failing" | "captured" }>;

function isAboutProviders(occasion: Occasion): occasion is ProviderOccasion {
  return occasion.kind === "failing" || occasion.kind === "captured";
}

function watchOf(occasion: Occasion, channels: Watch["channels"], budget: Budget, place: Place): Watch | undefined {
  if (isAboutProviders(occasion))
    return place.problem("is about providers. Write it under alerts at the top of the file, not in a budget.");
  if (occasion.kind === "trial") {
    if (!hasEnd(budget)) place.warning("is told of a trial that ends, and the budget has none: mode: observe until 2026-12-15.");
    return { kind: "trial", channels };
  }
  if (occasion.kind === "anomaly each" && budget.per.length === 0)
    return place.problem("is about each balance, and the budget has one for all. Write anomaly 3x, or give the budget a per.");
  if (occasion.kind === "adjusted" && !budget.adjusting)
    return place.problem("is told when a rule changes an amount, and the budget has no adjust. Give it one, or leave this out.");
  const units = occasion.kind === "hourly" ? [occasion.unit] : undefined;
  if (units && !countedLimit(budget, units))
    return place.problem(
      `is in a unit that the budget has no limit in, so nobody counts it. Give the budget a limit in ${unitWord(units[0])}.`,
    );
  if (!units && !budget.limits.some(({ unit }) => unit !== "concurrent")) return place.problem("needs a limit, and the budget has none.");
  return { ...occasion, channels };
}

function unitWord(unit: Limit["unit"] | undefined): string {
  return unit === "nanodollars" ? "dollars" : (unit ?? "").replace("_", " ");
}

function readOccasion(text: string, place: Place): Occasion | undefined {
  return read(place, () => parseOccasion(text));
}

const TELLS = "Write tell, or tell CHANNEL; what happens to calls stands in a ladder or a guard.";

/** What ladders know of `tell` and its like; nothing where they know no such thing. */
function readRung(text: string): Rung | undefined {
  try {
    return parseRungs([text])[0];
  } catch (error) {
    if (!(error instanceof PurserError)) throw error;
    return undefined;
  }
}

/** Whom a list of `tell` tells: of alerts nothing else can come. */
function readTells(
  texts: readonly string[],
  budget: Pick<Budget, "owner">,
  place: Place,
  channels: ConfigurationFields["channels"],
): { readonly channels: Watch["channels"] } | undefined {
  const rungs = texts.flatMap((text) => readRung(text) ?? place.problem(`"${text}" is nothing that an alert does. ${TELLS}`) ?? []);
  if (rungs.length < texts.length) return undefined;
  const other = rungs.find(({ kind }) => kind !== "tell");
  if (other) return place.problem(`"${rungText(other)}" is nothing that an alert does. ${TELLS}`);
  checkTells(budget, rungs, place, channels);
  const tells = rungs.filter((rung): rung is Extract<Rung, { kind: "tell" }> => rung.kind === "tell");
  return { channels: tells.some(({ channel }) => channel === undefined) ? undefined : tells.flatMap(({ channel }) => channel ?? []) };
}

function read<Value>(place: Place, parse: () => Value): Value | undefined {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof PurserError)) throw error;
    return place.problem(error.message);
  }
}

function wrong(message: string): PurserError {
  return new PurserError("config_invalid", message);
}
