/** Text for the tests of this folder: real languages, and soups of what pre-tokenizers stumble over. */
export const LANGUAGES: Readonly<Record<string, string>> = {
  english: "The purser keeps the ship's accounts. It's late; they'll arrive at 10:45, won't they? We've counted 1,234,567 coins.",
  german: "Der Zahlmeister führt die Bücher des Schiffes. Straße, Größe, Übermut: 3.141,59 € für die Überfahrt.",
  french: "L'économe tient les comptes du navire. Aujourd'hui, c'était déjà l'été à Besançon ; où est-ce que ça mène ?",
  russian: "Казначей ведёт счета корабля. Сегодня мы насчитали 1024 монеты, и это ещё НЕ ВСЁ.",
  greek: "Ο ταμίας κρατά τους λογαριασμούς του πλοίου. Σήμερα μετρήσαμε πολλά νομίσματα.",
  hebrew: "הגזבר מנהל את חשבונות האונייה. היום ספרנו 512 מטבעות.",
  arabic: "يحتفظ أمين الصندوق بحسابات السفينة. اليوم أحصينا ٢٥٦ قطعة نقدية، أليس كذلك؟",
  hindi: "खजांची जहाज़ का हिसाब रखता है। आज हमने १२८ सिक्के गिने।",
  tamil: "கப்பலின் கணக்குகளை காசாளர் வைத்திருக்கிறார். இன்று ௧௨ நாணயங்கள்.",
  thai: "เจ้าหน้าที่การเงินดูแลบัญชีของเรือ วันนี้เรานับเหรียญได้ ๑๒๘ เหรียญ",
  georgian: "ხაზინადარი გემის ანგარიშებს აწარმოებს. დღეს ბევრი მონეტა დავთვალეთ.",
  amharic: "ገንዘብ ያዡ የመርከቧን ሒሳብ ይይዛል። ዛሬ ብዙ ሳንቲሞች ቆጠርን።",
  chinese: "事务长管理船上的账目。今天我们数了1024枚硬币，这还不是全部！你好，世界。",
  japanese: "パーサーは船の会計を管理します。今日は硬貨を１２８枚数えました。ー・々",
  korean: "사무장은 배의 회계를 맡는다. 오늘 우리는 동전 1024개를 세었다.",
  emoji: "👩‍👩‍👧‍👦 sails 🚢🇩🇪 with 👍🏽 and ❤️‍🔥 — 1️⃣2️⃣3️⃣ 🏴󠁧󠁢󠁥󠁮󠁧󠁿",
  // biome-ignore lint/suspicious/noTemplateCurlyInString: it is code to be counted.
  code: 'export const f = async (a: number[]) => {\n\tconst sum = a.reduce((x, y) => x + y, 0);\n\n  return `${sum}\\n`; // "ok"\n};\r\n',
  json: '{"id":"c-01HZX","usage":{"input_tokens":1234,"rates":[0.05,1e-9,-3]},"tags":["a/b","<c>"],"ok":true,"none":null}\n',
  markdown:
    "# Title\n\n* one\n* **two** `code` [link](https://example.com/a?b=c&d=%20)\n\n| a | b |\n|---|--:|\n| 1 | 22 |\n\n```sh\n$ ls -la\n```\n",
  special: "<|endoftext|> <|im_start|>system<|im_sep|> <|fim_prefix|> [INST] <s> </s> <｜begin▁of▁sentence｜>",
};

const ATOMS =
  "a|A|b|the|The| the|ing|'s|'S|'ll|'LL|'Re|'ve|'ſ|ſ|'|’|1|12|2024|٣|½|Ⅷ| |  |\t|\n|\r\n|\r|\u0085|\u00a0|\u2028|\u3000|\ufeff|\u200b|!|!!|/|//|=|====|-|_|*|{|}|\"|é|É|e\u0301|\u0301|\u0300|ß|Ǆ|ǅ|ʰ|中|文|中文字|，|。|日本語|の|カ|・|々|한국|어|ไทย|ั|नमस्ते|्|ا|لعربية|שלום|Привет|МИР|я|Ω|ω|😀|👨‍👩‍👧|🇩🇪|❤️|\u0000|\u0001|\u007f|https://|foo_bar|camelCase|XMLHttp|ḍ|𝒜|𐐀|𐐨|ⅷ|௧|ጀ|አማ|தமிழ்|龦|ゟ".split(
    "|",
  );

/** Numbers from 0 to 1, the same for the same seed. */
export function randomFrom(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/** Up to `most` atoms, letters and characters from anywhere, in a row. */
export function soup(random: () => number, most: number): string {
  let text = "";
  for (let left = 1 + Math.floor(random() * most); left > 0; left--) {
    const kind = random();
    if (kind < 0.85) text += ATOMS[Math.floor(random() * ATOMS.length)];
    else if (kind < 0.93) text += String.fromCharCode(97 + Math.floor(random() * 26));
    else text += String.fromCodePoint(Math.floor(random() * (kind < 0.98 ? 0xd800 : 0x3000)));
  }
  return text;
}
