import type { Body } from "./formats/format.ts";

export interface DemoAnswer {
  readonly status: number;
  /** JSON where it is left out. */
  readonly type?: string;
  readonly text: string;
}

/** Makes a call of a batch; nothing where it is no call. */
type Make = (url: string, body: unknown) => Promise<unknown>;

interface Batch {
  readonly id: string;
  readonly input_file_id: string;
  status: string;
  output_file_id: string | null;
  request_counts: { readonly total: number; readonly completed: number; readonly failed: number };
}

const PATH = /^\/v1\/(files|batches)(?:\/([\w-]+))?(?:\/(content|cancel))?$/;
/** The oldest go: this is a demonstration. */
const KEPT_MOST = 100;

/** Files and batches of the demo's provider, as OpenAI has them: a batch is done when somebody asks for the first time how it stands. */
export class DemoBatches {
  readonly #make: Make;
  readonly #files = new Map<string, string>();
  readonly #batches = new Map<string, Batch>();
  #count = 0;

  constructor(make: Make) {
    this.#make = make;
  }

  serves(path: string): boolean {
    return PATH.test(path);
  }

  async answer(method: string, path: string, bytes: Buffer, contentType: string): Promise<DemoAnswer> {
    const [, kind, id, more] = PATH.exec(path) ?? [];
    if (kind === "files" && method === "POST" && id === undefined) return this.#upload(bytes, contentType);
    if (kind === "batches" && method === "POST" && id === undefined) return this.#create(bytes);
    const text = this.#files.get(id ?? "");
    if (kind === "files" && text !== undefined && more === "content") return { status: 200, type: "application/octet-stream", text };
    if (kind === "files" && text !== undefined && method === "DELETE") this.#files.delete(id ?? "");
    if (kind === "files" && text !== undefined) return json(200, { id, object: "file", purpose: "batch", deleted: method === "DELETE" });
    const batch = kind === "batches" ? this.#batches.get(id ?? "") : undefined;
    if (!batch)
      return json(404, { error: { message: `There is no ${method} ${path}.`, type: "invalid_request_error", param: null, code: null } });
    if (more === "cancel" && batch.status === "in_progress") batch.status = "cancelled";
    if (batch.status === "in_progress") await this.#finish(batch);
    return json(200, batch);
  }

  async #upload(bytes: Buffer, contentType: string): Promise<DemoAnswer> {
    const form = await new Response(bytes, { headers: { "content-type": contentType } }).formData();
    const file = form.get("file");
    const id = this.#keep(typeof file === "string" || file === null ? "" : await file.text());
    return json(200, { id, object: "file", bytes: bytes.length, purpose: form.get("purpose") });
  }

  #create(bytes: Buffer): DemoAnswer {
    const { input_file_id, endpoint, metadata = null }: Body = JSON.parse(bytes.toString("utf8"));
    const total = this.#linesOf(input_file_id).length;
    const batch: Batch = {
      ...{ id: this.#newId("batch"), object: "batch", endpoint, input_file_id, completion_window: "24h", metadata },
      status: "in_progress",
      output_file_id: null,
      request_counts: { total, completed: 0, failed: 0 },
    };
    this.#batches.set(batch.id, batch);
    forgetOldest(this.#batches);
    return json(200, batch);
  }

  async #finish(batch: Batch): Promise<void> {
    const results: string[] = [];
    for (const line of this.#linesOf(batch.input_file_id)) {
      const { custom_id, url, body }: Body = JSON.parse(line);
      results.push(JSON.stringify({ custom_id, response: { status_code: 200, body: await this.#make(url, body) }, error: null }));
    }
    batch.status = "completed";
    batch.output_file_id = this.#keep(results.join("\n"));
    batch.request_counts = { total: results.length, completed: results.length, failed: 0 };
  }

  #linesOf(file: string): readonly string[] {
    return (this.#files.get(file) ?? "").split("\n").filter((line) => line.trim() !== "");
  }

  #keep(text: string): string {
    const id = this.#newId("file");
    this.#files.set(id, text);
    forgetOldest(this.#files);
    return id;
  }

  #newId(kind: string): string {
    this.#count += 1;
    return `${kind}-demo${Date.now().toString(36)}${this.#count}`;
  }
}

function forgetOldest(all: Map<string, unknown>): void {
  for (const id of all.keys()) if (all.size > KEPT_MOST) all.delete(id);
}

function json(status: number, body: unknown): DemoAnswer {
  return { status, text: JSON.stringify(body) };
}
