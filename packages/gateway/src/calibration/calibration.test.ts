import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { Calibration, type CountedCall } from "./calibration.ts";

const ENGLISH = "The quick brown fox jumps over the lazy dog, and nobody minds. ".repeat(60);
const MIXED = `${ENGLISH} ${"这是一个简单的句子。".repeat(200)}`;
const START = Date.UTC(2026, 10, 26, 12);

/** A calibration, and how many calls it counted. */
function calibrating(t: TestContext) {
  const directory = mkdtempSync(join(tmpdir(), "purser-calibration-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const calibration = new Calibration(directory, (error) => assert.fail(String(error)));
  let counted = 0;
  const saw = async (text: string, inputTokens: number, now: number) => {
    const call = { body: { bytes: Buffer.from(text) }, images: [], opaqueTokens: 0, hidesInput: false };
    const countable = () => {
      counted++;
      return { texts: [text], messages: 1 };
    };
    const answered = { call, dialect: { countable }, model: "gpt-4o", provider: { name: "openai" } } as unknown as CountedCall;
    calibration.saw(answered, { inputTokens, outputTokens: 1 }, now);
    await calibration.flush();
  };
  return { saw, counted: () => counted };
}

test("a call that is too short to say anything is not even counted", async (t) => {
  const { saw, counted } = calibrating(t);
  for (let i = 0; i < 5; i++) await saw("Hello.", 9, START + i);
  assert.equal(counted(), 0);
  await saw(ENGLISH, 850, START + 5);
  assert.equal(counted(), 1);
});

test("after the first calls of a model one is counted in a while, whether or not they said anything", async (t) => {
  const { saw, counted } = calibrating(t);
  for (let i = 0; i < 140; i++) await saw(MIXED, 2_000, START + i);
  assert.equal(counted(), 128);
  await saw(MIXED, 2_000, START + 20_000);
  await saw(MIXED, 2_000, START + 20_001);
  assert.equal(counted(), 129);
});
