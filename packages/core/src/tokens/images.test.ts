import assert from "node:assert/strict";
import { test } from "node:test";
import { imageTokens, imageTokensMax } from "./images.ts";
import { encodingOf, imageSize } from "./index.ts";

const tokens = (model: string, image: Parameters<typeof imageTokens>[1]) => imageTokens(encodingOf(model).image, image);

test("images cost what the providers' own examples say", () => {
  assert.equal(tokens("gpt-4o", { width: 1024, height: 1024, detail: "high" }), 765);
  assert.equal(tokens("gpt-4o", { width: 2048, height: 4096, detail: "high" }), 1105);
  assert.equal(tokens("gpt-4o", { width: 4096, height: 8192, detail: "low" }), 85);
  assert.equal(tokens("gpt-4.1-mini", { width: 1024, height: 1024 }), Math.ceil(1024 * 1.62));
  assert.equal(tokens("gemini-2.0-flash", { width: 384, height: 384 }), 258);
  assert.equal(tokens("gemini-2.0-flash", { width: 960, height: 540 }), 6 * 258);
  assert.ok(tokens("claude-sonnet-4-5", { width: 1000, height: 1000 }) >= 1334);
});

test("an image without a size costs as much as any size could", () => {
  for (const model of [
    "gpt-4o",
    "gpt-4o-mini",
    "gpt-5-nano",
    "gpt-5.4",
    "claude-opus-4-8",
    "gemini-2.5-pro",
    "gemini-3-pro",
    "qwen-vl-max",
    "pixtral",
    "x",
  ]) {
    const rule = encodingOf(model).image;
    const most = imageTokensMax(rule);
    for (const width of [1, 100, 385, 768, 1152, 3072, 9000]) {
      for (const height of [1, 256, 384, 768, 2048, 9000]) {
        for (const detail of ["low", "high", "auto", "original"] as const) {
          assert.ok(imageTokens(rule, { width, height, detail }) <= most, `${model} ${width}x${height} ${detail}`);
        }
      }
    }
    assert.ok(imageTokens(rule, {}) <= most);
  }
});

test("the size of an image is read from its first bytes", () => {
  const base64 = (hex: string) => Buffer.from(hex.replaceAll(" ", ""), "hex").toString("base64");
  assert.deepEqual(imageSize(base64("89504e470d0a1a0a 0000000d 49484452 00000140 000000f0 0802000000")), { width: 320, height: 240 });
  assert.deepEqual(imageSize(base64("474946383961 4001 f000 f70000 0000000000")), { width: 320, height: 240 });
  assert.deepEqual(imageSize(base64("52494646 24000000 57454250 56503820 18000000 300100 9d012a 4001 f000 0000")), {
    width: 320,
    height: 240,
  });
  assert.deepEqual(imageSize(base64("52494646 24000000 57454250 5650384c 18000000 2f 3fc13b00 0000000000")), { width: 320, height: 240 });
  assert.deepEqual(imageSize(base64("52494646 24000000 57454250 56503858 0a000000 00000000 3f0100 ef0000 0000")), {
    width: 320,
    height: 240,
  });
  const exif = `ffe1 ea62 ${"00".repeat(0xea60)}`;
  assert.deepEqual(imageSize(base64(`ffd8 ffe0 0010 4a46494600010100000100010000 ${exif} ffc2 0011 08 00f0 0140 03 01220002`)), {
    width: 320,
    height: 240,
  });
});

test("what is no image, or is cut short, has no size and does not throw", () => {
  for (const text of [
    "",
    "AAAA",
    "iVBORw0KGgo=",
    "/9j/4AAQSkZJRg==",
    "not base64 at all, but long enough to be read as a header",
    "UklGRgAAAABXRUJQVlA4IAAAAAA=",
    `/9j/${"4AAC".repeat(20)}`,
  ]) {
    assert.equal(imageSize(text), undefined, text);
  }
});
