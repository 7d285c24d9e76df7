/** How the models of one maker take their output cap: under a name, perhaps inside of a field. */
export interface MakersForm {
  readonly models: RegExp;
  readonly within?: string;
  /** The names that the cap may have; the first where a call has none. */
  readonly caps: readonly [string, ...string[]];
}

/** Models that read texts and write none. What they read of images has a price of its own. */
const EMBEDDING = /amazon\.titan-embed-text-|cohere\.embed-/;

export function isEmbedding(model: string): boolean {
  return EMBEDDING.test(model);
}

/** Makers by the names of their models (https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters.html). */
const MAKERS: readonly MakersForm[] = [
  { models: /amazon\.nova-(?:micro|lite|pro|premier|2-lite|2-pro)/, within: "inferenceConfig", caps: ["maxTokens", "max_new_tokens"] },
  { models: /amazon\.titan-text-/, within: "textGenerationConfig", caps: ["maxTokenCount"] },
  { models: /meta\.llama/, caps: ["max_gen_len"] },
  { models: /mistral\.(?!voxtral)|deepseek\.|cohere\.command|ai21\.jamba/, caps: ["max_tokens"] },
  { models: /openai\.gpt|qwen\.qwen/, caps: ["max_completion_tokens", "max_tokens"] },
];

/** Anthropic's own format, that of its messages. */
const ANTHROPIC: MakersForm = { models: /anthropic\.claude/, caps: ["max_tokens"] };

/** Every name that a cap has at any maker, and every field that has one inside. */
const CAP_NAMES = new Set([ANTHROPIC, ...MAKERS].flatMap(({ within, caps }) => (within === undefined ? caps : [within])));

/** Whether a call is in Anthropic's format. A profile with a name of its own is known by what calls to it say. */
export function isAnthropic(model: string, version: unknown): boolean {
  if (ANTHROPIC.models.test(model)) return true;
  return !MAKERS.some(({ models }) => models.test(model)) && typeof version === "string" && version.startsWith("bedrock-");
}

/** The form of a call by its model, and by what it says of Anthropic's version. */
export function makersForm(model: string, version: unknown): MakersForm | undefined {
  return isAnthropic(model, version) ? ANTHROPIC : MAKERS.find(({ models }) => models.test(model));
}

/** A field that is the cap of another maker's, should the model be one of that: then it would count, and nobody here would have read it. */
export function foreignCap({ within, caps }: MakersForm, fields: Iterable<string>): string | undefined {
  const own = within === undefined ? caps : [within];
  for (const name of fields) if (CAP_NAMES.has(name) && !own.includes(name)) return name;
  return undefined;
}
