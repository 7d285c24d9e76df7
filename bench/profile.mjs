/** Runs the gateway alone under load with the profiler of Node, and prints the functions in which its time goes. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { printTable } from "./report.mjs";
import { openBench, runRounds, seededRandomOf, warmUp } from "./run.mjs";

const SHOWN = 45;
const SHOWN_OF_THREAD = 8;

/** `options.stream` profiles 100 streams instead of whole answers. */
export async function profileGateway(options) {
  const profileDir = join(options.outputDir, `purser-${Date.now()}`);
  const nodeArgs = ["--cpu-prof", `--cpu-prof-dir=${profileDir}`, "--cpu-prof-interval=500"];
  const bench = await openBench({ ...options, systems: ["purser"], nodeArgs, foreignMost: Number.POSITIVE_INFINITY });
  const common = { name: "profile", lanes: [options.refusals ? "refusal" : "purser"], bytes: options.bytes };
  const scenario = options.stream
    ? { ...common, kind: "streams", stream: true, connections: 100, paceMs: 20, leadMs: 1000 }
    : { ...common, kind: "closed-loop", connections: 16 };
  for (const name of Object.keys(bench.lanes)) if (!common.lanes.includes(name)) delete bench.lanes[name];
  try {
    await warmUp(bench, { count: 2000 });
    const [round] = await runRounds(bench, scenario, { rounds: 1, random: seededRandomOf(options) });
    const [slice] = Object.values(round);
    if (slice === undefined) throw new Error(Object.values({ ...bench.notRun, ...bench.broken }).join("\n"));
    const what = options.stream ? `${slice.cpuMicrosPerChunk?.toFixed(1)} µs a chunk` : `${slice.cpuMicrosPerAnswer?.toFixed(1)} µs a call`;
    console.log(`${slice.answers} answers, ${slice.chunks} chunks, ${what} with the profiler on; ${slice.failures} wrong answers.`);
  } finally {
    await bench.stop();
  }
  for (const file of readdirSync(profileDir)) {
    const profile = JSON.parse(readFileSync(join(profileDir, file), "utf8"));
    console.log(`\n${join(profileDir, file)}`);
    const isMainThread = file.includes(".0.001.");
    printTable(ownTimes(profile).slice(0, isMainThread ? SHOWN : SHOWN_OF_THREAD));
  }
}

/** Functions by the time spent in themselves, with their share of the time that was not idle. */
function ownTimes({ nodes, samples, timeDeltas }) {
  const functions = new Map(nodes.map((node) => [node.id, nameOf(node.callFrame)]));
  const micros = new Map();
  samples.forEach((id, index) => {
    const name = functions.get(id);
    micros.set(name, (micros.get(name) ?? 0) + timeDeltas[index]);
  });
  for (const idle of ["(idle)", "(root)"]) micros.delete(idle);
  const busy = [...micros.values()].reduce((sum, time) => sum + time, 0);
  const rows = [...micros]
    .sort(([, left], [, right]) => right - left)
    .map(([name, time]) => [name, `${(time / 1000).toFixed(0)} ms`, `${((100 * time) / busy).toFixed(1)} %`]);
  return [["function", "own time", "of busy"], ...rows];
}

function nameOf({ functionName, url, lineNumber }) {
  const name = functionName || "(anonymous)";
  return url === ""
    ? name
    : `${name}  ${url.replace(/^file:\/\//, "").replace(/^.*\/((?:packages|node_modules)\/)/, "$1")}:${lineNumber + 1}`;
}
