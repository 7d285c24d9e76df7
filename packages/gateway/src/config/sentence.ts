import {
  type Budget,
  durationPhrase,
  formatAmount,
  formatInstant,
  formatWindowStart,
  LEAKY_WAIT_MS,
  type Limit,
  type LimitException,
  limitId,
  rungText,
  type Selector,
  shareText,
  stepPhrase,
  type WindowStart,
  weightsPhrase,
} from "@purser/core";
import type { Watch } from "../alerts/watch.ts";
import type { Guard } from "../guards/guard.ts";

/** A budget as people say it: `Calls with tier free may use 10,000 tokens a day and 2 at once, each user apart.` */
export function budgetSentence(budget: Budget): string {
  const { limits, exceptions, per, weights, request, ladder, sharing, adjusting, onStoreFailure } = budget;
  const who = capitalized(selectionPhrase(budget.selector));
  const apart = per.length === 0 ? "" : `, each ${per.map((path) => path.replace(/^tag\./, "")).join(" and ")} apart`;
  const use = limits.length === 0 ? `${who} may use any amount` : `${who} may use ${joined(limits.map(limitPhrase), "and")}`;
  const isWeighed = limits.some((limit) => limit.weights !== undefined);
  const counting = isWeighed ? `, counting ${weightsPhrase(weights)}` : "";
  const zone = limits.some(({ window }) => window.kind === "calendar" && window.period !== "minute") ? ` (${budget.timezone})` : "";
  return [
    `${use}${counting}${apart}${zone}.`,
    startsSentence(limits),
    ...exceptions.map((exception) => exceptionSentence(exception, budget)),
    requestSentence(request),
    ...ladder.map((step) => `${capitalized(stepPhrase(step))}: ${joined(step.rungs.map(rungText), "and")}.`),
    sharing ? sharingSentence(sharing, per) : "",
    adjusting ? adjustingSentence(adjusting, limits) : "",
    modeSentence(budget),
    onStoreFailure === "open" ? "While the store is down, calls pass uncounted." : "",
    budget.costCenter === undefined ? "" : `Cost centre: ${budget.costCenter}.`,
    ownerSentence(budget),
  ]
    .filter((sentence) => sentence !== "")
    .join(" ");
}

function modeSentence({ observesUntil, timezone }: Budget): string {
  if (observesUntil === 0) return "";
  const until = observesUntil === Number.POSITIVE_INFINITY ? "" : ` until ${formatInstant(observesUntil, timezone)}`;
  return `It only observes and refuses nothing${until}.`;
}

function ownerSentence({ owner, ownerFrom }: Budget): string {
  if (owner === undefined) return "";
  return ownerFrom === undefined ? `Owner: ${owner}.` : `Owner: ${owner}, as of ${ownerFrom}.`;
}

/** `At most once a week, what search and chat leave unused goes to those of them that have used 80%: …` */
function sharingSentence({ among, every, from, keep, most }: NonNullable<Budget["sharing"]>, per: Budget["per"]): string {
  const who = among.length > 0 ? joined(among, "and") : `one ${per.map((path) => path.replace(/^tag\./, "")).join(" and ")}`;
  const whom = among.length > 0 ? "those of them that have" : "others who have";
  const bounds = `each keeps ${shareText(keep)} of its own, and gets at most ${shareText(most)} on top`;
  return `At most once ${every === "hour" ? "an" : "a"} ${every}, what ${who} ${among.length > 0 ? "leave" : "leaves"} unused goes to ${whom} used ${shareText(from)}: ${bounds}.`;
}

/** `As each week ends, $50.00 a day follows the p95 of 28 days with 25% on top, by 20% at a time, from $30.00 to $80.00.` */
function adjustingSentence(
  { limit: id, every, percent, days, margin, step, least, most, mode }: NonNullable<Budget["adjusting"]>,
  limits: readonly Limit[],
): string {
  const limit = limits.find((one) => limitId(one) === id);
  if (!limit) return "";
  const followed = percent === undefined ? `the average of ${days} days` : `the p${percent} of ${days} days`;
  const bounds = `from ${formatAmount(least, limit.unit)} to ${formatAmount(most, limit.unit)}`;
  const verb = mode === "apply" ? "follows" : "is proposed to follow";
  return `As each ${every} ends, ${limitPhrase(limit)} ${verb} ${followed} with ${shareText(margin)} on top, by ${shareText(step)} at a time, ${bounds}.`;
}

/** `Weeks start on Sunday and years in April.` */
function startsSentence(limits: readonly Limit[]): string {
  const phrases = new Map<string, string>();
  for (const { window } of limits) {
    if (window.kind === "calendar" && window.starts) phrases.set(window.period, `${window.period}s ${startPhrase(window.starts)}`);
  }
  const [first, ...others] = phrases.values();
  return first === undefined ? "" : `${capitalized(joined([first.replace(" ", " start "), ...others], "and"))}.`;
}

function startPhrase(start: WindowStart): string {
  const text = formatWindowStart(start).replace(/[a-z]+/, capitalized);
  if (start.weekday !== undefined) return `on ${text}`;
  if (start.month === undefined) return `on day ${text}`;
  return (start.day ?? 1) === 1 ? `in ${text}` : `on ${text}`;
}

function exceptionSentence({ selector, limits, until }: LimitException, { timezone }: Budget): string {
  const end = until === Number.POSITIVE_INFINITY ? "" : `, until ${formatInstant(until, timezone)}`;
  return `${capitalized(selectionPhrase(selector))} may use ${joined([...limits.values()].map(limitPhrase), "and")} instead${end}.`;
}

/** `calls with feature chatbot and model gpt-4o or o3`: what a selector is for. */
export function selectionPhrase(selector: Selector): string {
  const parts = Object.entries(selector).map(([path, wanted]) => `${path.replace(/^tag\./, "")} ${joined([wanted ?? []].flat(), "or")}`);
  return parts.length === 0 ? "all calls" : `calls with ${joined(parts, "and")}`;
}

/** What a guard watches for and does, as people say it. */
export function guardSentence({ repeats, sameTool, growth, surge, rungs, lastsMs }: Guard): string {
  const what = [
    repeats === undefined ? "" : `the same call ${repeats} times within ten minutes`,
    sameTool === undefined ? "" : `the same call of a tool ${sameTool} times in a conversation`,
    growth === undefined ? "" : `${growth} calls in a row that grow`,
    surge === undefined ? "" : `a minute ${surge} times as dear as usual`,
  ].filter((phrase) => phrase !== "");
  return `On ${joined(what, "or")}: ${joined(rungs.map(rungText), "and")}, for ${lastsMs / 1000} seconds.`;
}

/** What else of a budget is told, as people say it. */
export function watchSentence(watch: Watch): string {
  const whom = watch.channels === undefined ? "everybody" : joined(watch.channels, "and");
  return `Tells ${whom} ${watchPhrase(watch)}.`;
}

function watchPhrase(watch: Watch): string {
  if (watch.kind === "forecast") return "when it will be gone before it resets";
  if (watch.kind === "adjusted") return "when its amount is adjusted";
  if (watch.kind === "trial") return "before it begins to refuse calls, and when it does";
  if (watch.kind === "reset") return "when it is open again after it was used up";
  if (watch.kind === "hourly") return `when more than ${formatAmount(watch.amount, watch.unit)} is spent in an hour`;
  if (watch.kind === "anomaly each") return `when a day of one balance takes more than ${watch.times} times what is usual for it`;
  return `when an hour or a day takes more than ${watch.times} times what is usual`;
}

function limitPhrase({ unit, amount, window, burst = amount, waitMs = LEAKY_WAIT_MS, rollover }: Limit): string {
  if (amount === 0) return unit === "nanodollars" ? "no money" : `no ${unit === "concurrent" ? "calls" : unit.replace("_", " ")}`;
  const phrase = formatAmount(amount, unit);
  if (unit === "concurrent") return phrase;
  if (window.kind === "lifetime") return `${phrase} in all`;
  if (window.kind === "rolling") return `${phrase} in any ${durationPhrase(window.lengthMs)}`;
  const rate = `${phrase} ${window.period === "hour" ? "an" : "a"} ${window.period}`;
  if (window.kind === "calendar")
    return rollover === undefined ? rate : `${rate} with up to ${formatAmount(rollover, unit)} left over from the one before`;
  const bucket = `${rate} from a bucket of ${formatAmount(burst, unit)}`;
  return window.excess === "waits" ? `${bucket}, waiting up to ${durationPhrase(waitMs)} for room` : bucket;
}

function requestSentence({ maxInput, maxOutput, maxTotal, models }: Budget["request"]): string {
  const sizes = [
    maxInput === undefined ? "" : formatAmount(maxInput, "input_tokens"),
    maxOutput === undefined ? "" : formatAmount(maxOutput, "output_tokens"),
    maxTotal === undefined ? "" : `${formatAmount(maxTotal, "tokens")} together`,
  ].filter((size) => size !== "");
  const most = sizes.length === 0 ? "" : ` have at most ${joined(sizes, "and")}`;
  const to = models === undefined ? "" : ` go to ${joined(models, "or")}`;
  if (most === "" && to === "") return "";
  return `A call may${most}${most !== "" && to !== "" ? " and" : ""}${to}.`;
}

function joined(parts: readonly string[], word: "and" | "or"): string {
  return parts.length < 2 ? (parts[0] ?? "") : `${parts.slice(0, -1).join(", ")} ${word} ${parts.at(-1)}`;
}

function capitalized(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
