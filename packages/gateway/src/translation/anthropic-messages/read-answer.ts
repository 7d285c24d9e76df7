import { listOf, recordOf } from "../../dialects/json-value.ts";
import { eventOf, textField } from "../events.ts";
import type { EventReader, PlainAnswer, PlainError, PlainEvent, Stop, TextPart, ToolCall } from "../plain.ts";

const STOPS: Readonly<Record<string, Stop>> = {
  max_tokens: "cap",
  model_context_window_exceeded: "cap",
  tool_use: "tools",
  refusal: "refusal",
};

function stopOf(reason: unknown): Stop {
  return STOPS[textField(reason)] ?? "end";
}

/** Reads a whole message. What a model thought is not shown. */
export function readAnswer(answer: unknown): PlainAnswer {
  const { id, model, content, stop_reason: reason } = recordOf(answer);
  return { id: textField(id), model: textField(model), parts: listOf(content).flatMap(readBlock), stop: stopOf(reason) };
}

function readBlock(block: unknown): readonly (TextPart | ToolCall)[] {
  const { type, text, id, name, input } = recordOf(block);
  if (type === "text") return [{ kind: "text", text: textField(text) }];
  if (type !== "tool_use") return [];
  return [{ kind: "tool-call", id: textField(id), name: textField(name), input: JSON.stringify(input ?? {}) }];
}

/** Reads the events of a message. */
export class MessageReader implements EventReader {
  #id: string | undefined;
  #isOver = false;
  /** Whether the block that is open calls a tool of the caller's. */
  #isTool = false;

  read(data: string): readonly PlainEvent[] {
    const event = eventOf(data);
    if (!event || this.#isOver) return [];
    switch (event.type) {
      case "message_start":
        return this.#begin(recordOf(event.message));
      case "content_block_start":
        return this.#start(recordOf(event.content_block));
      case "content_block_delta":
        return this.#delta(recordOf(event.delta));
      case "message_delta": {
        const { stop_reason: reason } = recordOf(event.delta);
        return typeof reason === "string" ? [{ kind: "stop", stop: stopOf(reason) }] : [];
      }
      case "message_stop":
        this.#isOver = true;
        return [{ kind: "end" }];
      case "error":
        return this.#failed(readError(event) ?? { type: "api_error", message: "The provider broke off." });
      default:
        return event.type === "ping" ? [{ kind: "wait" }] : [];
    }
  }

  end(): readonly PlainEvent[] {
    return [];
  }

  /** Some say it twice. Another answer in the middle of this one cannot be told from its end. */
  #begin({ id, model }: Record<string, unknown>): readonly PlainEvent[] {
    if (this.#id === textField(id)) return [];
    if (this.#id !== undefined) return this.#failed({ type: "api_error", message: "The provider began another answer." });
    this.#id = textField(id);
    return [{ kind: "begin", id: this.#id, model: textField(model) }];
  }

  #failed(error: PlainError): readonly PlainEvent[] {
    this.#isOver = true;
    return [{ kind: "error", error }];
  }

  /** What a tool is called with comes in pieces; or all of it here, and then nothing more. */
  #start({ type, text, id, name, input }: Record<string, unknown>): readonly PlainEvent[] {
    const isWhole = Object.keys(recordOf(input)).length > 0;
    this.#isTool = type === "tool_use" && !isWhole;
    if (type === "tool_use") {
      const called = { kind: "tool", id: textField(id), name: textField(name) } as const;
      return isWhole ? [called, { kind: "input", json: JSON.stringify(input) }] : [called];
    }
    return type === "text" && textField(text) !== "" ? [{ kind: "text", text: textField(text) }] : [];
  }

  #delta({ type, text, partial_json: json }: Record<string, unknown>): readonly PlainEvent[] {
    if (type === "text_delta" && textField(text) !== "") return [{ kind: "text", text: textField(text) }];
    return type === "input_json_delta" && this.#isTool && textField(json) !== "" ? [{ kind: "input", json: textField(json) }] : [];
  }
}

export function readError(body: unknown): PlainError | undefined {
  const { message, type } = recordOf(recordOf(body).error);
  return typeof message === "string" ? { type: textField(type), message } : undefined;
}
