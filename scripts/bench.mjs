/** `npm run bench -- gateway|streams|counting|store|postgres|redis|decisions|leases|dashboard|memory`: measures, prints ratios beside what was promised, and keeps the raw values. */
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import os from "node:os";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..");
const OWN = ["gateway", "streams", "profile"];
const OTHERS = ["counting", "store", "postgres", "redis", "decisions", "leases", "dashboard", "memory"];
const USAGE = `npm run bench -- gateway | streams | counting | store | postgres | redis | decisions | leases | dashboard | memory | profile

gateway and streams:
  --rounds N        rounds, each with every system once in random order (8)
  --seconds S       length of a slice (0.7)
  --seed N          order and arrivals (the time)
  --systems a,b     only these of plain, nginx, portkey, purser, purser-off
  --only a,b        only these scenarios
  --foreign SHARE   drop a slice when others use more of a core than this (0.3)
  --patience S      wait so long in all for others to pause (120)
  --beside FILE     another build of the gateway too, by its dist/cli/main.js: what a change gained
  --with-portkey    install Portkey for the comparison, into the folder for temporary files
  --no-save         do not write bench/results
  --smoke           next to nothing of everything, in seconds: shows that it works, measures nothing

profile: the gateway alone under load, and where its time goes
  --seconds S, --stream, --refusals, --bytes N

counting, store, postgres, redis, decisions, leases, dashboard and memory take their own options.`;

const [command, ...rest] = process.argv.slice(2);
if (command === undefined || ![...OWN, ...OTHERS].includes(command)) {
  console.error(USAGE);
  process.exitCode = 2;
} else if (OTHERS.includes(command)) {
  await runOther(command, rest);
} else {
  await runOwn(command, rest);
}

/** The other benchmarks are programs of their own. */
async function runOther(name, args) {
  const file = join(ROOT, "bench", `${name}.mjs`);
  if (!existsSync(file)) {
    console.log(`${name}: not run. There is no ${relative(ROOT, file)}.`);
    return;
  }
  const child = spawn(process.execPath, [file, ...args], { stdio: "inherit" });
  process.exitCode = await new Promise((resolve) => child.once("exit", (code) => resolve(code ?? 1)));
}

async function runOwn(name, args) {
  const { values } = parseArgs({
    args,
    options: {
      rounds: { type: "string" },
      seconds: { type: "string" },
      seed: { type: "string" },
      systems: { type: "string" },
      only: { type: "string" },
      foreign: { type: "string", default: "0.3" },
      patience: { type: "string", default: "120" },
      beside: { type: "string" },
      "with-portkey": { type: "boolean", default: false },
      "no-save": { type: "boolean", default: false },
      smoke: { type: "boolean", default: false },
      stream: { type: "boolean", default: false },
      refusals: { type: "boolean", default: false },
      bytes: { type: "string", default: "1024" },
    },
  });
  const options = {
    rounds: Number(values.rounds ?? (values.smoke ? 1 : 8)),
    seconds: Number(values.seconds ?? (values.smoke ? 0.1 : 0.7)),
    seed: Number(values.seed ?? Date.now() % 2 ** 31),
    systems: values.systems?.split(","),
    only: values.only?.split(","),
    foreignMost: values.smoke ? Number.POSITIVE_INFINITY : Number(values.foreign),
    patienceSeconds: Number(values.patience),
    beside: values.beside,
    withPortkey: values["with-portkey"],
    smoke: values.smoke,
    log: console.log,
  };
  // Loaded here, so that the usage can be read before anything is built.
  if (name === "profile") {
    const { profileGateway } = await import("../bench/profile.mjs");
    const outputDir = join(os.tmpdir(), "purser-profiles");
    return profileGateway({ ...options, outputDir, stream: values.stream, refusals: values.refusals, bytes: Number(values.bytes) });
  }
  const { runGatewayBench, faultsOf } = await import("../bench/gateway.mjs");
  const { describeCommit, describeMachine } = await import("../bench/machine.mjs");
  const startedAt = new Date();
  const results = await runGatewayBench(name, options);
  const { commit, changedFiles } = describeCommit(ROOT);
  const { log: _log, ...settings } = options;
  const record = {
    command: `npm run bench -- ${[name, ...args].join(" ")}`,
    startedAt: startedAt.toISOString(),
    commit,
    changedFiles,
    machine: describeMachine(os.tmpdir()),
    settings,
    ...results,
  };
  if (!values["no-save"] && !values.smoke) saveResults(record, `${startedAt.toISOString().slice(0, 10)}-${commit}`);
  const faults = faultsOf(results);
  if (faults.length > 0) {
    console.error(`\nThese do not count:\n  ${faults.slice(0, 20).join("\n  ")}`);
    process.exitCode = 1;
  }
}

/** One file a day and commit: what another command of the same commit found stays in it. */
function saveResults(record, name) {
  const dir = join(ROOT, "bench", "results");
  mkdirSync(dir, { recursive: true });
  let file = join(dir, `${name}.json`);
  for (let number = 2; existsSync(file); number++) file = join(dir, `${name}-${number}.json`);
  writeFileSync(file, `${JSON.stringify(record, (_, value) => (typeof value === "number" ? Number(value.toPrecision(6)) : value))}\n`);
  console.log(`\nRaw values: ${relative(ROOT, file)}. Only ratios of one run carry over; never compare figures of two runs.`);
}
