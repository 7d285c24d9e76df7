import type { PriceOverride } from "./override.ts";

/** A price that we keep by hand, because the compiled catalogue lacks it or has it wrong. */
export interface OverlayRow extends PriceOverride {
  /** Where it was read, and when. */
  readonly source: string;
  readonly read: string;
  /** What could be wrong with it. */
  readonly unsure?: string;
}

const ALIBABA = {
  provider: "qwen",
  source: "Alibaba Cloud Model Studio: Model pricing, Singapore (alibabacloud.com/help/en/model-studio/model-pricing)",
  read: "2026-11-22",
};

const ALIBABA_DEFAULTS: readonly OverlayRow[] = [
  {
    ...ALIBABA,
    model: "*",
    batch: 0.5,
    // Hits of the automatic cache cost 20 % and of the explicit one 10 %; usage does not say which it was, so the dearer one counts.
    of_input: { cache_read: 0.2, cache_write: 1.25, cache_write_1h: 2 },
    source: "Alibaba Cloud Model Studio: Context cache, Batch (alibabacloud.com/help/en/model-studio/context-cache)",
    unsure: "Not every model has a batch price, and the one hour cache belongs to the Qwen4 series.",
  },
];

/** Qwen, in dollars per million tokens, with the tiers and the thinking mode that no package carries in full. */
const QWEN: readonly OverlayRow[] = [
  {
    ...ALIBABA,
    model: ["qwen-flash", "qwen-flash-latest", "qwen-flash-2025-07-28"],
    input: "0.05",
    output: "0.40",
    tiers: [{ above: 256_000, input: "0.25", output: "2.00" }],
    max_output: 32_768,
    context: 1_000_000,
  },
  {
    ...ALIBABA,
    model: ["qwen-plus", "qwen-plus-latest", "qwen-plus-2025-07-28", "qwen-plus-2025-09-11"],
    input: "0.40",
    output: "1.20",
    output_after_reasoning: "4.00",
    tiers: [{ above: 256_000, input: "1.20", output: "3.60", output_after_reasoning: "12.00" }],
    max_output: 32_768,
    context: 1_000_000,
  },
  {
    ...ALIBABA,
    model: ["qwen-turbo", "qwen-turbo-latest", "qwen-turbo-2025-04-28", "qwen-turbo-2024-11-01"],
    input: "0.05",
    output: "0.20",
    output_after_reasoning: "0.50",
    max_output: 16_384,
    context: 1_000_000,
  },
  {
    ...ALIBABA,
    model: ["qwen-max", "qwen-max-latest", "qwen-max-2025-01-25"],
    input: "1.60",
    output: "6.40",
    max_output: 8_192,
    context: 32_768,
  },
  {
    ...ALIBABA,
    model: ["qwen3-max", "qwen3-max-preview", "qwen3-max-2025-09-23", "qwen3-max-2026-01-23"],
    input: "1.20",
    output: "6.00",
    tiers: [
      { above: 32_000, input: "2.40", output: "12.00" },
      { above: 128_000, input: "3.00", output: "15.00" },
    ],
    max_output: 65_536,
    context: 262_144,
  },
  {
    ...ALIBABA,
    model: ["qwen3-coder-plus", "qwen3-coder-plus-2025-07-22", "qwen3-coder-plus-2025-09-23"],
    input: "1.00",
    output: "5.00",
    tiers: [
      { above: 32_000, input: "1.80", output: "9.00" },
      { above: 128_000, input: "3.00", output: "15.00" },
      { above: 256_000, input: "6.00", output: "60.00" },
    ],
    max_output: 65_536,
    context: 1_000_000,
  },
  {
    ...ALIBABA,
    model: ["qwen3-coder-flash", "qwen3-coder-flash-2025-07-28"],
    input: "0.30",
    output: "1.50",
    cache_read: "0.08",
    tiers: [
      { above: 32_000, input: "0.50", output: "2.50", cache_read: "0.12" },
      { above: 128_000, input: "0.80", output: "4.00", cache_read: "0.20" },
      { above: 256_000, input: "1.60", output: "9.60", cache_read: "0.40" },
    ],
    max_output: 65_536,
    context: 1_000_000,
  },
  {
    ...ALIBABA,
    model: "qwen3-vl-plus",
    input: "0.20",
    output: "1.60",
    tiers: [
      { above: 32_000, input: "0.30", output: "2.40" },
      { above: 128_000, input: "0.60", output: "4.80" },
    ],
    output_after_reasoning: "4.80",
    max_output: 32_768,
    context: 262_144,
    unsure: "Whether thinking costs $4.80 in every tier; sources differ.",
  },
  {
    ...ALIBABA,
    model: "qwen3.5-plus",
    input: "0.40",
    output: "2.40",
    tiers: [{ above: 256_000, input: "0.50", output: "3.00" }],
    max_output: 65_536,
    context: 1_000_000,
  },
  {
    ...ALIBABA,
    model: ["qwen3.6-plus", "qwen3.7-plus"],
    input: "0.50",
    output: "3.00",
    tiers: [{ above: 256_000, input: "2.00", output: "6.00" }],
    max_output: 65_536,
    context: 1_000_000,
  },
  { ...ALIBABA, model: "qwen3.7-max", input: "2.50", output: "7.50", cache_read: "0.50", max_output: 65_536, unsure: "Tiers, if any." },
  { ...ALIBABA, model: "qwen3.8-max", input: "2.00", output: "6.00", cache_read: "0.25", max_output: 65_536, unsure: "Tiers, if any." },
  { ...ALIBABA, model: "qwq-plus", input: "0.80", output: "2.40", max_output: 8_192, context: 131_072 },
  { ...ALIBABA, model: "qwen-vl-max", input: "0.80", output: "3.20", max_output: 8_192, context: 131_072 },
  { ...ALIBABA, model: "qwen-vl-plus", input: "0.21", output: "0.63", max_output: 8_192, context: 131_072 },
  {
    ...ALIBABA,
    model: "qwen3-235b-a22b",
    input: "0.70",
    output: "2.80",
    output_after_reasoning: "8.40",
    max_output: 16_384,
    context: 131_072,
  },
  { ...ALIBABA, model: "qwen3-32b", input: "0.70", output: "2.80", output_after_reasoning: "8.40", max_output: 16_384, context: 131_072 },
  { ...ALIBABA, model: "qwen3-14b", input: "0.35", output: "1.40", output_after_reasoning: "4.20", max_output: 8_192, context: 131_072 },
  { ...ALIBABA, model: "qwen3-8b", input: "0.18", output: "0.70", output_after_reasoning: "2.10", max_output: 8_192, context: 131_072 },
];

/** Z.ai's own prices; the base has only its newest models. */
const ZAI = { provider: "zai", source: "Z.ai: Pricing (docs.z.ai/guides/overview/pricing)", read: "2026-11-22" };
const GLM: readonly OverlayRow[] = [
  { ...ZAI, model: ["glm-4.5", "glm-4.6", "glm-4.7"], input: "0.60", output: "2.20", cache_read: "0.11", max_output: 131_072 },
  { ...ZAI, model: "glm-4.5-air", input: "0.20", output: "1.10", cache_read: "0.03", max_output: 98_304 },
  { ...ZAI, model: "glm-5", input: "1.00", output: "3.20", cache_read: "0.20", max_output: 131_072 },
  { ...ZAI, model: "glm-5.1", input: "1.40", output: "4.40", cache_read: "0.26", max_output: 131_072 },
];

const OPENAI = { provider: ["openai", "azure"], source: "OpenAI: Pricing (platform.openai.com/docs/pricing)", read: "2026-11-22" };

const XAI = { provider: "xai", source: "xAI: Models and pricing (docs.x.ai/docs/models)", read: "2026-11-25" };

/** What the base has wrong or too coarse. */
const CORRECTIONS: readonly OverlayRow[] = [
  // Larger contexts cost double, which the base knows of the models since 4.20 only.
  {
    ...XAI,
    model: ["grok-4", "grok-4-0709", "grok-4-latest"],
    input: "3.00",
    output: "15.00",
    cache_read: "0.75",
    tiers: [{ above: 128_000, input: "6.00", output: "30.00", cache_read: "1.50" }],
    unsure: "What cached input costs there: it is doubled as all else is.",
  },
  {
    ...XAI,
    model: ["grok-4-fast*", "grok-4-1-fast*"],
    input: "0.20",
    output: "0.50",
    cache_read: "0.05",
    tiers: [{ above: 128_000, input: "0.40", output: "1.00", cache_read: "0.10" }],
    unsure: "What cached input costs there: it is doubled as all else is.",
  },
  // The archive that disagrees was taken four days before this price cut.
  {
    ...OPENAI,
    model: ["gpt-5.6", "gpt-5.6-sol", "gpt-5-6", "gpt-5-6-sol"],
    from: "2026-08-21",
    input: "4.00",
    output: "20.00",
    tiers: [{ above: 271_999, input: "8.00", output: "30.00", cache_read: "0.80", cache_write: "10.00" }],
  },
  // Since this day the name stands for mistral-large-2512, at a quarter of the old price.
  {
    provider: "mistral",
    model: "mistral-large-latest",
    from: "2025-12-02",
    input: "0.50",
    output: "1.50",
    cache_read: "0.05",
    source: "Mistral AI: Models (docs.mistral.ai/getting-started/models)",
    read: "2026-11-22",
  },
  {
    ...OPENAI,
    model: "gpt-4o-audio-preview",
    audio_input: "100.00",
    audio_output: "200.00",
    unsure: "Versions since 2024-12-17 cost 40 and 80.",
  },
  { ...OPENAI, model: ["gpt-4o-audio-preview-2024-12-17", "gpt-4o-audio-preview-2025-06-03"], audio_input: "40.00", audio_output: "80.00" },
  { ...OPENAI, model: "gpt-4o-mini-audio-preview*", audio_input: "10.00", audio_output: "20.00" },
  { ...OPENAI, model: "ft:gpt-4o-2024-*:*", input: "3.75", output: "15.00", cache_read: "1.875", max_output: 16_384, context: 128_000 },
  { ...OPENAI, model: "ft:gpt-4o-mini-2024-*:*", input: "0.30", output: "1.20", cache_read: "0.15", max_output: 16_384, context: 128_000 },
  { ...OPENAI, model: "ft:gpt-4.1-2025-*:*", input: "3.00", output: "12.00", cache_read: "0.75", max_output: 32_768, context: 1_047_576 },
  {
    ...OPENAI,
    model: "ft:gpt-4.1-mini-2025-*:*",
    input: "0.80",
    output: "3.20",
    cache_read: "0.20",
    max_output: 32_768,
    context: 1_047_576,
  },
  {
    ...OPENAI,
    model: "ft:gpt-4.1-nano-2025-*:*",
    input: "0.20",
    output: "0.80",
    cache_read: "0.05",
    max_output: 32_768,
    context: 1_047_576,
  },
  { ...OPENAI, model: "ft:gpt-3.5-turbo-*:*", input: "3.00", output: "6.00", max_output: 4_096, context: 16_385 },
];

const ANTHROPIC = { source: "Anthropic: Pricing (platform.claude.com/docs/en/about-claude/pricing)", read: "2026-11-22" };
const GOOGLE = { source: "Google: Gemini Developer API pricing (ai.google.dev/gemini-api/docs/pricing)", read: "2026-11-22" };
const PRIORITY = {
  provider: ["openai", "azure"],
  source: "OpenAI: Priority processing (openai.com/api-priority-processing)",
  read: "2026-11-22",
};

/** Batches at half price, faster tiers at more, and a cache that lives for an hour at double the input. */
const TERMS: readonly OverlayRow[] = [
  { ...OPENAI, model: "*", batch: 0.5 },
  { ...OPENAI, provider: "openai", model: ["gpt-5*", "gpt-6*", "o3", "o3-2025-04-16", "o4-mini", "o4-mini-2025-04-16"], flex: 0.5 },
  // Models that the page does not list are priced at the dearest multiple that it has.
  { ...PRIORITY, model: "*", priority: 2.5, unsure: "Models that are not on the page." },
  {
    ...PRIORITY,
    model: ["gpt-5", "gpt-5-2*", "gpt-5-codex", "gpt-5.1*", "gpt-5.2", "gpt-5.2-2*", "gpt-5.4", "gpt-5.4-2*", "gpt-5.4-mini*"],
    priority: 2,
  },
  { ...PRIORITY, model: ["gpt-4.1", "gpt-4.1-2*", "gpt-4.1-mini*", "gpt-4o-2024-05-13"], priority: 1.75 },
  { ...PRIORITY, model: ["gpt-5-mini*"], priority: 1.8 },
  { ...PRIORITY, model: ["gpt-4o", "gpt-4o-2024-08-06", "gpt-4o-2024-11-20"], priority: 1.7 },
  { ...ANTHROPIC, provider: "anthropic", model: "*", batch: 0.5 },
  {
    ...ANTHROPIC,
    provider: ["anthropic", "vertex", "google", "bedrock"],
    model: "*claude*",
    of_input: { cache_write: 1.25, cache_write_1h: 2 },
  },
  {
    ...GOOGLE,
    provider: ["google", "vertex"],
    model: "*gemini*",
    batch: 0.5,
    priority: 2,
    unsure: "What priority costs, where it is offered.",
  },
  {
    provider: "mistral",
    model: "*",
    batch: 0.5,
    source: "Mistral AI: Batch inference (docs.mistral.ai/capabilities/batch)",
    read: "2026-11-22",
  },
  { provider: "groq", model: "*", batch: 0.5, source: "Groq: Pricing (groq.com/pricing)", read: "2026-11-22" },
];

/** What a provider charges for its own tools, in dollars a use. */
const TOOLS: readonly OverlayRow[] = [
  { ...OPENAI, model: "*", tools: { web_search: 0.01, web_search_preview: 0.01, file_search: 0.0025, code_interpreter: 0.03 } },
  { ...OPENAI, model: ["gpt-4o*", "gpt-4.1*"], tools: { web_search_preview: 0.025 } },
  {
    ...OPENAI,
    model: "*",
    tools: { image_generation: 0.25 },
    unsure: "The largest image of the best quality; what each costs is not in an answer.",
  },
  {
    ...ANTHROPIC,
    provider: "anthropic",
    model: "*",
    // What web_fetch reads is charged as input. Code runs for $0.05 an hour, and for at least five minutes.
    tools: { web_search: 0.01, web_fetch: 0, code_execution: 0.0042 },
    unsure: "How long code runs is not in an answer: a use is charged as five minutes, also within the hours that are free.",
  },
  { ...GOOGLE, provider: ["google", "vertex"], model: "*gemini*", tools: { web_search: 0.035, maps: 0.025 } },
  { ...GOOGLE, provider: ["google", "vertex"], model: "*gemini-3*", tools: { web_search: 0.014 } },
  {
    provider: "xai",
    model: "*",
    tools: { web_search: 0.005, x_search: 0.005, code_interpreter: 0.005, attachment_search: 0.01, file_search: 0.0025 },
    source: "xAI: Pricing (docs.x.ai/developers/pricing)",
    read: "2026-11-22",
  },
  { ...ALIBABA, model: "*", tools: { web_search: 0.01 }, unsure: "The fee outside China; inside it is 4 yuan per thousand." },
];

const SPOKEN = { provider: ["openai", "azure"], input: 0, output: 0, read: "2026-11-26" };

/** What is charged by the second that is heard, or by the character that is spoken, and has no tokens. */
const SOUND: readonly OverlayRow[] = [
  {
    ...SPOKEN,
    model: "whisper-1",
    tools: { audio_second: "0.0001" },
    source: "OpenAI: Whisper, $0.006 a minute, by the second (developers.openai.com/api/docs/models/whisper-1)",
  },
  {
    ...SPOKEN,
    model: ["tts-1", "tts-1-1106"],
    tools: { character: "0.000015" },
    source: "OpenAI: TTS-1, $15 a million characters (developers.openai.com/api/docs/models/tts-1)",
  },
  {
    ...SPOKEN,
    model: ["tts-1-hd", "tts-1-hd-1106"],
    tools: { character: "0.00003" },
    source: "OpenAI: TTS-1 HD, $30 a million characters (developers.openai.com/api/docs/models/tts-1-hd)",
  },
];

/** The most that a model can answer, where the catalogue does not know it: a call without a cap is held at this. */
const LIMITS: readonly OverlayRow[] = [
  { ...OPENAI, model: ["gpt-6-astra*", "gpt-6-luna*", "gpt-6-sol*"], max_output: 128_000, unsure: "Taken from the 5.x models." },
  { ...OPENAI, model: ["gpt-4o-transcribe*", "gpt-4o-mini-transcribe*"], max_output: 2_000 },
  { ...OPENAI, model: ["o1-preview*"], max_output: 32_768, context: 128_000 },
  { ...OPENAI, model: ["o1-mini*"], max_output: 65_536, context: 128_000 },
  { ...OPENAI, model: ["gpt-4o-realtime*", "gpt-4o-mini-realtime*", "gpt-realtime*"], max_output: 4_096 },
  { ...ANTHROPIC, provider: ["anthropic", "vertex", "google", "bedrock"], model: ["*claude-3-5-*", "*claude-3.5-*"], max_output: 8_192 },
  { ...ANTHROPIC, provider: ["anthropic", "vertex", "google", "bedrock"], model: ["*claude-3-7-*", "*claude-3.7-*"], max_output: 128_000 },
  {
    ...ANTHROPIC,
    provider: ["anthropic", "vertex", "google", "bedrock"],
    model: ["*claude-3-haiku*", "*claude-3-opus*", "*claude-3-sonnet*", "*claude-2*"],
    max_output: 4_096,
  },
  {
    ...ANTHROPIC,
    provider: ["anthropic", "vertex", "google", "bedrock"],
    model: ["*claude-sonnet-4", "*claude-sonnet-4-0", "*claude-sonnet-4-2025*", "*claude-4-sonnet*"],
    max_output: 64_000,
  },
  {
    ...ANTHROPIC,
    provider: ["anthropic", "vertex", "google", "bedrock"],
    model: ["*claude-4-opus*", "*claude-opus-4", "*claude-opus-4-0", "*claude-opus-4-2025*"],
    max_output: 32_000,
  },
  {
    ...ANTHROPIC,
    provider: ["anthropic", "vertex", "google", "bedrock"],
    model: ["*claude-opus-5-5*", "*claude-fable-5-1*"],
    max_output: 128_000,
    unsure: "Taken from Claude Opus 5.",
  },
  // Other sources say 65,535, the largest number that is below the limit.
  { ...GOOGLE, provider: ["google", "vertex"], model: ["gemini-2.5-*", "gemini-3*"], max_output: 65_536 },
  { ...GOOGLE, provider: ["google", "vertex"], model: ["gemini-1.5-*"], max_output: 8_192 },
  {
    provider: "deepseek",
    model: ["deepseek-v3.1-terminus", "deepseek-v3.2-exp"],
    max_output: 65_536,
    source: "DeepSeek: Models and pricing (api-docs.deepseek.com)",
    read: "2026-11-22",
  },
  { ...ZAI, model: ["glm-5.2", "glm-5.3", "glm-5.3-flash"], max_output: 131_072 },
];

/** What costs nothing, said here: a provider's free endpoints. */
const MODERATION: OverlayRow = { ...OPENAI, model: ["omni-moderation-*", "text-moderation-*"], free: true };

/** Applied in this order on top of the catalogue, and below what the user configures. */
export const OVERLAY: readonly OverlayRow[] = [
  ...QWEN,
  ...GLM,
  ...CORRECTIONS,
  ...ALIBABA_DEFAULTS,
  ...TERMS,
  ...TOOLS,
  ...SOUND,
  ...LIMITS,
  MODERATION,
];
