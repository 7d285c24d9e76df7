import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import os from "node:os";
import { join } from "node:path";
import { spawnOn } from "../machine.mjs";

export const PORTKEY_VERSION = "1.15.2";
const DIR = join(os.tmpdir(), "purser-bench-peers", `portkey-${PORTKEY_VERSION}`);
const PROGRAM = join(DIR, "node_modules", "@portkey-ai", "gateway", "build", "start-server.js");

export const isPortkeyInstalled = () => existsSync(PROGRAM);

/** Installs the version that is compared with, into the system's folder for temporary files. Newer versions of its web server break its streams, so they are held. */
export function installPortkey() {
  mkdirSync(DIR, { recursive: true });
  const manifest = {
    private: true,
    dependencies: { "@portkey-ai/gateway": PORTKEY_VERSION },
    overrides: { hono: "4.9.7", "@hono/node-server": "1.13.5" },
  };
  writeFileSync(join(DIR, "package.json"), JSON.stringify(manifest));
  execFileSync("npm", ["install", "--no-audit", "--no-fund", "--ignore-scripts"], { cwd: DIR, stdio: ["ignore", "ignore", "inherit"] });
}

export function startPortkey({ core, port }) {
  return spawnOn({ core, command: process.execPath, args: [PROGRAM, "--headless", `--port=${port}`], env: { NODE_ENV: "production" } });
}

/** It is told per call where the provider is. */
export const portkeyHeaders = (upstreamPort) => ({
  Authorization: "Bearer sk-bench-provider",
  "x-portkey-provider": "openai",
  "x-portkey-custom-host": `http://127.0.0.1:${upstreamPort}/v1`,
});
