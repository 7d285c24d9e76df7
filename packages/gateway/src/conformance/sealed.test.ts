import assert from "node:assert/strict";
import { once } from "node:events";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, type TestContext, test } from "node:test";
import { startGateway } from "../app.ts";
import { AuditLog } from "../audit-log/audit-log.ts";
import { Sealer } from "../audit-log/sealer.ts";
import { runCommandLine } from "../cli/command-line.ts";
import { styleFor } from "../cli/style.ts";
import { readConfig } from "../config/read-config.ts";
import { PLAIN_CALL, post } from "./calls.ts";
import { openTestDatabase, testServer } from "./database.ts";
import { call, openAgent, startGateways, startProvider, urlsOf } from "./several-gateways.ts";
import { providersAt, type Stand, startStand } from "./stand.ts";

const server = testServer(after);
const CONFIG = `${providersAt("http://127.0.0.1:9")}\nbudgets: [{ name: company, limits: [0 requests / day] }]`;

/** What the command line says of a data folder. */
async function purser(directory: string, ...args: readonly string[]) {
  const said: string[] = [];
  const context = {
    cwd: directory,
    env: {},
    style: styleFor({}, {}),
    now: Date.now,
    print: () => undefined,
    say: (text: string) => said.push(text),
  };
  const { exit, text, json } = await runCommandLine([...args, "--data", directory], context);
  return { exit, text, json, said };
}

/** Runs a statement on the ledger of a folder, as whoever can write the file does. */
async function byHand(directory: string, sql: string): Promise<void> {
  const name = process.versions.node.startsWith("20.") ? "@photostructure/sqlite" : "node:sqlite";
  const { DatabaseSync } = (await import(name)) as { DatabaseSync: new (path: string) => { exec(sql: string): void; close(): void } };
  const database = new DatabaseSync(join(directory, "purser.db"));
  database.exec(sql);
  database.close();
}

const refuse = ({ url }: Pick<Stand, "url">, user: string) => post(`${url}/v1/chat/completions`, PLAIN_CALL, { "x-purser-user": user });

/** A gateway that refused three calls and was stopped: entries 1 to 4, of which the first says which limits are in force. */
async function withRefusals(t: TestContext) {
  const stand = await startStand(t, { config: CONFIG, store: "sqlite" });
  for (const user of ["ann", "ben", "cy"]) assert.equal((await refuse(stand, user)).status, 402);
  await stand.entries(3, "denied");
  await stand.gateway.close();
  return stand;
}

function copyOf(t: TestContext, directory: string): string {
  const copy = mkdtempSync(join(tmpdir(), "purser-sealed-"));
  t.after(() => rmSync(copy, { recursive: true }));
  cpSync(directory, copy, { recursive: true });
  return copy;
}

/** Starts and stops a gateway on a folder, and says what it told. */
async function runOnce(directory: string): Promise<readonly string[]> {
  const notices: string[] = [];
  const config = readConfig({ text: `server: { port: 0 }\ndata: ${JSON.stringify(directory)}\n${CONFIG}\n`, environment: {} });
  const gateway = await startGateway({ config, onNotice: (notice) => notices.push(notice) });
  await gateway.close();
  return notices;
}

const INSERTED = `INSERT INTO entry SELECT 5, at, kind, NULL, 'req_forged', postings, body FROM entry WHERE kind = 'denied' LIMIT 1`;

test("a refusal that is changed, taken out or put in by hand is named, and so it stays after the next start", async (t) => {
  const { directory } = await withRefusals(t);
  const right = await purser(directory, "audit", "verify");
  assert.match(right.text, /^4 entries of the ledger as sealed, none changed, taken out or put in\.$/m);
  assert.equal(right.exit, 0);
  for (const [sql, fault, told] of [
    [
      "UPDATE entry SET body = replace(body, 'ben', 'bob') WHERE seq = 3",
      /^Entries 1–4 of the ledger: one or more of them changed since they were sealed 20\S+ \S+ UTC/m,
      /not what was sealed up to entry 4/,
    ],
    ["UPDATE entry SET at = at + 1 WHERE seq = 3", /^Entries 1–4 of the ledger: one or more of them changed/m, /not what was sealed/],
    ["DELETE FROM entry WHERE seq = 3", /^Entry 3 of the ledger: taken out since it was sealed 20\S+ \S+ UTC/m, /not what was sealed/],
    ["DELETE FROM entry WHERE seq > 2", /^Entries 3–4 of the ledger: taken out since they were sealed/m, /not what was sealed/],
    [
      INSERTED,
      /^Entry 5 of the ledger: put in while no gateway ran: the ledger ended with 4 when it was sealed/m,
      /Entries 5 to 5 of the ledger were put in/,
    ],
    [INSERTED.replace("SELECT 5", "SELECT 0"), /^Entry 0 of the ledger: put in: no gateway gives this number/m, undefined],
    ["UPDATE counter SET budget = 'other'", undefined, undefined],
    ["UPDATE entry SET body = '{' WHERE seq = 4", /^Entries 1–4 of the ledger: not to be read any more/m, undefined],
  ] as const) {
    const copy = copyOf(t, directory);
    await byHand(copy, sql);
    const altered = await purser(copy, "audit", "verify");
    if (fault) assert.match(altered.text, fault, sql);
    assert.equal(altered.exit, fault ? 1 : 0, sql);
    if (!told) continue;
    // What a gateway writes later does not make it right.
    const notices = await runOnce(copy);
    assert.match(notices.join("\n"), told, sql);
    const later = await purser(copy, "audit", "verify");
    assert.match(later.text, fault, sql);
    assert.equal(later.exit, 1, sql);
  }
});

test("entries that a killed gateway left unsealed are sealed by the next one, once, and until then it is said how many they are", async (t) => {
  const { directory } = await withRefusals(t);
  const killed = await startStand(t, { config: CONFIG, store: "sqlite", adjust: (config) => ({ ...config, dataDir: directory }) });
  await refuse(killed, "dan");
  await killed.entries(4, "denied");
  // A folder as it is at this moment is what a gateway leaves that is killed.
  const left = copyOf(t, directory);
  rmSync(join(left, "gateway.json"), { force: true });
  const before = await purser(left, "audit", "verify");
  assert.match(
    before.text,
    /^4 entries of the ledger as sealed, none changed, taken out or put in\. 1 entry came since, and will be sealed next\.$/m,
  );
  assert.equal(before.exit, 0);
  assert.deepEqual(await runOnce(left), []);
  const seals = (await new AuditLog(left).lines()).filter(({ what }) => what === "ledger.sealed");
  assert.deepEqual(
    seals.map(({ details }) => [details?.after, details?.up_to, details?.refusals, details?.end]),
    [
      [0, 4, 3, true],
      [4, 4, 0, undefined],
      [4, 5, 1, undefined],
      [5, 5, 0, true],
    ],
  );
  assert.match((await purser(left, "audit", "verify")).text, /^5 entries of the ledger as sealed/m);
  await byHand(left, "DELETE FROM entry WHERE seq = 5");
  assert.match((await purser(left, "audit", "verify")).text, /^Entry 5 of the ledger: taken out/m);
});

test("a command that changes the ledger while no gateway runs seals what it wrote", async (t) => {
  const { directory } = await withRefusals(t);
  writeFileSync(join(directory, "purser.yaml"), `data: ${JSON.stringify(directory)}\n${CONFIG}\n`);
  const grant = ["grant", "company", "5 requests / day", "--until", "1d", "--why", "a test"];
  assert.equal((await purser(directory, ...grant)).exit, 0);
  const verified = await purser(directory, "audit", "verify");
  assert.match(verified.text, /^[5-9] entries of the ledger as sealed, none changed, taken out or put in\.$/m);
  assert.equal(verified.exit, 0);
});

test("a ledger that was taken away, and a seal that was taken out of the log, are missed", async (t) => {
  const { directory } = await withRefusals(t);
  const gone = copyOf(t, directory);
  for (const suffix of ["", "-wal", "-shm"]) rmSync(join(gone, `purser.db${suffix}`), { force: true });
  assert.match((await purser(gone, "audit", "verify")).text, /^Entries 1–4 of the ledger: taken out/m);
  await runOnce(gone);
  assert.match(
    (await purser(gone, "audit", "verify")).text,
    /^Entries \d–4 of the ledger: .* since they were sealed .*; the ledger went on in another way, and was sealed again as it is now/m,
  );
  const again = await startStand(t, { config: CONFIG, store: "sqlite", adjust: (config) => ({ ...config, dataDir: directory }) });
  await refuse(again, "dan");
  await again.gateway.close();
  const file = join(directory, "audit.jsonl");
  const lines = readFileSync(file, "utf8").split("\n");
  writeFileSync(file, lines.filter((line) => !line.includes('"up_to":4')).join("\n"));
  const { text, exit } = await purser(directory, "audit", "verify");
  assert.match(text, /^Line \d is number \d, where \d follows/m);
  assert.match(text, /^Entries 1–4 of the ledger: not sealed: the line of the log that did is lost\.$/m);
  assert.equal(exit, 1);
});

test("refused calls are listed, those of a time too, and seals are no part of who did what", async (t) => {
  const { directory } = await withRefusals(t);
  const { text, json } = await purser(directory, "audit", "refused");
  assert.match(text, /^ *#2 .* UTC +req_\S+ +.*user=ann.*budget_exhausted: Budget "company" allows nothing/m);
  assert.deepEqual(
    (json as readonly { subject: { user: string } }[]).map(({ subject }) => subject.user),
    ["ann", "ben", "cy"],
  );
  assert.equal(((await purser(directory, "audit", "refused", "--since", "1h")).json as readonly unknown[]).length, 3);
  assert.equal((await purser(directory, "audit", "refused", "--since", "2100-01-01")).text, "No call was refused.");
  assert.equal((await purser(directory, "audit", "refused", "--since", "yesterday")).exit, 2);
  assert.doesNotMatch((await purser(directory, "audit")).text, /ledger\.sealed/);
  assert.match((await purser(directory, "audit", "--all")).text, /ledger\.sealed/);
});

test("the copy in PostgreSQL is compared too, and what is dropped there is let go of before", async (t) => {
  const database = await openTestDatabase(t, await server());
  if (!database) return;
  const config = `${CONFIG}\nstore: { postgres: "${database.url}" }`;
  const stand = await startStand(t, { config, store: "sqlite" });
  await post(`${stand.url}/v1/chat/completions`, { ...PLAIN_CALL, user: "ann\u0000\ud800" });
  await refuse(stand, "ben");
  await stand.entries(2, "denied");
  await stand.gateway.close();
  writeFileSync(join(stand.directory, "purser.yaml"), `data: ${JSON.stringify(stand.directory)}\n${config}\n`);
  const audit = (...args: readonly string[]) => purser(stand.directory, "audit", ...args);
  const right = await audit("verify");
  assert.match(right.text, /^3 entries of the ledger as sealed.*\n3 entries of the ledger in PostgreSQL as sealed, none changed/m);
  assert.equal(right.exit, 0);
  const forgot = await audit("forget", "2100-01-01", "--why", "kept for a year");
  assert.deepEqual([forgot.exit, /^Entries up to 3 are as they were sealed/.test(forgot.text)], [0, true]);
  await database.rows("DELETE FROM purser.entry WHERE seq = 1");
  const without = await audit("verify");
  assert.match(without.text, /^Of those up to 3 some are gone: .* let go of them .* \(kept for a year\)\.$/m);
  assert.equal(without.exit, 0);
  // What is let go of in PostgreSQL is still in the folder.
  await byHand(stand.directory, "DELETE FROM entry WHERE seq = 1");
  assert.match((await audit("verify")).text, /^Entry 1 of the ledger: taken out/m);
});

test("entries that are changed in PostgreSQL are found there, and none of them can be let go of", async (t) => {
  const database = await openTestDatabase(t, await server());
  if (!database) return;
  const config = `${CONFIG}\nstore: { postgres: "${database.url}" }`;
  const stand = await startStand(t, { config, store: "sqlite" });
  await refuse(stand, "ann");
  await stand.entries(1, "denied");
  await stand.gateway.close();
  writeFileSync(join(stand.directory, "purser.yaml"), `data: ${JSON.stringify(stand.directory)}\n${config}\n`);
  await database.rows(`UPDATE purser.entry SET "user" = 'ben' WHERE seq = 2`);
  const { text, exit } = await purser(stand.directory, "audit", "verify");
  assert.match(text, /^2 entries of the ledger as sealed.*\nEntries 1–2 of the ledger in PostgreSQL: one or more of them changed/m);
  assert.equal(exit, 1);
  const forgot = await purser(stand.directory, "audit", "forget", "2100-01-01", "--why", "x");
  assert.deepEqual([forgot.exit, /Nothing may go before that is explained/.test(forgot.text)], [1, true]);
});

test("of gateways on one Redis each seals all of the ledger in its own log, whoever wrote it", async (t) => {
  const redis = await urlsOf(t, "one server");
  if (typeof redis === "string") return t.skip(`not run: ${redis}`);
  const database = await openTestDatabase(t, await server());
  if (!database) return;
  const provider = await startProvider(t);
  const budgets = "[{ name: all, limits: [10 requests] }]";
  const gateways = await startGateways(t, { redis, postgres: database.url, provider: provider.url, budgets, count: 2 });
  const agent = openAgent(t);
  for (let i = 0; i < 16; i++) await call(agent, gateways[i % 2] as (typeof gateways)[number], `user-${i}`);
  for (const { child } of gateways) {
    child.kill("SIGTERM");
    await once(child, "exit");
  }
  for (const { config } of gateways) {
    const directory = join(config, "..", config.endsWith("0.yaml") ? "data-0" : "data-1");
    const result = await runCommandLine(["audit", "verify", "--config", config], {
      cwd: directory,
      env: {},
      style: styleFor({}, {}),
      now: Date.now,
      print: () => undefined,
      say: () => undefined,
    });
    assert.match(result.text, /^\d+ entries of the ledger as sealed, none changed/m);
    assert.equal(result.exit, 0);
    const seals = (await new AuditLog(directory).lines()).filter(({ what }) => what === "ledger.sealed");
    assert.ok(seals.some(({ details }) => Number(details?.refusals) > 0) && seals.every(({ details }) => details?.end === undefined));
  }
});

test("a ledger of thousands of entries is sealed in stretches, and the one that differs is named", async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "purser-sealed-"));
  t.after(() => rmSync(directory, { recursive: true }));
  const entries = Array.from({ length: 2_500 }, (_, i) => ({ seq: i + 1, at: i, kind: "drained" as const, reservation: "", postings: [] }));
  const store = {
    entries: async ({ after = 0, most = 1_000, newest }: { after?: number; most?: number; newest?: boolean }) => {
      const found = entries.filter(({ seq }) => seq > after);
      return newest ? found.slice(-most) : found.slice(0, most);
    },
  };
  const log = new AuditLog(directory);
  const sealer = new Sealer({ store, log, ledger: "test", onError: (error) => assert.fail(String(error)) });
  await Promise.all([sealer.begin(), sealer.seal()]);
  const { verifyLedger } = await import("../audit-log/sealed-ledger.ts");
  const verify = async () => verifyLedger({ ledger: "test", lines: await log.lines(), entries: store.entries, isOwn: false });
  assert.deepEqual([(await verify()).sealed, (await verify()).faults], [2_500, []]);
  assert.equal((await log.lines()).length, 1);
  entries[1_234] = { ...(entries[1_234] as (typeof entries)[number]), at: 0 };
  assert.deepEqual(
    (await verify()).faults.map(({ from, to }) => [from, to]),
    [[1_001, 2_000]],
  );
});
