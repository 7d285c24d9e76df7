/**
 * Every name that leaves with telemetry, once. Those that begin with `gen_ai.`, `server.`, `http.`, `url.` or `error.` are OpenTelemetry's, whose
 * conventions for generative AI are still in development: when one of them is renamed, this is the place. The others are ours.
 */

interface Described {
  readonly name: string;
  readonly what: string;
}

interface DescribedMetric extends Described {
  readonly kind: "histogram" | "counter";
  readonly unit: string;
  readonly attributes: readonly Described[];
  /** The upper bounds of a histogram, as the conventions advise. */
  readonly bounds?: readonly number[];
}

/** What spans say. Never a word of a prompt or an answer. */
export const ATTRIBUTE = {
  operation: { name: "gen_ai.operation.name", what: "What is asked: `chat`, `generate_content`, `text_completion`, `embeddings`, …" },
  provider: { name: "gen_ai.provider.name", what: "Who answers, as the conventions call them; else the provider's name in purser.yaml." },
  requestModel: { name: "gen_ai.request.model", what: "The model that the provider is asked for, after what ladders did." },
  responseModel: { name: "gen_ai.response.model", what: "The model that the provider says has answered." },
  maxTokens: { name: "gen_ai.request.max_tokens", what: "The output cap of the call as it was admitted." },
  stream: { name: "gen_ai.request.stream", what: "Whether the answer is a stream." },
  choices: { name: "gen_ai.request.choice.count", what: "How many answers are asked for, where that is not one." },
  conversation: { name: "gen_ai.conversation.id", what: "The call's `session`." },
  firstChunk: { name: "gen_ai.response.time_to_first_chunk", what: "Seconds until a stream began." },
  inputTokens: { name: "gen_ai.usage.input_tokens", what: "Input as it was charged, with what was read from and written to caches." },
  outputTokens: { name: "gen_ai.usage.output_tokens", what: "Output as it was charged, reasoning included." },
  cacheRead: { name: "gen_ai.usage.cache_read.input_tokens", what: "Of the input, what was read from the provider's cache." },
  cacheWrite: { name: "gen_ai.usage.cache_write.input_tokens", what: "Of the input, what was written to it." },
  reasoning: { name: "gen_ai.usage.reasoning.output_tokens", what: "Of the output, what the model thought." },
  tokenType: { name: "gen_ai.token.type", what: "`input` or `output`." },
  address: { name: "server.address", what: "The provider's host." },
  port: { name: "server.port", what: "The provider's port." },
  error: { name: "error.type", what: "Why there is no whole answer: the status, an error code, `timeout`, `cut`." },
  method: { name: "http.request.method", what: "`POST`." },
  route: { name: "http.route", what: "The path of the call's format, with names in braces." },
  status: { name: "http.response.status_code", what: "What the caller was answered." },
  call: { name: "purser.request.id", what: "The call's id in the ledger, and in `x-purser-request-id`." },
  askedModel: { name: "purser.model.asked", what: "The model that the caller asked for, where a ladder chose another." },
  rungs: { name: "purser.rungs", what: "What ladders did to the call." },
  knownBy: { name: "purser.known.rung", what: "The rung of a ladder that gave the call an answer which was known." },
  knownFrom: {
    name: "purser.known.from",
    what: "The call that a provider answered so, by its id; where the answer stands in the configuration; or the handover, where a person goes on.",
  },
  nearness: {
    name: "purser.known.nearness",
    what: "How near the question is to the one that was answered, from 0 to 1, where it is not the same.",
  },
  saved: { name: "purser.saved", what: "What ladders saved of it, less what they spent for that, in nano-dollars, as far as it is known." },
  savingBudget: { name: "purser.saving.budget", what: "The budget whose ladder saved it." },
  savingRung: { name: "purser.saving.rung", what: "The rung that did." },
  refusal: { name: "purser.refusal.reason", what: "Why the call was refused." },
  refusedBy: { name: "purser.budget.refused", what: "The budget that refused it." },
  unit: { name: "purser.budget.unit", what: "What that budget's limit counts." },
  limit: { name: "purser.budget.limit", what: "That limit, in its unit." },
  left: { name: "purser.budget.left", what: "What was left of it." },
  cost: { name: "purser.cost", what: "What was charged, in nano-dollars; not there for a model without a price." },
  certainty: {
    name: "purser.cost.certainty",
    what: "`confirmed` by the provider, `estimated` by Purser, or `unconfirmed`: charged at its estimate.",
  },
  uncounted: { name: "purser.uncounted", what: "The call went out although the store could not be asked, as its budgets allow." },
  team: { name: "purser.team", what: "The call's `team`." },
  product: { name: "purser.product", what: "Its `product`." },
  feature: { name: "purser.feature", what: "Its `feature`." },
  user: { name: "purser.user", what: "Its `user`." },
  tier: { name: "purser.tier", what: "Its `tier`." },
  task: { name: "purser.task", what: "Its `task`." },
  key: { name: "purser.key", what: "The name of its key." },
} as const satisfies Readonly<Record<string, Described>>;

/** Seconds, as the conventions advise for what a client measures. */
const SECONDS = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92] as const;
const TOKENS = [1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864] as const;

const { operation, provider, requestModel, tokenType, error, certainty, refusal, refusedBy, savingBudget, savingRung } = ATTRIBUTE;
const OF_CALL = [operation, provider, requestModel] as const;

export const METRIC = {
  tokens: {
    name: "gen_ai.client.token.usage",
    kind: "histogram",
    unit: "{token}",
    what: "Tokens of calls as they were charged. Sums are those of the ledger, less `purser.tokens.taken_back`.",
    attributes: [...OF_CALL, tokenType],
    bounds: TOKENS,
  },
  duration: {
    name: "gen_ai.client.operation.duration",
    kind: "histogram",
    unit: "s",
    what: "From when a call was sent until all of its answer had passed.",
    attributes: [...OF_CALL, error],
    bounds: SECONDS,
  },
  firstChunk: {
    name: "gen_ai.client.operation.time_to_first_chunk",
    kind: "histogram",
    unit: "s",
    what: "From when a call was sent until its stream began.",
    attributes: OF_CALL,
    bounds: SECONDS,
  },
  cost: {
    name: "purser.cost",
    kind: "counter",
    unit: "{nanodollar}",
    what: "What was charged.",
    attributes: [...OF_CALL, certainty],
  },
  costTakenBack: {
    name: "purser.cost.taken_back",
    kind: "counter",
    unit: "{nanodollar}",
    what: "Estimates in whose place a later truth was charged. What was spent is `purser.cost` less this.",
    attributes: OF_CALL,
  },
  tokensTakenBack: {
    name: "purser.tokens.taken_back",
    kind: "counter",
    unit: "{token}",
    what: "Tokens of these estimates.",
    attributes: [...OF_CALL, tokenType],
  },
  refusals: {
    name: "purser.refusals",
    kind: "counter",
    unit: "{call}",
    what: "Calls that were refused.",
    attributes: [refusal, refusedBy],
  },
  knownAnswers: {
    name: "purser.known_answers",
    kind: "counter",
    unit: "{call}",
    what: "Calls that got an answer which was known, so that no provider was asked.",
    attributes: OF_CALL,
  },
  savedCost: {
    name: "purser.saved",
    kind: "counter",
    unit: "{nanodollar}",
    what: "What rungs of ladders saved, as far as that can be known.",
    attributes: [...OF_CALL, savingBudget, savingRung],
  },
  spentOnSaving: {
    name: "purser.saved.spent",
    kind: "counter",
    unit: "{nanodollar}",
    what: "What rungs spent to save it: calls that wrote summaries, and what calls became dearer. What was saved in the end is `purser.saved` less this.",
    attributes: [...OF_CALL, savingBudget, savingRung],
  },
} as const satisfies Readonly<Record<string, DescribedMetric>>;

/** Providers that the conventions call otherwise than our presets do. */
const PROVIDERS: Readonly<Record<string, string>> = {
  azure: "azure.ai.openai",
  bedrock: "aws.bedrock",
  google: "gcp.gemini",
  mistral: "mistral_ai",
  moonshot: "moonshot_ai",
  vertex: "gcp.vertex_ai",
  xai: "x_ai",
};

export function providerName(name: string): string {
  return PROVIDERS[name] ?? name;
}

/** What a call in a format asks for. Formats that are not here are those of a chat. */
const OPERATIONS: Readonly<Record<string, string>> = {
  "openai-completions": "text_completion",
  "openai-embeddings": "embeddings",
  "openai-moderations": "moderation",
  "openai-images": "generate_content",
  "openai-speech": "generate_content",
  "openai-transcriptions": "transcription",
  "gemini-content": "generate_content",
  "gemini-interactions": "generate_content",
  "gemini-embeddings": "embeddings",
  "vertex-content": "generate_content",
  "ollama-generate": "text_completion",
  "ollama-embeddings": "embeddings",
  "cohere-embed": "embeddings",
};

export function operationName(endpoint: string): string {
  return OPERATIONS[endpoint] ?? "chat";
}
