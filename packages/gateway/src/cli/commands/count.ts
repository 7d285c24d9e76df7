import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { costOf, formatDollars, PurserError } from "@purser/core";
import { encodingOf, loadEncoding } from "@purser/core/tokens";
import { priceBookOf } from "../../config/price-book.ts";
import { readConfig } from "../../config/read-config.ts";
import { lookedAt } from "../demo-folder.ts";
import { type CommandIo, type CommandOutcome, lines, UsageError, withUsage } from "./outcome.ts";
import { modelAtProvider } from "./price.ts";

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
    const rules = encodingOf(model);
    const tokens = (await loadEncoding(rules.encoding)).count(text);
    const cost = inputCost(io, { model, provider: values.provider, file: values.config }, tokens);
    const how = rules.exact
      ? `${rules.encoding}, the vocabulary of ${model}`
      : `${rules.encoding}, which stands in for the vocabulary of ${model}: an estimate`;
    return {
      exit: 0,
      text: lines([
        `${tokens.toLocaleString("en-US")} tokens in ${bytes.length.toLocaleString("en-US")} bytes`,
        `  counted with ${how}`,
        cost === undefined ? `  ${model} has no price` : `  ${formatDollars(cost)} as input of ${model}`,
      ]),
      json: { model, tokens, bytes: bytes.length, encoding: rules.encoding, exact: rules.exact, cost_nanodollars: cost ?? null },
    };
  });
}

interface Asked {
  readonly model: string;
  readonly provider: string | undefined;
  readonly file: string | undefined;
}

/** What so many tokens cost as input. Nothing where the model has no price or nobody serves it: the count is still right. */
function inputCost(io: CommandIo, { model, provider, file }: Asked, tokens: number): number | undefined {
  const config = lookedAt(readConfig({ file, environment: io.environment, cwd: io.cwd }));
  const named = provider === undefined ? modelAtProvider(config, model) : { provider, model };
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
