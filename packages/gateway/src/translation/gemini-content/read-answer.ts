import { isRecord, listOf, recordOf } from "../../dialects/json-value.ts";
import { eventOf, textField } from "../events.ts";
import type { EventReader, PlainAnswer, PlainError, PlainEvent, Stop, TextPart, ToolCall } from "../plain.ts";

/** Why Google, or its model, did not want to say more. */
const REFUSALS: ReadonlySet<unknown> = new Set([
  "SAFETY",
  "RECITATION",
  "LANGUAGE",
  "BLOCKLIST",
  "PROHIBITED_CONTENT",
  "SPII",
  "IMAGE_SAFETY",
]);

function stopOf(reason: unknown, callsTools: boolean): Stop {
  if (reason === "MAX_TOKENS") return "cap";
  if (REFUSALS.has(reason)) return "refusal";
  return callsTools ? "tools" : "end";
}

/** Reads a whole answer. What a model thought is not shown. */
export function readAnswer(answer: unknown): PlainAnswer {
  const { id, model, candidate, isBlocked } = headOf(recordOf(answer));
  const parts = new PartReader(id).read(candidate);
  const callsTools = parts.some(({ kind }) => kind === "tool-call");
  return { id, model, parts: joined(parts), stop: isBlocked ? "refusal" : stopOf(candidate.finishReason, callsTools) };
}

function headOf({ responseId, modelVersion, candidates, promptFeedback }: Readonly<Record<string, unknown>>) {
  return {
    id: textField(responseId),
    model: textField(modelVersion),
    candidate: recordOf(listOf(candidates)[0]),
    isBlocked: recordOf(promptFeedback).blockReason !== undefined,
  };
}

/** Texts that stand side by side are one. */
function joined(parts: readonly (TextPart | ToolCall)[]): readonly (TextPart | ToolCall)[] {
  const all: (TextPart | ToolCall)[] = [];
  for (const part of parts) {
    const last = all.at(-1);
    if (part.kind === "text" && last?.kind === "text") all[all.length - 1] = { kind: "text", text: last.text + part.text };
    else all.push(part);
  }
  return all;
}

/** Reads the parts of one answer. Not all models say by what a call of a tool is known: then it is by its place in the answer. */
class PartReader {
  readonly #id: string;
  #calls = 0;

  constructor(id: string) {
    this.#id = id;
  }

  read({ content }: Readonly<Record<string, unknown>>): readonly (TextPart | ToolCall)[] {
    return listOf(recordOf(content).parts).flatMap((part) => this.#readPart(recordOf(part)));
  }

  #readPart({ thought, text, functionCall: call }: Readonly<Record<string, unknown>>): readonly (TextPart | ToolCall)[] {
    if (thought === true) return [];
    if (!isRecord(call)) return textField(text) === "" ? [] : [{ kind: "text", text: textField(text) }];
    if (textField(call.name) === "") throw new Error("The provider wrote a call of a tool in pieces.");
    const own = `call_${this.#calls++}_${this.#id.replace(/[^\w-]/g, "")}`.slice(0, CALL_ID_MOST);
    return [{ kind: "tool-call", id: textField(call.id) || own, name: textField(call.name), input: JSON.stringify(call.args ?? {}) }];
  }
}

/** OpenAI takes no longer ones. */
const CALL_ID_MOST = 40;

/** Reads the parts of an answer that is a stream: each is an answer of its own, with what was said since the one before. */
export class ContentReader implements EventReader {
  #parts: PartReader | undefined;
  #callsTools = false;
  #stop: Stop | undefined;
  #isOver = false;

  read(data: string): readonly PlainEvent[] {
    const event = eventOf(data);
    if (!event || this.#isOver) return [];
    const error = readError(event);
    if (error) return this.#failed(error);
    const { id, model, candidate, isBlocked } = headOf(event);
    const begin: PlainEvent[] = this.#parts ? [] : [{ kind: "begin", id, model }];
    this.#parts ??= new PartReader(id);
    try {
      const parts = this.#parts.read(candidate);
      return [...begin, ...parts.flatMap((part) => this.#said(part)), ...this.#stopped(candidate, isBlocked)];
    } catch (unreadable) {
      return this.#failed({ type: "", message: (unreadable as Error).message });
    }
  }

  /** Nothing else says that all is said. */
  end(): readonly PlainEvent[] {
    if (this.#stop === undefined || this.#isOver) return [];
    this.#isOver = true;
    return [{ kind: "end" }];
  }

  #failed(error: PlainError): readonly PlainEvent[] {
    this.#isOver = true;
    return [{ kind: "error", error }];
  }

  #said(part: TextPart | ToolCall): readonly PlainEvent[] {
    if (part.kind === "text") return [part];
    this.#callsTools = true;
    return [
      { kind: "tool", id: part.id, name: part.name },
      { kind: "input", json: part.input },
    ];
  }

  #stopped({ finishReason }: Readonly<Record<string, unknown>>, isBlocked: boolean): readonly PlainEvent[] {
    if (this.#stop !== undefined || (finishReason === undefined && !isBlocked)) return [];
    this.#stop = isBlocked ? "refusal" : stopOf(finishReason, this.#callsTools);
    return [{ kind: "stop", stop: this.#stop }];
  }
}

/** An error, or a list with one: so it comes where a stream was asked for. */
export function readError(body: unknown): PlainError | undefined {
  const { message, status } = recordOf(recordOf(Array.isArray(body) ? body[0] : body).error);
  return typeof message === "string" ? { type: textField(status), message } : undefined;
}
