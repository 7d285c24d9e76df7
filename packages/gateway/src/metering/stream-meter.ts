import { FrameMeter } from "./frame-meter.ts";
import { LineMeter } from "./line-meter.ts";
import type { PartReader, StreamReader, TextCounter } from "./stream-account.ts";

export interface StreamOptions {
  /** The client did not ask for usage in the stream, so what only we asked for is taken out again. */
  readonly hidesUsage: boolean;
  readonly framing: Framing;
}

/** How a stream is cut into events: server-sent events, lines of JSON, or AWS' binary frames. */
export type Framing = "events" | "lines" | "frames";

/** The framing of a stream by the content type of an answer; none of an answer that comes whole. */
export function framingOf(contentType: string | null | undefined): Framing | undefined {
  if (contentType?.includes("text/event-stream")) return "events";
  if (contentType?.includes("vnd.amazon.eventstream")) return "frames";
  return contentType?.includes("ndjson") || contentType?.includes("jsonl") ? "lines" : undefined;
}

/** What meters a stream of this framing. */
export function streamMeter(reader: PartReader, counter: TextCounter, { hidesUsage, framing }: StreamOptions): StreamReader {
  return framing === "frames" ? new FrameMeter(reader, counter) : new LineMeter(reader, counter, { hidesUsage, framing });
}
