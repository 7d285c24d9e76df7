/** `npm run check`: types, style, unused code and tests, in this order, and at the end what was found. `--no-tests` leaves the tests out. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { install, ROOT } from "./prepare.mjs";

const BIN = join(ROOT, "node_modules/.bin");
const STEPS = [
  { name: "types", command: join(BIN, "tsc"), args: ["-b"] },
  { name: "style", command: join(BIN, "biome"), args: ["ci", "--colors=off"] },
  { name: "unused code", command: join(BIN, "knip"), args: ["--no-progress"] },
  { name: "tests", command: process.execPath, args: [join(ROOT, "scripts/test.mjs")] },
];

install();
const steps = process.argv.includes("--no-tests") ? STEPS.filter(({ name }) => name !== "tests") : STEPS;
const results = steps.map(({ name, command, args }) => {
  console.log(`\n── ${name}`);
  const startedAt = performance.now();
  const { status, error } = spawnSync(command, args, { cwd: ROOT, stdio: "inherit", shell: process.platform === "win32" });
  if (error) console.log(error.message);
  return { name, isRight: status === 0, seconds: (performance.now() - startedAt) / 1000 };
});

console.log("\n── summary");
for (const { name, isRight, seconds } of results)
  console.log(`  ${isRight ? "ok    " : "FAILED"}  ${name.padEnd(12)} ${seconds.toFixed(1)} s`);
process.exitCode = results.every(({ isRight }) => isRight) ? 0 : 1;
