/** Fields that hold media as text: they are bounded by themselves and are no text to count. */
const MEDIA_FIELDS = new Set(["data", "url", "file_data", "image_url"]);

/** Every text inside a value, names of fields aside: the contents of messages, the arguments of tool calls, and whatever else a provider may read. */
export function collectTexts(value: unknown, texts: string[], isMedia = false): void {
  const pending: { readonly value: unknown; readonly isMedia: boolean }[] = [{ value, isMedia }];
  for (let next = pending.pop(); next; next = pending.pop()) {
    const { value: current, isMedia: inMedia } = next;
    if (typeof current === "string") {
      if (!inMedia) texts.push(current);
    } else if (typeof current === "number" || typeof current === "boolean") {
      texts.push(String(current));
    } else if (typeof current === "object" && current !== null) {
      for (const [name, inner] of Object.entries(current)) {
        pending.push({ value: inner, isMedia: !Array.isArray(current) && MEDIA_FIELDS.has(name) && looksLikeMedia(inner) });
      }
    }
  }
}

/** Only what is clearly not prose is left out: a data URL, an address, or base64 of some length. */
function looksLikeMedia(value: unknown): boolean {
  return typeof value === "string" && (/^(data:|https?:)\S*$/.test(value) || (value.length > 64 && /^[A-Za-z0-9+/_=-]+$/.test(value)));
}
