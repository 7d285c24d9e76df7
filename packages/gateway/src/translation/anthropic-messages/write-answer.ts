import type { Usage } from "@purser/core";
import type { EventWriter, PlainAnswer, PlainError, PlainEvent, Stop, ToolCall } from "../plain.ts";

const REASONS: Readonly<Record<Stop, string>> = { end: "end_turn", cap: "max_tokens", tools: "tool_use", refusal: "refusal" };

/** A whole message. */
export function writeAnswer({ id, model, parts, stop }: PlainAnswer, usage: Usage | undefined): unknown {
  const content = parts.map((part) => (part.kind === "text" ? textBlock(part.text) : toolBlock(part, stop)));
  return { ...envelope(id, model), content, ...ended(stop), usage: writeUsage(usage) };
}

/** Fields that clients may look for, and of which there is nothing to say. */
function envelope(id: string, model: string): Readonly<Record<string, unknown>> {
  return { id, type: "message", role: "assistant", model, container: null, diagnostics: null };
}

function ended(stop: Stop | undefined): Readonly<Record<string, unknown>> {
  return { stop_reason: stop ? REASONS[stop] : null, stop_sequence: null, stop_details: null };
}

function textBlock(text: string): unknown {
  return { type: "text", text, citations: null };
}

/** What a model wrote may have been cut at its cap, and be no JSON any more: this format has no place for that. */
function toolBlock({ id, name, input }: ToolCall, stop: Stop): unknown {
  return toolUse(id, name, stop === "cap" && !isJson(input) ? {} : JSON.parse(input === "" ? "{}" : input));
}

function toolUse(id: string, name: string, input: unknown): unknown {
  return { type: "tool_use", id, name, input, caller: { type: "direct" } };
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** Cached tokens stand beside the others. This format has no word for a usage that nobody knows. */
function writeUsage(usage: Usage = {}): Readonly<Record<string, unknown>> {
  return {
    ...tokensOf(usage),
    cache_creation: null,
    inference_geo: null,
    service_tier: null,
    speed: null,
  };
}

/** What is known at the end of a stream. */
function tokensOf(usage: Usage): Readonly<Record<string, unknown>> {
  const { inputTokens = 0, outputTokens = 0, cacheReadInputTokens: read = 0, cacheWriteInputTokens: written = 0 } = usage;
  const { reasoningOutputTokens: thinking } = usage;
  return {
    input_tokens: Math.max(0, inputTokens - read - written),
    cache_creation_input_tokens: written,
    cache_read_input_tokens: read,
    output_tokens: outputTokens,
    output_tokens_details: thinking === undefined ? null : { thinking_tokens: thinking },
    server_tool_use: null,
  };
}

/** Writes the events of a message. */
export class MessageWriter implements EventWriter {
  /** The number of the block that is open, or would be the next. */
  #index = 0;
  #open: "text" | "tool" | undefined;
  #stop: Stop = "end";

  write(event: PlainEvent, usage: Usage | undefined): string {
    switch (event.kind) {
      case "begin":
        return this.#begin(event, usage);
      case "text":
        return this.#openText() + this.#delta({ type: "text_delta", text: event.text });
      case "tool":
        return this.#close() + this.#openBlock("tool", toolUse(event.id, event.name, {}));
      case "input":
        return this.#delta({ type: "input_json_delta", partial_json: event.json });
      case "stop":
        this.#stop = event.stop;
        return this.#close();
      case "end":
        return this.#end(usage);
      case "error":
        return line(writeError(event.error) as Event);
      case "wait":
        return line({ type: "ping" });
    }
  }

  #begin({ id, model }: PlainEvent & { kind: "begin" }, usage: Usage | undefined): string {
    const message = { ...envelope(id, model), content: [], ...ended(undefined), usage: writeUsage(usage) };
    return line({ type: "message_start", message });
  }

  #openText(): string {
    return this.#open === "text" ? "" : this.#close() + this.#openBlock("text", { type: "text", text: "", citations: null });
  }

  #openBlock(kind: "text" | "tool", block: unknown): string {
    this.#open = kind;
    return line({ type: "content_block_start", index: this.#index, content_block: block });
  }

  #delta(delta: unknown): string {
    return line({ type: "content_block_delta", index: this.#index, delta });
  }

  #close(): string {
    if (this.#open === undefined) return "";
    this.#open = undefined;
    return line({ type: "content_block_stop", index: this.#index++ });
  }

  #end(usage: Usage | undefined): string {
    const delta = { container: null, ...ended(this.#stop) };
    return line({ type: "message_delta", delta, usage: tokensOf(usage ?? {}) }) + line({ type: "message_stop" });
  }
}

interface Event {
  readonly type: string;
  readonly [field: string]: unknown;
}

function line(event: Event): string {
  return `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
}

export function writeError({ type, message }: PlainError): unknown {
  return { type: "error", error: { type: type === "" ? "api_error" : type, message } };
}
