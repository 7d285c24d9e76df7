import { parseArgs } from "node:util";
import type { Config } from "../../config/config.ts";
import { priceBookOf } from "../../config/price-book.ts";
import { CONFIG_FILE, examineConfig, type Reading } from "../../config/read-config.ts";
import { formatNotes, keyNotes, routeSentence } from "../../config/route-sentence.ts";
import { configurationSchema, configurationSchemaText } from "../../config/schema.ts";
import { budgetSentence, guardSentence, watchSentence } from "../../config/sentence.ts";
import { problemText } from "../../config/source.ts";
import { unownedBudgets } from "../../config/unowned.ts";
import { type UnpricedModel, unpricedModels } from "../../config/unpriced.ts";
import { Counting, countedSentence, type ModelsReading, type ReadVocabulary } from "../../counting.ts";
import { promptsSchema, promptsSchemaText } from "../../prompts/description.ts";
import { checkPrompts, unreadable } from "./check-prompts.ts";
import { type CommandIo, type CommandOutcome, lines, UsageError, withUsage } from "./outcome.ts";

const USAGE = "purser check [FILE] [--prompts FILE [--against REF|FOLDER] [--markdown]] [--schema] [--json]";

/**
 * `purser check [FILE]`: reads the configuration as the server would, and says what it means or what is wrong with it; with `--prompts`, what
 * prompts take of its budgets.
 */
export async function check(args: string[], io: CommandIo): Promise<CommandOutcome> {
  return await withUsage(USAGE, async () => {
    const { values, positionals } = parseArgs({
      args,
      allowPositionals: true,
      options: {
        config: { type: "string" },
        prompts: { type: "string" },
        against: { type: "string" },
        markdown: { type: "boolean" },
        json: { type: "boolean" },
        schema: { type: "boolean" },
      },
    });
    const { prompts, against, markdown = false, schema = false } = values;
    if (positionals.length > 1) throw new UsageError("Name one file.");
    if (prompts === undefined && (against !== undefined || markdown))
      throw new UsageError(
        `--${against === undefined ? "markdown" : "against"} is about prompts. Name their file: --prompts prompts.yaml.`,
      );
    if (schema)
      return prompts === undefined
        ? schemaOutcome(configurationSchemaText(), configurationSchema())
        : schemaOutcome(promptsSchemaText(), promptsSchema());
    const file = values.config ?? positionals[0];
    const reading = examineConfig({ file, environment: io.environment, cwd: io.cwd });
    const counting = new Counting();
    try {
      const counted = await counting.examine(reading.config ?? { models: [] });
      const problems = [...reading.problems, ...counted.problems];
      const wrong = { problems, warnings: reading.warnings };
      if (!reading.config || problems.length > 0) return prompts === undefined ? refused(wrong) : unreadable(wrong, { markdown });
      counting.use(counted);
      return prompts === undefined
        ? accepted(reading.config, reading, counted)
        : await checkPrompts({ file: prompts, config: reading.config, against, markdown }, io);
    } finally {
      counting.close();
    }
  });
}

function schemaOutcome(text: string, json: unknown): CommandOutcome {
  return { exit: 0, text: text.trimEnd(), json };
}

function refused({ problems, warnings }: Pick<Reading, "problems" | "warnings">): CommandOutcome {
  const count = problems.length === 1 ? "1 problem" : `${problems.length} problems`;
  return {
    exit: 1,
    text: lines([...problems.map(problemText), ...section("Warnings", warnings.map(problemText)), "", `${count}.`]),
    json: { ok: false, problems, warnings },
  };
}

function accepted(config: Config, { warnings }: Reading, { vocabularies }: ModelsReading): CommandOutcome {
  const unpriced = unpricedModels(config, priceBookOf(config), Date.now());
  const unowned = unownedBudgets(config).map(({ name }) => name);
  const budgets = config.budgets.map((budget) => ({
    name: budget.name,
    sentence: [budgetSentence(budget), ...guardsOf(config, budget.name)].join(" "),
  }));
  const providers = config.providers.map(({ name, baseUrls, apiKey }) => ({
    name,
    dialects: Object.keys(baseUrls),
    hasKey: apiKey !== undefined,
  }));
  const routes = config.routes
    .filter(({ entries, retry }) => entries.length > 1 || retry)
    .map((route) => ({
      model: route.pattern,
      sentence: routeSentence(route),
      notes: [...keyNotes(route, config.providers), ...formatNotes(route, config.providers)],
    }));
  const models = config.models.map(({ models: names, countAs, vocabulary }) => ({
    model: names,
    ...(countAs !== undefined && { count_as: countAs }),
    ...(vocabulary && { vocabulary: vocabulary.name }),
  }));
  const answers = [...config.answers.values()].map(({ name, size }) => ({ name, questions: size }));
  const withKey = providers.filter(({ hasKey }) => hasKey).map(({ name }) => name);
  const without = providers.filter(({ hasKey }) => !hasKey).map(({ name }) => name);
  return {
    exit: 0,
    text: lines([
      config.file === undefined ? `There is no ${CONFIG_FILE}: everything is as it is by default.` : `${config.file} is right.`,
      ...section(
        "Budgets",
        budgets.length === 0
          ? ["none: every call is counted and none is refused"]
          : budgets.map(({ name, sentence }) => `${name}: ${sentence}`),
      ),
      ...section(
        "Answers that are ready",
        answers.map(({ name, questions }) => `${name}: ${questions} question${questions === 1 ? "" : "s"}`),
      ),
      ...section("Models that are counted as the file says", [...config.models.map(countedSentence), ...vocabularies.map(vocabularyText)]),
      ...section("Holds", config.holds === "learned" ? [LEARNED] : []),
      ...section("Providers", [
        ...(withKey.length > 0 ? [`with a key: ${withKey.join(", ")}`] : []),
        ...(without.length > 0 ? [`without one, so the caller's own is passed on: ${without.join(", ")}`] : []),
      ]),
      ...section(
        "Routes to several providers",
        routes.flatMap(({ sentence, notes }) => [sentence, ...notes.map((note) => `  ${note}`)]),
      ),
      ...section("Models without a price, which budgets in money refuse and ladders pass over", unpriced.map(unpricedText)),
      ...section("Budgets without an owner, who would be told and asked for more", unowned.length > 0 ? [unowned.join(", ")] : []),
      ...section("Warnings", warnings.map(problemText)),
    ]),
    json: {
      ok: true,
      file: config.file ?? null,
      holds: config.holds,
      answers,
      models,
      budgets,
      providers,
      routes,
      unpriced,
      unowned,
      warnings,
    },
  };
}

const LEARNED = "learned: a stream holds what 95 of 100 answers of its model and feature have, and more as it goes on";

/** What stands beside the limits and the ladder of a budget. */
function guardsOf({ guards, watched }: Config, name: string): readonly string[] {
  return [
    ...guards.filter(({ budget }) => budget.name === name).map(({ guard }) => guardSentence(guard)),
    ...watched.filter(({ budget }) => budget.name === name).flatMap(({ watches }) => watches.map(watchSentence)),
  ];
}

/** `acme/tokenizer.json: 151,643 tokens, 6.3 MB in memory, read in 0.9 s` */
function vocabularyText({ name, tokens, bytes, ms }: ReadVocabulary): string {
  const size = `${tokens.toLocaleString("en-US")} tokens, ${(bytes / 1e6).toFixed(1)} MB in memory`;
  return `${name}: ${size}, read in ${(ms / 1_000).toFixed(1)} s`;
}

function unpricedText({ provider, model }: UnpricedModel): string {
  return `${provider}/${model}: add it under prices, or set default_price`;
}

function section(title: string, entries: readonly string[]): readonly string[] {
  return entries.length === 0 ? [] : ["", title, ...entries.map((entry) => `  ${entry}`)];
}
