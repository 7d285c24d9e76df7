import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Budgets, createMemoryStore } from "@purser/core";
import { startGateway } from "../app.ts";
import { AuditLog } from "../audit-log/audit-log.ts";
import { readConfig } from "../config/read-config.ts";
import { type Json, post } from "./calls.ts";
import { answerChat, startRawProvider } from "./raw-provider.ts";
import { startReceiver } from "./receivers.ts";
import { eventually, PRICES, providersAt } from "./stand.ts";

const DAY_MS = 86_400_000;

test("a limit follows what was used: it is told, written down, shown and explained, and a changed file ends it", async (context) => {
  const provider = await startRawProvider(context, answerChat({ input: 100, output: 100 }));
  const receiver = await startReceiver(context);
  const directory = await mkdtemp(join(tmpdir(), "purser-adjusting-"));
  const configOf = (limit: string) =>
    readConfig({
      text: `server: { port: 0 }
data: ${JSON.stringify(directory)}
${providersAt(provider.url)}
${PRICES}
channels: { hook: { kind: webhook, url: "${receiver.url}" } }
budgets:
  - { name: support, owner: kim@example.com, limits: [${limit}], min_output: 10, adjust: { within: 5k - 20k tokens }, alerts: { adjusted: tell hook } }
  - { name: proposed, limits: [10k tokens / day], adjust: { within: 5k - 20k tokens, mode: propose }, alerts: { adjusted: tell hook } }`,
      environment: {},
    });
  const today = Math.floor(Date.now() / DAY_MS) * DAY_MS;
  let at = today - 20 * DAY_MS;
  const store = createMemoryStore({ now: () => at });
  const config = configOf("8k tokens / day");
  const before = new Budgets({ store, budgets: config.budgets, prices: { card: () => undefined }, now: () => at });
  for (let day = 0; day < 20; day++) {
    for (let i = 0; i < 4; i++) {
      at = today + (day - 20) * DAY_MS + i * 3_600_000;
      const decision = await before.reserve({ id: `call-${day}-${i}`, subject: {}, input: { most: 1_900 }, output: { most: 0, least: 0 } });
      if (decision.outcome === "allowed") await before.settle(decision.reservation, { inputTokens: 1_800, outputTokens: 0 });
    }
  }
  await before.close();

  at = today - 60_000;
  const timed = { ...store, time: async () => at };
  const gateway = await startGateway({ config, store: timed });
  context.after(async () => {
    await gateway.close();
    await rm(directory, { recursive: true, force: true });
  });
  const get = async (path: string): Promise<Json> => (await fetch(`${gateway.url}${path}`)).json();
  const [grant] = await eventually("the decision", async () => {
    const { data } = await get("/api/grants");
    return data.length > 0 ? data : undefined;
  });
  assert.deepEqual(
    [grant.budget, grant.amount, grant.giver, grant.from],
    ["support", 1_000, 'the adjusting of "support"', new Date(today).toISOString()],
  );
  const why = "From 8,000 tokens to 9,000 tokens: the p95 of 20 days is 7,200 tokens, and with 25% on top it needs 9,000 tokens.";
  assert.equal(grant.why, why);
  const notices = await eventually("both notices", () => (receiver.posted.length >= 2 ? receiver.posted : undefined));
  const told = new Map(notices.map(({ body }): [string, Json] => [body.data.budget, body]));
  assert.deepEqual(
    [told.get("support")?.type, told.get("support")?.data.amount, told.get("support")?.data.owner],
    ["budget.adjusted", 9_000, "kim@example.com"],
  );
  assert.match(told.get("support")?.data.title, /Budget "support" has 9,000 tokens a day instead of 8,000 tokens/);
  assert.match(told.get("proposed")?.data.text, /It has 10,000 tokens\. .* Nothing changes by itself/);
  const deeds = (await new AuditLog(directory).lines()).filter(({ what }) => what === "budget.adjusted");
  assert.deepEqual(
    deeds.map(({ by, details }: Json) => [by, details.budget, details.before, details.amount, details.why]),
    [['the adjusting of "support"', "support", 8_000, 9_000, why]],
  );

  at = Date.now();
  const { data: adjustments } = await get("/api/adjustments");
  assert.deepEqual(
    adjustments.map(({ budget, configured, amount, decided, next_at }: Json) => [budget, configured, amount, decided?.why, next_at]),
    [
      ["support", 8_000, 9_000, why, new Date(today + DAY_MS).toISOString()],
      ["proposed", 10_000, 10_000, undefined, new Date(today + DAY_MS).toISOString()],
    ],
  );
  const message = { model: "m", max_tokens: 100, messages: [{ role: "user", content: "Hello" }] };
  const answer = await post(`${gateway.url}/v1/chat/completions`, message, {});
  assert.equal(answer.status, 200);
  const report = await get(`/api/requests/${answer.headers.get("x-purser-request-id")}`);
  assert.deepEqual(
    report.adjusted.map(({ budget, amount, configured }: Json) => [budget, amount, configured]),
    [["support", 9_000, 8_000]],
  );
  const limitOf = async () => (await gateway.budgets.balances({ budget: "support" }))[0]?.limit;
  assert.equal(await limitOf(), 9_000);
  await gateway.reload(configOf("7k tokens / day"));
  assert.equal(await limitOf(), 7_000);
  assert.deepEqual((await get("/api/grants")).data, []);
});
