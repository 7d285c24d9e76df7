/**
 * `node scripts/install-agents.mjs`: installs the coding agents that `conformance/agents.test.ts` runs, from the npm registry alone, into
 * `.build/agents` (or PURSER_TEST_AGENTS). They are larger than everything else together, so they are no dependencies: where they are
 * missing, the test says that it was not run.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "./prepare.mjs";

/** The versions with which everything was measured. */
const AGENTS = {
  "@anthropic-ai/claude-code": "2.1.332",
  "@google/gemini-cli": "0.61.0",
  "@openai/codex": "0.169.0",
  "@qwen-code/qwen-code": "0.24.4",
  "opencode-ai": "1.18.33",
};

const folder = process.env.PURSER_TEST_AGENTS ?? join(ROOT, ".build/agents");
const manifest = `${JSON.stringify({ private: true, dependencies: AGENTS }, undefined, 2)}\n`;
if (installed() === manifest) {
  console.log(`The agents are in ${folder}.`);
} else {
  mkdirSync(folder, { recursive: true });
  const file = join(folder, "package.json");
  writeFileSync(file, manifest);
  // Each has its program in a package of its own for this machine; the scripts of two of them only put it where it is found.
  const { status } = spawnSync("npm", ["install", "--no-fund", "--no-audit", "--loglevel=error"], { cwd: folder, stdio: "inherit" });
  if (status === 0) writeFileSync(join(folder, "installed.json"), manifest);
  process.exitCode = status ?? 1;
}

/** What was installed in full. */
function installed() {
  try {
    return readFileSync(join(folder, "installed.json"), "utf8");
  } catch {
    return undefined;
  }
}
