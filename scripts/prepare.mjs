/** `npm run build`: installs and builds what is missing or out of date, so that a fresh clone needs no other step. Quiet where nothing is. */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

export const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..");
export const MAIN = join(ROOT, "packages/gateway/dist/cli/main.js");
const TSC = join(ROOT, "node_modules/typescript/bin/tsc");
const VITE = join(ROOT, "node_modules/vite/bin/vite.js");
const SCREEN = join(ROOT, "packages/dashboard");
const SCREEN_BUILT = join(ROOT, "packages/gateway/dist/dashboard");
const NODE_LEAST = [20, 19];

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) prepare();

/** Ends the process with the reason where it cannot be done. */
export function prepare() {
  install();
  if (!existsSync(MAIN)) say("Building …");
  run(process.execPath, [TSC, "-b"], "The build failed.");
  buildScreen();
  linkProgram();
}

/** The dashboard is built again when a file of it is another than the last time. What it is built from stands beside what was built. */
function buildScreen() {
  const built = join(SCREEN_BUILT, "built-from.txt");
  const source = screenSource();
  if (existsSync(built) && readFileSync(built, "utf8") === source) return;
  run(process.execPath, [VITE, "build", "--logLevel=warn", SCREEN], "The dashboard could not be built.");
  writeFileSync(built, source);
}

/** Says what every file of the screen is, and with which packages it is built. Files are small and few: reading them takes no time. */
function screenSource() {
  const files = readdirSync(SCREEN, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !/[\\/](dist|node_modules)([\\/]|$)/.test(`${entry.parentPath}/`))
    .map(({ parentPath, name }) => join(parentPath, name))
    .sort();
  const sum = createHash("sha256");
  for (const file of [...files, join(ROOT, "package-lock.json")]) sum.update(`${relative(ROOT, file)}\0`).update(readFileSync(file));
  return sum.digest("hex");
}

/** Installs the packages where they are not those of the lock file. */
export function install() {
  refuseOldNode();
  if (isInstalled()) return;
  say("Installing packages …");
  run(npm(), ["ci", "--no-fund", "--no-audit", "--loglevel=error"], "The packages could not be installed.");
}

function refuseOldNode() {
  const [major, minor] = process.versions.node.split(".").map(Number);
  const [leastMajor, leastMinor] = NODE_LEAST;
  if (major > leastMajor || (major === leastMajor && minor >= leastMinor)) return;
  fail(`Purser needs Node.js ${NODE_LEAST.join(".")} or later; this is ${process.versions.node}. See https://nodejs.org.`);
}

/** Whether what npm wrote down of its last installation is what the lock file asks for. What is optional may be for other machines. */
function isInstalled() {
  const installed = readPackages(join(ROOT, "node_modules/.package-lock.json"));
  if (!installed) return false;
  const wanted = Object.entries(readPackages(join(ROOT, "package-lock.json")) ?? {});
  return wanted.every(([path, { version, optional, devOptional, link }]) => {
    if (!path.startsWith("node_modules/") || link || optional || devOptional) return true;
    return installed[path]?.version === version;
  });
}

function readPackages(file) {
  return existsSync(file) ? JSON.parse(readFileSync(file, "utf8")).packages : undefined;
}

/** npm links a program when it installs, and on a fresh clone it is not built by then. */
function linkProgram() {
  const folder = join(ROOT, "node_modules/.bin");
  if (process.platform === "win32") {
    if (!existsSync(join(folder, "purser.cmd")))
      run(npm(), ["rebuild", "purser", "--ignore-scripts", "--loglevel=error"], "The program could not be linked.");
    return;
  }
  chmodSync(MAIN, 0o755);
  const link = join(folder, "purser");
  if (existsSync(link)) return;
  mkdirSync(folder, { recursive: true });
  rmSync(link, { force: true });
  symlinkSync("../purser/dist/cli/main.js", link);
}

function run(command, args, failure) {
  const { status, error } = spawnSync(command, args, { cwd: ROOT, stdio: ["ignore", 2, 2], shell: process.platform === "win32" });
  if (status !== 0) fail(error ? `${failure} ${error.message}` : failure);
}

function npm() {
  return process.platform === "win32" ? "npm.cmd" : "npm";
}

/** On stderr: what is started after it has stdout to itself. */
function say(text) {
  process.stderr.write(`${text}\n`);
}

function fail(text) {
  say(text);
  process.exit(1);
}
