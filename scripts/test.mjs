/**
 * `npm test [-- FILTER… --node-option…]`: builds, runs all tests or those whose path contains a filter, and names what was not run.
 * With PURSER_REQUIRE_ALL=1 a test that was not run is a failure, except where only what the npm registry and Debian do not have is missing: real data
 * (PURSER_TEST_DATA) and Python's SDKs (PURSER_TEST_PYTHON). With PURSER_REQUIRE_ALL=data that is a failure too.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join, relative } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { prepare, ROOT } from "./prepare.mjs";

/** Many tests wait for a server or a browser, so that even one core has time for two files. More than Node.js would begin on two, and as many on more. */
const FILES_AT_ONCE = Math.max(2, availableParallelism() - 1);

prepare();
const args = process.argv.slice(2);
const filters = args.filter((arg) => !arg.startsWith("-"));
const files = testFiles().filter((file) => filters.length === 0 || filters.some((filter) => file.includes(filter)));
if (files.length === 0) {
  console.error(`No test file has "${filters.join('" or "')}" in its path.`);
  process.exit(2);
}
process.exitCode = runTests(
  files,
  args.filter((arg) => arg.startsWith("-")),
);

/** Compiled tests whose source is still there, and the tests of scripts that need no compiling. */
function testFiles() {
  const workspaces = [...readdirSync(join(ROOT, "packages")).map((name) => join("packages", name)), "simulation"];
  const compiled = workspaces.flatMap((workspace) => {
    const dist = join(ROOT, workspace, "dist");
    if (!existsSync(dist)) return [];
    return filesBelow(dist)
      .filter((file) => file.endsWith(".test.js") && existsSync(join(dist, "../src", file.replace(/\.js$/, ".ts"))))
      .map((file) => join(workspace, "dist", file));
  });
  const plain = ["bench", "scripts", "examples"].flatMap((name) =>
    filesBelow(join(ROOT, name)).flatMap((file) => (file.endsWith(".test.mjs") ? [join(name, file)] : [])),
  );
  return [...compiled, ...plain].sort();
}

function filesBelow(folder) {
  return readdirSync(folder, { recursive: true }).filter((file) => !file.includes("node_modules"));
}

function runTests(files, options) {
  const folder = mkdtempSync(join(tmpdir(), "purser-test-"));
  const notRunFile = join(folder, "not-run.jsonl");
  const reporters = [
    ["spec", "stdout"],
    [pathToFileURL(fileURLToPath(new URL("./not-run-reporter.mjs", import.meta.url))).href, notRunFile],
  ].flatMap(([reporter, destination]) => [`--test-reporter=${reporter}`, `--test-reporter-destination=${destination}`]);
  try {
    const settings = ["--test-timeout=600000", `--test-concurrency=${FILES_AT_ONCE}`, ...reporters, ...options];
    const { status } = spawnSync(process.execPath, ["--test", ...settings, ...files], { cwd: ROOT, stdio: "inherit" });
    const isAccepted = reportNotRun(existsSync(notRunFile) ? readFileSync(notRunFile, "utf8") : "");
    return status === 0 && isAccepted ? 0 : 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Names every test that was not run. Returns whether that is acceptable. */
function reportNotRun(text) {
  const notRun = text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line));
  if (notRun.length === 0) return true;
  console.log(`\nNot run: ${notRun.length}`);
  for (const { name, file, why } of notRun) console.log(`  ${name}${file ? ` (${relative(ROOT, file)})` : ""}: ${why}`);
  const required = process.env.PURSER_REQUIRE_ALL;
  if (!required || required === "0") return true;
  const missing = required === "data" ? notRun : notRun.filter(({ why }) => !/PURSER_TEST_(DATA|PYTHON)/.test(why));
  if (missing.length > 0) console.log(`\nPURSER_REQUIRE_ALL is set, so ${missing.length} not run count as failed.`);
  return missing.length === 0;
}
