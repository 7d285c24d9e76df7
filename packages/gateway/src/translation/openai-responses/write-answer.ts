import type { Usage } from "@purser/core";
import { responseHead } from "../../dialects/openai-responses/conversation.ts";
import type { AnswerTerms, EventWriter, PlainAnswer, PlainError, PlainEvent, Stop, TextPart, ToolCall } from "../plain.ts";
import { splitName } from "./names.ts";

/** An item of an answer: something that is said, or a call of a tool. */
type Item = Readonly<Record<string, unknown>>;

/** A whole response. */
export function writeAnswer({ id, model, parts, stop }: PlainAnswer, usage: Usage | undefined, { createdAt }: AnswerTerms): unknown {
  const output = parts.map((part, place) => itemOf(part, { id: itemId(id, place, part.kind), status: statusOf(stop) }));
  return { ...responseHead(id, model, createdAt), ...ended(stop), output, ...(usage && { usage: writeUsage(usage) }) };
}

/** Only an answer that nothing cut short is complete. */
function statusOf(stop: Stop): "completed" | "incomplete" {
  return stop === "cap" || stop === "refusal" ? "incomplete" : "completed";
}

function ended(stop: Stop): Readonly<Record<string, unknown>> {
  const reason = stop === "cap" ? "max_output_tokens" : "content_filter";
  return { status: statusOf(stop), incomplete_details: statusOf(stop) === "incomplete" ? { reason } : null };
}

function itemId(id: string, place: number, kind: "text" | "tool-call"): string {
  return `${kind === "text" ? "msg" : "fc"}_${id}_${place}`;
}

interface ItemTerms {
  readonly id: string;
  readonly status: "in_progress" | "completed" | "incomplete";
}

function itemOf(part: TextPart | ToolCall, { id, status }: ItemTerms): Item {
  if (part.kind === "text") return { id, type: "message", status, role: "assistant", content: [textPart(part.text)] };
  // Clients read the arguments as JSON, also where there are none.
  return {
    id,
    type: "function_call",
    status,
    call_id: part.id,
    ...splitName(part.name),
    arguments: status === "completed" && part.input === "" ? "{}" : part.input,
  };
}

function textPart(text: string): Item {
  return { type: "output_text", text, annotations: [], logprobs: [] };
}

/** Cached tokens are inside of the input's, reasoning inside of the output's. */
function writeUsage(usage: Usage): unknown {
  const { inputTokens = 0, outputTokens = 0, cacheReadInputTokens = 0, cacheWriteInputTokens = 0, reasoningOutputTokens = 0 } = usage;
  return {
    input_tokens: inputTokens,
    input_tokens_details: { cached_tokens: cacheReadInputTokens, cache_write_tokens: cacheWriteInputTokens },
    output_tokens: outputTokens,
    output_tokens_details: { reasoning_tokens: reasoningOutputTokens },
    total_tokens: inputTokens + outputTokens,
  };
}

/** Writes the events of a response, numbered, each item with its beginning and its end. */
export class ResponseWriter implements EventWriter {
  readonly #terms: AnswerTerms;
  #head: Item;
  #id = "";
  #number = 0;
  #output: Item[] = [];
  /** What is being said, or called: not yet in the output. */
  #open: { -readonly [name in keyof TextPart]: TextPart[name] } | { -readonly [name in keyof ToolCall]: ToolCall[name] } | undefined;
  #stop: Stop = "end";

  constructor(terms: AnswerTerms) {
    this.#terms = terms;
    this.#head = this.#headOf("", terms.askedModel);
  }

  write(event: PlainEvent, usage: Usage | undefined): string {
    switch (event.kind) {
      case "begin":
        return this.#begin(event);
      case "text":
        return this.#say(event.text);
      case "tool":
        return this.#close() + this.#call(event);
      case "input":
        if (this.#open?.kind !== "tool-call") return "";
        this.#open.input += event.json;
        return this.#event("response.function_call_arguments.delta", { ...this.#place(), delta: event.json });
      case "stop":
        this.#stop = event.stop;
        return this.#close(statusOf(event.stop));
      case "end":
        return this.#event(`response.${statusOf(this.#stop)}`, { response: this.#response({ ...ended(this.#stop), usage }) });
      case "error":
        return this.#fail(event.error);
      case "wait":
        return ": wait\n\n";
    }
  }

  #begin({ id, model }: PlainEvent & { kind: "begin" }): string {
    this.#id = id;
    this.#head = this.#headOf(id, model);
    const response = this.#response({ status: "in_progress" });
    return this.#event("response.created", { response }) + this.#event("response.in_progress", { response });
  }

  #headOf(id: string, model: string): Item {
    return responseHead(id, model, this.#terms.createdAt);
  }

  #response({ usage, ...more }: { readonly usage?: Usage | undefined; readonly [field: string]: unknown }): Item {
    return { ...this.#head, ...more, output: this.#output, ...(usage && { usage: writeUsage(usage) }) };
  }

  #say(text: string): string {
    let written = "";
    if (this.#open?.kind !== "text") {
      written = this.#close();
      this.#open = { kind: "text", text: "" };
      const item = { ...this.#item("in_progress"), content: [] };
      written += this.#event("response.output_item.added", { output_index: this.#output.length, item });
      written += this.#event("response.content_part.added", { ...this.#place(), content_index: 0, part: textPart("") });
    }
    if (this.#open?.kind === "text") this.#open.text += text;
    return written + this.#event("response.output_text.delta", { ...this.#place(), content_index: 0, delta: text, logprobs: [] });
  }

  #call({ id, name }: PlainEvent & { kind: "tool" }): string {
    this.#open = { kind: "tool-call", id, name, input: "" };
    return this.#event("response.output_item.added", { output_index: this.#output.length, item: this.#item("in_progress") });
  }

  #close(status: "completed" | "incomplete" = "completed"): string {
    const open = this.#open;
    if (!open) return "";
    const place = this.#place();
    const item = this.#item(status);
    const said = open.kind === "text" ? this.#endText(open.text) : this.#endCall(item);
    this.#open = undefined;
    this.#output = [...this.#output, item];
    return said + this.#event("response.output_item.done", { output_index: place.output_index, item });
  }

  #endText(text: string): string {
    const place = { ...this.#place(), content_index: 0 };
    return (
      this.#event("response.output_text.done", { ...place, text, logprobs: [] }) +
      this.#event("response.content_part.done", { ...place, part: textPart(text) })
    );
  }

  #endCall({ name, arguments: input }: Item): string {
    return this.#event("response.function_call_arguments.done", { ...this.#place(), name, arguments: input });
  }

  #fail({ type, message }: PlainError): string {
    const code = type === "rate_limit_error" || type === "RESOURCE_EXHAUSTED" ? "rate_limit_exceeded" : "server_error";
    return this.#event("response.failed", { response: this.#response({ status: "failed", error: { code, message } }) });
  }

  #item(status: ItemTerms["status"]): Item {
    const { item_id: id } = this.#place();
    return itemOf(this.#open as TextPart | ToolCall, { id, status });
  }

  #place(): { readonly item_id: string; readonly output_index: number } {
    const output_index = this.#output.length;
    return { item_id: itemId(this.#id, output_index, this.#open?.kind ?? "text"), output_index };
  }

  #event(type: string, fields: Item): string {
    return `event: ${type}\ndata: ${JSON.stringify({ type, sequence_number: this.#number++, ...fields })}\n\n`;
  }
}
