import type { Usage } from "@purser/core";
import type { AnswerPart, RawUsage } from "../dialect.ts";
import { chargesEachSearch } from "../gemini/searches.ts";
import { isRecord, listOf, recordOf, tokenCount } from "../json-value.ts";
import { servedTier } from "../openai/service-tier.ts";

/** How a stream ends. */
const ENDS = new Set<unknown>(["interaction.completed", "interaction.failed", "interaction.cancelled", "interaction.incomplete"]);

/** Usage stands in the interaction, which is a whole answer or comes with the last event of a stream. */
export function readPart(part: unknown): AnswerPart {
  const event = recordOf(part);
  const interaction = isRecord(event.interaction) ? event.interaction : event;
  const { usage, service_tier: tier } = interaction;
  const service = tier === "standard" ? "standard" : servedTier(tier);
  const isEnd = ENDS.has(event.event_type);
  if (!isRecord(usage)) return { isEnd };
  const uses = toolUses(interaction, usage);
  return { usage: { ...usage, ...(uses && { tool_uses: uses }) }, ...(service && { service }), isEnd };
}

/** How often tools were used that the provider charges for. The end of a stream has no steps to count, and says only whether any was used. */
function toolUses({ steps, model }: Readonly<Record<string, unknown>>, usage: RawUsage): Readonly<Record<string, number>> | undefined {
  const used = tokenCount(usage.total_tool_use_tokens);
  if (!Array.isArray(steps)) return used === 0 ? {} : undefined;
  const calls = steps.map(recordOf);
  const queries = calls
    .filter(({ type }) => type === "google_search_call")
    .reduce((sum, { arguments: asked }) => sum + Math.max(1, listOf(recordOf(asked).queries).length), 0);
  const maps = calls.some(({ type }) => type === "google_maps_call");
  return { ...(queries > 0 && { web_search: chargesEachSearch(model) ? queries : 1 }), ...(maps && { maps: 1 }) };
}

/** Usage as interactions report it: cached tokens inside the input's, what tools gave to read and thoughts beside the others. */
export function readUsage(raw: RawUsage): Usage {
  const input = tokenCount(raw.total_input_tokens);
  const output = tokenCount(raw.total_output_tokens);
  const tools = tokenCount(raw.total_tool_use_tokens) ?? 0;
  const thoughts = tokenCount(raw.total_thought_tokens) ?? 0;
  const kinds = {
    cacheReadInputTokens: tokenCount(raw.total_cached_tokens),
    audioInputTokens: ofModality(raw.input_tokens_by_modality, "audio"),
    imageInputTokens: ofModality(raw.input_tokens_by_modality, "image"),
    reasoningOutputTokens: thoughts,
    audioOutputTokens: ofModality(raw.output_tokens_by_modality, "audio"),
    imageOutputTokens: ofModality(raw.output_tokens_by_modality, "image"),
  };
  const uses = isRecord(raw.tool_uses) ? (raw.tool_uses as Readonly<Record<string, number>>) : undefined;
  return {
    ...(input !== undefined && { inputTokens: input + tools }),
    ...(output !== undefined && { outputTokens: output + thoughts }),
    ...Object.fromEntries(Object.entries(kinds).filter(([, tokens]) => tokens)),
    ...(uses && { toolCalls: uses }),
  };
}

function ofModality(counts: unknown, modality: string): number {
  return listOf(counts)
    .map(recordOf)
    .filter((count) => String(count.modality).toLowerCase() === modality)
    .reduce((sum, { tokens }) => sum + (tokenCount(tokens) ?? 0), 0);
}

/** What the model wrote: texts and summaries of thoughts, and what it calls functions with. */
export function readText(part: unknown): string {
  const { delta, steps } = recordOf(part);
  const pieces = [delta, ...listOf(steps).flatMap((step) => [step, ...listOf(recordOf(step).content), ...listOf(recordOf(step).summary)])];
  return pieces
    .map(recordOf)
    .flatMap(({ text, content, name, arguments: called, code }) => [
      text,
      recordOf(content).text,
      name,
      typeof called === "object" && called !== null ? JSON.stringify(called) : called,
      code,
    ])
    .filter((text) => typeof text === "string")
    .join("");
}
