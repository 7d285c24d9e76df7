import { countTokens } from "@purser/core/tokens";
import { collectTexts } from "../dialects/content.ts";
import type { ModelCall } from "../dialects/dialect.ts";
import { editBody, parseBody, readJsonBody } from "../dialects/json-body.ts";
import { listOf } from "../dialects/json-value.ts";
import type { RoutedCall } from "./climb.ts";

/**
 * The cut moves by this share of what is allowed, not with every turn: a provider's prompt cache holds as long as the conversation begins the
 * same, and a cut that moved each time would have all of it written anew.
 */
const STEP_SHARE = 4;

/** A run of messages that can be left out as a whole: tools that were called stay with what they answered. */
interface Turn {
  readonly messages: readonly unknown[];
  readonly tokens: number;
}

/**
 * The call without its oldest turns, so that its input has at most `tokensMost` tokens; the system prompt and the latest turn always stay.
 * Nothing where it fits as it is, or nothing can be left out.
 */
export async function trimmedCall({ dialect, call, model, names }: RoutedCall, tokensMost: number): Promise<ModelCall | undefined> {
  const { turns: form } = dialect;
  if (!form) return undefined;
  const whole = await countTokens(model, dialect.countable(call));
  if (whole <= tokensMost) return undefined;
  const messages = listOf(parseBody(call.body)[form.member]);
  const start = messages.findIndex((message) => form.beginsTurn(message));
  if (start < 0) return undefined;
  const turns: Turn[] = [];
  for (const group of groupsOf(messages.slice(start), form.beginsTurn))
    turns.push({ messages: group, tokens: await tokensOf(model, group) });
  const dropped = turnsToDrop(turns, whole, tokensMost);
  if (dropped === 0) return undefined;
  const kept = [...messages.slice(0, start), ...turns.slice(dropped).flatMap((turn) => turn.messages)];
  return dialect.readCall(readJsonBody(editBody(call.body, new Map([[form.member, JSON.stringify(kept)]]))), names);
}

function groupsOf(messages: readonly unknown[], beginsTurn: (message: unknown) => boolean): readonly unknown[][] {
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

/** How many of the oldest turns have to go, and then as many more as bring the cut to the next of its places. */
function turnsToDrop(turns: readonly Turn[], whole: number, tokensMost: number): number {
  const step = Math.max(1, Math.ceil(tokensMost / STEP_SHARE));
  const least = Math.ceil((whole - tokensMost) / step) * step;
  let tokens = 0;
  let dropped = 0;
  while (dropped < turns.length - 1 && tokens < least) tokens += (turns[dropped++] as Turn).tokens;
  return dropped;
}
