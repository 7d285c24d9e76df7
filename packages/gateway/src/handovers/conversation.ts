import { MEDIA_TYPES } from "../dialects/content.ts";
import type { Dialect, ModelCall } from "../dialects/dialect.ts";
import { memberValue } from "../dialects/json-body.ts";
import { listOf, recordOf } from "../dialects/json-value.ts";

/** A turn of a conversation, as a person reads it. */
export interface Said {
  readonly by: "user" | "assistant";
  readonly text: string;
}

/** A person who takes over reads the end of it. */
const CHARACTERS_MOST = 256 * 1024;

/**
 * What users and models said in the conversation that a call carries. What programs say to models (system prompts, what tools answer) is no part of
 * it, and neither is what is no text.
 */
export function saidIn({ turns: form }: Dialect, { body }: ModelCall): readonly Said[] {
  const messages = form && readable(() => memberValue(body, form.member));
  if (typeof messages === "string") return lastOf([{ by: "user", text: messages }]);
  return lastOf(listOf(messages).flatMap(saidBy));
}

/** What was said, with what a call says that names what came before and does not carry it. */
export function goneOn(before: readonly Said[], said: readonly Said[], hidesEarlier: boolean): readonly Said[] {
  const isAll = !hidesEarlier || (said[0]?.text === before[0]?.text && said[0]?.by === before[0]?.by);
  return isAll ? said : lastOf([...before, ...said]);
}

function saidBy(message: unknown): readonly Said[] {
  const { role, content, parts } = recordOf(message);
  if (role !== "user" && role !== "assistant" && role !== "model") return [];
  const text =
    typeof content === "string"
      ? content
      : listOf(content ?? parts)
          .flatMap(partText)
          .join("\n");
  return text.trim() === "" ? [] : [{ by: role === "user" ? "user" : "assistant", text }];
}

function partText(part: unknown): readonly string[] {
  const { text, type } = recordOf(part);
  if (typeof text === "string") return [text];
  return MEDIA_TYPES.has(type) ? [`[${String(type).replaceAll("_", " ")}]`] : [];
}

function lastOf(said: readonly Said[]): readonly Said[] {
  let room = CHARACTERS_MOST;
  const kept = said.toReversed().flatMap(({ by, text }) => {
    const end = text.slice(0, Math.max(0, room));
    room -= text.length;
    return end === "" ? [] : [{ by, text: end }];
  });
  return kept.reverse();
}

/** A body that a provider may read and we cannot says nothing. */
function readable<Value>(read: () => Value): Value | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
