import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { createMemoryStore, type Entry, type Store } from "@purser/core";
import { openSqliteStore } from "@purser/core/stores/sqlite";
import { startGateway } from "../app.ts";
import { readConfig } from "../config/read-config.ts";
import { startProgram } from "./programs.ts";
import { call, kill, openAgent, openStore, startGateways, startProvider, untilEnded, urlsOf } from "./several-gateways.ts";
import { checkBooks, eventually, highWater, readLedger } from "./stand.ts";

/** Longer than the lease of a call. */
const LATER_MS = 11 * 60_000;
/** Processes start slowly where many do. */
const PATIENCE_MS = 30_000;
const ROOM = 137;
const CALLS = 1_000;

function usersOf(name: string, count: number): readonly string[] {
  return Array.from({ length: count }, (_, i) => `${name}-${i}`);
}

function configText(provider: string, data: string, limits: string): string {
  return [
    "server: { port: 0 }",
    `data: ${JSON.stringify(data)}`,
    `providers: { mock: { dialect: openai, base_url: "${provider}", api_key: secret, models: ["*"] } }`,
    'prices: [{ model: "*", input: 3, output: 15 }]',
    `budgets: [{ name: all, limits: [${limits}] }]`,
  ].join("\n");
}

/** Exactly so many calls as there is room for went through, and at no moment was more spent and held than the limit. */
async function checkExact(statuses: readonly (number | undefined)[], asked: readonly string[], store: Store): Promise<void> {
  assert.equal(statuses.length, CALLS);
  assert.equal(statuses.filter((status) => status === 200).length, ROOM);
  // On a busy machine the store may not answer in time: such a call is refused too.
  assert.deepEqual(
    statuses.filter((status) => ![200, 402, 503].includes(status ?? 0)),
    [],
  );
  assert.equal(asked.length, ROOM);
  const most = highWater(await readLedger(store, []));
  const requests = (await store.counters({ budget: "all" })).filter(({ ref }) => ref.unit === "requests");
  assert.deepEqual(
    requests.map(({ ref }) => most.get(ref.key)),
    [ROOM],
  );
}

for (const leases of [false, true]) {
  test(`a gateway and a program on one Redis let exactly the 137 of 1,000 calls at once through that there is room for${leases ? ", by leases" : ""}`, async (context) => {
    const redis = await urlsOf(context, "one server");
    if (typeof redis === "string") return context.skip(`not run: ${redis}`);
    const provider = await startProvider(context);
    const budgets = "[{ name: all, limits: [137 requests, $9000] }]";
    const [gateway = assert.fail()] = await startGateways(context, { redis, provider: provider.url, budgets, leases, count: 1 });
    const programs = await Promise.all(
      ["one", "other"].map((name) =>
        startProgram(context, { file: gateway.config, provider: provider.url, users: usersOf(name, CALLS / 4) }),
      ),
    );
    const agent = openAgent(context);
    const direct = Promise.all(usersOf("direct", CALLS / 2).map((user) => call(agent, gateway, user)));
    const statuses = await Promise.all(programs.map((program) => program.makeCalls()));
    const all = [...(await direct).map((answer) => answer?.status), ...statuses.flat()];
    const store = await openStore(context, redis);
    await checkExact(all, provider.asked, store);
    // What a gateway has on lease stays held for it.
    if (!leases) await untilEnded(store);
    assert.deepEqual(await store.audit(), []);
  });
}

test("a gateway and a program that asks it let exactly the 137 of 1,000 calls at once through that there is room for", async (context) => {
  const directory = await mkdtemp(join(tmpdir(), "purser-programs-"));
  context.after(() => rm(directory, { recursive: true, force: true }));
  const provider = await startProvider(context);
  const store = createMemoryStore();
  const config = readConfig({ text: configText(provider.url, directory, "137 requests, $9000"), environment: {} });
  const gateway = await startGateway({ config, store });
  context.after(() => gateway.close());
  const program = await startProgram(context, { url: gateway.url, provider: provider.url, users: usersOf("program", CALLS / 2) });
  const agent = openAgent(context);
  const made = program.makeCalls();
  await eventually("the first call of the program", () => provider.asked.length > 0 || undefined, PATIENCE_MS);
  const direct = Promise.all(usersOf("direct", CALLS / 2).map((user) => call(agent, gateway, user)));
  const statuses = await made;
  await checkExact([...(await direct).map((answer) => answer?.status), ...statuses], provider.asked, store);
  assert.ok(statuses.includes(200), "the program had its share");
  await checkBooks(store);
});

/** Every call of a program that was killed is charged what it was held for, and marked. */
function checkUnconfirmed(entries: readonly Entry[], users: readonly string[]): void {
  const expired = entries.filter((entry): entry is Entry & { kind: "expired" } => entry.kind === "expired");
  assert.deepEqual(expired.map(({ detail }) => detail.subject.user).sort(), [...users].sort());
  for (const { charge, detail } of expired) {
    assert.equal(charge.certainty, "unconfirmed");
    assert.deepEqual(charge.usage, { inputTokens: detail.inputTokens, outputTokens: detail.outputTokens });
  }
}

test("a program on a Redis that is killed leaves holds that end by their leases, and are charged at their estimate", async (context) => {
  const redis = await urlsOf(context, "one server");
  if (typeof redis === "string") return context.skip(`not run: ${redis}`);
  const provider = await startProvider(context);
  const budgets = "[{ name: all, limits: [30 requests, $9000] }]";
  const [gateway = assert.fail()] = await startGateways(context, { redis, provider: provider.url, budgets, count: 1 });
  const users = usersOf("kept", 20);
  const program = await startProgram(context, { file: gateway.config, provider: provider.url, users });
  program.begin();
  await eventually("the calls to reach the provider", () => provider.kept.length === users.length || undefined, PATIENCE_MS);
  await kill(program.child);
  const store = await openStore(context, redis);
  assert.deepEqual((await store.expire()).expired, [], "a lease lives as long as it was given");
  assert.equal((await call(openAgent(context), gateway, "meanwhile"))?.status, 200);
  await eventually("that call to be settled", async () => (await readLedger(store, ["settled"])).length === 1 || undefined);
  const later = await openStore(context, redis, () => Date.now() + LATER_MS);
  assert.equal((await later.expire()).expired.length, users.length);
  checkUnconfirmed(await readLedger(store, ["expired"]), users);
  await untilEnded(store);
  assert.deepEqual(await store.audit(), []);
});

test("a program that asks a gateway and is killed leaves holds that end by their leases, and are charged at their estimate", async (context) => {
  const directory = await mkdtemp(join(tmpdir(), "purser-programs-"));
  context.after(() => rm(directory, { recursive: true, force: true }));
  const provider = await startProvider(context);
  let now = Date.now();
  const store = createMemoryStore({ now: () => now });
  const config = readConfig({ text: configText(provider.url, directory, "30 requests, $9000"), environment: {} });
  const gateway = await startGateway({ config, store });
  context.after(() => gateway.close());
  const users = usersOf("kept", 20);
  const program = await startProgram(context, { url: gateway.url, provider: provider.url, users });
  program.begin();
  await eventually("the calls to reach the provider", () => provider.kept.length === users.length || undefined, PATIENCE_MS);
  await kill(program.child);
  assert.deepEqual((await gateway.budgets.expire()).expired, []);
  now += LATER_MS;
  await gateway.budgets.expire();
  checkUnconfirmed(await readLedger(store, ["expired"]), users);
  await checkBooks(store);
});

test("a program with a folder of its own that is killed is charged for its calls when the folder is opened again", async (context) => {
  const directory = await mkdtemp(join(tmpdir(), "purser-programs-"));
  context.after(() => rm(directory, { recursive: true, force: true }));
  const provider = await startProvider(context);
  const file = join(directory, "purser.yaml");
  await writeFile(file, configText(provider.url, join(directory, "data"), "30 requests, $9000"));
  const users = usersOf("kept", 5);
  const program = await startProgram(context, { file, provider: provider.url, users });
  program.begin();
  await eventually("the calls to reach the provider", () => provider.kept.length === users.length || undefined, PATIENCE_MS);
  await kill(program.child);
  const store = await openSqliteStore({ directory: join(directory, "data") });
  context.after(() => store.close());
  checkUnconfirmed(await readLedger(store, ["expired"]), users);
  await checkBooks(store);
});
