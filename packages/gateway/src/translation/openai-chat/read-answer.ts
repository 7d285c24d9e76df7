import { listOf, recordOf } from "../../dialects/json-value.ts";
import { eventOf, textField } from "../events.ts";
import type { EventReader, PlainAnswer, PlainError, PlainEvent, Stop, TextPart, ToolCall } from "../plain.ts";

/** Some call tools and say that they stopped. */
function stopOf(reason: unknown, callsTools: boolean): Stop {
  if (reason === "length") return "cap";
  if (reason === "content_filter") return "refusal";
  return callsTools ? "tools" : "end";
}

/** Reads a whole completion. What a model thought is not shown. */
export function readAnswer(answer: unknown): PlainAnswer {
  const { id, model, choices } = recordOf(answer);
  const choice = recordOf(listOf(choices)[0]);
  const message = recordOf(choice.message);
  const refusal = textField(message.refusal);
  const texts = [saidIn(message.content), refusal].filter((text) => text !== "").map((text): TextPart => ({ kind: "text", text }));
  const calls = listOf(message.tool_calls).map(readToolCall);
  const stop = refusal !== "" && calls.length === 0 ? "refusal" : stopOf(choice.finish_reason, calls.length > 0);
  return { id: textField(id), model: textField(model), parts: [...texts, ...calls], stop };
}

/** Mistral's models write parts, of which some are thoughts. */
function saidIn(content: unknown): string {
  if (typeof content === "string") return content;
  return listOf(content)
    .map(recordOf)
    .filter(({ type }) => type === "text")
    .map(({ text }) => textField(text))
    .join("");
}

function readToolCall(call: unknown): ToolCall {
  const { id, function: called } = recordOf(call);
  const { name, arguments: input } = recordOf(called);
  return { kind: "tool-call", id: textField(id), name: textField(name), input: textField(input) };
}

/** Reads the chunks of a completion. */
export class ChunkReader implements EventReader {
  #hasBegun = false;
  #stop: Stop | undefined;
  #isOver = false;
  #hasRefused = false;
  /** The place of the tool that was called last. */
  #tool = -1;

  read(data: string): readonly PlainEvent[] {
    if (data === "[DONE]") return this.end();
    const chunk = eventOf(data);
    if (!chunk || this.#isOver) return [];
    const error = readError(chunk);
    if (error) {
      this.#isOver = true;
      return [{ kind: "error", error }];
    }
    return [...this.#begin(chunk), ...this.#readChoice(recordOf(listOf(chunk.choices)[0]))];
  }

  /** Not all who speak this format say `[DONE]`, but all say why they finished. */
  end(): readonly PlainEvent[] {
    if (this.#stop === undefined || this.#isOver) return [];
    this.#isOver = true;
    return [{ kind: "end" }];
  }

  /** Azure's first chunk says what its filters found, and neither id nor model. */
  #begin({ id, model, choices }: Record<string, unknown>): readonly PlainEvent[] {
    if (this.#hasBegun || listOf(choices).length === 0) return [];
    this.#hasBegun = true;
    return [{ kind: "begin", id: textField(id), model: textField(model) }];
  }

  #readChoice({ delta, finish_reason: reason }: Record<string, unknown>): readonly PlainEvent[] {
    const { content, refusal, tool_calls: calls } = recordOf(delta);
    const texts = [saidIn(content), textField(refusal)].filter((text) => text !== "").map((text): PlainEvent => ({ kind: "text", text }));
    this.#hasRefused ||= textField(refusal) !== "";
    const events = [...texts, ...listOf(calls).flatMap((call, i) => this.#readCall(recordOf(call), i))];
    if (reason === null || reason === undefined || this.#stop !== undefined) return events;
    this.#stop = this.#hasRefused && this.#tool < 0 ? "refusal" : stopOf(reason, this.#tool >= 0);
    return [...events, { kind: "stop", stop: this.#stop }];
  }

  /** Providers write one call after the other. Pieces of an earlier one would end up in the wrong place, so they end the stream. */
  #readCall({ index, id, function: called }: Record<string, unknown>, place: number): readonly PlainEvent[] {
    const { name, arguments: json } = recordOf(called);
    const at = typeof index === "number" ? index : place;
    if (at < this.#tool) {
      this.#isOver = true;
      return [{ kind: "error", error: { type: "api_error", message: "The provider mixed the calls of several tools." } }];
    }
    const isNew = at > this.#tool;
    this.#tool = at;
    return [
      ...(isNew ? [{ kind: "tool", id: textField(id), name: textField(name) } as const] : []),
      ...(textField(json) === "" ? [] : [{ kind: "input", json: textField(json) } as const]),
    ];
  }
}

/** OpenAI's errors, and those of others that put the fields at the top. */
export function readError(body: unknown): PlainError | undefined {
  const { error, object, message, type } = recordOf(body);
  if (typeof error === "string") return { type: "", message: error };
  const said = recordOf(error);
  if (typeof said.message === "string") return { type: textField(said.type), message: said.message };
  return object === "error" && typeof message === "string" ? { type: textField(type), message } : undefined;
}
