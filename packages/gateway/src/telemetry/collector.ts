import { setTimeout as wait } from "node:timers/promises";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import type { ExportResponse, IExporterTransport } from "@opentelemetry/otlp-exporter-base";
import { Agent, request } from "undici";

const compress = promisify(gzip);

/** Statuses after which the same may be sent again, by the specification of OTLP. */
const LATER: ReadonlySet<number> = new Set([429, 502, 503, 504]);
const FIRST_PAUSE_MS = 1_000;
/** What a collector says is not read, beyond what lets its connection be used again. */
const ANSWER_MOST = 64 * 1024;
/** Connections to a collector: one for traces, one for metrics, and one that is new while an old one hangs. */
const CONNECTIONS = 3;

/** The way to a collector. Whatever it does, a batch is sent or given up within its time, and all of them when this closes. */
export class Collector {
  readonly #agent = new Agent({ connections: CONNECTIONS, connect: { timeout: 5_000 } });
  readonly #closing = new AbortController();

  /** What sends to one of its paths. */
  to(url: string, headers: Readonly<Record<string, string>>): IExporterTransport {
    return { send: (bytes, timeoutMs) => this.#send(url, headers, bytes, timeoutMs), shutdown: () => undefined };
  }

  /** Lets go of it, and of what is still on its way. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#agent.destroy();
  }

  async #send(url: string, headers: Readonly<Record<string, string>>, bytes: Uint8Array, timeoutMs: number): Promise<ExportResponse> {
    const signal = AbortSignal.any([this.#closing.signal, AbortSignal.timeout(timeoutMs)]);
    try {
      const body = await compress(bytes);
      for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs *= 2) {
        const failure = await this.#post(url, headers, body, signal);
        if (!failure) return { status: "success" };
        if (!failure.isPassing) return { status: "failure", error: failure.error };
        await wait(pauseMs, undefined, { signal, ref: false });
      }
    } catch (error) {
      return { status: "failure", error: error as Error };
    }
  }

  /** Sends once. Says why that failed, and whether it may do later. */
  async #post(url: string, headers: Readonly<Record<string, string>>, body: Buffer, signal: AbortSignal) {
    try {
      const { statusCode, body: answer } = await request(url, {
        method: "POST",
        headers: { ...headers, "content-type": "application/json", "content-encoding": "gzip" },
        body,
        signal,
        dispatcher: this.#agent,
      });
      await answer.dump({ limit: ANSWER_MOST, signal });
      if (statusCode < 300) return undefined;
      return { error: new Error(`The collector answered ${statusCode}.`), isPassing: LATER.has(statusCode) };
    } catch (error) {
      if (signal.aborted) throw error;
      return { error: error as Error, isPassing: true };
    }
  }
}
