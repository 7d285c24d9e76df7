import type { ServerResponse } from "node:http";
import type { TestContext } from "node:test";
import type { Json } from "./calls.ts";
import { chatAnswer, type MockUsage, messageAnswer, type RawProvider, type Received, startRawProvider, writeJson } from "./raw-provider.ts";

/** A provider that keeps files and batches as OpenAI and Anthropic do, and works on them when a test says so. */
export interface BatchProvider {
  readonly provider: RawProvider;
  readonly files: Map<string, string>;
  readonly batches: Map<string, Json>;
  /** Ends a batch: its first calls are answered with this usage each, so many fail, and of the others nothing is said. */
  end(id: string, ending?: Ending): void;
  /** Answers a request in the place of the provider, where it does. */
  interfere: (response: ServerResponse, received: Received) => boolean;
}

export interface Ending {
  readonly status?: string;
  readonly answered?: number;
  readonly failed?: number;
  readonly usage?: MockUsage;
}

const USAGE: MockUsage = { input: 12, output: 5 };

export async function startBatchProvider(context: TestContext): Promise<BatchProvider> {
  const files = new Map<string, string>();
  const batches = new Map<string, Json>();
  const requests = new Map<string, readonly Json[]>();
  const results = new Map<string, string>();
  let count = 0;
  const self: BatchProvider = {
    provider: await startRawProvider(context, (response, received) => {
      if (!self.interfere(response, received)) return answer(response, received);
    }),
    files,
    batches,
    end,
    interfere: () => false,
  };
  return self;

  async function answer(response: ServerResponse, { method, url, body, headers }: Received): Promise<void> {
    const [path = ""] = url.split("?");
    const [, kind = "", id, more] = /^\/v1\/(files|messages\/batches|batches)(?:\/([^/]+))?(?:\/(\w+))?$/.exec(path) ?? [];
    if (kind === "files" && method === "POST") {
      const form = await new Response(body, { headers: { "content-type": headers["content-type"] ?? "" } }).formData();
      return writeJson(response, 200, { id: keep(await (form.get("file") as File).text()), object: "file", purpose: form.get("purpose") });
    }
    if (kind === "files" && id !== undefined && files.has(id)) {
      if (method === "DELETE") files.delete(id);
      if (method === "DELETE") return writeJson(response, 200, { id, object: "file", deleted: true });
      if (more === "content") return void response.writeHead(200, { "content-type": "application/octet-stream" }).end(files.get(id));
      return writeJson(response, 200, { id, object: "file", purpose: "batch" });
    }
    if (kind === "batches" && method === "POST" && id === undefined) {
      const { input_file_id, endpoint, metadata = null } = JSON.parse(body);
      const one = {
        id: `batch_${++count}`,
        object: "batch",
        endpoint,
        input_file_id,
        metadata,
        status: "in_progress",
        output_file_id: null,
      };
      const lines = (files.get(input_file_id) ?? "").trim().split("\n");
      requests.set(
        one.id,
        lines.map((line) => JSON.parse(line)),
      );
      batches.set(one.id, one);
      return writeJson(response, 200, one);
    }
    if (kind === "messages/batches" && method === "POST" && id === undefined) {
      const one = { id: `msgbatch_${++count}`, type: "message_batch", processing_status: "in_progress", results_url: null };
      requests.set(one.id, JSON.parse(body).requests);
      batches.set(one.id, one);
      return writeJson(response, 200, one);
    }
    const batch = id === undefined ? undefined : batches.get(id);
    if (!batch || id === undefined)
      return writeJson(response, 404, { error: { message: "No such thing.", type: "invalid_request_error" } });
    if (more === "results") return void response.writeHead(200, { "content-type": "application/x-jsonl" }).end(results.get(id));
    if (more === "cancel") Object.assign(batch, kind === "batches" ? { status: "cancelling" } : { processing_status: "canceling" });
    return writeJson(response, 200, batch);
  }

  function keep(text: string): string {
    const id = `file-${++count}`;
    files.set(id, text);
    return id;
  }

  function end(id: string, { status = "completed", answered = Infinity, failed = 0, usage = USAGE }: Ending = {}): void {
    const batch = batches.get(id);
    const lines = requests.get(id) ?? [];
    const made = lines.slice(0, answered);
    const refused = lines.slice(made.length, made.length + failed);
    // Results come in any order.
    const jsonLines = (all: readonly Json[]) =>
      [...all]
        .reverse()
        .map((one) => JSON.stringify(one))
        .join("\n");
    if (id.startsWith("msgbatch_")) {
      const succeeded = made.map(({ custom_id }) => ({ custom_id, result: { type: "succeeded", message: messageAnswer("Aye.", usage) } }));
      const canceled = refused.map(({ custom_id }) => ({ custom_id, result: { type: "canceled" } }));
      results.set(id, jsonLines([...succeeded, ...canceled]));
      const request_counts = { processing: 0, succeeded: made.length, errored: 0, canceled: refused.length, expired: 0 };
      Object.assign(batch, {
        processing_status: "ended",
        request_counts,
        results_url: `https://elsewhere/v1/messages/batches/${id}/results`,
      });
      return;
    }
    const output = made.map(({ custom_id }) => ({
      custom_id,
      response: { status_code: 200, body: chatAnswer("Aye.", usage) },
      error: null,
    }));
    const errors = refused.map(({ custom_id }) => ({ custom_id, response: null, error: { code: "batch_expired", message: "Too late." } }));
    Object.assign(batch, {
      status,
      output_file_id: made.length > 0 ? keep(jsonLines(output)) : null,
      error_file_id: refused.length > 0 ? keep(jsonLines(errors)) : null,
      request_counts: { total: lines.length, completed: made.length, failed: refused.length },
    });
  }
}
