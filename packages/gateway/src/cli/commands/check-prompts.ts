import { dirname, resolve } from "node:path";
import { PurserError } from "@purser/core";
import type { Config } from "../../config/config.ts";
import { type Problem, problemText } from "../../config/source.ts";
import { UNOWNED, unownedBudgets } from "../../config/unowned.ts";
import { type Appraisal, Appraiser } from "../../prompts/appraisal.ts";
import { readBaseline } from "../../prompts/baseline.ts";
import { type Demand, demandsOf, exceeded, remarksOn } from "../../prompts/demand.ts";
import { type Change, changesBetween, grown, isChanged } from "../../prompts/difference.ts";
import { type Prompt, readPrompts } from "../../prompts/read-prompts.ts";
import { FolderTree, readWithin } from "../../prompts/tree.ts";
import { type Block, markdownOf, textOf } from "../blocks.ts";
import { type Compared, type PromptsReport, promptsJson, promptsText } from "../prompts-report.ts";
import { type CommandIo, type CommandOutcome, lines } from "./outcome.ts";

export interface PromptsOptions {
  /** The file that lists the prompts. */
  readonly file: string;
  readonly config: Config;
  /** A ref of git or a folder; none where nothing is compared. */
  readonly against: string | undefined;
  readonly markdown: boolean;
}

/** `purser check --prompts FILE`: what the calls of reviewed prompts take of their budgets, whether they fit, and what a change of them costs. */
export async function checkPrompts({ file, config, against, markdown }: PromptsOptions, io: CommandIo): Promise<CommandOutcome> {
  const { cwd, environment } = io;
  const tree = new FolderTree(dirname(resolve(cwd, file)));
  const read = readPrompts({ file, text: textOfFile(file, cwd), tree, bytesMost: config.server.maxBodyBytes });
  if (read.problems.length > 0) return unreadable(read, { markdown });
  const now = Date.now();
  const appraisals = await appraised(read.prompts, config, now);
  const demands = demandsOf(appraisals, config.budgets, now);
  const compared =
    against === undefined
      ? undefined
      : await comparison(against, { appraisals, now, checked: { cwd, environment, promptsFile: file, config } });
  const report: PromptsReport = {
    file,
    configFile: config.file,
    appraisals,
    demands,
    findings: [
      ...appraisals.flatMap(({ findings }) => findings),
      ...exceeded(demands),
      ...(compared && "changes" in compared ? grown(compared.changes) : []),
    ],
    remarks: [...read.warnings.map(problemText), ...remarksOn(demands), ...unownedRemarks(demands, config)],
    compared,
  };
  return { exit: report.findings.length === 0 ? 0 : 1, text: promptsText(report, { markdown }), json: promptsJson(report) };
}

/** Of the budgets that the prompts are charged to, those for which nobody answers. */
function unownedRemarks(demands: readonly Demand[], config: Config): readonly string[] {
  const unowned = unownedBudgets(config).filter((budget) => demands.some((demand) => demand.budget.name === budget.name));
  return unowned.map(({ name }) => `Budget "${name}" ${UNOWNED}`);
}

async function appraised(prompts: readonly Prompt[], config: Config, now: number): Promise<readonly Appraisal[]> {
  const appraiser = new Appraiser(config, now);
  const appraisals: Appraisal[] = [];
  for (const prompt of prompts) appraisals.push(await appraiser.appraise(prompt));
  return appraisals;
}

interface ToCompare {
  readonly appraisals: readonly Appraisal[];
  readonly now: number;
  readonly checked: Parameters<typeof readBaseline>[1];
}

async function comparison(against: string, { appraisals, now, checked }: ToCompare): Promise<Compared> {
  const baseline = readBaseline(against, checked);
  if ("unreadable" in baseline) return baseline;
  const { name, remarks } = baseline;
  const before = await appraised(baseline.prompts, baseline.config, now);
  const changes: readonly Change[] = changesBetween(before, appraisals);
  return { name, remarks, before, changes: changes.filter(isChanged) };
}

/** What is said of files that cannot be read as they are: nothing of what they list is looked at then. */
export function unreadable({ problems, warnings }: Found, { markdown }: Pick<PromptsOptions, "markdown">): CommandOutcome {
  const count = problems.length === 1 ? "1 problem" : `${problems.length} problems`;
  const items = problems.map(problemText);
  const remarks: Block = { kind: "list", title: "Warnings", items: warnings.map(problemText) };
  const text = markdown
    ? markdownOf([{ kind: "heading", text: `Prompts: ${count}` }, { kind: "list", title: "Problems", items }, remarks])
    : textOf([{ kind: "line", text: lines(items) }, remarks, { kind: "line", text: `${count}.` }]);
  return { exit: 1, text, json: { ok: false, problems, warnings } };
}

interface Found {
  readonly problems: readonly Problem[];
  readonly warnings: readonly Problem[];
}

function textOfFile(file: string, cwd: string): string {
  const found = readWithin(resolve(cwd, file), LIST_MOST);
  if ("because" in found) throw new PurserError("prompts_missing", `${file} ${found.because}. Check the path and who may read it.`);
  return new TextDecoder().decode(found.bytes);
}

/** The list is written by people. */
const LIST_MOST = 1_048_576;
