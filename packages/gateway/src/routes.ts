import { anthropicCountTokens, anthropicMessages } from "./dialects/anthropic-messages/index.ts";
import type { Dialect } from "./dialects/dialect.ts";
import { openaiChat } from "./dialects/openai-chat/index.ts";
import { openaiCompletions } from "./dialects/openai-completions/index.ts";
import { openaiEmbeddings } from "./dialects/openai-embeddings/index.ts";
import { openaiModerations } from "./dialects/openai-moderations/index.ts";
import { openaiInputTokens, openaiResponses } from "./dialects/openai-responses/index.ts";

/** Calls that are metered, or that cost nothing. A route that is not here is refused: what cannot be metered is never forwarded. */
export const CALLS: ReadonlyMap<string, Dialect> = new Map([
  ["/v1/chat/completions", openaiChat],
  ["/chat/completions", openaiChat],
  ["/v1/responses", openaiResponses],
  ["/responses", openaiResponses],
  ["/v1/responses/input_tokens", openaiInputTokens],
  ["/responses/input_tokens", openaiInputTokens],
  ["/v1/completions", openaiCompletions],
  ["/completions", openaiCompletions],
  ["/v1/embeddings", openaiEmbeddings],
  ["/embeddings", openaiEmbeddings],
  ["/v1/moderations", openaiModerations],
  ["/moderations", openaiModerations],
  ["/v1/messages", anthropicMessages],
  ["/v1/messages/count_tokens", anthropicCountTokens],
]);

/** Why what clients also ask for is not there, for those routes where that is not plain. */
const REFUSED: readonly { readonly path: RegExp; readonly why: string }[] = [
  {
    path: /^(\/v1)?\/responses\/./,
    why: "What is stored at the provider is not reached through here: send the conversation itself, and stream the answer.",
  },
  { path: /^\/v1\/(messages\/)?batches\b/, why: "Batches are not metered yet." },
];

/** What to say about a route that is not there. */
export function refusedRoute(method: string | undefined, path: string): string {
  const why = REFUSED.find((refused) => refused.path.test(path))?.why;
  return (
    `There is no ${method} ${path.slice(0, 200)} here, and what cannot be metered is not forwarded. ` +
    (why ?? `Calls go to POST ${[...CALLS.keys()].join(", ")}.`)
  );
}
