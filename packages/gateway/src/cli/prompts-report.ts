import { formatLimit } from "@purser/core";
import { CONFIG_FILE } from "../config/read-config.ts";
import type { Appraisal, Figures } from "../prompts/appraisal.ts";
import type { UnreadableBaseline } from "../prompts/baseline.ts";
import { type Demand, MONTH_DAYS } from "../prompts/demand.ts";
import { type Change, dayCost, percent, type Sums, sumsOf } from "../prompts/difference.ts";
import type { Finding } from "../prompts/finding.ts";
import { shortDollars } from "./amounts.ts";
import { type Block, markdownOf, textOf } from "./blocks.ts";

/** What `purser check --prompts` found out. */
export interface PromptsReport {
  readonly file: string;
  /** None where everything is a default. */
  readonly configFile: string | undefined;
  readonly appraisals: readonly Appraisal[];
  readonly demands: readonly Demand[];
  readonly findings: readonly Finding[];
  /** What is no reason to refuse a change. */
  readonly remarks: readonly string[];
  readonly compared: Compared | undefined;
}

export type Compared = UnreadableBaseline | Comparison;

export interface Comparison {
  readonly name: string;
  readonly remarks: readonly string[];
  /** Of the other version, all. */
  readonly before: readonly Appraisal[];
  /** Only prompts of which something changed. */
  readonly changes: readonly Change[];
}

/** The report for a terminal, or as Markdown for a comment. What is wrong stands where it is read first: at the end of a log, at the top of a comment. */
export function promptsText(report: PromptsReport, { markdown }: { readonly markdown: boolean }): string {
  const { file, configFile, appraisals, findings, compared } = report;
  const problems = findings.length === 1 ? "1 problem" : `${count(findings.length)} problems`;
  const what = `${file}: ${appraisals.length === 1 ? "1 prompt" : `${count(appraisals.length)} prompts`}, by ${configFile ?? `the default configuration (there is no ${CONFIG_FILE})`}`;
  const difference = compared ? differenceBlocks(compared, appraisals) : [];
  const wrong: Block = { kind: "list", title: "Problems", items: findings.map((finding) => findingText(file, finding)) };
  const remarks: Block = { kind: "list", title: "Remarks", items: remarksOf(report) };
  const tables = [promptsTable(appraisals), budgetsTable(report.demands)];
  if (!markdown)
    return textOf([
      { kind: "line", text: `${what}.` },
      ...tables,
      ...difference,
      remarks,
      wrong,
      { kind: "line", text: findings.length > 0 ? `${problems}.` : "Everything fits." },
    ]);
  const verdict = findings.length > 0 ? problems : "everything fits";
  return markdownOf([
    { kind: "heading", text: `Prompts: ${verdict}` },
    wrong,
    ...difference,
    ...tables,
    remarks,
    { kind: "line", text: `${what}.` },
  ]);
}

function findingText(file: string, { prompts, line, message }: Finding): string {
  const where = line === undefined ? file : `${file}:${line}`;
  return `${where}  ${prompts.join(", ")}: ${message}`;
}

function remarksOf({ appraisals, remarks, compared }: PromptsReport): readonly string[] {
  const changed = appraisals.flatMap(({ prompt, figures }) =>
    figures && figures.rungs.length > 0 ? [`${prompt.name}: ladders change every call: ${figures.rungs.join(", ")}.`] : [],
  );
  return [...changed, ...remarks, ...(compared && "changes" in compared ? compared.remarks : [])];
}

const PROMPTS_HEADING = ["Prompt", "Model", "Input", "Answer", "A call", "At most", "Calls a day", "A day", "A month"];

function promptsTable(appraisals: readonly Appraisal[]): Block {
  const rows = appraisals.map((one) => {
    const { prompt, figures } = one;
    const day = dayCost(one);
    return [
      prompt.name,
      figures?.model ?? "",
      number(figures?.inputTokens),
      number(figures?.outputTokens),
      money(figures?.cost),
      money(figures?.costMost),
      number(prompt.callsADay),
      money(day),
      money(day === undefined ? undefined : day * MONTH_DAYS),
    ];
  });
  const { day, month } = sumsOf(appraisals);
  const together = ["together", "", "", "", "", "", "", money(day), money(month)];
  const isOfSeveral = appraisals.filter((one) => dayCost(one) !== undefined).length > 1;
  return { kind: "table", heading: PROMPTS_HEADING, rows: [...rows, ...(isOfSeveral ? [together] : [])], right: [2, 3, 4, 5, 6, 7, 8] };
}

function budgetsTable(demands: readonly Demand[]): Block {
  const rows = demands.flatMap((demand) => {
    const { budget, subject, limit, parts, inWindow, amount } = demand;
    const own = [budget.name, subject, formatLimit(limit)];
    const each = parts.map((part) => [...own, part.prompt, share(part.take.most, part.take.amount), share(part.inWindow, amount)]);
    const isOfSeveral = parts.filter(({ day }) => day !== undefined).length > 1;
    return isOfSeveral ? [...each, [...own, "together", "", share(inWindow, amount)]] : each;
  });
  return { kind: "table", heading: ["Budget", "For", "Limit", "Prompt", "One call at most", "Expected calls"], rows, right: [4, 5] };
}

function differenceBlocks(compared: Compared, after: readonly Appraisal[]): readonly Block[] {
  if ("unreadable" in compared)
    return [{ kind: "list", title: `Not compared with ${compared.name}, where something is wrong`, items: compared.unreadable }];
  const { name, before, changes } = compared;
  const [former, latter] = [sumsOf(before), sumsOf(after)];
  const headline: Block = { kind: "line", text: `Compared with ${name}: ${differenceText(former, latter)}`, isStrong: true };
  if (changes.length === 0) return [{ ...headline, text: `Compared with ${name}: nothing changes.` }];
  const rows = changes.map(({ name: prompt, before: one, after: other, said }) => [
    prompt,
    beside(one?.figures?.inputTokens, other?.figures?.inputTokens, number),
    beside(one?.figures?.cost, other?.figures?.cost, money),
    beside(one?.figures?.costMost, other?.figures?.costMost, money),
    beside(one && dayCost(one), other && dayCost(other), money),
    beside(monthCost(one), monthCost(other), money),
    said.join("; "),
  ]);
  const together = ["all prompts", "", "", "", beside(former.day, latter.day, money), beside(former.month, latter.month, money), ""];
  return [
    headline,
    { kind: "table", heading: ["Prompt", "Input", "A call", "At most", "A day", "A month", "Also"], rows: [...rows, together], right: [] },
  ];
}

function monthCost(one: Appraisal | undefined): number | undefined {
  const day = one && dayCost(one);
  return day === undefined ? undefined : day * MONTH_DAYS;
}

function differenceText(before: Sums, after: Sums): string {
  const difference = after.month - before.month;
  if (difference === 0) return `the expected calls cost what they did, ${money(after.month)} a month.`;
  const much = `${money(Math.abs(difference))} a month ${difference > 0 ? "more" : "less"}`;
  return `the expected calls cost ${much} (${percent(difference, before.month)}), ${money(before.month)} → ${money(after.month)}.`;
}

/** `612 → 812 (+32.7 %)`; one figure where both are the same. */
function beside(before: number | undefined, after: number | undefined, text: (amount: number | undefined) => string): string {
  if (before === after) return text(after);
  const said = `${text(before) || "–"} → ${text(after) || "–"}`;
  return before === undefined || after === undefined ? said : `${said} (${percent(after - before, before)})`;
}

function money(nanodollars: number | undefined): string {
  return nanodollars === undefined ? "" : shortDollars(nanodollars);
}

function number(amount: number | undefined): string {
  return amount === undefined ? "" : count(amount);
}

function count(amount: number): string {
  return amount.toLocaleString("en-US");
}

function share(amount: number | undefined, of: number): string {
  if (amount === undefined) return "";
  if (of === 0) return amount === 0 ? "0 %" : "over";
  const tenths = Math.round((amount / of) * 1000) / 10;
  return amount > 0 && tenths < 0.1 ? "< 0.1 %" : `${tenths.toLocaleString("en-US")} %`;
}

/** The same for programs. Money is in nano-dollars. */
export function promptsJson({ file, configFile, appraisals, demands, findings, remarks, compared }: PromptsReport): unknown {
  const { day, month } = sumsOf(appraisals);
  return {
    ok: findings.length === 0,
    file,
    config: configFile ?? null,
    prompts: appraisals.map((one) => ({ ...appraisalJson(one), budgets: one.takes.map(takeJson) })),
    day_nanodollars: day,
    month_nanodollars: month,
    budgets: demands.map(demandJson),
    findings: findings.map(({ line, ...rest }) => ({ ...rest, line: line ?? null })),
    remarks,
    compared: compared ? comparedJson(compared, { day, month }) : null,
  };
}

function appraisalJson(one: Appraisal) {
  const { prompt, figures } = one;
  return {
    name: prompt.name,
    line: prompt.line,
    ...figuresJson(figures),
    calls_a_day: prompt.callsADay ?? null,
    day_nanodollars: dayCost(one) ?? null,
    month_nanodollars: monthCost(one) ?? null,
  };
}

function figuresJson(figures: Figures | undefined) {
  return {
    provider: figures?.provider ?? null,
    model: figures?.model ?? null,
    endpoint: figures?.endpoint ?? null,
    rungs: figures?.rungs ?? [],
    input_tokens: figures?.inputTokens ?? null,
    cached_tokens: figures?.cachedTokens ?? null,
    input_tokens_most: figures?.inputTokensMost ?? null,
    output_tokens: figures?.outputTokens ?? null,
    output_tokens_most: figures?.outputTokensMost ?? null,
    cost_nanodollars: figures?.cost ?? null,
    cost_most_nanodollars: figures?.costMost ?? null,
  };
}

function takeJson({ budget, subject, limit, amount, most, usual, callsADay }: Appraisal["takes"][number]) {
  const whose = { budget: budget.name, subject, limit: formatLimit(limit), unit: limit.unit };
  return { ...whose, amount, most, usual, calls_a_day: callsADay ?? null };
}

function demandJson({ budget, mode, subject, limit, amount, day, inWindow, parts }: Demand) {
  const whose = { budget: budget.name, subject, mode, limit: formatLimit(limit), unit: limit.unit };
  const prompts = parts.map(({ prompt, inWindow: own }) => ({ prompt, in_window: own ?? null }));
  return { ...whose, amount, day: day ?? null, in_window: inWindow ?? null, prompts };
}

function comparedJson(compared: Compared, after: Sums): unknown {
  if ("unreadable" in compared) return { with: compared.name, unreadable: compared.unreadable };
  const before = sumsOf(compared.before);
  return {
    with: compared.name,
    remarks: compared.remarks,
    day_nanodollars: { before: before.day, after: after.day },
    month_nanodollars: { before: before.month, after: after.month },
    changes: compared.changes.map(({ name, before: one, after: other, said }) => ({
      name,
      before: one ? appraisalJson(one) : null,
      after: other ? appraisalJson(other) : null,
      also: said,
    })),
  };
}
