import { type FileHandle, open, rm, stat } from "node:fs/promises";
import { PurserError } from "@purser/core";

const LOCK_WAIT_MS = 5_000;
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
      return await open(lock, "wx", 0o600);
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== "EEXIST") throw cause;
      // Whoever died while writing leaves its lock behind: writing takes milliseconds.
      const held = await stat(lock).catch(() => undefined);
      if (held && Date.now() - held.mtimeMs > LOCK_STALE_MS) await rm(lock, { force: true });
      else if (performance.now() > until)
        throw new PurserError("store_locked", `Another process is changing ${what}. If none is, delete ${lock}.`, { cause });
      else await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}
