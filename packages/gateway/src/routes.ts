import { nearestName } from "./config/nearest-name.ts";
import { anthropicCountTokens, anthropicMessages } from "./dialects/anthropic-messages/index.ts";
import { bedrockConverse, bedrockConverseStream } from "./dialects/bedrock-converse/index.ts";
import { bedrockInvoke, bedrockInvokeStream } from "./dialects/bedrock-invoke/index.ts";
import { cohereChat } from "./dialects/cohere-chat/index.ts";
import { cohereEmbed } from "./dialects/cohere-embed/index.ts";
import type { Dialect } from "./dialects/dialect.ts";
import { geminiContent, geminiCountTokens, geminiStream } from "./dialects/gemini-content/index.ts";
import { geminiEmbedding, geminiEmbeddings } from "./dialects/gemini-embeddings/index.ts";
import { geminiInteractions } from "./dialects/gemini-interactions/index.ts";
import { ollamaChat } from "./dialects/ollama-chat/index.ts";
import { ollamaEmbeddings } from "./dialects/ollama-embeddings/index.ts";
import { ollamaGenerate } from "./dialects/ollama-generate/index.ts";
import { openaiChat } from "./dialects/openai-chat/index.ts";
import { openaiCompletions } from "./dialects/openai-completions/index.ts";
import { openaiEmbeddings } from "./dialects/openai-embeddings/index.ts";
import { openaiImageEdits, openaiImages, openaiImageVariations } from "./dialects/openai-images/index.ts";
import { openaiModerations } from "./dialects/openai-moderations/index.ts";
import { openaiCompaction, openaiInputTokens, openaiResponses } from "./dialects/openai-responses/index.ts";
import { openaiSpeech } from "./dialects/openai-speech/index.ts";
import { openaiTranscriptions, openaiTranslations } from "./dialects/openai-transcriptions/index.ts";
import { compilePath, type PathNames } from "./dialects/path.ts";
import { vertexContent, vertexCountTokens, vertexStream } from "./dialects/vertex-content/index.ts";
import { vertexMessages, vertexMessagesCount, vertexMessagesStream } from "./dialects/vertex-messages/index.ts";

/** A call by its path: the format that it is in, and what the path names. */
export interface FoundCall {
  readonly dialect: Dialect;
  readonly names: PathNames;
}

const OPENAI = [
  openaiChat,
  openaiResponses,
  openaiCompaction,
  openaiInputTokens,
  openaiCompletions,
  openaiEmbeddings,
  openaiModerations,
  openaiImages,
  openaiImageEdits,
  openaiImageVariations,
  openaiSpeech,
  openaiTranscriptions,
  openaiTranslations,
];
/** Azure's calls that name a deployment in their path, and have a date in their query. */
const AZURE_DEPLOYED = [
  openaiChat,
  openaiCompletions,
  openaiEmbeddings,
  openaiImages,
  openaiImageEdits,
  openaiSpeech,
  openaiTranscriptions,
  openaiTranslations,
];
const AZURE_DATED = [openaiResponses, openaiCompaction, openaiInputTokens];
const OLLAMA = [ollamaChat, ollamaGenerate, ollamaEmbeddings];
const BEDROCK = [bedrockConverse, bedrockConverseStream, bedrockInvoke, bedrockInvokeStream];
const GEMINI = [geminiContent, geminiStream, geminiCountTokens, geminiInteractions, geminiEmbedding, geminiEmbeddings];

/** What counts tokens stands in the place of a model, and so before the models. */
const VERTEX = [vertexContent, vertexStream, vertexCountTokens, vertexMessagesCount, vertexMessages, vertexMessagesStream];
/** Clients name a project, or none where an API key says it. Where a call goes, the provider's address says. */
const VERTEX_BASES = ["/{version}/projects/{project}/locations/{location}", "/{version}"];

/** Calls that are metered, or that cost nothing. A route that is not here is refused: what cannot be metered is never forwarded. */
export const CALLS: ReadonlyMap<string, Dialect> = new Map([
  // Clients of OpenAI have the version in their base URL, and some leave it out.
  ...OPENAI.flatMap((dialect) => ["/v1", "", "/openai/v1"].map((base) => [base + dialect.path, dialect] as const)),
  ...AZURE_DEPLOYED.map((dialect) => [`/openai/deployments/{deployment}${dialect.path}`, dialect] as const),
  ...AZURE_DATED.map((dialect) => [`/openai${dialect.path}`, dialect] as const),
  ...VERTEX.flatMap((dialect) => VERTEX_BASES.map((base) => [base + dialect.path, dialect] as const)),
  ...[anthropicMessages, anthropicCountTokens, ...GEMINI, ...OLLAMA, cohereChat, cohereEmbed, ...BEDROCK].map(
    (dialect) => [dialect.path, dialect] as const,
  ),
]);

const FIXED = new Map([...CALLS].map(([path, dialect]) => [path, { dialect, names: {} }]));
const NAMING = [...CALLS].filter(([path]) => path.includes("{")).map(([path, dialect]) => ({ dialect, namesOf: compilePath(path) }));

/** The call that a path is of. */
export function findCall(path: string): FoundCall | undefined {
  const fixed = FIXED.get(path);
  if (fixed) return fixed;
  for (const { dialect, namesOf } of NAMING) {
    const names = namesOf(path);
    if (names) return { dialect, names };
  }
  return undefined;
}

/** Longer paths first: `/chat/completions` ends with `/completions` too. */
const ENDINGS = [...new Set(CALLS.values())]
  .toSorted((a, b) => b.path.length - a.path.length)
  .map((dialect) => ({ dialect, namesOf: compilePath(dialect.path, "end") }));

/** The call that a path is of at a provider, whatever stands before it there. */
export function findCallAt(path: string): FoundCall | undefined {
  for (const { dialect, namesOf } of ENDINGS) {
    const names = namesOf(path);
    if (names) return { dialect, names };
  }
  return undefined;
}

/** Why what clients also ask for is not there, for those routes where that is not plain. */
const REFUSED: readonly { readonly path: RegExp; readonly why: string }[] = [
  {
    path: /^(\/v1)?\/responses\/.|\/interactions\/./,
    why: "What is stored at the provider is not reached through here: send the conversation itself, and stream the answer.",
  },
  { path: /^(\/openai)?\/v1\/files\b/, why: "Of files, those of batches are served: upload, retrieve, content and delete." },
  { path: /:batchGenerateContent$/, why: "Gemini's batches are not metered: those of OpenAI and Anthropic are." },
  {
    path: /\/realtime\b/,
    why: "Speech that goes back and forth on one connection is not metered: /v1/audio/speech and /v1/audio/transcriptions are.",
  },
];
/** There are too many routes to name them all. */
const ELSEWHERE =
  "Calls go to POST /v1/chat/completions, /v1/responses, /v1/messages and the paths of Gemini, Azure, Ollama, Cohere and Bedrock: docs/reference/routes.md has them all.";

/** What to say about a route that is not there. */
export function refusedRoute(method: string | undefined, path: string): string {
  const why = REFUSED.find((refused) => refused.path.test(path))?.why;
  const nearest = why === undefined ? nearestName(path, [...CALLS.keys()]) : undefined;
  const instead = nearest === undefined ? ELSEWHERE : `Did you mean POST ${nearest}?`;
  return `There is no ${method} ${path.slice(0, 200)} here, and what cannot be metered is not forwarded. ${why ?? instead}`;
}
