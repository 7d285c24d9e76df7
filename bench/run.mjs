/** Runs the systems side by side: starts them, warms them up, and loads them in short slices whose order is random inside every round. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer } from "node:net";
import os from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { chatBody, httpRequest } from "./exchange.mjs";
import { busyNanos, CORES, cpuNanos, processTree, residentBytes, spawnOn } from "./machine.mjs";
import { seededRandom, shuffled } from "./statistics.mjs";
import { isNginxInstalled, startNginx } from "./systems/nginx.mjs";
import { installPortkey, isPortkeyInstalled, portkeyHeaders, startPortkey } from "./systems/portkey.mjs";
import { isPurserBuilt, startPurser } from "./systems/purser.mjs";

const HERE = dirname(fileURLToPath(import.meta.url));
const PATH = "/v1/chat/completions";
const PROVIDER_KEY = { Authorization: "Bearer sk-bench-provider" };
const TRIES_A_SLICE = 3;
const PROBE_MS = 100;
const PAUSE_MS = 400;
/** Over a run, at most so many slices are repeated for each that is planned. */
const REPEATS_SHARE = 1;

/**
 * Starts the mock, the load and every system that can be run here. A lane is a way to call a system: its port, its headers, what it must answer.
 * `notRun` says which lanes are missing, and why.
 */
export async function openBench(options) {
  const dir = mkdtempSync(join(os.tmpdir(), "purser-bench-"));
  if (CORES) execFileSync("taskset", ["-a", "-c", "-p", String(CORES.measuring), String(process.pid)], { stdio: "ignore" });
  const started = [];
  const launch = (child) => {
    started.push(child);
    return child;
  };
  // Nothing that was started here may live on, however the run ends.
  process.on("exit", () => {
    for (const child of started) child.kill("SIGKILL");
  });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.once(signal, () => process.exit(130));
  const stop = async () => {
    await Promise.all(started.map(endProcess));
    rmSync(dir, { recursive: true, force: true });
  };
  try {
    const mock = launch(spawnNode({ core: CORES?.measuring, file: "mock-provider.mjs" }));
    const { port: upstreamPort } = await nextMessage(mock);
    const load = launch(spawnNode({ core: CORES?.measuring, file: "load-process.mjs" }));
    await nextMessage(load);
    const { lanes, notRun, data } = await openLanes({ dir, upstreamPort, launch, options });
    return {
      lanes,
      notRun,
      broken: {},
      dir,
      data,
      mock: talkTo(mock),
      load: talkTo(load),
      ownPids: [process.pid, mock.pid, load.pid],
      options,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function openLanes({ dir, upstreamPort, launch, options }) {
  const core = CORES?.measured;
  const lanes = { direct: { port: upstreamPort, headers: PROVIDER_KEY, pids: [], expect: "answer" } };
  const notRun = {};
  let data = dir;
  const isWanted = (name) => options.systems === undefined || options.systems.includes(name);
  const add = (name, { port, child, headers, expect = "answer" }) => {
    lanes[name] = { port, headers, pids: child.pid, expect, child };
  };

  if (isWanted("plain")) {
    const child = launch(spawnNode({ core, file: "systems/plain.mjs", args: ["--upstream", `http://127.0.0.1:${upstreamPort}`] }));
    add("plain", { port: (await nextMessage(child)).port, child, headers: PROVIDER_KEY });
  }
  if (isWanted("nginx")) {
    if (isNginxInstalled()) {
      const port = await freePort();
      add("nginx", { port, child: launch(startNginx({ core, dir: join(dir, "nginx"), port, upstreamPort })), headers: PROVIDER_KEY });
    } else notRun.nginx = "nginx is not installed.";
  }
  if (isWanted("portkey")) {
    if (options.withPortkey && !isPortkeyInstalled()) installPortkey();
    if (isPortkeyInstalled()) {
      const port = await freePort();
      add("portkey", { port, child: launch(startPortkey({ core, port })), headers: portkeyHeaders(upstreamPort) });
    } else notRun.portkey = "Portkey is not installed; --with-portkey installs it into the folder for temporary files.";
  }
  if (!isPurserBuilt()) {
    notRun.purser = "The gateway is not built; npm run build makes it.";
  } else {
    const builds = ["purser", "purser-off", ...(options.beside === undefined ? [] : ["purser-beside"])];
    for (const name of builds.filter((build) => build === "purser-beside" || isWanted(build))) {
      const port = await freePort();
      const hasBudgets = name !== "purser-off";
      const nodeArgs = name === "purser" ? options.nodeArgs : [];
      const program = name === "purser-beside" ? options.beside : undefined;
      const gateway = startPurser({ core, dir: join(dir, name), port, upstreamPort, hasBudgets, nodeArgs, program });
      const child = launch(gateway.process);
      add(name, { port, child, headers: hasBudgets ? { Authorization: `Bearer ${gateway.keys.load}` } : PROVIDER_KEY });
      if (name === "purser") {
        add("refusal", { port, child, headers: { Authorization: `Bearer ${gateway.keys.spent}` }, expect: "refusal" });
        data = gateway.data;
      }
    }
  }
  for (const [name, lane] of Object.entries(lanes)) {
    lane.name = name;
    await untilListening(lane);
    if (lane.child) lane.pids = processTree(lane.child.pid);
  }
  return { lanes, notRun, data };
}

/** The lanes of these names that run here. */
export function lanesOf(bench, names) {
  return names.map((name) => bench.lanes[name]).filter((lane) => lane !== undefined);
}

/**
 * Calls every lane until its code is compiled. The lane of refusals is first brought to where it refuses. A lane that answers wrongly is taken out, and
 * `bench.broken` says why: the others can still be measured.
 */
export async function warmUp(bench, plan) {
  for (const lane of Object.values(bench.lanes)) {
    const failure = await warmLane(bench, lane, plan);
    if (failure === undefined) continue;
    bench.options.log(`${lane.name} does not work: ${failure}`);
    bench.broken[lane.name] = failure;
    delete bench.lanes[lane.name];
  }
}

async function warmLane(bench, lane, { count, bytes = 1024, streams = 0 }) {
  const isRefusal = lane.expect === "refusal";
  const failure = isRefusal ? await spendBudget(bench, lane) : undefined;
  if (failure !== undefined) return failure;
  const common = { port: lane.port, connections: 16 };
  const whole = await bench.load("callMany", { ...common, request: requestOf(lane, { bytes }), expect: lane.expect, count });
  if (whole.failures > 0 || streams === 0 || isRefusal) return whole.failure;
  const streamed = await bench.load("callMany", {
    ...common,
    request: requestOf(lane, { bytes, stream: true }),
    expect: "stream",
    count: streams,
  });
  return streamed.failure;
}

async function spendBudget(bench, lane) {
  const request = requestOf(lane, { bytes: 1024 });
  let failure;
  for (let calls = 0; calls < 50; calls++) {
    ({ failure } = await bench.load("callMany", { port: lane.port, request, expect: "refusal", connections: 1, count: 1 }));
    if (failure === undefined) return undefined;
  }
  return `The budget is not exhausted after 50 calls: ${failure}`;
}

/**
 * Runs a scenario: `rounds` times every lane in a random order. A slice during which others used the machine is repeated, a few times at most, and kept
 * out of the figures if that does not help. Returns for every round the slices by the name of their lane.
 */
export async function runRounds(bench, scenario, { rounds, random }) {
  const { foreignMost, seconds, log } = bench.options;
  const lanes = lanesOf(bench, scenario.lanes);
  let repeatsLeft = Math.ceil(lanes.length * rounds * REPEATS_SHARE);
  const result = [];
  if (scenario.paceMs !== undefined) await bench.mock("set", { paceMs: scenario.paceMs });
  for (let round = 0; round < rounds; round++) {
    const slices = {};
    const seed = Math.floor(random() * 2 ** 31);
    for (const lane of shuffled(lanes, random)) {
      const tries = [];
      do {
        await untilOthersPause(bench);
        tries.push(await runSlice(bench, scenario, lane, { seconds, seed }));
      } while (tries.at(-1).foreignShare > foreignMost && tries.length < TRIES_A_SLICE && repeatsLeft-- > 0);
      const slice = tries.at(-1);
      slice.isDisturbed = slice.foreignShare > foreignMost;
      slice.dropped = tries.slice(0, -1).map(({ foreignShare }) => foreignShare);
      slices[lane.name] = slice;
      if (slice.failures > 0) log(`  ${scenario.name}, ${lane.name}: ${slice.failures} wrong answers. The first: ${slice.failure}`);
    }
    result.push(slices);
  }
  return result;
}

async function runSlice(bench, scenario, lane, { seconds, seed }) {
  const before = await bench.mock("read");
  const slice = await bench.load("loadSlice", {
    port: lane.port,
    request: requestOf(lane, scenario),
    kind: scenario.kind,
    expect: lane.expect === "refusal" ? "refusal" : scenario.stream ? "stream" : "answer",
    connections: scenario.connections,
    seconds: seconds * (scenario.longer ?? 1),
    leadMs: scenario.leadMs ?? 100,
    rate: scenario.rate,
    seed,
    systemPids: lane.pids,
    ownPids: bench.ownPids,
  });
  const after = await bench.mock("read");
  const served = after.requests - before.requests;
  const expected = lane.expect === "refusal" ? 0 : slice.calls;
  if (slice.isDrained && served !== expected) {
    slice.failures++;
    slice.failure ??= `The provider saw ${served} calls instead of ${expected}.`;
  }
  slice.residentBytes = residentBytes(lane.pids);
  return slice;
}

/** Waits for a moment in which nobody else uses the machine, as long as the patience of the whole run lasts. */
async function untilOthersPause(bench) {
  const ownPids = [...new Set([...bench.ownPids, ...Object.values(bench.lanes).flatMap((lane) => lane.pids)])];
  while (bench.patienceMs > 0) {
    const start = performance.now();
    const busy = busyNanos();
    const own = cpuNanos(ownPids);
    await new Promise((resolve) => setTimeout(resolve, PROBE_MS));
    const spanMs = performance.now() - start;
    if (busy === undefined || (busyNanos() - busy - (cpuNanos(ownPids) - own)) / 1e6 / spanMs <= bench.options.foreignMost) return;
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    bench.patienceMs -= performance.now() - start;
  }
}

/** Runs blocks of paired calls over the lanes; the first lane must be the direct one. */
export async function runPaired(bench, scenario, { rounds, random }) {
  const lanes = lanesOf(bench, scenario.lanes);
  const systems = lanes.map((lane) => ({
    name: lane.name,
    port: lane.port,
    request: requestOf(lane, scenario),
    expect: scenario.stream ? "stream" : "answer",
  }));
  const ownPids = [...new Set([...bench.ownPids, ...lanes.flatMap((lane) => lane.pids)])];
  if (scenario.paceMs !== undefined) await bench.mock("set", { paceMs: scenario.paceMs });
  const result = [];
  for (let round = 0; round < rounds; round++) {
    let block;
    let dropped = 0;
    for (let tries = 0; tries < TRIES_A_SLICE; tries++) {
      await untilOthersPause(bench);
      const seed = Math.floor(random() * 2 ** 31);
      block = await bench.load("pairedBlock", { systems, turns: scenario.turns, seed, syncFile: join(bench.dir, "sync"), ownPids });
      if (block.foreignShare <= bench.options.foreignMost) break;
      dropped++;
    }
    const isDisturbed = block.foreignShare > bench.options.foreignMost;
    const slices = Object.fromEntries(
      Object.entries(block.systems).map(([name, times]) => [
        name,
        {
          ...times,
          syncMicros: block.syncMicros,
          foreignShare: block.foreignShare,
          failures: block.failure ? 1 : 0,
          failure: block.failure,
          isDisturbed,
          dropped: [],
        },
      ]),
    );
    slices.direct.dropped = Array(Math.max(0, dropped - (isDisturbed ? 1 : 0))).fill(1);
    result.push(slices);
  }
  return result;
}

export const seededRandomOf = (options) => seededRandom(options.seed);

function requestOf(lane, { bytes, stream = false }) {
  return httpRequest({ port: lane.port, path: PATH, headers: lane.headers, body: chatBody({ bytes, stream }) }).toString("base64");
}

function spawnNode({ core, file, args = [] }) {
  return spawnOn({ core, command: process.execPath, args: [join(HERE, file), ...args], ipc: true, log: "inherit" });
}

function nextMessage(child) {
  return new Promise((resolve, reject) => {
    child.once("message", resolve);
    child.once("exit", (code) => reject(new Error(`${child.spawnargs.join(" ")} ended with ${code} before it was ready.`)));
  });
}

/** Sends tasks to a child and gives their results. */
function talkTo(child) {
  let lastId = 0;
  const waiting = new Map();
  child.on("message", (message) => {
    const { resolve, reject } = waiting.get(message.id) ?? {};
    waiting.delete(message.id);
    if (message.error) reject?.(new Error(message.error));
    else resolve?.(message.result ?? message);
  });
  child.on("exit", () => {
    for (const { reject } of waiting.values()) reject(new Error(`${child.spawnargs.join(" ")} ended in the middle of the run.`));
  });
  return (task, input = {}) =>
    new Promise((resolve, reject) => {
      const id = ++lastId;
      waiting.set(id, { resolve, reject });
      child.send({ id, task, input, ...input });
    });
}

async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function untilListening({ name, port, child }) {
  for (let tries = 0; tries < 200; tries++) {
    if (child && child.exitCode !== null)
      throw new Error(`${name} ended with ${child.exitCode} instead of listening. BENCH_LOG=1 shows what it says.`);
    const isOpen = await new Promise((resolve) => {
      const socket = connect({ port, host: "127.0.0.1" }, () => resolve(true));
      socket.on("error", () => resolve(false));
      socket.on("connect", () => socket.destroy());
    });
    if (isOpen) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`${name} does not listen on port ${port} after ten seconds.`);
}

function endProcess(child) {
  if (child.exitCode !== null) return;
  return new Promise((resolve) => {
    const force = setTimeout(() => child.kill("SIGKILL"), 5000);
    child.once("exit", () => {
      clearTimeout(force);
      resolve();
    });
    if (child.connected) child.disconnect();
    child.kill("SIGTERM");
  });
}
