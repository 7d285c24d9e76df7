import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Budgets } from "@purser/core";
import { openSqliteStore } from "@purser/core/stores/sqlite";
import type { CommitmentAdviceJson, CommitmentJson } from "../admin/commitment-json.ts";
import { type RunningGateway, startGateway } from "../app.ts";
import { writeRunning } from "../cli/running-gateway.ts";
import type { Config } from "../config/config.ts";
import { readConfig } from "../config/read-config.ts";
import { PLAIN_CALL, post } from "./calls.ts";
import { answerChat, startRawProvider } from "./raw-provider.ts";
import { startReceiver } from "./receivers.ts";
import { eventually, PRICES, providersAt } from "./stand.ts";

const MAIN = fileURLToPath(new URL("../cli/main.js", import.meta.url));
const DAY_MS = 86_400_000;
const DOLLAR = 1_000_000_000;
const CARD = { source: "test card", tiers: [{ aboveInputTokens: 0, rates: { input: 1_000_000, output: 1_000_000 } }] };

/** The ledger of a gateway that was there for some days before now, with $10 on each of them. */
async function recordDays(directory: string, days: number): Promise<void> {
  let at = 0;
  const store = await openSqliteStore({ directory, now: () => at });
  const budgets = new Budgets({
    store,
    budgets: [],
    prices: { card: (provider, model) => ({ ...CARD, provider, model }) },
    now: () => at,
  });
  const begun = Date.now() - days * DAY_MS;
  for (let day = 0; day < days; day++) {
    at = begun + day * DAY_MS;
    const call = { id: `day-${day}`, subject: { provider: "mock", model: "gpt-4o" }, input: { most: 10_000_000 }, output: { most: 0 } };
    const decision = await budgets.reserve(call);
    assert.equal(decision.outcome, "allowed");
    if (decision.outcome === "allowed") await budgets.settle(decision.reservation, { inputTokens: 10_000_000, outputTokens: 0 });
  }
  await budgets.close();
  await store.close();
}

interface Scene {
  readonly directory: string;
  readonly config: (more: string) => Config;
  start(more: string): Promise<RunningGateway>;
  purser(...words: readonly string[]): Promise<string>;
}

async function startScene(context: TestContext, days: number): Promise<Scene> {
  const directory = await mkdtemp(join(tmpdir(), "purser-commitments-"));
  context.after(() => rm(directory, { recursive: true, force: true }));
  await recordDays(directory, days);
  const provider = await startRawProvider(context, answerChat({ input: 12, output: 40 }));
  const head = `server: { port: 0 }\ndata: ${JSON.stringify(directory)}\n${providersAt(provider.url)}\n${PRICES}\n`;
  const config = (more: string) => readConfig({ text: head + more, environment: {} });
  return {
    directory,
    config,
    async start(more) {
      const gateway = await startGateway({ config: config(more) });
      context.after(() => gateway.close().catch(() => undefined));
      return gateway;
    },
    async purser(...words) {
      const args = [MAIN, ...words, "--data", directory];
      return (await promisify(execFile)(process.execPath, args, { cwd: directory, env: { ...process.env, NO_COLOR: "1" } })).stdout;
    },
  };
}

const day = (daysAgo: number) => new Date(Date.now() - daysAgo * DAY_MS).toISOString().slice(0, 10);
const ask = async <Json>(url: string, path: string): Promise<Json> => (await (await fetch(url + path)).json()) as Json;
const listed = async ({ url }: RunningGateway) => (await ask<{ data: readonly CommitmentJson[] }>(url, "/api/commitments")).data;

test("a commitment that runs short is seen in list, metrics and command, told once over a restart, and changes no charge", async (context) => {
  const { start, config, purser, directory } = await startScene(context, 12);
  const receiver = await startReceiver(context);
  const told = `channels: { hook: { kind: webhook, url: "${receiver.url}" } }\nalerts: { unused 10%: tell hook }\n`;
  const commitment = (amount: string) =>
    `${told}commitments: [{ name: mock, provider: mock, commit: ${amount} / month, discount: 10%, from: ${day(10)} }]\n`;
  const gateway = await start(commitment("$1000"));
  writeRunning(directory, { pid: process.pid, url: gateway.url });

  const notice = await eventually("the notice", () => receiver.posted[0], 20_000);
  const { title, text, name } = notice.body.data;
  assert.equal(notice.body.type, "commitment.unused");
  assert.equal(title, 'Commitment "mock" will not be used up');
  assert.match(text, /^\$\d+\.00 of \$1,000\.00 \(\d %\) are used; at this pace \$7\d\d\.\d\d will be paid for nothing by /);
  assert.equal(name, "mock");

  const [standing, ...others] = await listed(gateway);
  assert.ok(standing?.expected && others.length === 0);
  // A call each day: nine or ten of them in the window, by the hour in which it began.
  assert.ok([9, 10].includes(standing.ledger_nanodollars / (10 * DOLLAR)), JSON.stringify(standing));
  assert.equal(standing.used, standing.ledger_nanodollars * 0.9);
  assert.equal(standing.used + standing.unused + standing.left, 1_000 * DOLLAR);
  assert.equal(standing.expected.unused, 1_000 * DOLLAR - standing.expected.used);
  assert.match(
    await purser("commitments"),
    /^Commitment +Bought .*\nmock +\$1,000\.00 \/ month +\S+ +[89] % +\$\d+\.00 +\$2\d\d\.\d\d +\$7\d\d\.\d\d +in \d+ days/,
  );
  assert.deepEqual(JSON.parse(await purser("commitments", "--json")).length, 1);
  const metrics = await (await fetch(`${gateway.url}/metrics`)).text();
  assert.match(metrics, /purser_commitment_used_ratio\{commitment="mock"\} 0\.0[89]/);
  assert.match(metrics, /purser_commitment_cost_dollars\{commitment="mock"\} 1000\.000000000/);

  await post(`${gateway.url}/v1/chat/completions`, PLAIN_CALL);
  const charged = 12 * 3_000 + 40 * 15_000;
  await eventually("the call", async () =>
    (await listed(gateway))[0]?.ledger_nanodollars === standing.ledger_nanodollars + charged ? true : undefined,
  );
  assert.equal((await listed(gateway))[0]?.used, standing.used + charged * 0.9);
  const report = await ask<{ data: readonly { cost_nanodollars: number }[] }>(
    gateway.url,
    `/api/report?since=${day(0)}&filter=model=${PLAIN_CALL.model}`,
  );
  assert.equal(report.data[0]?.cost_nanodollars, charged, "the ledger and its reports are at the prices of cards");

  // What is smaller is used up, whatever the file said before.
  await gateway.reload(config(commitment("$50")));
  const [smaller] = await listed(gateway);
  assert.deepEqual([smaller?.used, smaller?.left, smaller?.expected?.unused], [50 * DOLLAR, 0, 0]);
  assert.equal(smaller?.over, standing.used + charged * 0.9 - 50 * DOLLAR);
  await gateway.close();

  const again = await start(commitment("$1000"));
  await eventually(
    "the sums",
    async () => ((await (await fetch(`${again.url}/metrics`)).text()).includes("purser_commitment_used_ratio") ? true : undefined),
    20_000,
  );
  assert.equal((await listed(again))[0]?.used, standing.used + charged * 0.9);
  await again.close();
  assert.equal(receiver.posted.length, 1, "nobody is told again");
});

test("advice is the same from the gateway and from its folder, and says what an offer would have come to", async (context) => {
  const { start, purser, directory } = await startScene(context, 28);
  const words = ["commitments", "advise", "--offer", "$300 / month for 10%", "--offer", "$900 / month for 10%", "--discount", "10%"];
  const asleep = JSON.parse(await purser(...words, "--json")) as CommitmentAdviceJson;
  const gateway = await start("");
  writeRunning(directory, { pid: process.pid, url: gateway.url });
  const awake = JSON.parse(await purser(...words, "--json")) as CommitmentAdviceJson;
  const [advice] = awake.data;
  assert.deepEqual({ ...advice, to: "" }, { ...asleep.data[0], to: "" });
  assert.equal(advice?.ledger_nanodollars, 280 * DOLLAR);
  assert.deepEqual([advice?.steady?.of, advice?.steady?.count], ["weeks", 4]);
  assert.equal(advice?.steady?.pays_from_discount, 0);
  assert.deepEqual([advice?.discount?.discount, advice?.discount?.saved_nanodollars], [0.1, 28 * DOLLAR]);
  const [small, large] = advice?.offers ?? [];
  assert.ok(small && large && small.saved_nanodollars > 0 && large.saved_nanodollars < 0);
  assert.equal(large.pays_from_discount, null);
  const text = await purser(...words);
  assert.match(
    text,
    /^Provider +Days +Spent +A month +Steady part +Pays from +Used up to +Pays up to +Saves\nmock +28 +\$280\.00 +\$304\.\d\d +\$304\.\d\d +any discount/,
  );
  assert.match(text, /mock +\$900 \/ month for 10% +\$280\.00 +\$8\d\d\.\d\d +-\$\d+\.\d\d +\d\d % +at no discount/);
  await assert.rejects(
    purser("commitments", "advise", "--discount", "lots"),
    /"lots" is no discount\. Write per cent of the price, such as 12%/,
  );
  await assert.rejects(purser("commitments", "advize"), /no `purser commitments advize`.*Did you mean "advise"/);
  await assert.rejects(purser("commitments", "--discount", "5%"), /for advice: purser commitments advise/);
  await gateway.close();
});

test("what is promised to nobody is said with what to write", async (context) => {
  const { purser } = await startScene(context, 0);
  assert.match(await purser("commitments"), /no commitments\. .* under commitments: in purser\.yaml; `purser commitments advise`/);
  assert.match(await purser("commitments", "advise"), /^Nothing was used/);
});
