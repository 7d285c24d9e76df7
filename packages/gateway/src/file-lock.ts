import { type FileHandle, open, readFile, rm, stat } from "node:fs/promises";
import { hostname } from "node:os";
import { PurserError } from "@purser/core";

/** Longer than a lock can stand that nobody holds any more. */
const LOCK_WAIT_MS = 12_000;
const LOCK_STALE_MS = 10_000;

/** Does work that no other process may do at the same time. `what` is changed, in words for whoever waits in vain. */
export async function locked<Result>(lock: string, what: string, work: () => Promise<Result>): Promise<Result> {
  const handle = await takeLock(lock, what);
  try {
    return await work();
  } finally {
    await handle.close();
    await rm(lock, { force: true });
  }
}

async function takeLock(lock: string, what: string): Promise<FileHandle> {
  const until = performance.now() + LOCK_WAIT_MS;
  for (;;) {
    try {
      return await written(await open(lock, "wx", 0o600));
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== "EEXIST") throw cause;
      // Whoever died while writing leaves its lock behind: writing takes milliseconds.
      if (await isLeftBehind(lock)) await rm(lock, { force: true });
      else if (performance.now() > until)
        throw new PurserError("store_locked", `Another process is changing ${what}. If none is, delete ${lock}.`, { cause });
      else await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}

/** Says in the lock whose it is: a process that was killed is not waited for. */
async function written(handle: FileHandle): Promise<FileHandle> {
  await handle.writeFile(holder(process.pid));
  return handle;
}

/** Processes of another machine, or of another container, have numbers of their own. */
function holder(pid: number): string {
  return `${hostname()} ${pid}`;
}

async function isLeftBehind(lock: string): Promise<boolean> {
  const held = await stat(lock).catch(() => undefined);
  if (!held) return false;
  if (Date.now() - held.mtimeMs > LOCK_STALE_MS) return true;
  const text = await readFile(lock, "utf8").catch(() => "");
  const pid = Number(/ (\d+)$/.exec(text)?.[1]);
  return pid > 0 && text === holder(pid) && !isAlive(pid);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ESRCH";
  }
}
