/**
 * How near two questions are, by their words alone: no model is asked. A false hit hurts more than a miss, so only the wording may differ: courtesy,
 * contractions, and a few ways to begin a question that mean the same. Every other word has to be the same, in the same order:
 * numbers, negations, names and whatever else tells two questions apart are among them without anybody knowing which they are.
 */

/** Longer texts say more than one thing. */
export const QUESTION_MOST = 300;

/** A question as it is compared. */
export interface Wording {
  /** Without case, punctuation and blanks that say nothing. */
  readonly plain: string;
  /** The words that may not differ, in their order. */
  readonly sense: string;
}

/** A question without what makes no other question of it: case, blanks, punctuation around words, and forms of one letter in Unicode. */
export function plainQuestion(text: string): string {
  return tokensOf(text)
    .map(({ word }) => word)
    .join(" ");
}

/** The wording of a question; none of one that is long, has lines, which mean something in code and in lists, or says nothing but courtesy. */
export function wordingOf(text: string): Wording | undefined {
  const trimmed = text.trim();
  if (trimmed.length > QUESTION_MOST || /[\r\n\u2028\u2029]/.test(trimmed)) return undefined;
  const tokens = tokensOf(trimmed);
  const sense = senseOf(tokens);
  return sense === "" ? undefined : { plain: tokens.map(({ word }) => word).join(" "), sense };
}

/** From 0 to 1: the cosine of how often each three letters stand in one and the other. Of questions that differ in their sense, 0. */
export function nearness(one: Wording, other: Wording): number {
  if (one.sense !== other.sense) return 0;
  if (one.plain === other.plain) return 1;
  const [a, b] = [trigrams(one.plain), trigrams(other.plain)];
  let common = 0;
  for (const [letters, times] of a) common += times * (b.get(letters) ?? 0);
  // Rounded down: what is shown is never more than what was asked for.
  return Math.floor((common / Math.sqrt(squares(a) * squares(b))) * 100) / 100;
}

function trigrams(text: string): ReadonlyMap<string, number> {
  const padded = ` ${text} `;
  const counts = new Map<string, number>();
  for (let i = 0; i + 3 <= padded.length; i++) {
    const letters = padded.slice(i, i + 3);
    counts.set(letters, (counts.get(letters) ?? 0) + 1);
  }
  return counts;
}

function squares(counts: ReadonlyMap<string, number>): number {
  let sum = 0;
  for (const times of counts.values()) sum += times * times;
  return sum;
}

interface Token {
  /** Small letters. */
  readonly word: string;
  /** Whether it is written with a capital where no sentence begins: then it may be a name. */
  readonly isCapital: boolean;
  /** Whether a comma or the end of a sentence follows it. */
  readonly isLast: boolean;
}

const AROUND = /^["'“”„«»‹›()[\]{}¿¡「」『』《》]+/u;
const BEHIND = /["'“”„«»‹›()[\]{}「」『』《》,;:?!….。、]+$/u;
/** `x!` is a factorial, and no exclamation. */
const BEHIND_LETTER = /["'“”„«»‹›()[\]{}「」『』《》,;:?….。、]+$/u;
/** Brackets and quotes beside a number are its own: `[0`, `5"`. */
const BEHIND_NUMBER = /[,;:?….]+$/u;
const NO_WORD = /^[–—?!….,;:。、]*$/u;
const PAUSE = /[,;:?!….。、]["'“”»›)\]}」』》]*$/u;

/** Digits above the line are other numbers without a sign of that: 10² is not 102. */
const RAISED = /[\u00b2\u00b3\u00b9\u2070-\u209c]/g;

function tokensOf(text: string): readonly Token[] {
  const tokens: Token[] = [];
  let begins = true;
  // Of one letter all forms are one, signs that nobody sees are none, and of apostrophes there are many.
  const parts = text
    .replace(RAISED, "^$&")
    .normalize("NFKC")
    .replace(/\p{Cf}/gu, "")
    .replace(/[’‘ʼ´`]/g, "'")
    .replace(/—|\s–(?=\s)/g, ", ")
    .split(/\s+/u);
  for (const part of parts) {
    const written = withoutMarks(part);
    const isLast = PAUSE.test(part);
    if (written !== "" && !NO_WORD.test(written))
      tokens.push({ word: wordOf(written, begins), isCapital: !begins && /^\p{Lu}/u.test(written), isLast });
    else if (isLast && tokens.length > 0) tokens.push({ ...(tokens.pop() as Token), isLast });
    begins = /[?!….。:]["'“”»›)\]}」』》]*$/u.test(part) || (begins && written === "");
  }
  return tokens;
}

function withoutMarks(part: string): string {
  if (/\p{N}/u.test(part)) return part.replace(/^[¿¡]+/, "").replace(BEHIND_NUMBER, "");
  return part.replace(AROUND, "").replace(/\p{L}{2}/u.test(part) ? BEHIND : BEHIND_LETTER, "");
}

/** Words that are others with a capital: `us` and `US`, `may` and `May`. They keep it. */
const CASE_MATTERS = new Set(
  "aids amazon apple august bill china frank grant hope it lent march mark may nice polish polo reading rose sat shell target turkey us visa who will windows".split(
    " ",
  ),
);

function wordOf(written: string, begins: boolean): string {
  const word = written.toLowerCase();
  if (!CASE_MATTERS.has(word) || written === word) return word;
  // At the beginning of a sentence every word has one, but not all of them capital.
  return begins && written.slice(1) === word.slice(1) ? word : written;
}

/** Contractions, as whole words; and those that are short for the same in any word. */
const CONTRACTIONS: ReadonlyMap<string, string> = new Map([
  ["can't", "can not"],
  ["cannot", "can not"],
  ["won't", "will not"],
  ["i'm", "i am"],
  ["whats", "what is"],
  ["what's", "what is"],
  ["where's", "where is"],
  ["who's", "who is"],
  ["how's", "how is"],
  ["it's", "it is"],
  ["that's", "that is"],
  ["there's", "there is"],
]);
const ENDINGS: readonly (readonly [RegExp, string])[] = [
  [/n't$/, " not"],
  [/'re$/, " are"],
  [/'ll$/, " will"],
  [/'ve$/, " have"],
];

/**
 * How questions begin, and the words that are put in their place. One beginning can hide another. Few mean the same whatever follows: `what time`
 * is not always `when`, and who is able to may not be allowed to.
 */
const BEGINNINGS: readonly (readonly [RegExp, string])[] = [
  [/^(?:can|could|would|will) you (?:please |kindly )?tell me (?=\S)/, ""],
  [/^(?:please |kindly )?tell me (?=\S)/, ""],
  [/^i (?:want|need|would like) to know (?=(?:what|how|when|where|why|who|which|if) )/, ""],
  [/^do you know (?=(?:what|how|when|where|why|who|which) )/, ""],
  [/^how to (?=\S)/, "how do i "],
  [/^how can i (?=\S)/, "how do i "],
  [/^(?:could|may) i (?=\S)/, "can i "],
  // As it is asked within another question: `what your hours are`.
  [/^(what|when|where|who|which|how) (?!(?:is|are) )(.+) (is|are)$/, "$1 $3 $2"],
];
const BEGINNINGS_MOST = 4;

const COURTESY = new Set(["please", "pls", "plz", "bitte", "svp"]);
const COURTEOUS_PHRASES = /(?:^| )(?:por favor|s'il vous plaît|s'il te plaît)(?= |$)/g;
/** Said before a question. With another word behind it, it may be a name: Hello Kitty. */
const GREETINGS = new Set("hi hello hey ok okay hallo bonjour salut hola".split(" "));
const ASKING = new Set(
  "what how when where why who which is are do does can could would will i tell was wie wann wo warum wer kann welche welcher welches comment quand où pourquoi qui quel quelle quels quelles cómo cuándo dónde qué cuál por".split(
    " ",
  ),
);
/** Said behind a question, after a pause. */
const THANKS = new Set(["thanks", "thx", "danke", "merci", "gracias"]);

function senseOf(tokens: readonly Token[]): string {
  const words: string[] = [];
  for (const [i, { word, isCapital, isLast }] of tokens.entries()) {
    const next = tokens[i + 1];
    const isFirst = words.length === 0;
    if (!isCapital && COURTESY.has(word)) continue;
    if (!isCapital && isFirst && GREETINGS.has(word) && next && ASKING.has(next.word)) continue;
    if (!isCapital && THANKS.has(word) && !next && !isFirst && tokens[i - 1]?.isLast) continue;
    // What a pause parts is not always the same without it: "No, cancel it".
    words.push(isLast && next ? `${expanded(word)},` : expanded(word));
  }
  // Before what was left out at the end there may have been a pause.
  return begun(words.join(" ").replace(COURTEOUS_PHRASES, "").trim().replace(/,$/, ""));
}

function expanded(word: string): string {
  const whole = CONTRACTIONS.get(word);
  if (whole !== undefined) return whole;
  const ending = ENDINGS.find(([end]) => end.test(word));
  return ending ? word.replace(...ending) : word;
}

/** The same question with the beginning that all that mean the same have. */
function begun(sense: string): string {
  let text = sense;
  for (let i = 0; i < BEGINNINGS_MOST; i++) {
    const found = BEGINNINGS.find(([beginning]) => beginning.test(text));
    if (!found) break;
    text = text.replace(...found);
  }
  return text;
}
