import { listOf, recordOf } from "./json-value.ts";

/** What a message says of a tool: that the model calls it, or what came of that. */
export type ToolStep = CalledTool | ToolOutcome;

export interface CalledTool {
  readonly kind: "call";
  readonly id: string | undefined;
  readonly name: string;
  /** An object, or the JSON of one. */
  readonly input: unknown;
}

export interface ToolOutcome {
  readonly kind: "result";
  /** The call that it answers; none where the format has no ids, and results stand in the order of their calls. */
  readonly id: string | undefined;
  readonly content: unknown;
  /** Whether it says itself that it is an error. Many formats have no way to. */
  readonly isError: boolean;
}

export function calledTool(id: unknown, name: unknown, input: unknown): ToolStep {
  return { kind: "call", id: textOf(id), name: textOf(name) ?? "", input };
}

export function toolOutcome(id: unknown, content: unknown, isError = false): ToolStep {
  return { kind: "result", id: textOf(id), content, isError };
}

/** OpenAI's chats, and those that others made like them: a list of calls beside the text, and a message for each result. */
export function chatSteps(message: unknown): readonly ToolStep[] {
  const { role, content, tool_calls: calls, tool_call_id: id, function_call: only } = recordOf(message);
  if (role === "tool" || role === "function") return [toolOutcome(id, content)];
  if (role !== "assistant") return [];
  const called = listOf(calls).map((call) => {
    const { id: callId, function: asked, custom } = recordOf(call);
    const { name, arguments: input, input: text } = recordOf(asked ?? custom);
    return calledTool(callId, name, input ?? text);
  });
  const { name, arguments: input } = recordOf(only);
  return only ? [...called, calledTool(undefined, name, input)] : called;
}

/** Anthropic's messages: calls and results are blocks. What runs at the provider is no concern of who calls it. */
export function blockSteps(message: unknown): readonly ToolStep[] {
  const blocks = listOf(recordOf(message).content);
  const steps = blocks.flatMap((block) => {
    const { type, id, name, input, tool_use_id: of, content, is_error: isError } = recordOf(block);
    if (type === "tool_use") return [calledTool(id, name, input)];
    return type === "tool_result" ? [toolOutcome(of, content, isError === true)] : [];
  });
  return withSaid(steps, blocks);
}

/** Amazon's messages: blocks that are named by what they hold. */
export function namedBlockSteps(message: unknown): readonly ToolStep[] {
  const blocks = listOf(recordOf(message).content);
  const steps = blocks.flatMap((block) => {
    const { toolUse, toolResult } = recordOf(block);
    const { toolUseId, name, input } = recordOf(toolUse);
    const { toolUseId: of, content, status } = recordOf(toolResult);
    return [
      ...(toolUse ? [calledTool(toolUseId, name, input)] : []),
      ...(toolResult ? [toolOutcome(of, content, status === "error")] : []),
    ];
  });
  return withSaid(steps, blocks);
}

/** What is said beside results, in one message with them, is as good as one: the model knows something else than before. */
export function withSaid(steps: readonly ToolStep[], parts: readonly unknown[]): readonly ToolStep[] {
  const texts = parts.map((part) => recordOf(part).text).filter((text) => text !== undefined);
  const last = steps.at(-1);
  return texts.length > 0 && last?.kind === "result" ? [...steps.slice(0, -1), { ...last, content: [last.content, ...texts] }] : steps;
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}
