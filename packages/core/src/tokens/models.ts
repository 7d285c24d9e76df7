import type { Encoding, EncodingName } from "./encoding.ts";
import type { ImageRule } from "./images.ts";
import type { Margin } from "./margin.ts";

/** How the tokens of a model are counted. Its margin covers the provider's own framing of the call, too, where the encoding is exact. */
export interface ModelEncoding extends Margin {
  /** A vocabulary that is shipped, by its name, or one that was read from a file. */
  readonly encoding: EncodingName | Encoding;
  /** The encoding is the model's own. */
  readonly exact: boolean;
  /** What somebody said that it is counted as: another model, or a file with its vocabulary. */
  readonly countedAs?: string;
  /** Added once to every call. */
  readonly callTokens: number;
  /** Added for each message. */
  readonly messageTokens: number;
  /** Added once to a call that has tools, and for each of them. */
  readonly toolsTokens: number;
  readonly toolTokens: number;
  readonly image: ImageRule;
  /** The most bytes that one byte of text can become before it is encoded, where the tokenizer changes the text. */
  readonly growth: number;
}

interface Row {
  readonly model: RegExp;
  readonly encoding: EncodingName;
  /** Latin and other scripts, in thousandths. */
  readonly margin: readonly [number, number];
  readonly exact?: true;
  readonly call?: number;
  readonly tools?: readonly [number, number];
  readonly image?: ImageRule;
}

const OPENAI_TOOLS = [32, 16] as const;
/** The longest system prompt that Anthropic adds for tools, over all tool choices of the models in a row. */
const CLAUDE_TOOLS = (tokens: number) => [tokens, 56] as const;
/** Claude's vocabulary is not public: a tenth more than o200k for Latin text and code, a third for other scripts; a third on top since 4.7. */
const CLAUDE_BEFORE_4_7 = [100, 350] as const;
const CLAUDE_SINCE_4_7 = [485, 823] as const;

/**
 * Which vocabulary counts for which model; the first row that fits decides. Names may carry a provider, a region or a date.
 * Llama, Gemma and Gemini have vocabularies that may not be shipped: Llama 3's contains all of cl100k's merges and more, so that
 * cl100k is a ceiling; Gemini's stays below tekken + 15 % on every kind of text measured. Models nobody knows are counted by the
 * smallest vocabulary, + 40 %.
 */
const ROWS: readonly Row[] = [
  // OpenAI
  { model: /gpt-oss/, encoding: "o200k", margin: [10, 10], exact: true, call: 20 },
  { model: /gpt-4o-mini/, encoding: "o200k", margin: [10, 10], exact: true, call: 8, image: { kind: "tiles", base: 2833, tile: 5667 } },
  {
    model: /gpt-4\.1-mini/,
    encoding: "o200k",
    margin: [10, 10],
    exact: true,
    call: 8,
    image: { kind: "patches", max: 1536, permille: 1620 },
  },
  {
    model: /gpt-4\.1-nano/,
    encoding: "o200k",
    margin: [10, 10],
    exact: true,
    call: 8,
    image: { kind: "patches", max: 1536, permille: 2460 },
  },
  { model: /gpt-4o|gpt-4\.[15]/, encoding: "o200k", margin: [10, 10], exact: true, call: 8, image: { kind: "tiles", base: 85, tile: 170 } },
  {
    model: /(^|[/:._-])o4-mini/,
    encoding: "o200k",
    margin: [20, 20],
    exact: true,
    call: 16,
    image: { kind: "patches", max: 1536, permille: 1720 },
  },
  {
    model: /(^|[/:._-])o[134](-|$)/,
    encoding: "o200k",
    margin: [20, 20],
    exact: true,
    call: 16,
    image: { kind: "tiles", base: 75, tile: 150 },
  },
  {
    model: /gpt-5(\.\d+)?-nano/,
    encoding: "o200k",
    margin: [20, 20],
    exact: true,
    call: 16,
    image: { kind: "patches", max: 10_000, permille: 2460 },
  },
  {
    model: /gpt-5(\.\d+)?-mini/,
    encoding: "o200k",
    margin: [20, 20],
    exact: true,
    call: 16,
    image: { kind: "patches", max: 10_000, permille: 1620 },
  },
  {
    model: /gpt-5(-|$|\.[0-3](\D|$))/,
    encoding: "o200k",
    margin: [20, 20],
    exact: true,
    call: 16,
    image: { kind: "tiles", base: 70, tile: 140 },
  },
  {
    model: /gpt-[5-9]|codex/,
    encoding: "o200k",
    margin: [20, 20],
    exact: true,
    call: 16,
    image: { kind: "patches", max: 10_000, permille: 1200 },
  },
  { model: /computer-use/, encoding: "o200k", margin: [20, 20], exact: true, call: 16, image: { kind: "tiles", base: 65, tile: 129 } },
  {
    model: /gpt-4|gpt-3\.?5|davinci-002|babbage-002/,
    encoding: "cl100k",
    margin: [10, 10],
    exact: true,
    call: 8,
    image: { kind: "tiles", base: 85, tile: 170 },
  },
  { model: /gpt-(audio|realtime|image)/, encoding: "o200k", margin: [20, 20], call: 16 },
  { model: /text-embedding-(3|ada)/, encoding: "cl100k", margin: [0, 0], exact: true },
  // Anthropic
  {
    model: /claude-(3|2|instant)/,
    encoding: "o200k",
    margin: CLAUDE_BEFORE_4_7,
    tools: CLAUDE_TOOLS(530),
    image: { kind: "claude", max: 1600 },
  },
  {
    model: /claude-(opus|sonnet|haiku)-4(?!\d)(?![-.]([7-9]|\d\d)(\D|$))/,
    encoding: "o200k",
    margin: CLAUDE_BEFORE_4_7,
    tools: CLAUDE_TOOLS(589),
    image: { kind: "claude", max: 1600 },
  },
  { model: /claude/, encoding: "o200k", margin: CLAUDE_SINCE_4_7, tools: CLAUDE_TOOLS(804), image: { kind: "claude", max: 4784 } },
  // Google
  { model: /gemini-([01]|2)(\D|$)/, encoding: "tekken", margin: [150, 150], call: 10, image: { kind: "gemini-tiles" } },
  { model: /gemini|gemma/, encoding: "tekken", margin: [150, 150], call: 10, image: { kind: "fixed", low: 280, high: 1120, most: 2240 } },
  // Models made of others' vocabularies come before the names of their makers.
  {
    model: /distill-llama|llama-?[34]|llama3/,
    encoding: "cl100k",
    margin: [30, 30],
    call: 20,
    image: { kind: "fixed", low: 6500, high: 6500, most: 6500 },
  },
  {
    model: /(^|\W)(qwen|qwq|qvq)|distill-qwen/,
    encoding: "qwen",
    margin: [30, 30],
    exact: true,
    call: 20,
    tools: [245, 56],
    image: { kind: "merged-patches", side: 28, max: 16_386 },
  },
  { model: /deepseek/, encoding: "deepseek", margin: [30, 30], exact: true, call: 20, tools: [150, 71] },
  // Mistral's first models have a vocabulary of 32,000 tokens.
  {
    model: /mixtral|open-mistral-7b|mistral-(7b|tiny)|codestral|mistral-large-24|mathstral/,
    encoding: "cl100k",
    margin: [400, 400],
    call: 20,
    tools: [60, 57],
  },
  {
    model: /mistral|ministral|pixtral|magistral|devstral|voxtral/,
    encoding: "tekken",
    margin: [30, 30],
    exact: true,
    call: 20,
    tools: [60, 57],
    image: { kind: "fixed", low: 4200, high: 4200, most: 4200 },
  },
];

const UNKNOWN: Row = { model: /^/, encoding: "cl100k", margin: [400, 400], call: 20, tools: [804, 71] };

/** For models whose images nobody described: more than any known model takes, but for gpt-4o-mini. */
const ANY_IMAGE: ImageRule = { kind: "fixed", low: 16_386, high: 16_386, most: 16_386 };

/** What the framing of a call and of each message takes, the larger of what is documented and what was measured. */
export const CALL_TOKENS = 3;
const MESSAGE_TOKENS = 4;

/** Names of families and vocabularies for somebody who looks for the right one; many more are known. */
export const COUNTED_NAMES = [
  ...["gpt-4o", "gpt-4", "gpt-5", "gpt-oss", "claude", "gemini", "gemma", "llama-3", "llama-4", "qwen", "qwen3", "deepseek"],
  ...["mistral", "mixtral", "o200k", "cl100k", "tekken"],
];

/** What a model takes that somebody serves: the most of what the templates of open models add. */
const SERVED = { call: 40, message: 5, tools: [245, 71] } as const;

/** What is added to a count by a vocabulary from a file. The text is exact, and where it meets its template a token more is possible. */
export const OWN_MARGIN = { marginPermille: 10, marginOtherPermille: 10, exact: true } as const;

/** The shipped vocabularies that no model is named after. */
const BY_VOCABULARY: Readonly<Record<string, Row>> = Object.fromEntries(
  (["o200k", "cl100k", "tekken"] as const).map((encoding) => [
    encoding,
    { model: /^/, encoding, margin: [30, 30], exact: true, call: 20, tools: SERVED.tools },
  ]),
);

/** Which shipped vocabulary counts for a model, and how far to trust it. */
export function shippedEncodingOf(model: string): ModelEncoding {
  return encodingOfRow(rowOf(model) ?? UNKNOWN);
}

/** Whether a name is one of a model, a family or a vocabulary that is known. */
export function isShipped(name: string): boolean {
  return rowOf(name) !== undefined;
}

/** How a model is counted whose vocabulary is at hand. */
export function ownEncodingOf({ encoding, growth }: { readonly encoding: Encoding; readonly growth: number }): ModelEncoding {
  return {
    encoding,
    ...OWN_MARGIN,
    countedAs: encoding.name,
    callTokens: SERVED.call - CALL_TOKENS,
    messageTokens: SERVED.message,
    toolsTokens: SERVED.tools[0],
    toolTokens: SERVED.tools[1],
    image: ANY_IMAGE,
    growth,
  };
}

function rowOf(name: string): Row | undefined {
  const model = name.toLowerCase();
  return ROWS.find((candidate) => candidate.model.test(model)) ?? (Object.hasOwn(BY_VOCABULARY, model) ? BY_VOCABULARY[model] : undefined);
}

function encodingOfRow(row: Row): ModelEncoding {
  const [toolsTokens, toolTokens] = row.tools ?? OPENAI_TOOLS;
  return {
    encoding: row.encoding,
    marginPermille: row.margin[0],
    marginOtherPermille: row.margin[1],
    exact: row.exact ?? false,
    callTokens: row.call ?? 0,
    messageTokens: MESSAGE_TOKENS,
    toolsTokens,
    toolTokens,
    image: row.image ?? ANY_IMAGE,
    // NFC makes at most three times as many bytes of any character.
    growth: row.encoding === "qwen" ? 3 : 1,
  };
}
