import { addUsage, type Usage } from "@purser/core";
import type { AnswerPart, RawUsage } from "../dialect.ts";
import { listOf, recordOf, tokenCount } from "../json-value.ts";

interface Event {
  readonly type?: string;
  readonly message?: { readonly usage?: Record<string, unknown> };
  readonly usage?: Record<string, unknown>;
  readonly delta?: Record<string, unknown>;
  readonly content?: readonly Record<string, unknown>[];
}

/** `message_start` knows the input, every `message_delta` the output so far. */
export function readPart(part: unknown): AnswerPart {
  const { type, message, usage } = (part ?? {}) as Event;
  if (type === "error") return readFailure(part);
  const raw = usage ?? message?.usage;
  return { ...(raw && { usage: raw }), isEnd: type === "message_stop", isSilent: type === "ping" };
}

/** Failures of a stream by which Anthropic says that it did not even begin, with their statuses (https://platform.claude.com/docs/en/api/errors). */
const REFUSALS = new Map<unknown, number>([
  ["overloaded_error", 529],
  ["rate_limit_error", 429],
]);

function readFailure(part: unknown): AnswerPart {
  const refusedAs = REFUSALS.get(recordOf(recordOf(part).error).type);
  return { isEnd: false, ...(refusedAs !== undefined && { refusedAs }) };
}

/** Steps that the top level leaves out and the provider charges (https://platform.claude.com/docs/en/build-with-claude/compaction). */
const CHARGED_BESIDES = new Set<unknown>(["compaction", "advisor_message"]);

/** Usage of the answer, and of what was done for it: a conversation that was compacted first was read twice. */
export function readUsage(raw: RawUsage): Usage {
  const steps = listOf(raw.iterations)
    .map(recordOf)
    .filter(({ type }) => CHARGED_BESIDES.has(type));
  if (steps.length === 0) return usageOf(raw);
  return { ...usageOf(raw), besides: steps.map(usageOf).reduce(addUsage) };
}

/**
 * Usage as messages report it: cached tokens stand beside `input_tokens`, not inside
 * (https://platform.claude.com/docs/en/build-with-claude/prompt-caching), so the total is the sum of the three.
 */
function usageOf(raw: RawUsage): Usage {
  const read = tokenCount(raw.cache_read_input_tokens);
  const creation = recordOf(raw.cache_creation);
  const hour = tokenCount(creation.ephemeral_1h_input_tokens);
  const written = tokenCount(raw.cache_creation_input_tokens) ?? sum(tokenCount(creation.ephemeral_5m_input_tokens), hour);
  const plain = tokenCount(raw.input_tokens);
  const outputTokens = tokenCount(raw.output_tokens);
  const reasoning =
    tokenCount(recordOf(raw.output_tokens_details).thinking_tokens) ?? tokenCount(recordOf(raw.output_tokens_details).reasoning_tokens);
  const tools = toolCalls(recordOf(raw.server_tool_use));
  return {
    ...(plain !== undefined && { inputTokens: plain + (read ?? 0) + (written ?? 0) }),
    ...(read !== undefined && { cacheReadInputTokens: read }),
    ...(written !== undefined && { cacheWriteInputTokens: written }),
    ...(hour !== undefined && { cacheWrite1hInputTokens: hour }),
    ...(outputTokens !== undefined && { outputTokens }),
    ...(reasoning && { reasoningOutputTokens: reasoning }),
    ...(Object.keys(tools).length > 0 && { toolCalls: tools }),
  };
}

/** What the model wrote: texts, thinking, and the input of tools. */
export function readText(part: unknown): string {
  const { delta, content } = (part ?? {}) as Event;
  const blocks = content ?? (delta ? [delta] : []);
  return blocks
    .flatMap(({ text, thinking, partial_json: json, input }) => [
      text,
      thinking,
      json,
      input === undefined ? undefined : JSON.stringify(input),
    ])
    .filter((part) => typeof part === "string")
    .join("");
}

/** `web_search_requests: 2` is two uses of `web_search`. */
function toolCalls(raw: Record<string, unknown>): Record<string, number> {
  const calls: Record<string, number> = {};
  for (const [name, value] of Object.entries(raw)) {
    const uses = tokenCount(value);
    if (uses) calls[name.replace(/_requests$/, "")] = uses;
  }
  return calls;
}

function sum(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined && b === undefined ? undefined : (a ?? 0) + (b ?? 0);
}
