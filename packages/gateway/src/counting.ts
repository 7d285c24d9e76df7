import { stat } from "node:fs/promises";
import { PurserError } from "@purser/core";
import { type CountedModel, type CountedModels, countModels, type OwnVocabulary, readOwnVocabulary } from "@purser/core/tokens";
import type { Config } from "./config/config.ts";
import type { ConfiguredModel, ConfiguredVocabulary } from "./config/counted-models.ts";
import { problemsText } from "./config/read-config.ts";
import type { Problem } from "./config/source.ts";

/** A vocabulary of the configuration that was read. */
export interface ReadVocabulary extends Pick<OwnVocabulary, "tokens" | "bytes"> {
  readonly name: string;
  readonly models: readonly string[];
  /** How long it took, beside all else. */
  readonly ms: number;
}

/** The models of a configuration with their vocabularies, and what is wrong with these. */
export interface ModelsReading {
  readonly models: readonly CountedModel[];
  readonly vocabularies: readonly ReadVocabulary[];
  readonly problems: readonly Problem[];
}

interface Kept {
  readonly stamp: string;
  readonly own: OwnVocabulary;
  readonly ms: number;
}

/** Counts the models of a configuration as it says. Their vocabularies are read beside calls, and each once as long as its file stays the same. */
export class Counting {
  readonly #inForce: CountedModels = countModels([]);
  #kept = new Map<string, Kept>();

  /** Reads the vocabularies of a configuration. Throws `config_invalid` with all that is wrong with them. */
  async read(config: Pick<Config, "models">): Promise<ModelsReading> {
    const reading = await this.examine(config);
    if (reading.problems.length > 0) throw new PurserError("config_invalid", problemsText(reading.problems));
    return reading;
  }

  /** Reads them and says what is wrong. */
  async examine({ models }: Pick<Config, "models">): Promise<ModelsReading> {
    const kept = new Map<string, Kept>();
    const problems: Problem[] = [];
    const counted: CountedModel[] = [];
    const vocabularies: ReadVocabulary[] = [];
    for (const { models: names, countAs, vocabulary, overhead } of models) {
      if (!vocabulary) {
        counted.push({ models: names, countAs, overhead });
        continue;
      }
      const found = await this.#vocabulary(vocabulary, kept).catch((error: unknown) => {
        if (!(error instanceof PurserError) || error.code !== "config_invalid") throw error;
        problems.push(vocabulary.problemHere(error.message));
      });
      if (!found) continue;
      const { own, ms } = found;
      counted.push({ models: names, vocabulary: own, overhead });
      vocabularies.push({ name: vocabulary.name, models: names, tokens: own.tokens, bytes: own.bytes, ms });
    }
    if (problems.length === 0) this.#kept = kept;
    return { models: problems.length === 0 ? counted : [], vocabularies, problems };
  }

  /** From now on models are counted so. */
  use({ models }: ModelsReading): void {
    this.#inForce.replace(models);
  }

  close(): void {
    this.#inForce.close();
  }

  async #vocabulary({ name, path, pattern }: ConfiguredVocabulary, kept: Map<string, Kept>): Promise<Kept> {
    const key = JSON.stringify([name, path, pattern]);
    const stamp = await stampOf(path);
    const known = kept.get(key) ?? this.#kept.get(key);
    if (known && stamp !== "" && known.stamp === stamp) {
      kept.set(key, known);
      return known;
    }
    const start = performance.now();
    const own = await readOwnVocabulary({ path, pattern }, name);
    const read = { stamp, own, ms: performance.now() - start };
    kept.set(key, read);
    return read;
  }
}

/** Counts as a configuration says, for as long as it is open. */
export async function openCounting(config: Pick<Config, "models">): Promise<Counting> {
  const counting = new Counting();
  try {
    counting.use(await counting.read(config));
    return counting;
  } catch (error) {
    counting.close();
    throw error;
  }
}

/** `acme-*: counted as qwen3` */
export function countedSentence({ models, countAs, vocabulary }: ConfiguredModel): string {
  return `${models.join(", ")}: ${countAs === undefined ? `counted with ${vocabulary?.name}` : `counted as ${countAs}`}`;
}

async function stampOf(path: string): Promise<string> {
  try {
    const { ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
    return `${ino} ${size} ${mtimeNs} ${ctimeNs}`;
  } catch {
    // Whoever reads it says why it cannot be.
    return "";
  }
}
