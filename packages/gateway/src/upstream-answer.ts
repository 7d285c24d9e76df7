import type { ServerResponse } from "node:http";
import { returnedHeaders } from "./headers.ts";
import type { Upstream, UpstreamError, UpstreamFlow, UpstreamRequest } from "./upstream.ts";

/** The whole answer to what is no call of a model, and is read here. */
export type WholeAnswer =
  | { readonly kind: "answered"; readonly status: number; readonly headers: readonly string[]; readonly bytes: Buffer }
  | { readonly kind: "failed"; readonly error: UpstreamError };

/** Sends a request and reads all of its answer, up to a number of bytes: what has more has failed. */
export async function readWhole(upstream: Pick<Upstream, "send">, request: UpstreamRequest, bytesMost: number): Promise<WholeAnswer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  const ended = await readChunks(upstream, request, (chunk) => {
    bytes += chunk.length;
    if (bytes > bytesMost) throw new Error(`the answer has more than ${bytesMost.toLocaleString("en-US")} bytes`);
    chunks.push(chunk);
  });
  return ended.kind === "failed" ? ended : { ...ended, bytes: Buffer.concat(chunks) };
}

/** No line of an answer is longer. */
const LINE_MOST = 64 * 1024 * 1024;
const NEWLINE = 0x0a;

/** Sends a request and reads its answer line by line. What is no answer (300 and above) has lines too: the status says what they are. */
export function readLines(upstream: Pick<Upstream, "send">, request: UpstreamRequest, onLine: (line: string) => void): Promise<Ended> {
  let begun: Buffer[] = [];
  let bytes = 0;
  const finish = () => {
    const line = Buffer.concat(begun).toString("utf8");
    begun = [];
    bytes = 0;
    if (line.trim() !== "") onLine(line);
  };
  const read = (chunk: Buffer) => {
    let from = 0;
    for (let at = chunk.indexOf(NEWLINE); at >= 0; at = chunk.indexOf(NEWLINE, from)) {
      begun.push(chunk.subarray(from, at));
      finish();
      from = at + 1;
    }
    bytes += chunk.length - from;
    if (bytes > LINE_MOST) throw new Error("a line of the answer is too long to be read");
    begun.push(chunk.subarray(from));
  };
  return readChunks(upstream, request, read, finish);
}

type Ended =
  | { readonly kind: "answered"; readonly status: number; readonly headers: readonly string[] }
  | { readonly kind: "failed"; readonly error: UpstreamError };

function readChunks(
  upstream: Pick<Upstream, "send">,
  request: UpstreamRequest,
  onChunk: (chunk: Buffer) => void,
  onEnd: () => void = () => undefined,
): Promise<Ended> {
  return new Promise((resolve) => {
    let answer: Extract<Ended, { kind: "answered" }> = { kind: "answered", status: 0, headers: [] };
    let abort: () => void = () => undefined;
    const fail = (cause: Error) => resolve({ kind: "failed", error: { wasSent: true, isTimeout: false, cause } });
    const attempt = (work: () => void) => {
      try {
        work();
        return true;
      } catch (cause) {
        fail(cause as Error);
        abort();
        return false;
      }
    };
    try {
      abort = upstream.send(request, {
        began: (status, headers) => {
          answer = { ...answer, status, headers };
        },
        received: (chunk) => attempt(() => onChunk(chunk)),
        ended: () => {
          if (attempt(onEnd)) resolve(answer);
        },
        failed: (error) => resolve({ kind: "failed", error }),
      });
    } catch (cause) {
      resolve({ kind: "failed", error: { wasSent: false, isTimeout: false, cause: cause as Error } });
    }
  });
}

/** Passes an answer that nobody here reads on as it comes. Resolves when all is over: to the failure, where nothing was written yet. */
export function passOn(
  upstream: Pick<Upstream, "send">,
  request: UpstreamRequest,
  response: ServerResponse,
  headers: readonly string[],
): Promise<UpstreamError | undefined> {
  return new Promise((resolve) => {
    let flow: UpstreamFlow | undefined;
    const abort = upstream.send(request, {
      began: (status, raw, started) => {
        flow = started;
        response.on("drain", () => flow?.resume());
        response.writeHead(status, [...returnedHeaders(raw, new Set()), ...headers]);
      },
      received: (chunk) => {
        if (!response.write(chunk)) flow?.pause();
      },
      ended: () => {
        response.end();
        resolve(undefined);
      },
      failed: (error) => {
        if (!response.headersSent) return resolve(error);
        // The client must see that something is missing.
        response.destroy();
        resolve(undefined);
      },
    });
    response.once("close", () => {
      if (!response.writableFinished) abort();
    });
  });
}
