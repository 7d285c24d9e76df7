/** What the benchmarks know about the machine: cores to pin to, the processor time that a process used, and who else is using it. */
import { execFileSync, spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import os from "node:os";

const NANOS_PER_TICK = 1e7;

/** The core for what is measured and the core for what measures; undefined where they cannot be held apart. */
export const CORES = findCores();

function findCores() {
  if (os.platform() !== "linux" || os.availableParallelism() < 2) return undefined;
  try {
    execFileSync("taskset", ["-c", "1", "true"], { stdio: "ignore" });
    return { measured: 1, measuring: 0 };
  } catch {
    return undefined;
  }
}

/** Starts a program on one core, where cores can be held apart. `ipc` opens a channel for messages. */
export function spawnOn({ core, command, args, env, ipc = false, log = "ignore" }) {
  const stdio = ["ignore", log, log, ...(ipc ? ["ipc"] : [])];
  const options = { stdio, env: { ...process.env, ...env } };
  return core === undefined ? spawn(command, args, options) : spawn("taskset", ["-c", String(core), command, ...args], options);
}

/** The process and all that it started. */
export function processTree(pid) {
  const found = [pid];
  for (const parent of found) {
    for (const thread of listThreads(parent)) {
      const children = readText(`/proc/${parent}/task/${thread}/children`);
      if (children !== undefined) found.push(...children.split(" ").filter(Boolean).map(Number));
    }
  }
  return found;
}

/** Nanoseconds of processor time that all threads of these processes used so far. */
export function cpuNanos(pids) {
  let total = 0;
  for (const pid of pids) {
    for (const thread of listThreads(pid)) {
      const text = readText(`/proc/${pid}/task/${thread}/schedstat`);
      if (text !== undefined) total += Number(text.slice(0, text.indexOf(" ")));
    }
  }
  return total;
}

/** Nanoseconds during which the machine's cores were busy with anything, time that the hypervisor took away included. */
export function busyNanos() {
  const text = readText("/proc/stat");
  if (text === undefined) return undefined;
  const [user, nice, system, , , irq, softirq, steal] = text.slice(4, text.indexOf("\n")).trim().split(/ +/).map(Number);
  return (user + nice + system + irq + softirq + steal) * NANOS_PER_TICK;
}

/** Bytes of memory that these processes hold. */
export function residentBytes(pids) {
  return pids.reduce((sum, pid) => sum + Number(/VmRSS:\s+(\d+)/.exec(readText(`/proc/${pid}/status`) ?? "")?.[1] ?? 0) * 1024, 0);
}

export function describeMachine(dataDir) {
  const nginx = versionOf("nginx", ["-v"]);
  return {
    cpu: os.cpus()[0]?.model,
    cores: os.availableParallelism(),
    memoryBytes: os.totalmem(),
    system: `${os.platform()} ${os.release()} ${os.arch()}`,
    node: process.version,
    nginx,
    pinned: CORES ?? false,
    dataFileSystem: versionOf("stat", ["-f", "-c", "%T", dataDir]),
  };
}

export function describeCommit(root) {
  const git = (...args) => versionOf("git", ["-C", root, ...args]);
  return {
    commit: git("rev-parse", "--short=12", "HEAD") ?? "unknown",
    changedFiles: (git("status", "--porcelain") ?? "").split("\n").filter(Boolean).length,
  };
}

function versionOf(command, args) {
  try {
    // nginx writes its version to the error stream.
    return execFileSync("sh", ["-c", `"$0" "$@" 2>&1`, command, ...args], { encoding: "utf8" }).trim();
  } catch {
    return undefined;
  }
}

function listThreads(pid) {
  try {
    return readdirSync(`/proc/${pid}/task`);
  } catch {
    return [];
  }
}

function readText(path) {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return undefined;
  }
}
