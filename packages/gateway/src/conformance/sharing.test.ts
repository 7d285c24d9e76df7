import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { AuditLog } from "../audit-log/audit-log.ts";
import { shareUnused } from "../sharing.ts";
import { type Json, post } from "./calls.ts";
import { answerChat, startRawProvider } from "./raw-provider.ts";
import { PRICES, providersAt, startStand } from "./stand.ts";

const BUDGETS = `budgets:
  - { name: all, limits: [10k tokens / year], share: { among: [ads, chat], every: hour } }
  - { name: ads, for: { team: ads }, limits: [1000 tokens / year], min_output: 10 }
  - { name: chat, for: { team: chat }, limits: [1000 tokens / year], min_output: 10 }`;

test("what a budget leaves unused is moved to one that is used up, shown, written down, and can be revoked", async (context) => {
  const provider = await startRawProvider(context, answerChat({ input: 500, output: 500 }));
  const stand = await startStand(context, { config: `${providersAt(provider.url)}\n${PRICES}\n${BUDGETS}` });
  const call = () =>
    post(
      `${stand.url}/v1/chat/completions`,
      { model: "m", max_tokens: 500, messages: [{ role: "user", content: "word ".repeat(300) }] },
      { "x-purser-team": "chat" },
    );
  assert.equal((await call()).status, 200);
  await stand.checkBooks();
  assert.equal((await call()).status, 402);
  const log = new AuditLog(stand.directory);
  const { budgets } = stand.gateway;
  await Promise.all([shareUnused(budgets, log), shareUnused(budgets, log)]);
  const limits = async () =>
    Object.fromEntries((await budgets.balances()).filter(({ budget }) => budget !== "all").map(({ budget, limit }) => [budget, limit]));
  const { ads = 0, chat = 0 } = await limits();
  assert.ok(chat > 1_000 && ads + chat === 2_000, `${ads} and ${chat}`);

  const { data }: Json = await (await fetch(`${stand.url}/api/grants`)).json();
  assert.deepEqual(
    data.map(({ budget, amount, giver }: Json) => [budget, amount, giver]),
    [
      ["ads", ads - 1_000, 'the sharing of "all"'],
      ["chat", chat - 1_000, 'the sharing of "all"'],
    ],
  );
  const lines = (await readFile(join(stand.directory, "audit.jsonl"), "utf8")).trim().split("\n");
  const shared = lines.map((line): Json => JSON.parse(line)).filter(({ what }) => what === "budget.shared");
  assert.deepEqual(
    shared.map(({ by, details }) => [by, details.gives[0].amount]),
    [['the sharing of "all"', chat - 1_000]],
  );
  for (const { id } of data) {
    const { status } = await fetch(`${stand.url}/api/grants/${encodeURIComponent(id)}`, { method: "DELETE" });
    assert.equal(status, 200);
  }
  await shareUnused(budgets, log);
  assert.deepEqual(await limits(), { ads: 1_000, chat: 1_000 });
});
