import { formatLimit, modeAt } from "@purser/core";
import { readInstant } from "../../admin/report.ts";
import { readConfig } from "../../config/read-config.ts";
import type { Need } from "../../recommend/need.ts";
import type { MoneyOrTokens } from "../../recommend/proposals.ts";
import { type Recommendation, recommend as recommendBudgets } from "../../recommend/recommend.ts";
import type { Fit } from "../../recommend/review.ts";
import type { Command } from "../command.ts";
import { lookedAt } from "../demo-folder.ts";
import { proposedYaml } from "../proposed-yaml.ts";
import { nothingProposed, recommendationText } from "../recommendation-text.ts";
import { type CallRecord, RECORD_HELP, RECORD_OPTIONS, readOwnCalls, readTracedCalls } from "../recorded-calls.ts";
import { UsageError } from "./outcome.ts";
import { timeOption } from "./report.ts";

export const recommend: Command = {
  name: "recommend",
  summary: "which budgets recorded calls need, and which of yours are too tight, too loose or unused",
  usage: "[FILE] [--headroom 25] [--unit money | tokens] [--since WHEN] [--yaml] [--columns LIST] [--model NAME]",
  help: [
    "Reviews the budgets of the configuration, and proposes those that it does not have, as a piece of it. What they would have",
    "refused is replayed, as `purser replay` does. Nothing is changed.",
    "",
    RECORD_HELP.file,
    "  --headroom N    per cent that are added to what was used; 25 where it is left out",
    "  --unit UNIT     money or tokens; money where every model has a price, and else tokens, where it is left out",
    "  --since WHEN    2026-11-01, 2026-11, an instant, or 30d ago; all of a file, and 90d ago of the ledger where it is left out",
    "  --yaml          the proposed budgets alone, for purser.yaml",
    ...RECORD_HELP.about,
    "  --config FILE   the configuration; purser.yaml in this folder where it is left out",
    "  --data DIR      the data folder with the ledger; the configuration's where it is left out",
    "  --json          the same for programs",
    "",
    "Example: purser recommend --yaml > budgets.yaml && purser check budgets.yaml",
  ].join("\n"),
  options: {
    ...RECORD_OPTIONS,
    config: { type: "string" },
    headroom: { type: "string" },
    unit: { type: "string" },
    since: { type: "string" },
    yaml: { type: "boolean" },
  },
  wordsMost: 1,
  async run(input, context) {
    const { options, positionals } = input;
    const { cwd, env, now, style } = context;
    const headroom = readHeadroom(options.headroom);
    const unit = readUnit(options.unit);
    const flags = { data: options.data as string | undefined };
    const config = lookedAt(readConfig({ file: options.config as string | undefined, environment: env, cwd, flags }));
    const [file] = positionals;
    const asked = options.since === undefined ? undefined : timeOption("since", String(options.since), now());
    const since = asked === undefined ? undefined : readInstant("since", asked, config.timezone);
    const own = () => readOwnCalls(config, input, context, { ...LEDGER, since: since ?? now() - LOOKED_BACK_MS });
    const record = file === undefined ? await own() : callsSince(await readTracedCalls(file, input, context), since);
    const found = await recommendBudgets({ config, recorded: record, headroom, unit, now: now() });
    const piece = found.proposals.length > 0 ? proposedYaml(found) : undefined;
    const isAnswered = piece !== undefined || (found.reviews.length > 0 && options.yaml !== true);
    const text = options.yaml === true ? (piece ?? `# ${nothingProposed(found)}`) : recommendationText(found, piece, style);
    return { exit: isAnswered ? 0 : 1, text, json: recommendationJson(record.name, found, piece) };
  },
};

const LOOKED_BACK_MS = 90 * 86_400_000;
const LEDGER = {
  command: "recommend",
  otherwise:
    "Let calls go through the gateway for three to five days, without budgets or with `mode: observe`. Or name a trace: purser recommend FILE.",
};

function callsSince(record: CallRecord, since = 0): CallRecord {
  const calls = record.calls.filter(({ at }) => at >= since);
  if (calls.length > 0) return { ...record, calls };
  throw new UsageError(`${record.name} has no call since ${new Date(since).toISOString()}. Write an earlier --since.`);
}

const HEADROOM = 25;
const HEADROOM_MOST = 400;

function readHeadroom(given: unknown = HEADROOM): number {
  const [, digits] = /^(\d{1,3}(?:\.\d+)?)\s*%?$/.exec(String(given)) ?? [];
  if (digits === undefined || Number(digits) > HEADROOM_MOST)
    throw new UsageError(`--headroom is "${given}". Write per cent, from 0 to ${HEADROOM_MOST}: --headroom 25.`);
  return Number(digits) / 100;
}

function readUnit(given: unknown): MoneyOrTokens | undefined {
  if (given === undefined) return undefined;
  if (given === "money") return "nanodollars";
  if (given === "tokens") return "tokens";
  throw new UsageError(`--unit is "${given}". Write money or tokens.`);
}

function recommendationJson(source: string, found: Recommendation, piece: string | undefined): unknown {
  const { time, timeZone, calls, refused, wholeDays, sureness, headroom, reviews, proposals, unsaid, refusedTogether } = found;
  return {
    source,
    from: new Date(time.since).toISOString(),
    to: new Date(time.until).toISOString(),
    time_zone: timeZone,
    calls,
    refused_calls_left_out: refused,
    whole_days: wholeDays,
    sureness,
    headroom,
    reviews: reviews.map((review) => ({
      budget: review.budget.name,
      mode: modeAt(review.budget, time.until),
      limit: review.limit ? formatLimit(review.limit) : null,
      unit: review.limit?.unit ?? null,
      amount: review.limit?.amount ?? null,
      verdict: review.verdict,
      above: review.above ?? null,
      calls: review.calls,
      refused_calls: review.refusedCalls,
      would_refuse_calls: review.wouldRefuseCalls,
      windows: review.windows,
      refused_windows: review.refusedWindows,
      fullest: review.fullest ?? null,
      fit: review.fit ? fitJson(review.fit, review.refusedThen) : null,
      rests_on: review.need ? needJson(review.need) : null,
    })),
    proposals: proposals.map((proposal) => ({
      budget: proposal.input,
      limits: proposal.limits.map(({ limit, need }) => ({
        limit: formatLimit(limit),
        unit: limit.unit,
        amount: limit.amount,
        rests_on: needJson(need),
      })),
      calls: proposal.calls,
      would_refuse_calls: proposal.refusedCalls,
      whole_days: proposal.days,
      sureness: proposal.sureness,
    })),
    not_proposed: unsaid,
    would_refuse_calls_together: refusedTogether,
    yaml: piece ?? null,
  };
}

function fitJson({ limit, exceptions }: Fit, refusedThen: number): unknown {
  return {
    limit: formatLimit(limit),
    amount: limit.amount,
    exceptions: exceptions.map(({ label, need }) => ({ subject: label, amount: need.amount })),
    would_refuse_calls: refusedThen,
  };
}

function needJson({ used, rests, count, growth, exceptions, isTwice }: Need): unknown {
  return { of: rests, count, need_more: exceptions.length, used: Math.round(used), growth, twice: isTwice };
}
