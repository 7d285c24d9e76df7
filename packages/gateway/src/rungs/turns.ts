import { countTokens } from "@purser/core/tokens";
import { collectTexts } from "../dialects/content.ts";
import type { ConversationForm, ModelCall } from "../dialects/dialect.ts";
import { editBody, parseBody, readJsonBody } from "../dialects/json-body.ts";
import { listOf } from "../dialects/json-value.ts";
import type { RoutedCall } from "./climb.ts";

/** A run of messages that can be left out as a whole: tools that were called stay with what they answered. */
export interface Turn {
  readonly messages: readonly unknown[];
  readonly tokens: number;
}

/** A conversation, turn by turn. */
export interface Conversation {
  readonly form: ConversationForm;
  /** What stands before the first turn, such as a system prompt. */
  readonly before: readonly unknown[];
  readonly turns: readonly Turn[];
  /** The input of the call, all that is no turn included. */
  readonly tokens: number;
}

/** The conversation of a call whose input has more tokens than this; nothing where it has not, or is no conversation that can be cut. */
export async function longConversation(routed: RoutedCall, tokensMost: number): Promise<Conversation | undefined> {
  const { dialect, call, model } = routed;
  const { turns: form } = dialect;
  if (!form) return undefined;
  const tokens = await inputTokens(routed);
  if (tokens <= tokensMost) return undefined;
  const messages = listOf(parseBody(call.body)[form.member]);
  const start = messages.findIndex((message) => form.beginsTurn(message));
  if (start < 0) return undefined;
  const turns: Turn[] = [];
  for (const group of groupsOf(messages.slice(start), form)) turns.push({ messages: group, tokens: await tokensOf(model, group) });
  return { form, before: messages.slice(0, start), turns, tokens };
}

/** The tokens that a call carries. What is held for input that is somewhere else is nothing that could be cut. */
export async function inputTokens({ dialect, call, model, unseenTokens }: RoutedCall): Promise<number> {
  return (await countTokens(model, dialect.countable(call))) - unseenTokens;
}

/** The same call with other messages. */
export function withMessages(
  { dialect, call, names, unseenTokens }: RoutedCall,
  form: ConversationForm,
  messages: readonly unknown[],
): ModelCall {
  const body = readJsonBody(editBody(call.body, new Map([[form.member, JSON.stringify(messages)]])));
  const changed = dialect.readCall(body, names);
  return { ...changed, opaqueTokens: changed.opaqueTokens + unseenTokens };
}

function groupsOf(messages: readonly unknown[], { beginsTurn }: ConversationForm): readonly unknown[][] {
  const groups: unknown[][] = [];
  for (const message of messages) {
    const last = groups.at(-1);
    if (last && !beginsTurn(message)) last.push(message);
    else groups.push([message]);
  }
  return groups;
}

async function tokensOf(model: string, messages: readonly unknown[]): Promise<number> {
  const texts: string[] = [];
  collectTexts(messages, texts);
  return countTokens(model, { texts, messages: messages.length });
}
