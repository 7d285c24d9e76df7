import { compilePattern, foldModel } from "../domain/subject.ts";
import { PurserError } from "../errors.ts";
import { CALL_TOKENS, COUNTED_NAMES, isShipped, type ModelEncoding, ownEncodingOf, shippedEncodingOf } from "./models.ts";
import type { OwnVocabulary } from "./own-vocabulary/own-vocabulary.ts";

/** How somebody says that models are counted: as another one is, or by a vocabulary of their own. */
export interface CountedModel {
  /** Names of models; `*` stands for anything. */
  readonly models: string | readonly string[];
  /** The model that they are counted as: its name, or that of a family or of a shipped vocabulary. */
  readonly countAs?: string | undefined;
  readonly vocabulary?: OwnVocabulary | undefined;
  readonly overhead?: Overhead | undefined;
}

/** What is added to the tokens of the text. What is left out is as it is for such models. */
export interface Overhead {
  /** For every call. */
  readonly call?: number | undefined;
  /** For each message. */
  readonly message?: number | undefined;
  /** For a call that has tools, and for each tool. */
  readonly tools?: number | undefined;
  readonly tool?: number | undefined;
  /** The most that an image takes. */
  readonly image?: number | undefined;
}

/** Models that are counted as somebody said, for as long as that holds. */
export interface CountedModels {
  /** Says it anew. */
  replace(models: readonly CountedModel[]): void;
  /** Takes it back. */
  close(): void;
}

interface Rule {
  readonly matches: (model: string) => boolean;
  readonly encoding: ModelEncoding;
}

/** Which vocabulary a model has is a fact, so it holds for all of a process. */
const inForce = new Map<object, readonly Rule[]>();
const known = new Map<string, ModelEncoding>();
const KNOWN_MAX = 1_000;

/** Says how models are counted, in the whole process, from now on. The first that matches a name counts. Throws `config_invalid` where a name is not known. */
export function countModels(models: readonly CountedModel[]): CountedModels {
  const key = {};
  const change = (rules: readonly Rule[] | undefined) => {
    if (rules) inForce.set(key, rules);
    else inForce.delete(key);
    known.clear();
  };
  change(rulesOf(models));
  return { replace: (next) => change(rulesOf(next)), close: () => change(undefined) };
}

/** Which vocabulary counts for a model, and how far to trust it. */
export function encodingOf(model: string): ModelEncoding {
  let found = known.get(model);
  if (!found) {
    found = ruleFor(model)?.encoding ?? shippedEncodingOf(model);
    if (known.size < KNOWN_MAX) known.set(model, found);
  }
  return found;
}

function ruleFor(model: string): Rule | undefined {
  const name = foldModel(model);
  for (const rules of inForce.values()) {
    const rule = rules.find(({ matches }) => matches(name));
    if (rule) return rule;
  }
  return undefined;
}

function rulesOf(models: readonly CountedModel[]): readonly Rule[] {
  const own = models.map((model) => model.vocabulary && { matches: matcherOf(model), encoding: ownEncodingOf(model.vocabulary) });
  const named = (name: string): ModelEncoding => {
    const rule = own.find((one) => one?.matches(foldModel(name)));
    if (rule) return rule.encoding;
    if (isShipped(name)) return { ...shippedEncodingOf(name), countedAs: name };
    throw new PurserError(
      "config_invalid",
      `countAs: "${name}" is no model that is known. Known are ${COUNTED_NAMES.join(", ")}, and models of these families.`,
    );
  };
  return models.map((model, i) => {
    const { countAs } = model;
    const encoding = own[i]?.encoding ?? (countAs === undefined ? undefined : named(countAs));
    if (!encoding || (own[i] && countAs !== undefined))
      throw new PurserError("config_invalid", `Say of ${[model.models].flat().join(", ")} either countAs or vocabulary.`);
    return { matches: matcherOf(model), encoding: withOverhead(encoding, model.overhead ?? {}) };
  });
}

function matcherOf({ models }: CountedModel): (model: string) => boolean {
  const patterns = [models].flat().map((pattern) => compilePattern(foldModel(pattern)));
  return (model) => patterns.some((matches) => matches(model));
}

function withOverhead(encoding: ModelEncoding, { call, message, tools, tool, image }: Overhead): ModelEncoding {
  return {
    ...encoding,
    ...(call !== undefined && { callTokens: call - CALL_TOKENS }),
    ...(message !== undefined && { messageTokens: message }),
    ...(tools !== undefined && { toolsTokens: tools }),
    ...(tool !== undefined && { toolTokens: tool }),
    ...(image !== undefined && { image: { kind: "fixed", low: image, high: image, most: image } as const }),
  };
}
