/** Fields that hold media as text: they are bounded by themselves and are no text to count. */
const MEDIA_FIELDS = new Set(["data", "url", "file_data", "image_url", "result", "fileUri", "file_uri"]);
/** Parts of a message that are media, in the words of all formats. */
export const MEDIA_TYPES: ReadonlySet<unknown> = new Set([
  "image",
  "image_url",
  "input_image",
  "audio",
  "input_audio",
  "file",
  "input_file",
  "document",
  "video",
  "video_url",
  "computer_screenshot",
  "image_generation_call",
]);
/** Fields whose value is a part that is media, in Google's format, which has no types. */
export const MEDIA_MEMBERS: ReadonlySet<string> = new Set(["inlineData", "inline_data", "fileData", "file_data"]);
const TOOL_CALL = /^(\w+_)?tool_use$/;

/**
 * Every text inside a value: the contents of messages, and whatever else a provider may read. Names of fields are left out, but for
 * those in the input of a tool call, which is text to the model, whatever it looks like.
 */
export function collectTexts(value: unknown, texts: string[]): void {
  const pending: Pending[] = [{ value, isMedia: false }];
  for (let next = pending.pop(); next; next = pending.pop()) {
    const { value: current, isMedia } = next;
    if (typeof current === "string") {
      texts.push(current);
    } else if (typeof current === "number" || typeof current === "boolean") {
      texts.push(String(current));
    } else if (Array.isArray(current)) {
      for (const inner of current) pending.push({ value: inner, isMedia });
    } else if (typeof current === "object" && current !== null) {
      collectFields(current as Record<string, unknown>, isMedia, pending);
    }
  }
}

interface Pending {
  readonly value: unknown;
  /** Whether it is inside of a part that is media. */
  readonly isMedia: boolean;
}

function collectFields(fields: Readonly<Record<string, unknown>>, isInMedia: boolean, pending: Pending[]): void {
  const isMedia = isInMedia || MEDIA_TYPES.has(fields.type);
  for (const [name, value] of Object.entries(fields)) {
    if (isMedia && MEDIA_FIELDS.has(name) && looksLikeMedia(value)) continue;
    const isData = (name === "input" && isToolUse(fields)) || isFunctionData(name, fields);
    pending.push({ value: isData ? JSON.stringify(value) : value, isMedia: isMedia || MEDIA_MEMBERS.has(name) });
  }
}

/** Whether a field is what a function is called with, or what it returned, as an object: Google's `{ name, args }`, Ollama's `{ name, arguments }`. */
export function isFunctionData(name: string, fields: Readonly<Record<string, unknown>>): boolean {
  return FUNCTION_DATA.has(name) && typeof fields.name === "string" && typeof fields[name] === "object";
}

const FUNCTION_DATA = new Set(["args", "response", "arguments"]);

/** Whether a part of a message is a call of a tool, with its arguments as an object. */
export function isToolUse({ type }: Readonly<Record<string, unknown>>): boolean {
  return typeof type === "string" && TOOL_CALL.test(type);
}

/** The shortest text in a field that nobody knows which is worth counting: below it stand names of modes and levels. */
const UNKNOWN_TEXT_LEAST = 64;

/** The texts of fields that we do not know: a provider may read them, so they count as input. */
export function collectUnknown(body: Readonly<Record<string, unknown>>, known: ReadonlySet<string>, texts: string[]): void {
  for (const [name, value] of Object.entries(body)) {
    if (known.has(name)) continue;
    if (typeof value === "object" && value !== null) texts.push(JSON.stringify(value));
    else if (typeof value === "string" && value.length >= UNKNOWN_TEXT_LEAST) texts.push(value);
  }
}

/** Only what is clearly not prose is left out: a data URL, an address, or base64 of some length. */
function looksLikeMedia(value: unknown): boolean {
  return typeof value === "string" && (/^(data:|https?:)\S*$/.test(value) || (value.length > 64 && /^[A-Za-z0-9+/_=-]+$/.test(value)));
}
