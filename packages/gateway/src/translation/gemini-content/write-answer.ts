import type { Usage } from "@purser/core";
import { statusWord } from "../../dialects/gemini/error.ts";
import type { AnswerTerms, EventWriter, PlainAnswer, PlainError, PlainEvent, Stop, ToolCall } from "../plain.ts";
import { inputIn } from "../tool-input.ts";
import { signatureFor } from "./models.ts";

const REASONS: Readonly<Record<Stop, string>> = { end: "STOP", cap: "MAX_TOKENS", tools: "STOP", refusal: "SAFETY" };

/** A whole answer. */
export function writeAnswer({ id, model, parts, stop }: PlainAnswer, usage: Usage | undefined, terms: AnswerTerms): unknown {
  const first = parts.find(({ kind }) => kind === "tool-call");
  const written = parts.flatMap((part) => {
    if (part.kind === "text") return [{ text: part.text }];
    const call = callPart(part, part === first, terms);
    if (call === undefined && stop !== "cap") throw new Error(noInput(part.name));
    return call ?? [];
  });
  return answer({ id, model, parts: written, stop, usage });
}

/** Nothing where what a model wrote is no JSON, because it was cut at its cap: that calls nothing. */
function callPart({ id, name, input }: Omit<ToolCall, "kind">, isFirst: boolean, { askedModel }: AnswerTerms): unknown {
  const args = inputIn(input);
  return args && { functionCall: { id, name, args }, ...(isFirst && signatureFor(askedModel)) };
}

function noInput(tool: string): string {
  return `The model called the tool ${tool} with no JSON object.`;
}

interface Said {
  readonly id: string;
  readonly model: string;
  readonly parts: readonly unknown[];
  readonly stop?: Stop;
  readonly usage?: Usage | undefined;
}

function answer({ id, model, parts, stop, usage }: Said): unknown {
  return {
    candidates: [{ index: 0, content: { role: "model", parts }, ...(stop && { finishReason: REASONS[stop] }) }],
    ...(usage && { usageMetadata: writeUsage(usage) }),
    modelVersion: model,
    responseId: id,
  };
}

/** Cached tokens are inside of the prompt's, thoughts beside the candidates'. */
function writeUsage({ inputTokens = 0, outputTokens = 0, cacheReadInputTokens: cached, reasoningOutputTokens: thoughts = 0 }: Usage) {
  return {
    promptTokenCount: inputTokens,
    candidatesTokenCount: Math.max(0, outputTokens - thoughts),
    totalTokenCount: inputTokens + outputTokens,
    ...(cached && { cachedContentTokenCount: cached }),
    ...(thoughts > 0 && { thoughtsTokenCount: thoughts }),
  };
}

/** Writes the parts of a stream: as events, or as the elements of a list. A call of a tool is written when it is whole. */
export class ContentWriter implements EventWriter {
  readonly #terms: AnswerTerms;
  #head: Pick<Said, "id" | "model"> = { id: "", model: "" };
  #call: { readonly id: string; readonly name: string; input: string } | undefined;
  #hasCalled = false;
  #stop: Stop = "end";
  #hasWritten = false;
  #isOver = false;

  constructor(terms: AnswerTerms) {
    this.#terms = terms;
  }

  write(event: PlainEvent, usage: Usage | undefined): string {
    if (this.#isOver) return "";
    switch (event.kind) {
      case "begin":
        this.#head = { id: event.id, model: event.model };
        return "";
      case "text":
        return this.#close() + this.#said({ parts: [{ text: event.text }] });
      case "tool": {
        const before = this.#close();
        this.#call = { id: event.id, name: event.name, input: "" };
        return before;
      }
      case "input":
        if (this.#call) this.#call.input += event.json;
        return "";
      case "stop":
        this.#stop = event.stop;
        return this.#close(event.stop);
      case "end":
        return this.#said({ parts: [{ text: "" }], stop: this.#stop, usage }) + this.#over();
      case "error":
        return this.#fail(event.error);
      case "wait":
        return this.#terms.asList ? "\n" : ": wait\n\n";
    }
  }

  #close(stop?: Stop): string {
    const call = this.#call;
    if (!call) return "";
    this.#call = undefined;
    const part = callPart(call, !this.#hasCalled, this.#terms);
    this.#hasCalled = true;
    if (part) return this.#said({ parts: [part] });
    return stop === "cap" ? "" : this.#fail({ type: "", message: noInput(call.name) });
  }

  #fail(error: PlainError): string {
    const written = this.#element(writeError(error, UNKNOWN)) + this.#over();
    this.#isOver = true;
    return written;
  }

  #said(said: Omit<Said, "id" | "model">): string {
    return this.#element(answer({ ...this.#head, ...said }));
  }

  #element(value: unknown): string {
    const json = JSON.stringify(value);
    if (!this.#terms.asList) return `data: ${json}\r\n\r\n`;
    const before = this.#hasWritten ? ",\r\n" : "[";
    this.#hasWritten = true;
    return before + json;
  }

  #over(): string {
    return this.#terms.asList ? "]" : "";
  }
}

/** An error in the middle of an answer has no status. */
const UNKNOWN = 500;

/** Google's clients look at the number, and people at the word. */
export function writeError({ message }: PlainError, status: number): unknown {
  return { error: { code: status, message, status: statusWord(status) } };
}
