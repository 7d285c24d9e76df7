import { dirname, resolve } from "node:path";
import { compilePattern } from "@purser/core";
import { COUNTED_NAMES, isShipped, type Overhead } from "@purser/core/tokens";
import type { CountedModelFields } from "./description.ts";
import type { Located } from "./field.ts";
import { suggestion } from "./nearest-name.ts";
import type { Problem } from "./source.ts";

/** How models are counted, as the file says it: as another one is, or by a vocabulary of their own. */
export interface ConfiguredModel {
  readonly models: readonly string[];
  readonly countAs: string | undefined;
  readonly vocabulary: ConfiguredVocabulary | undefined;
  readonly overhead: Overhead | undefined;
}

export interface ConfiguredVocabulary {
  /** As it is written in the file. */
  readonly name: string;
  readonly path: string;
  /** How text is cut, where its file does not say it. */
  readonly pattern: string | undefined;
  /** What is wrong with it, told where it is named. */
  readonly problemHere: (message: string) => Problem;
}

interface Folder {
  readonly file: string | undefined;
  readonly cwd: string;
}

/** The entries of `models`. The files that they name are read later, beside calls: see `Counting`. */
export function configuredModels(entries: readonly Located<CountedModelFields>[], { file, cwd }: Folder): readonly ConfiguredModel[] {
  const owners = entries.filter(({ value }) => value.vocabulary).flatMap(({ value }) => value.model ?? []);
  const hasVocabulary = (name: string) => owners.some((pattern) => compilePattern(pattern.toLowerCase())(name.toLowerCase()));
  return entries.flatMap(({ value: { model, count_as, vocabulary, pattern, overhead }, place }) => {
    if (model === undefined) return [];
    if (count_as && vocabulary) count_as.place.problem("stands beside vocabulary. Keep one of them.");
    else if (!count_as && !vocabulary && !isWritten(place, ["count_as", "vocabulary"]))
      place.problem("count_as or vocabulary is missing: the name of a model that is counted like it, or the path of its tokenizer.json.");
    if (pattern !== undefined && !vocabulary)
      place.field("pattern").problem("is for a vocabulary. Add vocabulary: with the path of its file.");
    if (count_as && !isShipped(count_as.value) && !hasVocabulary(count_as.value))
      count_as.place.problem(`"${count_as.value}" is no model that is known.${suggestion(count_as.value, [...COUNTED_NAMES, ...owners])}`);
    return [
      {
        models: model,
        countAs: count_as?.value,
        vocabulary: vocabulary && {
          name: vocabulary.value,
          path: resolve(cwd, dirname(file ?? ""), vocabulary.value),
          pattern,
          problemHere: vocabulary.place.problemHere,
        },
        overhead,
      },
    ];
  });
}

/** Whether one of the fields stands in the file, and was found wrong before. */
function isWritten({ entries }: Located<unknown>["place"], names: readonly string[]): boolean {
  return entries()?.some(({ key }) => names.includes(key)) ?? false;
}
