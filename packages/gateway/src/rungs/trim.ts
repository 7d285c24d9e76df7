import type { RoutedCall } from "./climb.ts";
import { longConversation, type Shortened, shortenedCall, type Turn } from "./turns.ts";

/**
 * The cut moves by this share of what is allowed, not with every turn: a provider's prompt cache holds as long as the conversation begins the
 * same, and a cut that moved each time would have all of it written anew.
 */
const STEP_SHARE = 4;

/**
 * The call without its oldest turns, so that its input has at most `tokensMost` tokens; the system prompt and the latest turn always stay.
 * Nothing where it fits as it is, or nothing can be left out.
 */
export async function trimmedCall(routed: RoutedCall, tokensMost: number): Promise<Shortened | undefined> {
  const long = await longConversation(routed, tokensMost);
  if (!long) return undefined;
  const { turns, tokens } = long;
  const dropped = turnsToDrop(turns, tokens, tokensMost);
  if (dropped === 0) return undefined;
  const kept = turns.slice(dropped).flatMap(({ messages }) => messages);
  return shortenedCall(routed, long, kept);
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
