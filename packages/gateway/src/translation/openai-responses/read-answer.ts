import { listOf, recordOf } from "../../dialects/json-value.ts";
import { eventOf, textField } from "../events.ts";
import { readError } from "../openai-chat/read-answer.ts";
import type { EventReader, PlainAnswer, PlainError, PlainEvent, Stop, TextPart, ToolCall } from "../plain.ts";

/** Reads a whole response. What a model thought is not shown. */
export function readAnswer(answer: unknown): PlainAnswer {
  const response = recordOf(answer);
  const error = failureOf(response);
  if (error) throw new Error(error.message);
  const items = listOf(response.output).map(recordOf);
  const parts = items.flatMap(readItem);
  const hasRefused = items.some(({ content }) => listOf(content).some((part) => recordOf(part).type === "refusal"));
  const callsTools = parts.some(({ kind }) => kind === "tool-call");
  return { id: textField(response.id), model: textField(response.model), parts, stop: stopOf(response, { callsTools, hasRefused }) };
}

interface SoFar {
  readonly callsTools: boolean;
  readonly hasRefused: boolean;
}

function stopOf({ incomplete_details: details }: Readonly<Record<string, unknown>>, { callsTools, hasRefused }: SoFar): Stop {
  const { reason } = recordOf(details);
  if (reason === "max_output_tokens") return "cap";
  if (reason === "content_filter" || (hasRefused && !callsTools)) return "refusal";
  return callsTools ? "tools" : "end";
}

function failureOf({ status, error }: Readonly<Record<string, unknown>>): PlainError | undefined {
  if (status !== "failed") return undefined;
  const { code, message } = recordOf(error);
  return { type: textField(code), message: textField(message) || "The provider failed." };
}

function readItem({ type, content, call_id, name, arguments: input }: Readonly<Record<string, unknown>>): readonly (TextPart | ToolCall)[] {
  if (type === "function_call") return [{ kind: "tool-call", id: textField(call_id), name: textField(name), input: textField(input) }];
  if (type !== "message") return [];
  const text = listOf(content)
    .map(recordOf)
    .map((part) => textField(part.text) + textField(part.refusal))
    .join("");
  return text === "" ? [] : [{ kind: "text", text }];
}

/** Reads the events of a response. */
export class ResponseReader implements EventReader {
  #isOver = false;
  #callsTools = false;
  #hasRefused = false;
  /** The item that is a call of a tool and was begun last, and whether it was given anything. */
  #item: unknown;
  #hasInput = false;

  read(data: string): readonly PlainEvent[] {
    const event = eventOf(data);
    if (!event || this.#isOver) return [];
    switch (event.type) {
      case "response.created": {
        const { id, model } = recordOf(event.response);
        return [{ kind: "begin", id: textField(id), model: textField(model) }];
      }
      case "response.output_item.added":
        return this.#add(recordOf(event.item));
      case "response.refusal.delta":
        this.#hasRefused = true;
        return text(event.delta);
      case "response.output_text.delta":
        return text(event.delta);
      case "response.function_call_arguments.delta":
        return this.#input(event.item_id, textField(event.delta));
      case "response.function_call_arguments.done":
        return event.item_id === this.#item && !this.#hasInput ? this.#input(event.item_id, textField(event.arguments)) : [];
      case "response.completed":
      case "response.incomplete":
        return this.#end(recordOf(event.response));
      case "response.failed":
        return this.#fail(failureOf(recordOf(event.response)));
      case "error":
        return this.#fail({ type: textField(event.code), message: textField(event.message) });
      default:
        return this.#other(event);
    }
  }

  end(): readonly PlainEvent[] {
    return [];
  }

  #add({ type, id, call_id, name }: Readonly<Record<string, unknown>>): readonly PlainEvent[] {
    if (type !== "function_call") return [];
    this.#callsTools = true;
    this.#item = id;
    this.#hasInput = false;
    return [{ kind: "tool", id: textField(call_id), name: textField(name) }];
  }

  /** Calls are written one after the other. Pieces of an earlier one would end up in the wrong place, so they end the stream. */
  #input(item: unknown, json: string): readonly PlainEvent[] {
    if (item !== this.#item) return this.#fail({ type: "api_error", message: "The provider mixed the calls of several tools." });
    this.#hasInput ||= json !== "";
    return json === "" ? [] : [{ kind: "input", json }];
  }

  #end(response: Readonly<Record<string, unknown>>): readonly PlainEvent[] {
    this.#isOver = true;
    const stop = stopOf(response, { callsTools: this.#callsTools, hasRefused: this.#hasRefused });
    return [{ kind: "stop", stop }, { kind: "end" }];
  }

  #fail(error: PlainError = { type: "api_error", message: "The provider failed." }): readonly PlainEvent[] {
    this.#isOver = true;
    return [{ kind: "error", error }];
  }

  /** What has no type may be an error all the same. */
  #other(event: Readonly<Record<string, unknown>>): readonly PlainEvent[] {
    const error = event.type === undefined ? readError(event) : undefined;
    return error ? this.#fail(error) : [];
  }
}

function text(delta: unknown): readonly PlainEvent[] {
  return textField(delta) === "" ? [] : [{ kind: "text", text: textField(delta) }];
}
