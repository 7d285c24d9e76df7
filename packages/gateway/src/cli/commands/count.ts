import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { costOf, formatDollars, PurserError } from "@purser/core";
import { type Encoding, encodingOf, loadEncoding, type ModelEncoding } from "@purser/core/tokens";
import type { Config } from "../../config/config.ts";
import { priceBookOf } from "../../config/price-book.ts";
import { readConfig } from "../../config/read-config.ts";
import { openCounting } from "../../counting.ts";
import { lookedAt } from "../demo-folder.ts";
import { type CommandIo, type CommandOutcome, lines, UsageError, withUsage } from "./outcome.ts";
import { type ModelAtProvider, modelAtProvider } from "./price.ts";

const USAGE = "purser count [--model MODEL] [--provider NAME] [--config FILE] [--json] [FILE|-]";
const DEFAULT_MODEL = "gpt-4o";

export interface CountIo extends CommandIo {
  /** What `-` reads; standard input where it is left out. */
  readonly stdin?: AsyncIterable<Uint8Array | string>;
}

/** `purser count FILE`: how many tokens a text has for a model, how sure that is, and what it costs as input. */
export async function count(args: string[], io: CountIo): Promise<CommandOutcome> {
  return await withUsage(USAGE, async () => {
    const { values, positionals } = parseArgs({
      args,
      allowPositionals: true,
      options: { model: { type: "string" }, provider: { type: "string" }, config: { type: "string" }, json: { type: "boolean" } },
    });
    if (positionals.length > 1) throw new UsageError("Name one file.");
    const bytes = await readInput(positionals[0] ?? "-", io);
    const text = decoded(bytes);
    const model = values.model ?? DEFAULT_MODEL;
    const config = lookedAt(readConfig({ file: values.config, environment: io.environment, cwd: io.cwd }));
    const named = values.provider === undefined ? modelAtProvider(config, model) : { provider: values.provider, model };
    const { rules, encoding } = await countedBy(config, named?.model ?? model);
    const tokens = encoding.count(text);
    const cost = inputCost(config, named, tokens);
    const how = rules.exact
      ? `${encoding.name}, the vocabulary of ${model}`
      : `${encoding.name}, which stands in for the vocabulary of ${model}: an estimate`;
    return {
      exit: 0,
      text: lines([
        `${tokens.toLocaleString("en-US")} tokens in ${bytes.length.toLocaleString("en-US")} bytes`,
        `  counted with ${how}`,
        ...(rules.countedAs === undefined ? [] : [`  as ${config.file} says: ${rules.countedAs}`]),
        cost === undefined ? `  ${model} has no price` : `  ${formatDollars(cost)} as input of ${model}`,
      ]),
      json: {
        model,
        tokens,
        bytes: bytes.length,
        encoding: encoding.name,
        exact: rules.exact,
        ...(rules.countedAs !== undefined && { counted_as: rules.countedAs }),
        cost_nanodollars: cost ?? null,
      },
    };
  });
}

/** How the configuration counts a model. */
async function countedBy(config: Config, model: string): Promise<{ readonly rules: ModelEncoding; readonly encoding: Encoding }> {
  const counting = await openCounting(config);
  try {
    const rules = encodingOf(model);
    return { rules, encoding: await loadEncoding(rules.encoding) };
  } finally {
    counting.close();
  }
}

/** What so many tokens cost as input. Nothing where the model has no price or nobody serves it: the count is still right. */
function inputCost(config: Config, named: ModelAtProvider | undefined, tokens: number): number | undefined {
  const card = named && priceBookOf(config).card(named.provider, named.model, Date.now());
  return card && costOf(card, { inputTokens: tokens });
}

async function readInput(file: string, { cwd, stdin = process.stdin }: CountIo): Promise<Uint8Array> {
  if (file !== "-") {
    try {
      return await readFile(resolve(cwd, file));
    } catch (cause) {
      throw new UsageError(`${file} cannot be read (${(cause as NodeJS.ErrnoException).code ?? cause}).`, { cause });
    }
  }
  const chunks: Uint8Array[] = [];
  for await (const chunk of stdin) chunks.push(typeof chunk === "string" ? Buffer.from(chunk) : chunk);
  return Buffer.concat(chunks);
}

function decoded(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new PurserError("body_invalid", "This is not text in UTF-8, so it has no tokens to count.", { cause });
  }
}
