import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { type TestContext, test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { PurserError } from "../../errors.ts";
import { sampleCall, sampleLimit, sampleSettlement } from "../../testing/sample-calls.ts";
import { temporaryDirectory } from "./directory.test-setup.ts";
import { openSqliteStore } from "./index.ts";
import { openDurableStore } from "./opening.ts";

const LIMITS = [sampleLimit({ amount: 1_000_000_000 })];
/** The operating system refuses to let any file grow beyond this: to SQLite it is a write that fails, as on a full disk. */
const FILE_KILOBYTES = 300;

if (process.argv[2] === "child") await runChild(process.argv[3] as string);
else if (process.argv[2] === "start") await startOnFullDisk(process.argv[3] as string);
else {
  test("a disk that is really full refuses new calls, and nothing is lost when there is room again", fillTheDisk);
  test("a start on a full disk says that the disk is full, and accuses no process that has ended", async (t) => {
    const directory = temporaryDirectory(t);
    const script = 'mount -t tmpfs -o size=3m tmpfs "$0" && echo mounted && exec "$@"';
    const command = [directory, process.execPath, fileURLToPath(import.meta.url), "start", directory];
    const { stdout, error } = spawnSync("unshare", ["-rm", "bash", "-c", script, ...command], { encoding: "utf8" });
    if (error || !stdout.startsWith("mounted")) return t.skip("not run: needs unshare, and the right to mount");
    const said = `store_unavailable The disk of the data directory ${directory} is full. Make room there, and start again.`;
    assert.equal(stdout, `mounted\n${said}\n`);
  });
}

async function startOnFullDisk(directory: string): Promise<void> {
  await (await openSqliteStore({ directory })).close();
  const filler = openSync(join(directory, "filler"), "w");
  const block = Buffer.alloc(4096);
  try {
    for (;;) writeSync(filler, block);
  } catch {
    closeSync(filler);
  }
  await openSqliteStore({ directory }).catch((error: PurserError) => process.stdout.write(`${error.code} ${error.message}\n`));
}

async function runChild(directory: string): Promise<void> {
  const store = await openDurableStore({ directory, retryMs: 10 });
  for (let call = 0; ; call++) {
    const outcome = await spendOne(store, `call-${call}`);
    if (outcome !== undefined) {
      process.stdout.write(`failed ${call} ${outcome}\n`);
      break;
    }
  }
  while (store.failure()) await setImmediate();
  assert.equal(await spendOne(store, "after"), undefined);
  const mismatches = await store.audit();
  await store.close();
  process.stdout.write(`recovered ${mismatches.length}\n`);
}

/** Reserves and settles a call; says with what it failed. */
async function spendOne(store: Awaited<ReturnType<typeof openDurableStore>>, id: string): Promise<string | undefined> {
  try {
    await store.reserve(sampleCall({ id, limits: LIMITS, input: 10 }));
    await store.settle(sampleSettlement(id, 7));
    return undefined;
  } catch (error) {
    return error instanceof PurserError ? error.code : String(error);
  }
}

async function fillTheDisk(t: TestContext): Promise<void> {
  if (process.platform !== "linux") return t.skip("not run: needs prlimit");
  const directory = temporaryDirectory(t);
  const child = startChild(directory);
  const lines = createInterface({ input: child.stdout as NonNullable<typeof child.stdout> })[Symbol.asyncIterator]();
  const [, calls, code] = String((await lines.next()).value).split(" ");
  assert.equal(code, "store_unavailable");
  execFileSync("prlimit", ["--pid", String(child.pid), "--fsize=unlimited"]);
  assert.equal((await lines.next()).value, "recovered 0");
  await once(child, "exit");
  const store = await openSqliteStore({ directory });
  const settled = new Set((await store.entries({ kinds: ["settled"], most: 1_000_000 })).map(({ reservation }) => reservation));
  for (let call = 0; call < Number(calls); call++) assert.ok(settled.has(`call-${call}`));
  assert.ok(settled.has("after"));
  assert.deepEqual(await store.audit(), []);
  await store.close();
}

function startChild(directory: string): ChildProcess {
  const script = `trap '' XFSZ; ulimit -S -f ${FILE_KILOBYTES}; exec "$@"`;
  const command = [process.execPath, fileURLToPath(import.meta.url), "child", directory];
  return spawn("bash", ["-c", script, "bash", ...command], { stdio: ["ignore", "pipe", "inherit"] });
}
