import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { encodeEventStreamMessage } from "@copilotkit/aimock";
import type { Framing } from "../metering/stream-meter.ts";

const DATA = process.env.PURSER_TEST_DATA ?? fileURLToPath(new URL("../../../../../shared/data", import.meta.url));
const TRUTH = join(DATA, "fixtures/truth.jsonl");

export const NO_RECORDINGS = "not run: the recordings are not here (PURSER_TEST_DATA)";

/** A recorded answer of a real provider, with what it was truly charged. */
export interface Truth {
  readonly file: string;
  readonly kind: string;
  readonly framing: "json" | "jsonl-chunks" | "sse";
  readonly has_usage: boolean;
  readonly input_total: number;
  readonly cached: number | null;
  readonly cache_write: number | null;
  readonly output_total: number;
  readonly reasoning: number | null;
}

/** All recordings; nothing where they are not here. */
export function readRecordings(): readonly Truth[] | undefined {
  if (!existsSync(TRUTH)) return undefined;
  return readFileSync(TRUTH, "utf8")
    .trim()
    .split("\n")
    .map((line): Truth => JSON.parse(line));
}

export function framingOf({ kind }: Truth): Framing {
  return kind.startsWith("bedrock-") ? "frames" : "events";
}

/** The answer as it came. Recordings keep the data of each event of a stream on a line of its own. */
export function answerOf(truth: Truth): Buffer {
  const bytes = readFileSync(join(DATA, "fixtures", truth.file));
  if (truth.framing !== "jsonl-chunks") return bytes;
  const events = bytes
    .toString("utf8")
    .split("\n")
    .filter((line) => line !== "");
  if (framingOf(truth) === "frames")
    return Buffer.concat(
      events
        .flatMap((event) => Object.entries<object>(JSON.parse(event)))
        .map(([name, payload]) => encodeEventStreamMessage(name, payload)),
    );
  return Buffer.from(`${events.map((event) => `data: ${event}\n\n`).join("")}data: [DONE]\n\n`);
}
