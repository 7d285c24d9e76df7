import type { Usage } from "@purser/core";
import type { AnswerTerms, EventWriter, PlainAnswer, PlainError, PlainEvent, Stop } from "../plain.ts";

const REASONS: Readonly<Record<Stop, string>> = { end: "stop", cap: "length", tools: "tool_calls", refusal: "content_filter" };

/** A whole completion. */
export function writeAnswer(answer: PlainAnswer, usage: Usage | undefined, { createdAt }: AnswerTerms): unknown {
  const text = answer.parts.flatMap((part) => (part.kind === "text" ? [part.text] : [])).join("");
  const calls = answer.parts.flatMap((part) => (part.kind === "tool-call" ? [part] : []));
  const message = {
    role: "assistant",
    content: text === "" && calls.length > 0 ? null : text,
    refusal: null,
    ...(calls.length > 0 && {
      tool_calls: calls.map(({ id, name, input }) => ({
        id,
        type: "function",
        function: { name, arguments: input === "" ? "{}" : input },
      })),
    }),
  };
  return {
    id: answer.id,
    object: "chat.completion",
    created: createdAt,
    model: answer.model,
    choices: [{ index: 0, message, logprobs: null, finish_reason: REASONS[answer.stop] }],
    ...(usage && { usage: writeUsage(usage) }),
  };
}

/** Cached tokens are inside of the prompt's, reasoning inside of the completion's. */
function writeUsage({ inputTokens = 0, outputTokens = 0, cacheReadInputTokens = 0, reasoningOutputTokens = 0 }: Usage): unknown {
  return {
    prompt_tokens: inputTokens,
    completion_tokens: outputTokens,
    total_tokens: inputTokens + outputTokens,
    prompt_tokens_details: { cached_tokens: cacheReadInputTokens },
    completion_tokens_details: { reasoning_tokens: reasoningOutputTokens },
  };
}

/** Writes the chunks of a completion. */
export class ChunkWriter implements EventWriter {
  readonly #terms: AnswerTerms;
  #head: Readonly<Record<string, unknown>> = {};
  #tool = -1;
  /** Whether the tool that was called last has been given anything. */
  #hasInput = true;

  constructor(terms: AnswerTerms) {
    this.#terms = terms;
  }

  write(event: PlainEvent, usage: Usage | undefined): string {
    switch (event.kind) {
      case "begin":
        this.#head = { id: event.id, object: "chat.completion.chunk", created: this.#terms.createdAt, model: event.model };
        return this.#chunk({ role: "assistant", content: "" });
      case "text":
        return this.#chunk({ content: event.text });
      case "tool":
        return this.#closeTool() + this.#openTool(event);
      case "input":
        this.#hasInput = true;
        return this.#chunk({ tool_calls: [{ index: this.#tool, function: { arguments: event.json } }] });
      case "stop":
        return this.#closeTool() + this.#chunk({}, REASONS[event.stop]);
      case "end":
        return `${this.#usage(usage)}data: [DONE]\n\n`;
      case "error":
        return data(writeError(event.error));
      case "wait":
        return ": wait\n\n";
    }
  }

  #openTool({ id, name }: PlainEvent & { kind: "tool" }): string {
    this.#tool++;
    this.#hasInput = false;
    return this.#chunk({ tool_calls: [{ index: this.#tool, id, type: "function", function: { name, arguments: "" } }] });
  }

  /** Clients read the arguments as JSON, also where there are none. */
  #closeTool(): string {
    if (this.#hasInput) return "";
    this.#hasInput = true;
    return this.#chunk({ tool_calls: [{ index: this.#tool, function: { arguments: "{}" } }] });
  }

  #usage(usage: Usage | undefined): string {
    return this.#terms.wantsUsage && usage ? data({ ...this.#head, choices: [], usage: writeUsage(usage) }) : "";
  }

  #chunk(delta: unknown, reason: string | null = null): string {
    return data({ ...this.#head, choices: [{ index: 0, delta, logprobs: null, finish_reason: reason }] });
  }
}

function data(value: unknown): string {
  return `data: ${JSON.stringify(value)}\n\n`;
}

export function writeError({ type, message }: PlainError): unknown {
  return { error: { message, type: type === "" ? "api_error" : type, param: null, code: null } };
}
