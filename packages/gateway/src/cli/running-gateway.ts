import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** The gateway that works on a data folder at the moment, as it wrote itself down. */
export interface RunningRecord {
  readonly url: string;
  readonly pid: number;
}

const RUNNING_FILE = "gateway.json";

export function writeRunning(dataDir: string, record: RunningRecord): void {
  writeFileSync(join(dataDir, RUNNING_FILE), `${JSON.stringify(record)}\n`, { mode: 0o600 });
}

export function removeRunning(dataDir: string): void {
  rmSync(join(dataDir, RUNNING_FILE), { force: true });
}

/** What a folder says about the gateway that runs on it, if that process still lives. */
export function readRunning(dataDir: string): RunningRecord | undefined {
  try {
    const { url, pid } = JSON.parse(readFileSync(join(dataDir, RUNNING_FILE), "utf8")) as Partial<RunningRecord>;
    if (typeof url !== "string" || typeof pid !== "number") return undefined;
    return isAlive(pid) ? { url, pid } : undefined;
  } catch {
    return undefined;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // It lives, and belongs to somebody else.
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
