import assert from "node:assert/strict";
import { test } from "node:test";
import { type CountError, countErrorOf, countTokens, encodingOf, learnedMargin, measureTokens } from "./index.ts";
import { LANGUAGES } from "./texts.test.data.ts";

const CLAUDE = encodingOf("claude-opus-4-8");
const EXACT = encodingOf("gpt-4o");

function errors(count: number, permille: number, script: CountError["script"] = "latin"): CountError[] {
  return Array.from({ length: count }, () => ({ permille, script }));
}

test("a call measured without a margin is what it is counted as, less the margin", async () => {
  const call = { texts: [(LANGUAGES.english ?? "The quick brown fox. ").repeat(40)], messages: 3, tools: ['{"name":"f"}'] };
  const { tokens, overhead, otherShare } = await measureTokens("claude-opus-4-8", call);
  assert.equal(
    await countTokens("claude-opus-4-8", call, Number.POSITIVE_INFINITY, { marginPermille: 0, marginOtherPermille: 0 }),
    tokens + overhead,
  );
  assert.ok(otherShare < 0.05);
  const margin = { marginPermille: 250, marginOtherPermille: 900 };
  assert.equal((await countTokens("claude-opus-4-8", { ...call, tools: [] }, Number.POSITIVE_INFINITY, margin)) > tokens * 1.2, true);
});

test("an error is what the provider counts beyond our count of the words, and short or mixed texts have none", () => {
  const long = { tokens: 1_000, overhead: 50, otherShare: 0 };
  assert.deepEqual(countErrorOf(long, 1_350), { permille: 300, script: "latin" });
  assert.deepEqual(countErrorOf(long, 1_000), { permille: -50, script: "latin" });
  assert.deepEqual(countErrorOf({ ...long, otherShare: 0.99 }, 1_050), { permille: 0, script: "other" });
  assert.equal(countErrorOf({ ...long, tokens: 499 }, 600), undefined);
  assert.equal(countErrorOf({ ...long, tokens: 510 }, 499), undefined);
  assert.equal(countErrorOf({ ...long, otherShare: 0.4 }, 1_350), undefined);
});

test("a margin narrows to the largest error seen, and a little, once a hundred calls were compared", () => {
  const seen = [...errors(98, 120), ...errors(1, 260)];
  assert.equal(learnedMargin(CLAUDE, seen).marginPermille, CLAUDE.marginPermille, "99 are too few");
  const enough = learnedMargin(CLAUDE, [...seen, ...errors(1, 90)]);
  assert.deepEqual(enough, { marginPermille: 270, marginOtherPermille: CLAUDE.marginOtherPermille }, "what was not seen stays");
  assert.equal(learnedMargin(CLAUDE, errors(200, -300)).marginPermille, 0, "no margin takes anything off");
});

test("a margin that is too narrow is widened after twenty calls, and never beyond twice our count", () => {
  assert.equal(learnedMargin(EXACT, errors(19, 400)).marginPermille, EXACT.marginPermille);
  assert.equal(learnedMargin(EXACT, errors(20, 400)).marginPermille, 410);
  assert.equal(learnedMargin(CLAUDE, errors(20, 900, "other")).marginOtherPermille, 910);
  assert.equal(learnedMargin(CLAUDE, errors(50, 9_000)).marginPermille, 1_000);
});

test("a vocabulary that is the model's own keeps its margin, which is there for the framing", () => {
  assert.deepEqual(learnedMargin(EXACT, errors(256, -40)), {
    marginPermille: EXACT.marginPermille,
    marginOtherPermille: EXACT.marginOtherPermille,
  });
});
