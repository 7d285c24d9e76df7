/** A tokenizer.json that knows one word: `ahoy` is a token, and so is every other byte. */
export function tokenizerJson({ word = "ahoy", ...fields }: { readonly word?: string; readonly [field: string]: unknown } = {}): string {
  let next = 256;
  const bytes = Array.from({ length: 256 }, (_, byte) =>
    String.fromCharCode((byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174 ? byte : next++),
  );
  const merges = Array.from({ length: word.length - 1 }, (_, i) => [word.slice(0, i + 1), word.charAt(i + 1)]);
  const tokens = [...bytes, ...merges.map((merge) => merge.join(""))];
  return JSON.stringify({
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, use_regex: true },
    model: { type: "BPE", vocab: Object.fromEntries(tokens.map((token, number) => [token, number])), merges },
    ...fields,
  });
}
