import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { type Json, post } from "./calls.ts";
import { type Answer, chatAnswer, messageAnswer, startRawProvider, writeJson } from "./raw-provider.ts";
import { providersAt, startStand } from "./stand.ts";

const MAIN = fileURLToPath(new URL("../cli/main.js", import.meta.url));

const PRICES = `prices:
  - { model: large, input: 3, output: 15, cache_read: 0.3, cache_write: 3.75, priority: 2, max_output: 8192 }
  - { model: large-fast, input: 30, output: 150, cache_read: 3, cache_write: 37.5, max_output: 8192 }
  - { model: small, input: 1, output: 5, max_output: 8192 }`;

/** Everything that makes a price: cached reads and writes, tiers, modes, and a call whose end nobody knows. */
const answers: Answer = (response, { url, body }) => {
  const { max_tokens: cap, service_tier: tier, model } = JSON.parse(body) as Json;
  const used = { input: 1_000, output: Math.min(cap, 321) };
  if (url.startsWith("/v1/messages")) {
    const { usage, ...message } = messageAnswer("Aye.", used);
    return writeJson(response, 200, {
      ...message,
      usage: { ...usage, cache_creation_input_tokens: 1_003, cache_read_input_tokens: 2_007 },
    });
  }
  if (model === "lost") return response.destroy();
  const { usage, ...chat } = chatAnswer("Aye.", used);
  return writeJson(response, 200, { ...chat, service_tier: tier, usage: { ...usage, prompt_tokens_details: { cached_tokens: 129 } } });
};

test("a gateway's own ledger costs the same to the nano-dollar under its own configuration, and less under a ladder", async (context) => {
  const provider = await startRawProvider(context, answers);
  const config = `${providersAt(provider.url)}
${PRICES}
default_price: { input: 7, output: 11 }
budgets:
  - { name: all, limits: [$5 / day, 1M tokens / day] }
  - { name: each, per: user, limits: [$2 / day] }
`;
  const stand = await startStand(context, { config, store: "sqlite" });
  const call = (path: string, fields: Json, user: string) => {
    const plain = { model: "large", max_tokens: 500, messages: [{ role: "user", content: "Ahoy, what is the price of this voyage?" }] };
    return post(stand.url + path, { ...plain, ...fields }, { "x-purser-user": user });
  };
  for (const user of ["ann", "bob"]) {
    assert.equal((await call("/v1/chat/completions", {}, user)).status, 200);
    assert.equal((await call("/v1/chat/completions", { service_tier: "priority" }, user)).status, 200);
    assert.equal((await call("/v1/messages", {}, user)).status, 200);
    assert.equal((await call("/v1/messages", { speed: "fast" }, user)).status, 200);
    assert.equal((await call("/v1/chat/completions", { model: "lost" }, user)).status, 502);
  }
  const settled = await stand.entries(10, "settled");
  const cost = settled.reduce((sum, { charge }) => sum + (charge.cost ?? 0), 0);
  assert.ok(settled.some(({ charge }) => charge.service === "priority") && settled.some(({ detail }) => detail.pricedAs === "large-fast"));

  const replayed = async (text: string): Promise<Json> => {
    const file = join(stand.directory, "other.yaml");
    await writeFile(file, text);
    const args = [MAIN, "replay", "--config", file, "--data", stand.directory, "--json"];
    const { stdout, stderr, status } = spawnSync(process.execPath, args, { cwd: stand.directory, encoding: "utf8" });
    assert.equal(status, 0, stderr + stdout);
    return JSON.parse(stdout);
  };
  const same = await replayed(config);
  assert.deepEqual([same.calls, same.as_it_was.cost_nanodollars], [10, cost]);
  assert.deepEqual([same.budgets.answered, same.budgets.cost_nanodollars, same.ladders], [10, cost, null]);

  const soft = await replayed(config.replace("[$5 / day, 1M tokens / day]", "[$5 / day], ladder: { 0%: use small }"));
  assert.ok(soft.ladders.cost_nanodollars < cost / 2, `${soft.ladders.cost_nanodollars} of ${cost}`);
  assert.deepEqual(soft.ladders.rungs, [{ rung: "use small (all 0%)", calls: soft.ladders.rungs[0].calls }]);
  const tight = await replayed(config.replace("$5 / day", "$0.05 / day"));
  assert.ok(tight.budgets.refused > 0 && tight.budgets.cost_nanodollars <= 50_000_000);
  assert.equal(tight.budgets.refusals[0].budget, "all");
});
