import { hash } from "node:crypto";
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
  const before = messages.slice(0, start);
  const groups = groupsOf(messages.slice(start), form);
  const tokensOfMedia = mediaCounter(routed, form, [...before, ...(groups.at(-1) ?? [])]);
  const turns: Turn[] = [];
  for (const group of groups)
    turns.push({ messages: group, tokens: mayHoldMedia(group) ? await tokensOfMedia(group) : await tokensOf(model, group) });
  return { form, before, turns, tokens };
}

/** The tokens that a call carries. What is held for input that is somewhere else is nothing that could be cut. */
export async function inputTokens({ dialect, call, model, unseenTokens }: RoutedCall): Promise<number> {
  return (await countTokens(model, dialect.countable(call))) - unseenTokens;
}

/** A call with less of its history, and what that makes of its input. */
export interface Shortened {
  readonly call: ModelCall;
  /** What its conversation begins with, as a hash: as long as that is the same, a provider's prompt cache holds. */
  readonly beginning: string;
  readonly tokensBefore: number;
  readonly tokens: number;
}

/** So many messages tell how a conversation begins. */
const BEGINNING = 2;

/** A call whose conversation goes on with these messages, after what stands before its first turn. */
export async function shortenedCall(
  routed: RoutedCall,
  { form, before, tokens: tokensBefore }: Conversation,
  rest: readonly unknown[],
): Promise<Shortened> {
  const call = withMessages(routed, form, [...before, ...rest]);
  const beginning = hash("sha256", JSON.stringify([before, rest.slice(0, BEGINNING)]), "base64");
  return { call, beginning, tokensBefore, tokens: await inputTokens({ ...routed, call }) };
}

/** The same call with other messages. */
export function withMessages(routed: RoutedCall, form: ConversationForm, messages: readonly unknown[]): ModelCall {
  return withMembers(routed, new Map([[form.member, JSON.stringify(messages)]]));
}

/** The same call with some members of its body written anew. */
export function withMembers({ dialect, call, names, unseenTokens }: RoutedCall, changes: ReadonlyMap<string, string>): ModelCall {
  const changed = dialect.readCall(readJsonBody(editBody(call.body, changes)), names);
  return { ...changed, wantsUsage: call.wantsUsage, opaqueTokens: changed.opaqueTokens + unseenTokens };
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

function mayHoldMedia(messages: readonly unknown[]): boolean {
  return readJsonBody(Buffer.from(JSON.stringify({ messages }))).mayHoldMedia;
}

/** Counts messages with images or files in them as the format counts them: by what they add to a call that has these already. */
function mediaCounter(
  routed: RoutedCall,
  form: ConversationForm,
  base: readonly unknown[],
): (messages: readonly unknown[]) => Promise<number> {
  let without: Promise<number> | undefined;
  const tokensWith = (messages: readonly unknown[]) => inputTokens({ ...routed, call: withMessages(routed, form, messages) });
  return async (messages) => {
    without ??= tokensWith(base);
    return (await tokensWith([...base, ...messages])) - (await without);
  };
}

async function tokensOf(model: string, messages: readonly unknown[]): Promise<number> {
  const texts: string[] = [];
  collectTexts(messages, texts);
  return countTokens(model, { texts, messages: messages.length });
}
