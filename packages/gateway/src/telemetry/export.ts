import type { Context } from "@opentelemetry/api";
import type { ExportResult } from "@opentelemetry/core";
import type { ReadableSpan, Span, SpanExporter, SpanProcessor } from "@opentelemetry/sdk-trace";

/** Told of what no collector got: spans, or batches of metrics, whose sums come with the next one. */
export type Lost = (what: "spans" | "metrics", count: number) => void;

/** What sends a batch of something. */
interface Sender<Batch> {
  export(batch: Batch, done: (result: ExportResult) => void): void;
  forceFlush(): Promise<void>;
  shutdown(): Promise<void>;
}

const SUCCESS = 0;
const SAMPLED = 1;

/** Lets so many spans wait for their collector, those on their way included. More are dropped, and every one that is lost is counted. */
export class SpanQueue implements SpanProcessor {
  static readonly MOST = 2_048;
  readonly #batches: SpanProcessor;
  readonly #onLost: Lost;
  #waiting = 0;

  constructor(batched: (exporter: SpanExporter) => SpanProcessor, sender: Sender<ReadableSpan[]>, onLost: Lost) {
    this.#onLost = onLost;
    this.#batches = batched({
      export: (spans, done) =>
        sender.export(spans, (result) => {
          this.#waiting -= spans.length;
          if (result.code !== SUCCESS) onLost("spans", spans.length);
          done(result);
        }),
      forceFlush: () => sender.forceFlush(),
      shutdown: () => sender.shutdown(),
    });
  }

  onStart(span: Span, parent: Context): void {
    this.#batches.onStart(span, parent);
  }

  onEnd(span: ReadableSpan): void {
    if ((span.spanContext().traceFlags & SAMPLED) === 0) return;
    if (this.#waiting >= SpanQueue.MOST) {
      this.#onLost("spans", 1);
      return;
    }
    this.#waiting++;
    this.#batches.onEnd(span);
  }

  forceFlush(): Promise<void> {
    return this.#batches.forceFlush();
  }

  shutdown(): Promise<void> {
    return this.#batches.shutdown();
  }
}
