import { type Budget, formatInstant, formatLimit, type Limit, observes } from "@purser/core";
import type { Need } from "../recommend/need.ts";
import type { Unsaid } from "../recommend/proposals.ts";
import type { PredictedProposal, Recommendation } from "../recommend/recommend.ts";
import type { Fit } from "../recommend/review.ts";
import type { Sureness } from "../recommend/sureness.ts";
import { shortAmount } from "./amounts.ts";
import type { Style } from "./style.ts";
import { table } from "./table.ts";

/** What recorded calls say of budgets, for people. `piece`: the proposals as YAML. */
export function recommendationText(recommendation: Recommendation, piece: string | undefined, style: Style): string {
  const { reviews, proposals } = recommendation;
  const sections = [
    recordText(recommendation),
    ...(reviews.length > 0 ? [reviewTable(recommendation, style), reviewNotes(recommendation)] : []),
    ...(proposals.length > 0 ? [proposalTable(recommendation, style)] : []),
    togetherText(recommendation),
    notes(recommendation),
    ...(piece === undefined ? [] : [`For purser.yaml:\n\n${piece}`]),
  ];
  return sections.filter((section) => section !== "").join("\n\n");
}

const SURE: Readonly<Record<Sureness, string>> = {
  low: "a first guess; ask again after three days",
  fair: "a trial; ask again after two weeks",
  good: "as sure as the past can be",
};

function recordText({ time, timeZone, calls, wholeDays, sureness }: Recommendation): string {
  const span = `${plural(calls, "call")} from ${formatInstant(time.since, timeZone)} to ${formatInstant(time.until, timeZone)}`;
  if (wholeDays === 0) return `${span}: not one whole day, so no amount can be said.`;
  return `${span}: ${plural(wholeDays, "whole day")}, ${SURE[sureness]}.`;
}

function reviewTable({ reviews, time }: Recommendation, style: Style): string {
  const rows = reviews.map((review) => {
    const { budget, limit, calls, refusedCalls, wouldRefuseCalls, windows, refusedWindows, fullest, verdict, fit, refusedThen } = review;
    const refused = refusedCalls + wouldRefuseCalls;
    return [
      observes(budget, time.until) ? `${budget.name} (observes)` : budget.name,
      limit ? formatLimit(limit) : style.dim("none"),
      count(calls),
      fullest === undefined ? "" : percent(fullest),
      count(refused),
      refusedWindows === 0 ? "" : `${count(refusedWindows)} of ${count(windows)}`,
      verdict === "too tight" ? style.red(verdict) : verdict === "fits" ? verdict : style.yellow(verdict),
      fit ? fitText(fit) : "",
      fit ? count(refusedThen) : "",
    ];
  });
  const heading = ["Budget", "Limit", "Calls", "Fullest", "Refused", "in windows", "Verdict", "Would fit", "and refuse"];
  return table(heading.map(style.dim), rows, [2, 3, 4, 5, 8]);
}

function fitText({ limit, exceptions }: Fit): string {
  return formatLimit(limit) + (exceptions.length > 0 ? ` + ${plural(exceptions.length, "exception")}` : "");
}

function exceptionsText({ limit, exceptions }: Fit): string {
  const each = exceptions.map(({ label, need }) => `${label} ${shortAmount(need.amount, limit.unit)}`);
  return each.length === 0 ? "" : `; exceptions: ${each.join(", ")}`;
}

/** Why, a line for each limit that should change. */
function reviewNotes({ reviews, headroom }: Recommendation): string {
  return reviews
    .flatMap((review) => {
      const { budget, limit, verdict, above, need, fit } = review;
      if (!limit) return [];
      const name = `${budget.name}, ${formatLimit(limit)}:`;
      if (fit && need) return [`${name} ${restsText(budget, fit.limit, need, headroom)}${exceptionsText(fit)}.`];
      if (verdict === "unreachable") return [`${name} ${above} is always reached before it.`];
      if (verdict === "held back") return [`${name} other budgets refused too many of its calls to say what it needs.`];
      if (verdict !== "too tight") return [];
      if (!need && limit.window.kind === "calendar") return [`${name} it is too early to say which amount would fit.`];
      if (limit.window.kind === "lifetime") return [`${name} it never resets, so how long it is to last is for its owner to say.`];
      if (need) return [`${name} calls were refused while others held it, and what they use in the end fits.`];
      return [];
    })
    .join("\n");
}

function proposalTable({ proposals, headroom }: Recommendation, style: Style): string {
  const rows = proposals.flatMap(({ budget, limits, sureness, calls, refusedCalls }) =>
    limits.map(({ limit, need }, i) => [
      i === 0 ? budget.name : "",
      formatLimit(limit),
      restsText(budget, limit, need, headroom),
      i === 0 ? sureness : "",
      i === 0 ? `${count(refusedCalls)} of ${count(calls)}` : "",
    ]),
  );
  return table(["Proposed", "Limit", "Rests on", "Sure", "Would have refused"].map(style.dim), rows);
}

/** What a proposal rests on, a line for each of its limits and one for how sure that is. */
export function proposalText(proposal: PredictedProposal, { headroom }: Recommendation): readonly string[] {
  const { budget, limits, calls, refusedCalls, days, sureness } = proposal;
  const rests = limits.map(
    ({ limit, need }) => (limits.length > 1 ? `${windowOf(limit)}: ` : "") + restsText(budget, limit, need, headroom),
  );
  return [...rests, `would have refused ${shareOfCalls(refusedCalls, calls)}; sure: ${sureness}, ${plural(days, "whole day")}`];
}

function windowOf({ window }: Limit): string {
  return window.kind === "calendar" ? window.period : window.kind;
}

/** `the largest of 6 days, $7.80, + 25 % headroom`: what an amount rests on. */
function restsText({ per }: Budget, limit: Limit, { used, rests, count: of, growth, exceptions, isTwice }: Need, headroom: number): string {
  const amount = shortAmount(Math.round(used), limit.unit);
  const added = [
    ...(growth > 0 ? [`${percent(growth)} growth`] : []),
    ...(isTwice || headroom === 0 ? [] : [`${percent(headroom)} headroom`]),
  ];
  const plus = added.length > 0 ? ` + ${added.join(" + ")}` : "";
  if (rests === "subjects") {
    const enough = exceptions.length === 0 ? `all ${count(of)}` : `${count(of - exceptions.length)} of ${count(of)}`;
    return `enough for ${enough} ${per.map((path) => path.replace(/^tag\./, "")).join(" and ")}s: ${isTwice ? "twice " : ""}${amount}${plus}`;
  }
  if (isTwice) return `twice ${of === 1 ? "the one day seen" : `the average of ${of} days`}, ${amount}`;
  if (rests === "average") return `a ${windowOf(limit)} of days like the last ${of}, ${amount}${plus}`;
  return `${of < PERCENTILE_LEAST ? "largest" : "p95"} of ${plural(of, "day")}, ${amount}${plus}`;
}

/** Of fewer than so many, the p95 is the largest. */
const PERCENTILE_LEAST = 20;

/** Why there is no piece for the configuration. */
export function nothingProposed({ wholeDays, unsaid }: Recommendation): string {
  if (wholeDays === 0) return "Let calls go on for three to five days, without budgets or with `mode: observe`, and ask again.";
  return unsaid.length === 0 ? "Nothing else is proposed: whatever calls name has a budget." : "Nothing is proposed.";
}

function togetherText({ proposals, reviews, calls, refusedTogether }: Recommendation): string {
  if (proposals.length === 0 && !reviews.some(({ fit }) => fit)) return "";
  return `All of that together would have refused ${shareOfCalls(refusedTogether, calls)}.`;
}

function notes(recommendation: Recommendation): string {
  const { unsaid, refused, wholeDays, proposals } = recommendation;
  const named = (wanted: Unsaid["why"]) => unsaid.filter(({ why }) => why === wanted).map(({ name }) => name);
  const [early, unused, unnameable] = [named("too early"), named("nothing used"), named("not nameable")];
  return [
    ...(refused > 0 ? [`${count(refused)} calls that were refused are not among them: what they would have used, nobody knows.`] : []),
    ...(wholeDays > 0 && early.length > 0 ? [`Seen for less than a day, so nothing is proposed: ${early.join(", ")}.`] : []),
    ...(unused.length > 0 ? [`What it costs is nothing, or not known, so nothing is proposed: ${unused.join(", ")}.`] : []),
    ...(unnameable.length > 0 ? [`Not proposed, because a budget cannot name it: ${unnameable.join(", ")}.`] : []),
    ...(wholeDays === 0 || (proposals.length === 0 && unsaid.length === 0) ? [nothingProposed(recommendation)] : []),
  ].join("\n");
}

function shareOfCalls(refused: number, calls: number): string {
  return `${count(refused)} of ${plural(calls, "call")} (${percent(calls === 0 ? 0 : refused / calls)})`;
}

/** `3 %`, `0.4 %`. */
function percent(share: number): string {
  const hundredths = share * 100;
  return `${hundredths === 0 || hundredths >= 10 ? Math.round(hundredths) : Number(hundredths.toPrecision(2))} %`;
}

function plural(number: number, thing: string): string {
  return `${count(number)} ${thing}${number === 1 ? "" : "s"}`;
}

function count(number: number): string {
  return number.toLocaleString("en-US");
}
