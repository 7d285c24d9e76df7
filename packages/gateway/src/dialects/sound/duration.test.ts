import assert from "node:assert/strict";
import { test } from "node:test";
import { mp3, wav } from "../../conformance/sounds.ts";
import { soundSeconds } from "./duration.ts";

const FRAME_SECONDS = 1_152 / 44_100;

test("a sound is as long as it plays", () => {
  assert.equal(soundSeconds(wav(2.5)), 2.5);
  assert.equal(soundSeconds(wav(1, 16_000)), 1);
  assert.ok(Math.abs((soundSeconds(mp3(100)) ?? 0) - 100 * FRAME_SECONDS) < 1e-9);
});

test("tags before and behind an MP3 are no sound, and what is left of a frame is", () => {
  const tag = Buffer.alloc(10 + 300);
  tag.write("ID3", 0, "latin1");
  tag[8] = 2;
  tag[9] = 44;
  const end = Buffer.alloc(128);
  end.write("TAG", 0, "latin1");
  for (const bytes of [
    Buffer.concat([tag, mp3(10)]),
    Buffer.concat([mp3(10), Buffer.alloc(500)]),
    Buffer.concat([mp3(10), end]),
    Buffer.concat([mp3(9), mp3(1).subarray(0, 100)]),
  ])
    assert.ok(Math.abs((soundSeconds(bytes) ?? 0) - 10 * FRAME_SECONDS) < 1e-9);
});

test("a file that says that it is shorter than it is gains nothing", () => {
  const lying = wav(60);
  lying.writeUInt32LE(8, 40);
  lying.writeUInt32LE(44, 4);
  assert.equal(soundSeconds(lying), 60);
  const slow = wav(60);
  // Bytes a second are what rate, channels and bits make of them, whatever the header says.
  slow.writeUInt32LE(1_000_000, 28);
  assert.equal(soundSeconds(slow), 60);
});

test("where two readers could hear two lengths, none is said", () => {
  const otherRate = mp3(5);
  otherRate.writeUInt32BE(0xfffb9400, 417 * 2);
  const free = mp3(1);
  free.writeUInt32BE(0xfffb0000, 0);
  const compressed = wav(1);
  compressed.writeUInt16LE(0x11, 20);
  const silent = wav(1);
  silent.writeUInt32LE(0, 24);
  const cases = [
    Buffer.alloc(0),
    Buffer.from("OggS and more"),
    Buffer.concat([mp3(5), Buffer.from("junk and noise"), mp3(5)]),
    Buffer.concat([Buffer.from("junk"), mp3(5)]),
    otherRate,
    free,
    compressed,
    silent,
    wav(1).subarray(0, 40),
    Buffer.from("ID3"),
  ];
  for (const [i, bytes] of cases.entries()) assert.equal(soundSeconds(bytes), undefined, `case ${i}`);
});
