/** How long a sound plays, in seconds, where its bytes leave no doubt: a WAV of plain samples, or an MP3 that is one frame after the other. */
export function soundSeconds(bytes: Buffer): number | undefined {
  return wavSeconds(bytes) ?? mp3Seconds(bytes);
}

/** Samples as they are, and as floating point numbers; `extensible` says which of the two further on. */
const PLAIN_SAMPLES: ReadonlySet<number> = new Set([1, 3, 0xfffe]);

/** What stands behind the beginning of the samples counts as samples: a stream does not say how many there are, and a file may lie. */
function wavSeconds(bytes: Buffer): number | undefined {
  if (bytes.toString("latin1", 0, 4) !== "RIFF" || bytes.toString("latin1", 8, 12) !== "WAVE") return undefined;
  let bytesPerSecond = 0;
  for (let at = 12; at + 8 <= bytes.length; ) {
    const name = bytes.toString("latin1", at, at + 4);
    const length = bytes.readUInt32LE(at + 4);
    const start = at + 8;
    if (name === "fmt " && start + 16 <= bytes.length) {
      if (!PLAIN_SAMPLES.has(bytes.readUInt16LE(start))) return undefined;
      bytesPerSecond = (bytes.readUInt16LE(start + 2) * bytes.readUInt32LE(start + 4) * bytes.readUInt16LE(start + 14)) / 8;
    }
    if (name === "data") return bytesPerSecond > 0 ? (bytes.length - start) / bytesPerSecond : undefined;
    at = start + length + (length % 2);
  }
  return undefined;
}

/** Bits a millisecond by version and layer (ISO/IEC 11172-3 and 13818-3). 0 is a rate that the frame does not name. */
const BIT_RATES: Readonly<Record<string, readonly number[]>> = {
  "1.1": [0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448],
  "1.2": [0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384],
  "1.3": [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
  "2.1": [0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256],
  "2.2": [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
  "2.3": [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
};
const SAMPLE_RATES = [44_100, 48_000, 32_000] as const;
/** By the two bits of the version: 2.5, none, 2, 1. */
const VERSIONS = [{ version: 2, divisor: 4 }, undefined, { version: 2, divisor: 2 }, { version: 1, divisor: 1 }] as const;

interface Frame {
  readonly bytes: number;
  readonly seconds: number;
  /** The same for all frames of a file. */
  readonly kind: number;
}

/** Whoever looks for the next frame in what is none may find another one than the provider does: such a file is not measured. */
function mp3Seconds(bytes: Buffer): number | undefined {
  let at = tagLength(bytes);
  let seconds = 0;
  let kind: number | undefined;
  while (at < bytes.length) {
    const frame = readFrame(bytes, at);
    // What is left of a file behind its sound is short: nothing, a tag, or the beginning of a frame.
    if (!frame) return seconds > 0 && isEnd(bytes, at) ? seconds : undefined;
    kind ??= frame.kind;
    if (frame.kind !== kind) return undefined;
    seconds += frame.seconds;
    at += frame.bytes;
  }
  return seconds > 0 ? seconds : undefined;
}

/** The tag that may stand before the sound (ID3v2), whose length has seven bits in a byte. */
function tagLength(bytes: Buffer): number {
  if (bytes.toString("latin1", 0, 3) !== "ID3" || bytes.length < 10) return 0;
  const size = [6, 7, 8, 9].reduce((sum, at) => sum * 128 + ((bytes[at] ?? 0) & 0x7f), 0);
  return 10 + size;
}

const FRAME_HEADER = 4;

function readFrame(bytes: Buffer, at: number): Frame | undefined {
  if (at + FRAME_HEADER > bytes.length) return undefined;
  const header = bytes.readUInt32BE(at);
  const version = VERSIONS[(header >>> 19) & 3];
  const layer = 4 - ((header >>> 17) & 3);
  const rate = SAMPLE_RATES[(header >>> 10) & 3];
  if (header >>> 21 !== 0x7ff || !version || layer > 3 || rate === undefined) return undefined;
  const bits = BIT_RATES[`${version.version}.${layer}`]?.[(header >>> 12) & 15];
  if (!bits) return undefined;
  const sampleRate = rate / version.divisor;
  const padding = (header >>> 9) & 1;
  const samples = layer === 1 ? 384 : layer === 3 && version.version === 2 ? 576 : 1_152;
  const length =
    layer === 1
      ? (Math.floor((12_000 * bits) / sampleRate) + padding) * 4
      : Math.floor(((samples / 8) * 1_000 * bits) / sampleRate) + padding;
  return { bytes: length, seconds: samples / sampleRate, kind: header & 0xfffe0c00 };
}

const TAG_BYTES = 128;

function isEnd(bytes: Buffer, at: number): boolean {
  if (bytes.subarray(at).every((byte) => byte === 0)) return true;
  return bytes.length - at < FRAME_HEADER || (bytes.length - at === TAG_BYTES && bytes.toString("latin1", at, at + 3) === "TAG");
}
