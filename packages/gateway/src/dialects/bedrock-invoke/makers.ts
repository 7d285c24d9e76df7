/** How the models of one maker take their output cap: under a name, perhaps inside of a field. */
export interface MakersForm {
  readonly models: RegExp;
  readonly within?: string;
  /** The names that the cap may have; the first where a call has none. */
  readonly caps: readonly [string, ...string[]];
}

/** Makers by the names of their models (https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters.html). */
const MAKERS: readonly MakersForm[] = [
  { models: /amazon\.nova-(?:micro|lite|pro|premier|2-lite|2-pro)/, within: "inferenceConfig", caps: ["maxTokens", "max_new_tokens"] },
  { models: /amazon\.titan-text-/, within: "textGenerationConfig", caps: ["maxTokenCount"] },
  { models: /meta\.llama/, caps: ["max_gen_len"] },
  { models: /mistral\.(?!voxtral)|deepseek\.|cohere\.command|ai21\.jamba/, caps: ["max_tokens"] },
  { models: /openai\.gpt|qwen\.qwen/, caps: ["max_completion_tokens", "max_tokens"] },
];

/** Whether a model is Anthropic's, whose format is that of its messages. A profile with a name of its own is known by what calls to it say. */
export function isAnthropic(model: string, version: unknown): boolean {
  return /anthropic\.claude/.test(model) || (typeof version === "string" && version.startsWith("bedrock-"));
}

export function makersForm(model: string): MakersForm | undefined {
  return MAKERS.find(({ models }) => models.test(model));
}
