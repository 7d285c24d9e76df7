import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import Anthropic from "@anthropic-ai/sdk";
import OpenAI, { toFile } from "openai";
import { BATCH_ROUTES } from "../batches/wire.ts";
import { type BatchProvider, startBatchProvider } from "./batch-provider.ts";
import { type Json, readAnswer } from "./calls.ts";
import { writeJson } from "./raw-provider.ts";
import { eventually, type Stand, type StandOptions, startStand } from "./stand.ts";

/** $0.15 and $0.60 for a million tokens, and half of it in a batch. */
const MODEL = "gpt-4o-mini";
const ANSWER_COST = (12 * 150 + 5 * 600) / 2;
const NOON = Date.UTC(2026, 10, 20, 12);

interface Scene {
  readonly stand: Stand;
  readonly mock: BatchProvider;
  readonly openai: OpenAI;
  readonly anthropic: Anthropic;
  as(key: string): OpenAI;
  /** Uploads calls and makes a batch of them. */
  create(lines?: readonly Json[], openai?: OpenAI): Promise<OpenAI.Batch>;
  get(path: string, init?: RequestInit): Promise<{ readonly status: number; readonly json: Json }>;
  balance(unit?: string): Promise<{ readonly spent: number; readonly held: number }>;
}

interface SceneOptions extends Omit<StandOptions, "config"> {
  readonly limits?: string;
  readonly more?: string;
  readonly mock?: BatchProvider;
}

async function startScene(context: TestContext, { limits = "$1", more = "", ...options }: SceneOptions = {}): Promise<Scene> {
  const mock = options.mock ?? (await startBatchProvider(context));
  const { url } = mock.provider;
  const providers = `providers: { openai: { base_url: "${url}/v1", api_key: k }, anthropic: { base_url: "${url}", api_key: k } }`;
  const stand = await startStand(context, { config: `${providers}\nbudgets: [{ name: all, limits: [${limits}]${more} }]`, ...options });
  const as = (apiKey: string) => new OpenAI({ baseURL: `${stand.url}/v1`, apiKey, maxRetries: 0 });
  const openai = as("none");
  return {
    stand,
    mock,
    openai,
    anthropic: new Anthropic({ baseURL: stand.url, apiKey: "none", maxRetries: 0 }),
    as,
    create: async (lines = linesOf(3), client = openai) => {
      const { id } = await upload(client, lines);
      return client.batches.create({ input_file_id: id, endpoint: "/v1/chat/completions", completion_window: "24h" });
    },
    get: async (path, init) => readAnswer(await fetch(stand.url + path, init)),
    balance: async (unit = "nanodollars") => {
      const found = (await stand.gateway.budgets.balances()).find((one) => one.unit === unit);
      return { spent: found?.spent ?? 0, held: found?.held ?? 0 };
    },
  };
}

function linesOf(count: number, fields: Json = {}): readonly Json[] {
  return Array.from({ length: count }, (_, i) => lineOf(`call-${i}`, fields));
}

function lineOf(custom_id: string, fields: Json = {}): Json {
  const body = { model: MODEL, max_tokens: 100, messages: [{ role: "user", content: "Ahoy" }], ...fields };
  return { custom_id, method: "POST", url: "/v1/chat/completions", body };
}

async function upload(openai: OpenAI, lines: readonly Json[]): Promise<OpenAI.FileObject> {
  const text = lines.map((line) => (typeof line === "string" ? line : JSON.stringify(line))).join("\n");
  return openai.files.create({ purpose: "batch", file: await toFile(Buffer.from(text), "calls.jsonl") });
}

describe("a batch", () => {
  test("is held when it is made, and each of its calls is charged by its result, at half the price", async (context) => {
    const { stand, mock, openai, create, balance } = await startScene(context, { limits: "$1, 1M tokens, 100 requests" });
    const batch = await create();
    assert.equal(batch.status, "in_progress");
    const reserved = await stand.entries(3, "reserved");
    const held = reserved.reduce((sum, { detail }) => sum + (detail.cost ?? 0), 0);
    assert.deepEqual([await balance(), (await balance("requests")).held], [{ spent: 0, held }, 3]);
    assert.ok(held >= 3 * ((100 * 600) / 2) && held < 3 * 100 * 600, `half of what the same calls hold at once, and no less: ${held}`);
    mock.end(batch.id);
    assert.equal((await openai.batches.retrieve(batch.id)).status, "completed");
    for (const { charge, detail } of await stand.entries(3, "settled")) {
      assert.deepEqual([charge.cost, charge.certainty, charge.service], [ANSWER_COST, "confirmed", "batch"]);
      assert.deepEqual([detail.subject.endpoint, detail.subject.model], ["openai-chat", MODEL]);
    }
    await stand.checkBooks();
    assert.deepEqual([await balance(), (await balance("requests")).spent], [{ spent: 3 * ANSWER_COST, held: 0 }, 3]);
    const { output_file_id } = await openai.batches.retrieve(batch.id);
    const content = await (await openai.files.content(output_file_id ?? "")).text();
    assert.equal(content, mock.files.get(output_file_id ?? ""), "results pass as they are");
    assert.equal((await openai.batches.list()).data[0]?.id, batch.id);
    await openai.files.delete(batch.input_file_id);
    await openai.files.delete(output_file_id ?? "");
    assert.equal(mock.files.size, 0);
    assert.deepEqual(stand.notices, []);
  });

  test("of an agent is held on what was handed on to it, and seen by no other agent of the same key", async (context) => {
    const { stand, mock, as, create } = await startScene(context);
    const { secret } = await stand.gateway.keys.create({ name: "conductor" });
    const handOn = async (name: string, limits: readonly string[]) => {
      const headers = { authorization: `Bearer ${secret}` };
      const response = await fetch(`${stand.url}/delegations`, { method: "POST", headers, body: JSON.stringify({ name, limits }) });
      return (await response.json()) as { readonly key: string; readonly budget: string };
    };
    const [one, other, poor] = await Promise.all([handOn("one", ["$0.5"]), handOn("other", ["$0.5"]), handOn("poor", ["50 tokens"])]);
    await assert.rejects(create(linesOf(3), as(poor.key)), { status: 413, message: /Budget "poor \(del_/ });
    const batch = await create(linesOf(3), as(one.key));
    const held = async () =>
      (await stand.gateway.store.counters({ budget: one.budget })).map((counter) => [counter.held > 0, counter.spent]);
    assert.deepEqual(await held(), [[true, 0]]);
    for (const stranger of [other.key, secret]) await assert.rejects(as(stranger).batches.retrieve(batch.id), { status: 404 });
    mock.end(batch.id);
    assert.equal((await as(one.key).batches.retrieve(batch.id)).status, "completed");
    await stand.entries(3, "settled");
    await stand.checkBooks();
    assert.deepEqual(await held(), [[false, 3 * ANSWER_COST]]);
  });

  test("reaches its provider as it came, and with the provider's key", async (context) => {
    const { mock, create } = await startScene(context);
    await create();
    const [file, content, batch] = mock.provider.received;
    assert.deepEqual(
      [file?.method, file?.url, content?.method, content?.url, batch?.method, batch?.url],
      ["POST", "/v1/files", "GET", "/v1/files/file-1/content", "POST", "/v1/batches"],
    );
    for (const { headers } of mock.provider.received) assert.equal(headers.authorization, "Bearer k");
    assert.equal(
      mock.files.get("file-1"),
      linesOf(3)
        .map((line) => JSON.stringify(line))
        .join("\n"),
    );
  });

  test("is held whole or not at all: where one call does not fit, nothing is held and nobody asked", async (context) => {
    const { stand, mock, create, balance } = await startScene(context, { limits: "250 output tokens" });
    await assert.rejects(create(), (error: Json) => {
      assert.equal(error.status, 413);
      assert.match(
        error.message,
        /^413 The batch is refused: Budget "all" allows 250 output tokens for its whole life in all, too little for this batch/,
      );
      return true;
    });
    assert.deepEqual(await balance("output_tokens"), { spent: 0, held: 0 });
    assert.equal(mock.batches.size, 0);
    await stand.checkBooks();
    assert.equal((await create(linesOf(2))).status, "in_progress", "what fits is taken");
  });

  test("that is long is held in a moment, and settled so", async (context) => {
    const { stand, mock, openai, create, balance } = await startScene(context, { limits: "$100", store: "sqlite" });
    const batch = await create(linesOf(3_000));
    mock.end(batch.id);
    await openai.batches.retrieve(batch.id);
    await stand.entries(3_000, "settled");
    await stand.checkBooks();
    assert.equal((await balance()).spent, 3_000 * ANSWER_COST);
  });

  test("takes nothing of what is limited at once, and is no way around the number of requests", async (context) => {
    const { create, balance } = await startScene(context, { limits: "1 concurrent, 5 requests / day, 10M tokens" });
    await create();
    assert.deepEqual(
      [await balance("concurrent"), await balance("requests")],
      [
        { spent: 0, held: 0 },
        { spent: 0, held: 3 },
      ],
    );
    await assert.rejects(create(), (error: Json) => {
      assert.match(
        error.message,
        /^402 The batch is refused: Budget "all" has 2 requests left of 5 requests today .* This batch asks for at least 3/,
      );
      return error.code === "insufficient_quota";
    });
    await assert.rejects(create(linesOf(1, { max_tokens: 100_000_000 })), /The call "call-0" of the batch is refused/);
  });

  test("has all of its routes in the reference", () => {
    const reference = readFileSync(fileURLToPath(new URL("../../../../docs/reference/routes.md", import.meta.url)), "utf8");
    for (const { method, shown } of BATCH_ROUTES) assert.ok(reference.includes(`\`${method} ${shown}\``), `${method} ${shown}`);
  });

  test("is refused by a ladder that refuses calls", async (context) => {
    const { stand, create } = await startScene(context, { more: ", ladder: { 0%: block }" });
    await assert.rejects(create(), { status: 402 });
    await stand.checkBooks();
  });

  test("is for the key that made it: to all others it is unknown, and so are its files", async (context) => {
    const { stand, mock, create, as } = await startScene(context);
    const [ann, bob] = await Promise.all(["ann", "bob"].map((name) => stand.gateway.keys.create({ name })));
    const mine = as(ann?.secret ?? "");
    const theirs = as(bob?.secret ?? "");
    const batch = await create(undefined, mine);
    mock.end(batch.id);
    const { output_file_id } = await mine.batches.retrieve(batch.id);
    const asked = mock.provider.received.length;
    for (const id of [batch.input_file_id, output_file_id ?? ""]) {
      for (const look of [
        () => theirs.files.retrieve(id),
        () => theirs.files.content(id),
        () => theirs.files.delete(id),
        () => theirs.batches.create({ input_file_id: id, endpoint: "/v1/chat/completions", completion_window: "24h" }),
      ])
        await assert.rejects(look(), { status: 404, code: "batch_unknown" });
    }
    await assert.rejects(theirs.batches.retrieve(batch.id), { status: 404, code: "batch_unknown" });
    await assert.rejects(theirs.batches.cancel(batch.id), { status: 404 });
    assert.deepEqual((await theirs.batches.list()).data, []);
    await stand.entries(3, "settled");
    assert.equal(mock.provider.received.length - asked, 1, "nothing but its results is asked for");
    assert.equal((await mine.batches.list()).data.length, 1);
    for (const { detail } of await stand.entries(3, "settled")) assert.equal(detail.subject.key, ann?.key.id);
    await assert.rejects(as("pk-wrong").batches.list(), { status: 401 });
  });

  test("that is called off is charged for what was answered, and the rest returned", async (context) => {
    const { stand, mock, openai, create } = await startScene(context);
    const batch = await create(linesOf(4));
    assert.equal((await openai.batches.cancel(batch.id)).status, "cancelling");
    assert.deepEqual(await stand.ledger("settled", "released"), []);
    mock.end(batch.id, { status: "cancelled", answered: 1, failed: 2 });
    await openai.batches.retrieve(batch.id);
    const [one] = await stand.entries(1, "settled");
    assert.deepEqual([one?.charge.cost, one?.charge.certainty], [ANSWER_COST, "confirmed"]);
    for (const { why } of await stand.entries(3, "released")) assert.equal(why, "its batch ended before it was made");
    await stand.checkBooks();
  });

  test("whose provider refuses it is returned, at once or after a look at its input", async (context) => {
    const { stand, mock, openai, create } = await startScene(context);
    mock.interfere = (response, { url, method }) => {
      if (url !== "/v1/batches" || method !== "POST") return false;
      writeJson(response, 400, { error: { message: "Too many batches.", type: "invalid_request_error", code: "limit" } });
      return true;
    };
    await assert.rejects(create(), { status: 400, code: "limit" });
    await stand.entries(3, "released");
    mock.interfere = () => false;
    const batch = await create();
    Object.assign(mock.batches.get(batch.id), { status: "failed", errors: { data: [{ code: "invalid" }] } });
    assert.equal((await openai.batches.retrieve(batch.id)).status, "failed");
    await stand.entries(6, "released");
    await stand.checkBooks();
    assert.deepEqual(await stand.ledger("settled"), []);
  });

  test("of which nobody knows whether it was made is charged at its estimate", async (context) => {
    const { stand, mock, create } = await startScene(context);
    mock.interfere = (response, { url, method }) => {
      const isCreation = url === "/v1/batches" && method === "POST";
      if (isCreation) response.destroy();
      return isCreation;
    };
    await assert.rejects(create(), { status: 502 });
    for (const { charge, detail } of await stand.entries(3, "settled")) {
      assert.equal(charge.certainty, "unconfirmed");
      assert.equal(charge.cost, detail.cost);
    }
    await stand.checkBooks();
  });

  test("whose results are gone, or lack some, or have no usage, is charged at its estimate for those", async (context) => {
    const { stand, mock, openai, create } = await startScene(context);
    const gone = await create();
    mock.end(gone.id);
    mock.files.delete(mock.batches.get(gone.id).output_file_id);
    await openai.batches.retrieve(gone.id);
    for (const { charge } of await stand.entries(3, "settled")) assert.equal(charge.certainty, "unconfirmed");
    const short = await create();
    mock.end(short.id);
    const { output_file_id } = mock.batches.get(short.id);
    const [first = "", second = ""] = (mock.files.get(output_file_id) ?? "").split("\n");
    mock.files.set(output_file_id, [first, second.replace(/"choices":\[/, '"choices":[null,'), "no json"].join("\n"));
    await openai.batches.retrieve(short.id);
    const settled = (await stand.entries(6, "settled")).slice(3);
    assert.deepEqual(settled.map(({ charge }) => charge.certainty).toSorted(), ["confirmed", "unconfirmed", "unconfirmed"]);
    await stand.checkBooks();
  });

  test("is settled when nobody asks about it, and asked about again while its results cannot be had", async (context) => {
    context.mock.timers.enable({ apis: ["Date"], now: NOON });
    const { stand, mock, create } = await startScene(context);
    const batch = await create();
    mock.end(batch.id);
    let refusals = 0;
    mock.interfere = (response, { url }) => {
      if (!url.endsWith("/content")) return false;
      refusals++;
      writeJson(response, 503, {});
      return true;
    };
    context.mock.timers.setTime(NOON + 61_000);
    await eventually("the results to be asked for", () => refusals > 0 || undefined);
    assert.deepEqual(await stand.ledger("settled"), []);
    mock.interfere = () => false;
    context.mock.timers.setTime(NOON + 130_000);
    await stand.entries(3, "settled");
    await stand.checkBooks();
  });

  test("outlives the gateway: what is held stays held, and is settled after a restart", async (context) => {
    const first = await startScene(context, { store: "sqlite" });
    const batch = await first.create();
    const before = await first.balance();
    await first.stand.gateway.close();
    const stored = await readdir(join(first.stand.directory, "batches"));
    const texts = await Promise.all(stored.map((name) => readFile(join(first.stand.directory, "batches", name), "utf8")));
    assert.ok(texts.length === 2 && !texts.join().includes("Ahoy"), "no text is kept");
    const adjust: StandOptions["adjust"] = (config) => ({ ...config, dataDir: first.stand.directory });
    const second = await startScene(context, { store: "sqlite", adjust, mock: first.mock });
    assert.deepEqual([await second.balance(), await second.stand.ledger("expired")], [before, []]);
    first.mock.end(batch.id);
    await second.openai.batches.retrieve(batch.id);
    for (const { charge } of await second.stand.entries(3, "settled"))
      assert.deepEqual([charge.cost, charge.certainty], [ANSWER_COST, "confirmed"]);
    await second.stand.checkBooks();
    assert.equal((await second.openai.batches.list()).data[0]?.status, "completed");
  });

  test("outlives a gateway that is killed, too", async (context) => {
    const first = await startScene(context, { store: "sqlite" });
    const batch = await first.create();
    const before = await first.balance();
    // What is on disk at this moment is all that a killed one leaves.
    const left = await mkdtemp(join(tmpdir(), "purser-killed-"));
    context.after(() => rm(left, { recursive: true, force: true }));
    await cp(first.stand.directory, left, { recursive: true, filter: (path) => !path.endsWith(".lock") });
    const adjust: StandOptions["adjust"] = (config) => ({ ...config, dataDir: left });
    const second = await startScene(context, { store: "sqlite", adjust, mock: first.mock });
    assert.deepEqual([await second.balance(), await second.stand.ledger("expired")], [before, []]);
    first.mock.end(batch.id);
    await second.openai.batches.retrieve(batch.id);
    for (const { charge } of await second.stand.entries(3, "settled")) assert.equal(charge.certainty, "confirmed");
    await second.stand.checkBooks();
  });

  test("that was being made when the gateway died is charged at its estimate: it may have been taken", async (context) => {
    const first = await startScene(context, { store: "sqlite" });
    await first.create();
    await first.stand.gateway.close();
    const folder = join(first.stand.directory, "batches");
    const [name = ""] = (await readdir(folder)).filter((one) => one.endsWith(".batch"));
    const { providerId: _, last: _l, ...batch } = JSON.parse(await readFile(join(folder, name), "utf8"));
    await writeFile(join(folder, name), JSON.stringify({ ...batch, state: "creating" }));
    const adjust: StandOptions["adjust"] = (config) => ({ ...config, dataDir: first.stand.directory });
    const second = await startScene(context, { store: "sqlite", adjust, mock: first.mock });
    for (const { charge } of await second.stand.entries(3, "settled")) assert.equal(charge.certainty, "unconfirmed");
    await second.stand.checkBooks();
    assert.deepEqual((await second.openai.batches.list()).data, []);
  });

  test("keeps the files that say what it costs until it is settled", async (context) => {
    const { mock, openai, stand, create } = await startScene(context);
    const batch = await create();
    await assert.rejects(openai.files.delete(batch.input_file_id), { status: 409, code: "batch_running" });
    mock.end(batch.id);
    await openai.batches.retrieve(batch.id);
    await stand.checkBooks();
    await eventually("the file to be free", () => openai.files.delete(batch.input_file_id).catch(() => undefined));
  });

  test("of Anthropic's is the same, with its calls in the request", async (context) => {
    const { stand, mock, anthropic, get } = await startScene(context);
    const params = { model: "claude-sonnet-4-5", max_tokens: 100, messages: [{ role: "user" as const, content: "Ahoy" }] };
    const requests = ["a", "b", "c"].map((custom_id) => ({ custom_id, params }));
    const batch = await anthropic.messages.batches.create({ requests });
    await stand.entries(3, "reserved");
    assert.equal((await anthropic.messages.batches.cancel(batch.id)).processing_status, "canceling");
    mock.end(batch.id, { answered: 2, failed: 1 });
    assert.equal((await anthropic.messages.batches.retrieve(batch.id)).processing_status, "ended");
    for (const { charge } of await stand.entries(2, "settled"))
      assert.deepEqual([charge.cost, charge.certainty, charge.service], [(12 * 3_000 + 5 * 15_000) / 2, "confirmed", "batch"]);
    await stand.entries(1, "released");
    await stand.checkBooks();
    assert.equal((await anthropic.messages.batches.list()).data[0]?.id, batch.id);
    const results = await fetch(`${stand.url}/v1/messages/batches/${batch.id}/results`, { headers: { "anthropic-version": "2023-06-01" } });
    assert.equal((await results.text()).split("\n").length, 3);
    const { status, json } = await get("/v1/messages/batches/msgbatch_9");
    assert.deepEqual([status, json.type, json.error.type], [404, "error", "not_found_error"]);
  });

  test("is named by what is wrong with it before anything is sent", async (context) => {
    const { stand, mock, openai, get } = await startScene(context);
    const cases: readonly (readonly [lines: readonly Json[], message: RegExp])[] = [
      [[], /The batch has no calls/],
      [["{"], /Line 1 of the batch: .*JSON/],
      [[lineOf("a"), "", lineOf("a")], /Line 3 of the batch: The custom_id "a" is there twice/],
      [[{ ...lineOf("a"), url: "/v1/audio/speech" }], /Line 1 of the batch: "POST \/v1\/audio\/speech" is no call that can be made/],
      [[{ ...lineOf("a"), method: "GET" }], /is no call that can be made/],
      [[{ ...lineOf("a"), body: "x" }], /The field "body" must be an object/],
      [[lineOf("a"), { ...lineOf("b"), url: "/v1/responses", body: { model: MODEL, input: "Ahoy" } }], /A batch has one kind/],
      [linesOf(1, { stream: true }), /not streamed/],
      [linesOf(1, { service_tier: "priority" }), /Remove service_tier/],
      [linesOf(1, { model: "openai/gpt-4o-mini" }), /Write "gpt-4o-mini", not "openai\/gpt-4o-mini"/],
      [linesOf(1, { model: "anthropic/claude-sonnet-4-5" }), /anthropic does not speak openai-chat/],
      [linesOf(1, { max_tokens: "many" }), /Line 1 of the batch: The field "max_tokens"/],
    ];
    for (const [lines, message] of cases) await assert.rejects(upload(openai, lines), message);
    const file = await toFile(Buffer.from("{}"), "a.jsonl");
    await assert.rejects(openai.files.create({ purpose: "assistants", file }), /Only files with the purpose "batch"/);
    assert.equal((await get("/v1/files", { method: "POST", body: "{}" })).status, 400);
    assert.equal(mock.provider.received.length, 0);
    const { id } = await upload(openai, linesOf(1));
    const wrong = openai.batches.create({ input_file_id: id, endpoint: "/v1/embeddings", completion_window: "24h" });
    await assert.rejects(wrong, /The field "endpoint" is "\/v1\/embeddings"/);
    for (const [path, method] of [
      ["/v1/files", "GET"],
      ["/v1/files/x", "POST"],
      ["/v1/batches/x/results", "GET"],
      ["/v1/batches/x", "DELETE"],
      ["/v1/messages/batches/x", "DELETE"],
    ] as const)
      assert.equal((await get(path, { method })).status, 404, `${method} ${path}`);
    assert.deepEqual(await stand.ledger("reserved"), []);
  });

  test("of a model without a price is refused where money is limited, before it is made", async (context) => {
    const { create, mock } = await startScene(context);
    await assert.rejects(create(linesOf(1, { model: "gpt-unheard-of" })), { status: 400, code: "model_unpriced" });
    assert.equal(mock.batches.size, 0);
  });

  test("is not made by a page of another site, nor with the key of its caller", async (context) => {
    const { stand, get, create } = await startScene(context, {
      adjust: (config) => ({ ...config, providers: config.providers.map((one) => ({ ...one, apiKey: undefined })) }),
    });
    await assert.rejects(create(), { status: 401, code: "provider_key_missing" });
    const foreign = { method: "POST", headers: { origin: "https://elsewhere.example" }, body: "{}" };
    assert.equal((await get("/v1/batches", foreign)).status, 401);
    await stand.checkBooks();
  });
});
