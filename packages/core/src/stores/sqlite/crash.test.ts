import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { type TestContext, test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Entry } from "../../domain/ledger.ts";
import { sampleCall, sampleLimit, sampleSettlement } from "../../testing/sample-calls.ts";
import { temporaryDirectory } from "./directory.test-setup.ts";
import { openSqliteStore } from "./index.ts";
import { openDurableStore } from "./opening.ts";

/** How often the process is killed. Set PURSER_CRASHES for more. */
const CRASHES = Number(process.env.PURSER_CRASHES ?? 25);
const CLIENTS = 16;
const LIMITS = [
  sampleLimit({ amount: 200_000 }),
  sampleLimit({ budget: "team", unit: "nanodollars", amount: 400_000 }),
  sampleLimit({ budget: "at once", unit: "concurrent", amount: CLIENTS - 2 }),
];

if (process.argv[2] === "child") await runChild(process.argv[3] as string, process.argv[4] as string);
else
  test(
    `a store killed ${CRASHES} times at any moment loses nothing that it acknowledged`,
    { timeout: CRASHES * 10_000 },
    killAgainAndAgain,
  );

/** Reserves and ends calls for as long as it lives, and says on its output what was acknowledged. */
async function runChild(directory: string, run: string): Promise<void> {
  const store = await openDurableStore({ directory, snapshotMs: 5 });
  const client = async (number: number) => {
    for (let call = 0; ; call++) {
      const id = `${run}-${number}-${call}`;
      const reserved = await store.reserve(sampleCall({ id, limits: LIMITS, input: randomInt(100), output: randomInt(100), least: 0 }));
      if (reserved.outcome !== "reserved") {
        process.stdout.write(`refused ${id}\n`);
        await setImmediate();
        continue;
      }
      process.stdout.write(`reserved ${id}\n`);
      const fate = randomInt(10);
      if (fate === 0) await store.release({ id, why: "never sent" });
      else if (fate < 9) await store.settle(sampleSettlement(id, 0, randomInt(1 + reserved.outputTokens)));
      if (fate < 9) process.stdout.write(`${fate === 0 ? "released" : "settled"} ${id}\n`);
      else await store.extend({ id, leaseMs: 1_000 });
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, (_, number) => client(number)));
}

async function killAgainAndAgain(t: TestContext): Promise<void> {
  const directory = temporaryDirectory(t);
  let acknowledged = 0;
  for (let crash = 0; crash < CRASHES; crash++) {
    const lines = await killAfter(startChild(directory, `run${crash}`), randomInt(1, 400));
    acknowledged += lines.length;
    await checkAll(directory, lines);
  }
  t.diagnostic(`${CRASHES} kills, ${acknowledged} acknowledgements, none lost`);
}

function startChild(directory: string, run: string): ChildProcess {
  return spawn(process.execPath, [fileURLToPath(import.meta.url), "child", directory, run], { stdio: ["ignore", "pipe", "inherit"] });
}

/** Kills a child after so many acknowledgements, and returns all that it gave until it was dead. */
async function killAfter(child: ChildProcess, count: number): Promise<readonly string[]> {
  const lines: string[] = [];
  const exited = once(child, "exit");
  for await (const line of createInterface({ input: child.stdout as NonNullable<typeof child.stdout> })) {
    lines.push(line);
    if (lines.length === count) child.kill("SIGKILL");
  }
  const [, signal] = await exited;
  assert.equal(signal, "SIGKILL", "the child ended by itself");
  return lines;
}

async function checkAll(directory: string, lines: readonly string[]): Promise<void> {
  const store = await openSqliteStore({ directory });
  const entries = await store.entries({ most: 1_000_000 });
  const written = new Set(entries.map(({ kind, reservation }) => `${kind} ${reservation}`));
  for (const line of lines) assert.ok(written.has(line) || line.startsWith("refused"), `"${line}" was acknowledged and is missing`);
  for (const { ref, held } of await store.counters()) assert.equal(held, 0, `${ref.key} still holds ${held}`);
  assert.deepEqual(await store.audit(), []);
  checkHistory(entries);
  const settled = lines.find((line) => line.startsWith("settled "))?.slice("settled ".length);
  if (settled) assert.deepEqual(await store.settle(sampleSettlement(settled, 1)), { outcome: "duplicate" });
  await store.close();
}

/** No gap, no limit exceeded at any entry, and no reservation that ends twice. */
function checkHistory(entries: readonly Entry[]): void {
  const amounts = new Map(LIMITS.map(({ counter, amount }) => [counter.key, amount]));
  const used = new Map<string, number>();
  const ended = new Set<string>();
  for (const [i, { seq, kind, reservation, postings }] of entries.entries()) {
    assert.equal(seq, i + 1);
    for (const { counter, held, spent } of postings) {
      const now = (used.get(counter.key) ?? 0) + held + spent;
      used.set(counter.key, now);
      assert.ok(now <= (amounts.get(counter.key) ?? 0), `entry ${seq} takes ${counter.key} to ${now}`);
    }
    if (kind !== "settled" && kind !== "released" && kind !== "expired") continue;
    assert.ok(!ended.has(reservation), `${reservation} ended twice`);
    ended.add(reservation);
  }
}
