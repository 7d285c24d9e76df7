import type { Config } from "./config/config.ts";

/** The models of `listModels`, in the shape that Google's clients read. */
export function listGeminiModels(config: Config): unknown {
  const supportedGenerationMethods = ["generateContent", "countTokens", "embedContent"];
  return { models: namedModels(config).map(({ id }) => ({ name: `models/${id}`, displayName: id, supportedGenerationMethods })) };
}

/** The models that are named in the configuration, in a shape that OpenAI's and Anthropic's clients both read. */
export function listModels(config: Config): unknown {
  const data = namedModels(config).map(({ id, owner }) => ({
    id,
    object: "model",
    type: "model",
    created: 0,
    created_at: "1970-01-01T00:00:00Z",
    owned_by: owner,
    display_name: id,
  }));
  return { object: "list", data, has_more: false, first_id: data[0]?.id ?? null, last_id: data.at(-1)?.id ?? null };
}

/** The same in the shape that Ollama's clients read. */
export function listOllamaModels(config: Config): unknown {
  const models = namedModels(config).map(({ id }) => ({
    name: id,
    model: id,
    modified_at: "1970-01-01T00:00:00Z",
    size: 0,
    digest: "",
    details: {},
  }));
  return { models };
}

/** Every model once, with whoever serves it. */
function namedModels({ providers, routes, budgets }: Config): readonly { readonly id: string; readonly owner: string }[] {
  const named = [
    ...providers.flatMap(({ name, models }) => models.map((id) => ({ id, owner: name }))),
    ...routes.map(({ pattern, entries }) => ({ id: pattern, owner: entries[0]?.provider ?? "purser" })),
    ...budgets.flatMap(({ request }) => (request.models ?? []).map((id) => ({ id, owner: "purser" }))),
  ].filter(({ id }) => !id.includes("*"));
  return [...new Map(named.map((model) => [model.id, model])).values()];
}
