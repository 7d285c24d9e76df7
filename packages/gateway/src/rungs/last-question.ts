import { hash } from "node:crypto";
import type { Dialect, ModelCall } from "../dialects/dialect.ts";
import { editBody, memberValue, parseBody } from "../dialects/json-body.ts";
import { listOf, recordOf } from "../dialects/json-value.ts";

/** What a call asks with its last turn, where that is a text and nothing else. */
export interface LastQuestion {
  readonly text: string;
  /** All of the call but this text, as a hash: model, system prompt, tools, earlier turns and settings. */
  around(): string;
}

/** A question of a larger call is not looked for: to read it would keep other calls waiting. */
const BODY_MOST = 64 * 1024;

/** The question that a call ends with; nothing where it ends with something else, such as an image or what a tool answered. */
export function lastQuestion({ turns: form }: Dialect, { body }: ModelCall): LastQuestion | undefined {
  if (!form || body.bytes.length > BODY_MOST) return undefined;
  const messages = readable(() => memberValue(body, form.member));
  const asked = typeof messages === "string" ? { text: messages, without: "" } : askedBy(listOf(messages), form.beginsTurn);
  if (!asked) return undefined;
  const rest = () => editBody(body, new Map([[form.member, JSON.stringify(asked.without)]]));
  return { text: asked.text, around: () => hash("sha256", rest(), "base64") };
}

/** A body that a provider may read and we cannot has no question. */
function readable<Value>(read: () => Value): Value | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

interface Asked {
  readonly text: string;
  /** The messages without it. */
  readonly without: unknown;
}

function askedBy(messages: readonly unknown[], beginsTurn: (message: unknown) => boolean): Asked | undefined {
  const last = recordOf(messages.at(-1));
  if (messages.length === 0 || !beginsTurn(last)) return undefined;
  const field = last.content === undefined ? "parts" : "content";
  const content = last[field];
  const parts = typeof content === "string" ? undefined : listOf(content).map(recordOf);
  if (parts && (parts.length === 0 || !parts.every(isText))) return undefined;
  const text = parts ? parts.map((part) => part.text).join("\n") : (content as string);
  const without = parts ? parts.map((part) => ({ ...part, text: "" })) : "";
  return { text, without: [...messages.slice(0, -1), { ...last, [field]: without }] };
}

function isText({ type = "text", text }: Readonly<Record<string, unknown>>): boolean {
  return typeof text === "string" && (type === "text" || type === "input_text");
}

/** Whether a call takes any text for an answer: not where it asks for JSON, for several answers, or has to call a tool. */
export function takesText(call: ModelCall): boolean {
  const body = call.copies === 1 ? readable(() => parseBody(call.body)) : undefined;
  if (!body) return false;
  const forms = [body.response_format, recordOf(body.text).format, body.output_format, recordOf(body.output_config).format];
  const { tool_choice: choice = "auto" } = body;
  const chosen = typeof choice === "string" ? choice.toLowerCase() : recordOf(choice).type;
  return forms.every((form) => (recordOf(form).type ?? "text") === "text") && (chosen === "auto" || chosen === "none");
}
